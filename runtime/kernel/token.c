#include "runtime/kernel/token.h"

#include "runtime/base/clock.h"
#include "runtime/base/os.h"

#ifndef FTLI_TOKEN_SPINS
#define FTLI_TOKEN_SPINS 100 /* a refill is short; longer than this, and the holder has lost its processor */
#endif

void ftli_token_take_slow(ftli_token *token)
{
    for (int i = 0; i < FTLI_TOKEN_SPINS; i++) {
        ftli_cpu_relax();
        if (ftli_u32_load_relaxed(&token->word) == FTLI_TOKEN_FREE && ftli_token_try_take(token))
            return;
    }
    /* From here on whoever releases wakes one. Taking it as WANTED may cost one needless wake, never a lost one. */
    while (ftli_u32_exchange_acq_rel(&token->word, FTLI_TOKEN_WANTED) != FTLI_TOKEN_FREE) /* pairs: token-release */
        (void)ftli_os_wait(&token->word, FTLI_TOKEN_WANTED, FTLI_NEVER_NS);
}

void ftli_token_wake_one(ftli_token *token)
{
    ftli_os_wake(&token->word, 1);
}
