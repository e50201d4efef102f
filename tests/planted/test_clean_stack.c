/* No bug: messages handed over through a mailbox's list. A ThreadSanitizer report here would be a false one. */
#include "tests/planted/stack.h"

Test(planted, clean_stack)
{
    ftli_planted_hand_over(false);
}
