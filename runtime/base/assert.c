#include "runtime/base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* The process ends here, and with it what counts lines. GCOVR_EXCL_START */
void ftli_invariant_failed(const char *file, int line, const char *condition, const char *format, ...)
{
    char values[256];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(values, sizeof values, format, arguments);
    va_end(arguments);
    (void)fprintf(stderr, "fettle: %s:%d: broken: %s: %s\n", file, line, condition, values);
    abort();
}
/* GCOVR_EXCL_STOP */
