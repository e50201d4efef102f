/* A planted bug: a signed sum that overflows. UBSan must find it, and ctest must see that. */
#include <criterion/criterion.h>
#include <limits.h>

Test(planted, undefined)
{
    volatile int most = INT_MAX;
    most = most + 1;
}
