/* A run token: the right to be the one thread inside something.
 *
 * What      A word that is free, held, or held while somebody sleeps for it.
 * Rules     CORE.md section 3: tokens are tried, never waited for, while another is held. Never taken in a
 * signal handler. A holder makes no blocking call. Threads   Any. try_take and release are lock-free; take
 * spins briefly, then sleeps on the word. Init      A zeroed token is free.
 */
#ifndef FTLI_RUNTIME_KERNEL_TOKEN_H
#define FTLI_RUNTIME_KERNEL_TOKEN_H

#include "runtime/base/atomics.h"

#if defined __cplusplus
extern "C" {
#endif

typedef struct {
    ftli_atomic_u32 word;
} ftli_token;

enum {
    FTLI_TOKEN_FREE = 0,
    FTLI_TOKEN_HELD = 1,
    FTLI_TOKEN_WANTED = 2 /* held, and somebody may sleep for it */
};

void ftli_token_take_slow(ftli_token *);
void ftli_token_wake_one(ftli_token *);

FTLI_INLINE bool ftli_token_try_take(ftli_token *token)
{
    uint32_t expected = FTLI_TOKEN_FREE;
    return ftli_u32_cas_acq_rel(&token->word, &expected, FTLI_TOKEN_HELD); /* pairs: token-release */
}

FTLI_INLINE void ftli_token_take(ftli_token *token)
{
    if (FTLI_UNLIKELY(!ftli_token_try_take(token)))
        ftli_token_take_slow(token);
}

FTLI_INLINE void ftli_token_release(ftli_token *token)
{
    /* pairs: token-release, with the compare-and-swap of the next taker */
    if (FTLI_UNLIKELY(ftli_u32_exchange_acq_rel(&token->word, FTLI_TOKEN_FREE) == FTLI_TOKEN_WANTED))
        ftli_token_wake_one(token);
}

#if defined __cplusplus
}
#endif
#endif
