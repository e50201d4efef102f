/* Actors of the program: their types become keys of the topology, their entries actors of the kernel. fettle/actor.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/port/agent.h"
#include "actors/port/routes.h"
#include "actors/port/user.h"

/* id: runtime number 12 | the actor's place 20 | which open it was 32 */
enum { NUMBER_SHIFT = 52, PLACE_SHIFT = 32, PLACE_MASK = (1 << 20) - 1 };

static ftli_atomic_u32 opens;

/* ---- building -------------------------------------------------------------------------------------------------------------- */

static const char *setting(const void *settings, const char *key)
{
    const struct ftli_settings *all = settings;
    for (uint32_t i = 0; i < all->count; i++)
        if (strcmp(all->items[i].key, key) == 0)
            return all->items[i].value;
    return NULL;
}

static void log_text(void *user, const char *actor, uint32_t level, const char *text)
{
    struct ftl_runtime *runtime = user;
    ftli_events_post(&runtime->events,
                     &(struct ftli_event_news){.kind = FTL_EVENT_LOG, .level = level, .subject = actor}, "%s", text);
    ftli_routes_on_log(runtime, actor, level);
}

/* In a runtime whose actors are there. */
static ftli_foreign *find(struct ftl_runtime *runtime, ftl_actor actor)
{
    uint32_t place = (uint32_t)(actor.id >> PLACE_SHIFT) & PLACE_MASK;
    if ((uint32_t)actor.id != ftli_u32_load_acquire(&runtime->users.opened) || place >= runtime->users.count)
        return NULL;
    return runtime->users.actors[place];
}

/* From inside an actor, so its own runtime is there, also while it closes. */
static int send_inside(void *user, ftl_actor to, uint32_t lane, ftl_message *message)
{
    struct ftl_runtime *runtime = user;
    ftli_foreign *foreign = to.id >> NUMBER_SHIFT == runtime->number ? find(runtime, to) : NULL;
    return foreign != NULL ? ftli_foreign_send(foreign, lane, message) : ftl_actor_send(to, lane, message);
}

static int add(struct ftl_runtime *runtime, const ftl_open_options *options, const struct ftli_topology_actor *entry)
{
    const ftl_actor_type *type = options->actor_types;
    while (strcmp(type->name, entry->type) != 0)
        type++; /* the entry is of one of them */
    ftli_foreign_world world = {
        .send = send_inside, .log = log_text, .user = runtime, .setting = setting, .settings = entry->settings};
    ftli_foreign *foreign;
    int status = ftli_foreign_create(type, entry->name, &world, &foreign);
    if (status != FTL_OK)
        return ftli_fail(status, "actors.%s: no memory for its state", entry->name);
    runtime->users.actors[runtime->users.count++] = foreign;
    uint64_t receive_ns = entry->receive_ns != FTLI_TIME_NONE ? (uint64_t)entry->receive_ns : 0;
    ftli_actor_options as = ftli_foreign_options(foreign, entry->threads.name, receive_ns);
    status = ftli_kernel_add_actor(runtime->kernel, entry->name, &as, &foreign->actor);
    if (status == FTL_EINVAL)
        return ftli_fail(FTL_ECONFIG, "actors.%s: an actor of Fettle's has this name", entry->name);
    return status == FTL_ELIMIT ? ftli_fail(status, "actors.%s: too many actors", entry->name)
           : status != FTL_OK   ? ftli_fail(status, "actors.%s: no memory", entry->name)
                                : FTL_OK;
}

int ftli_users_add(struct ftl_runtime *runtime, const ftl_open_options *options)
{
    uint32_t opened;
    do
        opened = ftli_u32_fetch_add_relaxed(&opens, 1) + 1;
    while (opened == 0);
    ftli_u32_store_release(&runtime->users.opened, opened);
    if (options->actor_type_count == 0)
        return FTL_OK;
    runtime->users.actors = calloc(runtime->topology->actor_count, sizeof(ftli_foreign *));
    if (runtime->users.actors == NULL)
        return ftli_fail(FTL_ENOMEM, "no memory for the program's actors");
    int status = FTL_OK;
    for (uint32_t i = 0; i < runtime->topology->actor_count && status == FTL_OK; i++)
        if (runtime->topology->actors[i].schema->is_user)
            status = add(runtime, options, &runtime->topology->actors[i]);
    return status;
}

