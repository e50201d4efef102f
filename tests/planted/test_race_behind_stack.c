/* A planted bug: a message is written to after it was pushed on a mailbox's list. The list itself is ck's inline
 * assembly, which ThreadSanitizer cannot see; the marks in runtime/kernel/stack.h must leave this race in sight.
 * test_clean_stack.c is the same with the write before the push. */
#include "tests/planted/stack.h"

Test(planted, race_behind_stack)
{
    ftli_planted_hand_over(true);
}
