/* The supervision policy: which restarts, how fast, and when to give up. Terms mean what Erlang/OTP means by
 * them.
 *
 * What      Plain values and pure functions over them.
 * Threads   Any.
 */
#ifndef FTLI_RUNTIME_SUPERVISE_POLICY_H
#define FTLI_RUNTIME_SUPERVISE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t first_ns, most_ns;
    double factor;
} ftli_backoff;

enum { FTLI_RESTARTS_MOST = 10000 };

typedef struct {
    uint32_t restarts; /* allowed within within_ns; one more gives up. 0: none are. At most FTLI_RESTARTS_MOST */
    uint64_t within_ns;
    ftli_backoff backoff;
    uint32_t retries; /* of a transient failure, before a restart */
} ftli_policy;

/* CORE.md and api/actor.h: what a status means for recovery. */
enum { FTLI_CLASS_TRANSIENT = 0, FTLI_CLASS_RESOURCE = 1, FTLI_CLASS_CONFIGURATION = 2, FTLI_CLASS_FATAL = 3 };

ftli_policy ftli_policy_default(void);          /* 1 within 5 s; 1 ms, doubled up to 1 s */
bool ftli_policy_is_valid(const ftli_policy *); /* factor at least 1, first <= most, within > 0, ... */
uint32_t ftli_policy_class(int status);
uint64_t ftli_backoff_delay_ns(const ftli_backoff *, uint32_t attempt); /* attempt 0: first_ns */

#endif
