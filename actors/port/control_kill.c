/* "kill ACTOR": fault injection. */
#include "actors/port/control.h"

int ftli_control_kill(struct ftl_runtime *runtime, const char *name, ftl_write_fn write, void *user)
{
    struct ftli_control_answer answer = {write, user, 0};
    ftli_actor *actor = ftli_kernel_find(runtime->kernel, name);
    if (actor == NULL)
        return ftli_fail(FTL_EINVAL, "request: kill: no actor is called \"%.40s\"", name);
    if (!ftli_actor_is_restartable(actor))
        return ftli_fail(FTL_ENOTSUP, "request: kill: %s cannot be restarted", ftli_actor_name(actor));
    if (ftli_actor_kill(actor) != FTL_OK)
        return ftli_fail(FTL_EBUSY, "request: kill: %s is down, or has not met the last kill yet",
                         ftli_actor_name(actor));
    ftli_control_say(&answer, "%s fails at its next receive\n", ftli_actor_name(actor));
    return FTL_OK;
}
