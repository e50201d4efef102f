/* Any 64 bits as a handle of a tensor or a scope, as a subscription, and after "retry", through the whole API, between calls that are
 * right: what is not a living one's is refused, and what is alive is what the model says.
 *
 * Input  a step a byte: the low half says what, the high half which of eight tensors; some steps read more bytes. */
#include <fettle/fettle.h>

#include "tests/fuzz/fuzz.h"

enum { TENSORS = 8, STEPS_MOST = 512 };

struct model {
    ftl_tensor tensor;
    uint32_t references, pins;
};

static ftl_runtime *runtime;
static struct model models[TENSORS];
static ftl_scope scope; /* open, or one that has ended */
static bool scope_is_open;
static uint64_t subscription;

struct input {
    const uint8_t *data;
    size_t bytes;
};

static uint8_t take_byte(struct input *input)
{
    if (input->bytes == 0)
        return 0;
    input->bytes--;
    return *input->data++;
}

static uint64_t take_word(struct input *input)
{
    uint64_t word = 0;
    for (unsigned i = 0; i < 8; i++)
        word |= (uint64_t)take_byte(input) << (8 * i);
    return word;
}

/* The tensor that a handle is right for, or NULL. Pinned ones count: their handles may still unpin. */
static struct model *owner_of(ftl_tensor tensor)
{
    for (unsigned i = 0; i < TENSORS; i++)
        if (models[i].tensor.id == tensor.id && models[i].references + models[i].pins > 0)
            return &models[i];
    return NULL;
}

/* Made in the open scope, which has their one reference. */
static uint64_t members[STEPS_MOST];
static unsigned member_count;

static bool is_member(ftl_tensor tensor)
{
    for (unsigned i = 0; i < member_count; i++)
        if (members[i] == tensor.id)
            return true;
    return false;
}

/* Nothing may come of it. */
static void try_forged(ftl_tensor forged)
{
    const int64_t shape = 1;
    ftl_tensor_description description;
    ftl_tensor out = {0};
    if (owner_of(forged) != NULL || is_member(forged))
        return;
    FUZZ_REQUIRE(!ftl_tensor_alive(forged), "it was never given out, or is gone");
    FUZZ_REQUIRE(ftl_tensor_retain(forged) != FTL_OK, "retain");
    FUZZ_REQUIRE(ftl_tensor_data(forged) == NULL, "data");
    FUZZ_REQUIRE(ftl_tensor_pin(forged) == NULL, "pin");
    ftl_tensor_unpin(forged);
    FUZZ_REQUIRE(ftl_tensor_bytes(forged) == 0, "bytes");
    FUZZ_REQUIRE(ftl_tensor_describe(forged, &description) != FTL_OK, "describe");
    FUZZ_REQUIRE(ftl_tensor_view(forged, 0, 1, &shape, NULL, &out) != FTL_OK && out.id == 0, "view");
    FUZZ_REQUIRE(ftl_tensor_link(forged, models[0].tensor) != FTL_OK, "link as a parent");
    FUZZ_REQUIRE(ftl_tensor_link(models[0].tensor, forged) != FTL_OK, "link as a child");
    FUZZ_REQUIRE(ftl_tensor_unlink(forged, models[0].tensor) != FTL_OK, "unlink");
    int status = ftl_tensor_await(forged, 0); /* it may be a drop that is pending */
    FUZZ_REQUIRE(status == FTL_OK || status == FTL_ESTALE || status == FTL_ETIMEDOUT, "await");
    FUZZ_REQUIRE(ftl_tensor_drop(forged) != FTL_OK || forged.id == 0, "drop");
}

static int ignore_text(const char *text, size_t n, void *user)
{
    (void)text, (void)n, (void)user;
    return 0;
}

static void ignore_event(const ftl_event *event, void *user)
{
    (void)event, (void)user;
}

/* Nothing was ever given up into quarantine. */
static void try_retry(uint64_t any)
{
    char request[40];
    (void)snprintf(request, sizeof request, "retry 0x%llx", (unsigned long long)any);
    int status = ftl_runtime_control(runtime, request, ignore_text, NULL);
    FUZZ_REQUIRE(status == FTL_EINVAL || status == FTL_ESTALE || status == FTL_EBUSY, "retry");
}

