/* For programs whose tests start ZeroMQ: include it once, in the test's own file. */
#ifndef TEST_SUPPORT_ZEROMQ_H
#define TEST_SUPPORT_ZEROMQ_H

#if defined __SANITIZE_THREAD__
/* ZeroMQ is not built with the sanitizer: what its own threads do among themselves when a publisher comes and goes looks like
 * races to it. Calls out of such libraries are passed over in this program; our own code is watched as everywhere. */
const char *__tsan_default_options(void);
__attribute__((visibility("default"))) const char *__tsan_default_options(void)
{
    return "ignore_noninstrumented_modules=1";
}
#endif

#endif
