/* A user's actor (fettle/actor.h) as an actor of the kernel: what ftl_actor_type says, in terms of operations.
 *
 * What      The context that its functions see; its messages, which lie where the user likes; those that wait for their time.
 * Owns      The state. Messages are the runtime's from send until receive returned FTL_OK, and lie in a lane or in `delayed`.
 * Threads   The operations: the thread that runs the actor. check: any; the token keeps it apart from the others.
 */
#ifndef FTLI_RUNTIME_KERNEL_FOREIGN_H
#define FTLI_RUNTIME_KERNEL_FOREIGN_H

#include <fettle/actor.h>

#include "runtime/kernel/kernel.h"
#include "runtime/kernel/token.h"

/* What of the context the kernel does not know. */
typedef struct {
    int (*send)(void *user, ftl_actor, uint32_t lane, ftl_message *); /* to any actor of a user */
    void (*log)(void *user, const char *actor, uint32_t level, const char *text);
    void *user;
    const char *(*setting)(const void *settings, const char *key);
    const void *settings;
} ftli_foreign_world;

typedef struct {
    ftl_context context; /* first: what its functions are given */
    ftl_actor_type type;
    ftli_foreign_world world;
    ftli_actor *actor; /* set by who added it */
    const char *name;
    void *state; /* type.state_bytes, or NULL */
    ftli_context *inside;
    ftli_timer timer;     /* due when the first of `delayed` is */
    ftl_message *delayed; /* by date, which stands in sent_ns; of equals the first sent comes first */
    ftli_token token;     /* around all of the type's functions */
    ftli_atomic_pointer holder;
    bool started, failed_start;
} ftli_foreign;

extern const ftli_actor_operations ftli_foreign_operations;

/* FTL_ENOMEM. The type is copied; name lives as long as the actor. */
int ftli_foreign_create(const ftl_actor_type *, const char *name, const ftli_foreign_world *, ftli_foreign **out);
void ftli_foreign_destroy(ftli_foreign *);
/* How the kernel is to add it. */
ftli_actor_options ftli_foreign_options(ftli_foreign *, const char *group, uint64_t receive_ns);
/* From any thread. FTL_OK, or FTL_EINVAL. */
int ftli_foreign_send(ftli_foreign *, uint32_t lane, ftl_message *);

#endif