static void try_subscription(uint64_t any)
{
    if (any != subscription)
        FUZZ_REQUIRE(ftl_unsubscribe(runtime, any) == FTL_ESTALE, "unsubscribe");
}

static void try_forged_scope(ftl_scope forged)
{
    ftl_tensor_options options = {.scope = forged};
    ftl_scope_options inside = {.parent = forged};
    ftl_scope_description description;
    ftl_tensor out = {0};
    ftl_scope child = {0};
    uint64_t dropped = 7;
    if (forged.id == 0 || (scope_is_open && forged.id == scope.id))
        return;
    FUZZ_REQUIRE(ftl_scope_keep(forged, models[0].tensor) == FTL_ESTALE, "keep");
    FUZZ_REQUIRE(ftl_scope_stats(forged, &description) == FTL_ESTALE, "scope_stats");
    FUZZ_REQUIRE(ftl_scope_end(forged, &dropped) == FTL_ESTALE && dropped == 7, "scope_end");
    FUZZ_REQUIRE(ftl_scope_open(runtime, &inside, &child) == FTL_ESTALE && child.id == 0, "open as a child");
    FUZZ_REQUIRE(ftl_bytes_new(runtime, 10, &options, &out) == FTL_ESTALE && out.id == 0, "new in a scope");
    (void)ftl_scope_swap(forged);
    (void)ftl_bytes_new(runtime, 10, NULL, &out); /* one of another runtime's does not count here */
    FUZZ_REQUIRE(ftl_scope_swap((ftl_scope){0}).id == forged.id, "swap");
    if (out.id != 0)
        FUZZ_REQUIRE(ftl_tensor_drop(out) == FTL_OK, "drop");
}

static void end_scope(void)
{
    FUZZ_REQUIRE((ftl_scope_end(scope, NULL) == FTL_OK) == scope_is_open, "scope_end");
    scope_is_open = false;
    member_count = 0;
}

/* Two made in it: the scope has the one, and the other is kept. */
static void use_scope(struct model *model)
{
    ftl_tensor_options options = {.scope = scope};
    ftl_tensor member;
    if (!scope_is_open)
        FUZZ_REQUIRE(ftl_scope_begin(runtime, "fuzz", &scope) == FTL_OK, "scope_begin");
    scope_is_open = true;
    options.scope = scope;
    FUZZ_REQUIRE(ftl_bytes_new(runtime, 100, &options, &member) == FTL_OK, "new in a scope");
    members[member_count++] = member.id;
    if (model->references + model->pins > 0)
        return;
    FUZZ_REQUIRE(ftl_bytes_new(runtime, 100, &options, &model->tensor) == FTL_OK, "new in a scope");
    FUZZ_REQUIRE(ftl_scope_keep(scope, model->tensor) == FTL_OK, "keep");
    model->references = 1;
}

static void step_aside(struct input *input, struct model *model)
{
    switch (take_byte(input) % 8) {
    case 0:
        use_scope(model);
        break;
    case 1:
        end_scope();
        break;
    case 2:
        try_forged_scope((ftl_scope){take_word(input)});
        break;
    case 3:
        try_forged_scope((ftl_scope){scope.id ^ UINT64_C(1) << take_byte(input) % 64});
        break;
    case 4:
        try_forged_scope((ftl_scope){scope.id + take_byte(input) - 128});
        break;
    case 5:
        try_subscription(take_byte(input) < 128 ? take_word(input) : subscription + take_byte(input));
        break;
    case 6:
        try_retry(take_word(input));
        break;
    default: /* near a right one */
        try_retry(model->tensor.id ^ UINT64_C(1) << take_byte(input) % 64);
        try_retry(model->tensor.id);
        break;
    }
}

static void make(struct model *model, size_t bytes)
{
    if (model->references + model->pins > 0)
        return;
    FUZZ_REQUIRE(ftl_bytes_new(runtime, bytes, NULL, &model->tensor) == FTL_OK, "new");
    model->references = 1;
}

