/* The scope calls: a request, a session or a cache. */
#include <stdio.h>
#include <string.h>

#include "actors/port/agent.h"
#include "actors/port/life.h"
#include "runtime/base/clock.h"

static _Thread_local struct ftli_scope_cursor cursor;

/* A cell that was begun in another runtime is left there; if that runtime is closed, it is gone with it. */
struct ftli_scope_cursor *ftli_thread_cursor(const struct ftl_runtime *runtime)
{
    uint32_t number = ftli_handle_runtime(cursor.scope);
    if (cursor.cell != 0 && number != runtime->number) {
        struct ftl_runtime *other = ftli_runtime_of(number);
        if (other != NULL && !ftli_port_is_inherited(other) && ftli_runtime_enter(other)) {
            ftli_scope_cursor_leave(&other->scopes, &cursor);
            ftli_runtime_leave(other);
        }
        memset(&cursor, 0, sizeof cursor);
    }
    return &cursor;
}

/* The runtime of a scope's handle, entered; NULL: it is gone, and the error is said. */
static struct ftl_runtime *enter(ftl_scope scope)
{
    struct ftl_runtime *runtime = scope.id == 0 ? NULL : ftli_runtime_of(ftli_handle_runtime(scope.id));
    if (runtime == NULL)
        return (void)ftli_fail(FTL_ESTALE, "there is no such scope"), NULL;
    if (!ftli_runtime_enter(runtime))
        return (void)ftli_fail(FTL_ECLOSED, "the runtime is closed"), NULL;
    return runtime;
}

static int status_of_none(ftl_scope scope)
{
    struct ftl_runtime *runtime = scope.id == 0 ? NULL : ftli_runtime_of(ftli_handle_runtime(scope.id));
    return runtime == NULL ? FTL_ESTALE : FTL_ECLOSED;
}

static int check_options(const ftl_scope_options *options)
{
    for (unsigned i = 0; i < sizeof options->reserved / sizeof options->reserved[0]; i++)
        if (options->reserved[i] != 0)
            return ftli_fail(FTL_EINVAL, "reserved: must be zero");
    if (options->kind > FTL_SCOPE_CACHE || options->flags != 0)
        return ftli_fail(FTL_EINVAL, options->flags != 0 ? "flags: must be zero" : "kind: there is no such kind");
    if (options->deadline_ns < 0)
        return ftli_fail(FTL_EINVAL, "deadline_ns: is negative");
    return FTL_OK;
}

static int open_inside(struct ftl_runtime *runtime, const ftl_scope_options *options, uint64_t *id)
{
    ftl_scope_options own = *options;
    uint64_t now_ns = 0;
    if (own.deadline_ns != 0 && runtime->leak_detection_actor == NULL)
        return ftli_fail(FTL_ENOTSUP, "deadline_ns: the topology has no leak_detection, which would look after it");
    if (own.deadline_ns != 0) {
        now_ns = ftli_kernel_now_ns(runtime->kernel);
        uint64_t due_ns = ftli_deadline_ns(now_ns, (uint64_t)own.deadline_ns);
        own.deadline_ns = due_ns < INT64_MAX ? (int64_t)due_ns : INT64_MAX;
    }
    uint32_t label = ftli_label_intern(&runtime->labels, own.label);
    int status = ftli_scope_open_slot(&runtime->scopes, &own, label, ftli_runtime_ms(runtime), id);
    if (status != FTL_OK)
        return ftli_fail(status, status == FTL_ESTALE ? "parent: there is no such scope, or it has ended"
                                                      : "too many scopes at once");
    if (own.deadline_ns != 0)
        ftli_leak_detection_watch_scope(&runtime->leak_detection, (uint64_t)own.deadline_ns, now_ns);
    return FTL_OK;
}

int ftl_scope_open(ftl_runtime *runtime, const ftl_scope_options *options, ftl_scope *out)
{
    static const ftl_scope_options none;
    uint64_t id = 0;
    if (runtime == NULL || out == NULL)
        return ftli_fail(FTL_EINVAL, runtime == NULL ? "runtime: is NULL" : "out: is NULL");
    if (options == NULL)
        options = &none;
    int status = check_options(options);
    if (status != FTL_OK)
        return status;
    if (!ftli_runtime_is_open(runtime) || !ftli_runtime_enter(runtime))
        return ftli_fail(FTL_ECLOSED, "the runtime is closed or closing");
    status = ftli_port_is_inherited(runtime) ? ftli_fail(FTL_ENOTSUP, "not in a forked child")
                                             : open_inside(runtime, options, &id);
    ftli_runtime_leave(runtime);
    if (status == FTL_OK)
        out->id = id;
    return status;
}