void ftli_users_destroy(struct ftl_runtime *runtime)
{
    for (uint32_t i = 0; i < runtime->users.count; i++)
        ftli_foreign_destroy(runtime->users.actors[i]);
    free(runtime->users.actors);
    runtime->users.actors = NULL;
    runtime->users.count = 0;
}

const char *ftli_users_not_started(const struct ftl_runtime *runtime)
{
    const char *name = NULL;
    for (uint32_t i = runtime->users.count; i-- > 0;)
        if (runtime->users.actors[i]->failed_start)
            name = runtime->users.actors[i]->name;
    return name;
}

int ftli_users_check_types(const ftl_open_options *options)
{
    if ((options->actor_types == NULL) != (options->actor_type_count == 0))
        return ftli_fail(FTL_EINVAL, "actor_types: the array and its count do not agree");
    if (options->actor_type_count > FTLI_USER_TYPES_MOST)
        return ftli_fail(FTL_EINVAL, "actor_type_count: %d are the most", FTLI_USER_TYPES_MOST);
    for (size_t i = 0; i < options->actor_type_count; i++) {
        const ftl_actor_type *type = &options->actor_types[i];
        size_t length = type->name != NULL ? strlen(type->name) : 0;
        if (length == 0 || length >= FTLI_NAME_BYTES ||
            strspn(type->name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != length)
            return ftli_fail(FTL_EINVAL, "actor_types[%zu].name: expected 1 to 15 characters of a-z 0-9 - _", i);
        if (type->receive == NULL)
            return ftli_fail(FTL_EINVAL, "actor_types[%zu].receive: is NULL", i);
        for (size_t k = 0; k < sizeof type->reserved / sizeof type->reserved[0]; k++)
            if (type->reserved[k] != 0)
                return ftli_fail(FTL_EINVAL, "actor_types[%zu].reserved: must be zero", i);
        for (size_t k = 0; k < i; k++)
            if (strcmp(options->actor_types[k].name, type->name) == 0)
                return ftli_fail(FTL_EINVAL, "actor_types[%zu].name: \"%s\" is there twice", i, type->name);
    }
    return FTL_OK;
}

/* ---- the calls ------------------------------------------------------------------------------------------------------------- */

int ftl_actor_find(ftl_runtime *runtime, const char *name, ftl_actor *out)
{
    if (runtime == NULL || name == NULL || out == NULL)
        return ftli_fail(FTL_EINVAL, "%s: is NULL", runtime == NULL ? "runtime" : name == NULL ? "name" : "out");
    if (!ftli_runtime_enter(runtime))
        return ftli_fail(FTL_ECLOSED, "the runtime is closed");
    int status = ftli_port_is_inherited(runtime) ? FTL_ENOTSUP : FTL_EINVAL;
    for (uint32_t i = 0; i < runtime->users.count && status == FTL_EINVAL; i++)
        if (strcmp(runtime->users.actors[i]->name, name) == 0) {
            out->id = (uint64_t)runtime->number << NUMBER_SHIFT | (uint64_t)i << PLACE_SHIFT |
                      ftli_u32_load_relaxed(&runtime->users.opened);
            status = FTL_OK;
        }
    ftli_runtime_leave(runtime);
    if (status == FTL_ENOTSUP)
        return ftli_fail(status, "not in a forked child");
    return status == FTL_OK ? FTL_OK : ftli_fail(status, "name: no actor of the program is called \"%.40s\"", name);
}

int ftl_actor_send(ftl_actor actor, uint32_t lane, ftl_message *message)
{
    struct ftl_runtime *runtime = ftli_runtime_of((uint32_t)(actor.id >> NUMBER_SHIFT));
    if (runtime == NULL || !ftli_runtime_enter(runtime))
        return ftli_fail(FTL_ESTALE, "actor: its runtime is closed");
    ftli_foreign *foreign = find(runtime, actor);
    int status = ftli_port_is_inherited(runtime) ? FTL_ENOTSUP
                 : foreign == NULL               ? FTL_ESTALE
                                                 : ftli_foreign_send(foreign, lane, message);
    ftli_runtime_leave(runtime);
    return status == FTL_OK       ? FTL_OK
           : status == FTL_ESTALE ? ftli_fail(status, "actor: its runtime is closed")
           : status == FTL_ENOTSUP
               ? ftli_fail(status, "not in a forked child")
               : ftli_fail(status, "message: is NULL, or its flags are not 0, or there is no such lane");
}