static void drop(struct model *model)
{
    int status = ftl_tensor_drop(model->tensor);
    if (model->references == 0) {
        FUZZ_REQUIRE(status != FTL_OK || model->tensor.id == 0, "a drop too many");
        return;
    }
    FUZZ_REQUIRE(status == FTL_OK, "drop");
    model->references--;
}

static void retain(struct model *model)
{
    bool lives = model->references > 0;
    FUZZ_REQUIRE((ftl_tensor_retain(model->tensor) == FTL_OK) == lives, "retain");
    model->references += lives;
}

static void pin(struct model *model)
{
    bool lives = model->references > 0;
    unsigned char *data = ftl_tensor_pin(model->tensor);
    FUZZ_REQUIRE((data != NULL) == lives, "pin");
    model->pins += lives;
    if (lives)
        data[0] = 1;
}

static void unpin(struct model *model)
{
    if (model->pins == 0)
        return;
    ftl_tensor_unpin(model->tensor);
    model->pins--;
}

static void look(const struct model *model)
{
    ftl_tensor_description description;
    bool lives = model->references > 0;
    FUZZ_REQUIRE(ftl_tensor_alive(model->tensor) == lives, "alive");
    FUZZ_REQUIRE((ftl_tensor_data(model->tensor) != NULL) == lives, "data");
    FUZZ_REQUIRE((ftl_tensor_describe(model->tensor, &description) == FTL_OK) == lives, "describe");
    if (lives || model->pins > 0)
        FUZZ_REQUIRE(ftl_tensor_await(model->tensor, 0) == FTL_ETIMEDOUT, "await");
}

static void step(struct input *input)
{
    static const size_t sizes[] = {1, 64, 3000, 40000, 700000};
    uint8_t byte = take_byte(input);
    struct model *model = &models[byte >> 4 & (TENSORS - 1)];
    switch (byte & 15) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
        make(model, sizes[byte & 15]);
        break;
    case 5:
    case 6:
        drop(model);
        break;
    case 7:
        retain(model);
        break;
    case 8:
        pin(model);
        break;
    case 9:
        unpin(model);
        break;
    case 10:
        look(model);
        break;
    case 11:
        try_forged((ftl_tensor){take_word(input)});
        break;
    case 12: /* near a right one: a bit of it is wrong */
        try_forged((ftl_tensor){model->tensor.id ^ UINT64_C(1) << take_byte(input) % 64});
        break;
    case 13: /* an older or a younger one */
        try_forged((ftl_tensor){model->tensor.id + take_byte(input) - 128});
        break;
    case 14:
        step_aside(input, model);
        break;
    default: /* what is pinned may be pending */
        (void)ftl_runtime_drain(runtime, 0);
        break;
    }
}

static void end(void)
{
    ftl_stats stats;
    end_scope();
    for (unsigned i = 0; i < TENSORS; i++) {
        while (models[i].pins > 0)
            unpin(&models[i]);
        while (models[i].references > 0)
            drop(&models[i]);
    }
    for (unsigned i = 0; i < TENSORS; i++)
        FUZZ_REQUIRE(ftl_tensor_await(models[i].tensor, -1) == FTL_OK, "await of a drop");
    FUZZ_REQUIRE(ftl_runtime_drain(runtime, -1) == FTL_OK, "drain");
    FUZZ_REQUIRE(ftl_runtime_stats(runtime, &stats) == FTL_OK, "stats");
    FUZZ_REQUIRE(stats.live == 0 && stats.created == stats.reclaimed, "every drop was completed, once");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct input input = {data, bytes};
    if (runtime == NULL) {
        FUZZ_REQUIRE(ftl_runtime_open(NULL, &runtime) == FTL_OK, "open");
        FUZZ_REQUIRE(ftl_subscribe(runtime, FTL_EVENT_LOG, ignore_event, NULL, &subscription) == FTL_OK, "subscribe");
    }
    for (unsigned i = 0; i < STEPS_MOST && input.bytes > 0; i++)
        step(&input);
    end();
    return 0;
}
