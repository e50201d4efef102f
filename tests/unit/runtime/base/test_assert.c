#include <criterion/criterion.h>

#include <signal.h>

#include "runtime/base/assert.h"

Test(assert, a_true_invariant_does_nothing)
{
    FTLI_INVARIANT(1 + 1 == 2, "sums");
    FTLI_ASSERT(1 + 1 == 2, "sums");
}

Test(assert, a_broken_invariant_aborts, .signal = SIGABRT)
{
    const int found = 3;
    FTLI_INVARIANT(found == 2, "found %d", found);
}