int ftl_scope_begin(ftl_runtime *runtime, const char *label, ftl_scope *out)
{
    ftl_scope_options options = {.label = label};
    return ftl_scope_open(runtime, &options, out);
}

ftl_scope ftl_scope_swap(ftl_scope scope)
{
    ftl_scope before = {ftli_thread.scope};
    ftli_thread.scope = scope.id;
    ftli_thread_turn(&ftli_thread);
    return before;
}

int ftl_scope_keep(ftl_scope scope, ftl_tensor tensor)
{
    struct ftl_runtime *runtime = enter(scope);
    if (runtime == NULL)
        return status_of_none(scope);
    /* Held meanwhile, so that the header stays this tensor's while its scope is changed. */
    int status = ftl_tensor_retain(tensor);
    if (status == FTL_OK) {
        status = ftli_scope_claim_member(&runtime->scopes, scope.id, ftli_registry_find(tensor.id));
        (void)ftl_tensor_drop(tensor);
    }
    ftli_runtime_leave(runtime);
    return status == FTL_OK ? FTL_OK : ftli_fail(status, "the tensor is gone, or is no member of the scope");
}

int ftl_scope_stats(ftl_scope id, ftl_scope_description *out)
{
    if (out == NULL)
        return ftli_fail(FTL_EINVAL, "out: is NULL");
    struct ftl_runtime *runtime = enter(id);
    if (runtime == NULL)
        return status_of_none(id);
    struct ftli_scope *scope = ftli_scope_find(&runtime->scopes, id.id);
    int status = FTL_ESTALE;
    ftl_scope_description d;
    memset(&d, 0, sizeof d);
    if (scope != NULL) {
        d.created = ftli_u64_load_acquire(&scope->created);
        d.live_bytes = ftli_u64_load_acquire(&scope->live_bytes);
        d.peak_bytes = ftli_u64_load_acquire(&scope->peak_bytes);
        d.tag = ftli_u64_load_acquire(&scope->tag);
        uint32_t now_ms = ftli_runtime_ms(runtime), opened_ms = ftli_u32_load_acquire(&scope->opened_ms);
        d.age_ns = now_ms > opened_ms ? (uint64_t)(now_ms - opened_ms) * 1000000 : 0;
        (void)snprintf(d.label, sizeof d.label, "%s",
                       ftli_label_text(&runtime->labels, ftli_u32_load_acquire(&scope->label)));
        uint64_t word = ftli_u64_load_acquire(&scope->word);
        d.live = ftli_scope_members_of(word);
        if (ftli_scope_generation_of(word) == ftli_handle_generation(id.id) &&
            ftli_scope_state_of(word) == FTLI_SCOPE_OPEN)
            status = FTL_OK;
    }
    ftli_runtime_leave(runtime);
    if (status != FTL_OK)
        return ftli_fail(status, "the scope has ended");
    *out = d;
    return FTL_OK;
}

static void give_up(void *user, uint64_t tensor)
{
    (void)user;
    (void)ftl_tensor_drop((ftl_tensor){tensor});
}

int ftl_scope_end(ftl_scope scope, uint64_t *dropped)
{
    struct ftl_runtime *runtime = enter(scope);
    if (runtime == NULL)
        return status_of_none(scope);
    int64_t n = ftli_port_is_inherited(runtime)
                    ? FTL_ENOTSUP
                    : ftli_scope_end_slot(&runtime->scopes, scope.id, ftli_runtime_ms(runtime), give_up, runtime);
    struct ftli_scope *slot = ftli_scope_find(&runtime->scopes, scope.id);
    if (n > 0 && slot != NULL && ftli_scope_members_of(ftli_u64_load_acquire(&slot->word)) != 0)
        ftli_leak_detection_note(
            &runtime->leak_detection); /* some outlived it: it keeps its slot until they are gone */
    ftli_runtime_leave(runtime);
    if (n < 0)
        return ftli_fail((int)n, n == FTL_ESTALE ? "the scope has ended" : "not in a forked child");
    if (dropped != NULL)
        *dropped = (uint64_t)n;
    return FTL_OK;
}
