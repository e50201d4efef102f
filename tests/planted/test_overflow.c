/* A planted bug: a write behind the end of a block. AddressSanitizer must find it, and ctest must see that. */
#include <criterion/criterion.h>
#include <stdlib.h>

Test(planted, overflow)
{
    volatile size_t index = 16;
    volatile char *volatile block = malloc(16); /* its size is hidden from UBSan, which would be first */
    block[index] = 1;
    free((void *)block);
}
