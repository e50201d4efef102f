#include "runtime/kernel/foreign.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/kernel/route.h"

static _Thread_local char own; /* its address names the thread */

_Static_assert(offsetof(ftl_message, next) == 0 && sizeof(ftl_message *) == sizeof(ftli_link),
               "a user's message begins with its link");
_Static_assert((int)FTL_LANE_EMERGENCY == (int)FTLI_LANE_EMERGENCY && (int)FTL_LANE_HIGH == (int)FTLI_LANE_HIGH &&
                   (int)FTL_LANE_NORMAL == (int)FTLI_LANE_NORMAL &&
                   (int)FTL_LANE_BACKGROUND == (int)FTLI_LANE_BACKGROUND,
               "the lanes are numbered alike");

static uint64_t sent_ns(const ftli_link *link)
{
    return ((const ftl_message *)(const void *)link)->sent_ns;
}

static ftli_foreign *of(const ftl_context *context)
{
    return (ftli_foreign *)(uintptr_t)context;
}

/* ---- what the actor's functions may ask ---------------------------------------------------------------------------------- */

static uint64_t now_ns(const ftl_context *context)
{
    return ftli_now_ns(of(context)->inside);
}

static uint64_t random_number(const ftl_context *context)
{
    return ftli_random(of(context)->inside);
}

static int send(const ftl_context *context, ftl_actor to, uint32_t lane, ftl_message *message)
{
    const ftli_foreign_world *world = &of(context)->world;
    return world->send(world->user, to, lane, message);
}

static void arm(ftli_foreign *foreign)
{
    if (foreign->delayed == NULL)
        return;
    const uint64_t now = ftli_now_ns(foreign->inside), date = foreign->delayed->sent_ns;
    ftli_after(foreign->inside, date > now ? date - now : 0, &foreign->timer);
}

static int after(const ftl_context *context, int64_t delay_ns, ftl_message *message)
{
    ftli_foreign *foreign = of(context);
    if (message == NULL || message->flags != 0 || delay_ns < 0)
        return FTL_EINVAL;
    message->sent_ns = ftli_deadline_ns(ftli_now_ns(foreign->inside), (uint64_t)delay_ns);
    ftl_message **at = &foreign->delayed;
    while (*at != NULL && (*at)->sent_ns <= message->sent_ns)
        at = &(*at)->next;
    message->next = *at;
    *at = message;
    arm(foreign);
    return FTL_OK;
}

static const char *setting(const ftl_context *context, const char *key)
{
    const ftli_foreign_world *world = &of(context)->world;
    return key != NULL ? world->setting(world->settings, key) : NULL;
}

static void log_text(const ftl_context *context, uint32_t level, const char *text)
{
    const ftli_foreign *foreign = of(context);
    foreign->world.log(foreign->world.user, foreign->name, level < 3 ? level : 3, text != NULL ? text : "");
}

/* After each of the type's functions, before what others may hold for ever in a child. */
static bool is_forked(const ftli_foreign *foreign)
{
    return ftli_kernel_is_forked(ftli_actor_kernel(ftli_self(foreign->inside)));
}

/* ---- the operations ------------------------------------------------------------------------------------------------------ */

static void enter(ftli_foreign *foreign, ftli_context *context)
{
    ftli_token_take(&foreign->token); /* from the actor's own check at most, which is short */
    ftli_pointer_store_release(&foreign->holder, &own);
    foreign->inside = context;
}

static void leave(ftli_foreign *foreign)
{
    ftli_pointer_store_release(&foreign->holder, NULL);
    ftli_token_release(&foreign->token);
}

/* Messages that lie in the state go with it. */
static void clear_state(ftli_foreign *foreign)
{
    const uintptr_t from = (uintptr_t)foreign->state, to = from + foreign->type.state_bytes;
    for (ftl_message **at = &foreign->delayed; *at != NULL;) {
        if ((uintptr_t)*at >= from && (uintptr_t)*at < to)
            *at = (*at)->next;
        else
            at = &(*at)->next;
    }
    if (foreign->type.state_bytes != 0)
        memset(foreign->state, 0, foreign->type.state_bytes);
}

static int start(void *state, ftli_context *context)
{
    ftli_foreign *foreign = state;
    enter(foreign, context);
    clear_state(foreign);
    const int status = foreign->type.start != NULL ? foreign->type.start(foreign->state, &foreign->context) : FTL_OK;
    if (is_forked(foreign))
        return FTL_ENOTSUP;
    foreign->started = status == FTL_OK;
    foreign->failed_start = status != FTL_OK;
    if (status == FTL_OK)
        arm(foreign); /* what was held before a restart */
    leave(foreign);
    return status;
}

static int receive(ftli_foreign *foreign, ftli_context *context, ftl_message *message)
{
    enter(foreign, context);
    const int status = foreign->type.receive(foreign->state, &foreign->context, message);
    if (is_forked(foreign))
        return FTL_ENOTSUP;
    leave(foreign);
    return status;
}

