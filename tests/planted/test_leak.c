/* A planted bug: a block that nobody can reach any more. LeakSanitizer must find it, and ctest must see that. */
#include <criterion/criterion.h>
#include <stdlib.h>

static void *volatile only_reference;

Test(planted, leak)
{
    only_reference = malloc(100);
    only_reference = NULL;
}
