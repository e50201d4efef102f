/* What went wrong, in words. How to read the comments: fettle.h. */
#ifndef FETTLE_ERROR_H
#define FETTLE_ERROR_H

#include <fettle/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A status as an English phrase: a constant, never NULL, valid for ever; "no such status" for a number that is none.
 * [wf] */
FTL_API const char *ftl_strerror(int status);

/* This thread's last failure, as one sentence that names the argument, or the place in the topology; "" if there was
 * none. Of up to 511 bytes; valid until this thread's next failing call; never NULL. A call that succeeds leaves it as
 * it was, and so do retain and drop when they fail. Another thread never sees it. [wf] */
FTL_API const char *ftl_last_error(void);

#ifdef __cplusplus
}
#endif
#endif