static int receive_routed(ftli_foreign *foreign, ftli_context *context, ftli_route *route)
{
    const uint64_t seen = ftli_route_begin(route);
    route->u.routed.count = seen - route->told;
    const int status = receive(foreign, context, &route->u.routed.message);
    if (status == FTL_OK)
        ftli_route_end(route, seen);
    return status;
}

static int on_item(void *state, ftli_context *context, unsigned lane, ftli_link *item)
{
    ftl_message *message = (ftl_message *)(void *)item;
    (void)lane;
    if (message->flags == FTL_MESSAGE_ROUTED) /* what the program sends has none */
        return receive_routed(state, context, (ftli_route *)(void *)item);
    return receive(state, context, message);
}

/* The timer: the first of those that wait for their time. One at a time, so that a failure is that message's. */
static int on_message(void *state, ftli_context *context, ftli_message *timer)
{
    ftli_foreign *foreign = state;
    ftl_message *message = foreign->delayed;
    (void)timer;
    foreign->inside = context;
    if (message != NULL && message->sent_ns <= ftli_now_ns(context)) {
        const uint64_t date_ns = message->sent_ns;
        foreign->delayed = message->next;
        const int status = receive(foreign, context, message);
        if (status != FTL_OK) {
            message->sent_ns = date_ns;
            message->next = foreign->delayed;
            foreign->delayed = message;
            return status; /* the kernel has the timer come again */
        }
    }
    arm(foreign);
    return FTL_OK;
}

static void stop(void *state, ftli_context *context)
{
    ftli_foreign *foreign = state;
    enter(foreign, context);
    if (foreign->type.stop != NULL)
        foreign->type.stop(foreign->state, &foreign->context);
    foreign->started = false;
    leave(foreign);
}

/* From inside one of the actor's own functions it is not asked: its state is between two good ones. */
static int check(const void *state, char *why, size_t n)
{
    ftli_foreign *foreign = (ftli_foreign *)(uintptr_t)state;
    if (foreign->type.check == NULL || ftli_pointer_load_acquire(&foreign->holder) == &own)
        return FTL_OK;
    ftli_token_take(&foreign->token);
    ftli_pointer_store_release(&foreign->holder, &own);
    const int status = foreign->started ? foreign->type.check(foreign->state, why, n) : FTL_OK;
    ftli_pointer_store_release(&foreign->holder, NULL);
    ftli_token_release(&foreign->token);
    return status;
}

const ftli_actor_operations ftli_foreign_operations = {
    .type = "foreign",
    .start = start,
    .on_message = on_message,
    .on_item = on_item,
    .stop = stop,
    .check = check,
    .restartable = true,
};

/* ---- from outside ---------------------------------------------------------------------------------------------------------- */

static void *zeroed_lines(size_t bytes)
{
    const size_t lines = (bytes + FTLI_CACHE_LINE - 1) & ~(size_t)(FTLI_CACHE_LINE - 1);
    void *at = lines >= bytes ? aligned_alloc(FTLI_CACHE_LINE, lines) : NULL;
    if (at != NULL)
        memset(at, 0, lines);
    return at;
}

int ftli_foreign_create(const ftl_actor_type *type, const char *name, const ftli_foreign_world *world,
                        ftli_foreign **out)
{
    ftli_foreign *foreign = zeroed_lines(sizeof *foreign);
    if (foreign == NULL)
        return FTL_ENOMEM;
    foreign->state = type->state_bytes != 0 ? zeroed_lines(type->state_bytes) : NULL;
    if (type->state_bytes != 0 && foreign->state == NULL) {
        free(foreign);
        return FTL_ENOMEM;
    }
    foreign->type = *type;
    foreign->name = name;
    foreign->world = *world;
    foreign->context = (ftl_context){
        .now_ns = now_ns, .random = random_number, .send = send, .after = after, .setting = setting, .log = log_text};
    *out = foreign;
    return FTL_OK;
}

void ftli_foreign_destroy(ftli_foreign *foreign)
{
    free(foreign->state);
    free(foreign);
}

ftli_actor_options ftli_foreign_options(ftli_foreign *foreign, const char *group, uint64_t receive_ns)
{
    return (ftli_actor_options){.operations = &ftli_foreign_operations,
                                .state = foreign,
                                .group = group,
                                .wake_messages = 1,
                                .item_sent_ns = sent_ns,
                                .receive_ns = receive_ns,
                                .foreign = true};
}

int ftli_foreign_send(ftli_foreign *foreign, uint32_t lane, ftl_message *message)
{
    if (message == NULL || lane >= FTLI_LANES || message->flags != 0)
        return FTL_EINVAL;
    const uint64_t now = ftli_kernel_now_ns(ftli_actor_kernel(foreign->actor));
    message->sent_ns = now;
    ftli_actor_post_foreign(foreign->actor, lane, (ftli_link *)(void *)message, now);
    return FTL_OK;
}
