/* Marks around calls into ZeroMQ, for ThreadSanitizer.
 *
 * What     The sanitizer sees the memory that the library's threads touch, but not what orders them, since the library is
 *          not built with it. Between enter and leave it looks away from this thread. Nothing in other builds.
 * Threads  Any. The two come in pairs on one thread; no access to memory of ours that another thread shares goes between.
 */
#ifndef FTLI_RUNTIME_BRIDGE_FOREIGN_H
#define FTLI_RUNTIME_BRIDGE_FOREIGN_H

#if defined __has_feature
#if __has_feature(thread_sanitizer)
#define FTLI_FOREIGN_MARKED 1
#endif
#endif
#if defined __SANITIZE_THREAD__
#define FTLI_FOREIGN_MARKED 1
#endif

#if defined FTLI_FOREIGN_MARKED
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);

static inline void ftli_foreign_enter(void)
{
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
}

static inline void ftli_foreign_leave(void)
{
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}
#else
static inline void ftli_foreign_enter(void)
{
}

static inline void ftli_foreign_leave(void)
{
}
#endif

#endif
