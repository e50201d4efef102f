/* What the fuzz targets share. */
#ifndef FTLI_TESTS_FUZZ_FUZZ_H
#define FTLI_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libFuzzer keeps the input when a target aborts. */
#define FUZZ_REQUIRE(condition, what)                                                 \
    do {                                                                              \
        if (!(condition)) {                                                           \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, what, #condition); \
            abort();                                                                  \
        }                                                                             \
    } while (0)

/* A copy of exactly these bytes and a zero, so that the sanitizer sees who reads on. The caller's to free. */
static inline char *fuzz_text(const uint8_t *data, size_t bytes)
{
    char *text = malloc(bytes + 1);
    if (text == NULL)
        abort();
    if (bytes > 0)
        memcpy(text, data, bytes);
    text[bytes] = '\0';
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#endif
