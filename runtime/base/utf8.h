/* Where characters end, in text that may not be UTF-8: labels are cut at a byte, and programs give what they like. Pure. */
#ifndef FTLI_RUNTIME_BASE_UTF8_H
#define FTLI_RUNTIME_BASE_UTF8_H

#include <stddef.h>

/* How many bytes the character has that begins here, if it is whole and the shortest of its kind; else 0. Ends at a zero byte. */
static inline size_t ftli_utf8_bytes(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t n = at[0] < 0x80                    ? 1
               : at[0] >= 0xc2 && at[0] < 0xe0 ? 2
               : at[0] >= 0xe0 && at[0] < 0xf0 ? 3
               : at[0] >= 0xf0 && at[0] < 0xf5 ? 4
                                               : 0;
    for (size_t i = 1; i < n; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    const int is_long = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    const int is_none =
        (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf4 && at[1] > 0x8f); /* surrogates; above the last */
    return is_long || is_none ? 0 : n;
}

#endif
