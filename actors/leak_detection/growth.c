#include "actors/leak_detection/growth.h"

#include <string.h>

#include "actors/leak_detection/walk.h"
#include "runtime/base/clock.h"
#include "runtime/base/os.h"

#define YOUNG_PART     20 /* of the window */
#define HELD_WINDOWS   6
#define HELD_LIVES     4
#define BLOCKS_TO_FILL (FTLI_TREND_POINTS * 256) /* after a long rest: what the last level remembers */

static uint64_t window_ms(const struct ftli_leak_detection *leaks)
{
    return (uint64_t)leaks->world.settings->growth_window_ns / FTLI_NS_PER_MS;
}

/* Apart from the runtime's struct, which stays when it is closed. */
static size_t lists_bytes(void)
{
    size_t page = ftli_os_page_bytes();
    return (FTLI_SUSPICIONS_MOST * sizeof(struct ftli_suspicion) + sizeof(struct ftli_suspicions) + page - 1) / page *
           page;
}

int ftli_growth_init(struct ftli_leak_detection *leaks)
{
    struct ftli_growth *growth = &leaks->growth;
    const struct ftli_leak_detection_settings *settings = leaks->world.settings;
    memset(growth, 0, sizeof *growth);
    if (settings == NULL || settings->growth_every_ns == FTLI_TIME_NONE || settings->growth_window_ns <= 0)
        return FTL_OK;
    growth->block_ns = (uint64_t)settings->growth_window_ns / FTLI_TREND_WINDOW;
    growth->young_ms = window_ms(leaks) / YOUNG_PART;
    growth->suspicions = ftli_os_reserve(lists_bytes(), ftli_os_page_bytes());
    if (growth->suspicions == NULL)
        return FTL_ENOMEM;
    growth->published = (struct ftli_suspicions *)(void *)(growth->suspicions + FTLI_SUSPICIONS_MOST);
    return ftli_watched_open(&growth->groups);
}

void ftli_growth_fini(struct ftli_leak_detection *leaks)
{
    struct ftli_growth *growth = &leaks->growth;
    if (growth->suspicions != NULL)
        ftli_os_release(growth->suspicions, lists_bytes());
    growth->suspicions = NULL;
    growth->published = NULL;
    ftli_watched_close(&growth->groups);
}

void ftli_growth_note(struct ftli_leak_detection *leaks)
{
    if (leaks->growth.published != NULL)
        ftli_leak_pass_ask(leaks, FTLI_LEAK_PASS_GROWTH, (uint64_t)leaks->world.settings->growth_every_ns);
}

/* ---- the walk ---------------------------------------------------------------------------------------------------------- */

static bool begin(struct ftli_leak_detection *leaks, uint64_t now_ns)
{
    struct ftli_growth *growth = &leaks->growth;
    if (growth->published == NULL)
        return false;
    growth->walk_ns = now_ns;
    growth->walk_ms = now_ns > leaks->world.opened_ns ? (now_ns - leaks->world.opened_ns) / FTLI_NS_PER_MS : 0;
    growth->next_scope = growth->next_slot = 1;
    growth->end_scope = ftli_u32_load_acquire(&leaks->world.scopes->fresh);
    growth->end_slot = ftli_table_fresh(leaks->world.table);
    growth->walk_suspects = 0;
    growth->memo = (struct ftli_growth_memo){0};
    for (uint32_t i = 0; i < growth->groups.end; i++)
        growth->groups.groups[i].sight = (struct ftli_watched_sight){0};
    for (uint32_t i = 0; i < FTLI_GROWTH_CACHES_MOST; i++)
        growth->caches[i].seen = false;
    return true;
}

static struct ftli_watched *group_of_scopes(struct ftli_growth *growth, uint32_t label)
{
    const struct ftli_watched_key key = {.kind = FTLI_WATCHED_SCOPES, .scope_label = label};
    return ftli_watched_of(&growth->groups, &key);
}

static struct ftli_growth_cache *cache_of(struct ftli_growth *growth, uint32_t slot, uint32_t generation)
{
    struct ftli_growth_cache *room = NULL;
    for (uint32_t i = 0; i < FTLI_GROWTH_CACHES_MOST; i++) {
        struct ftli_growth_cache *cache = &growth->caches[i];
        if (cache->since_ms != 0 && cache->slot == slot && cache->generation == generation)
            return cache;
        room = room == NULL && cache->since_ms == 0 ? cache : room;
    }
    if (room != NULL)
        *room = (struct ftli_growth_cache){.slot = slot, .generation = generation};
    return room;
}

static void see_cache(struct ftli_growth *growth, const struct ftli_scope *scope, uint32_t slot, uint64_t word)
{
    uint64_t bound = ftli_u64_load_acquire(&scope->soft_bytes), bytes = ftli_u64_load_acquire(&scope->live_bytes);
    bound = bound != 0 ? bound : ftli_u64_load_acquire(&scope->hard_bytes);
    if (bound == 0 || bytes <= bound)
        return;
    struct ftli_growth_cache *cache = cache_of(growth, slot, ftli_scope_generation_of(word));
    if (cache == NULL)
        return;
    if (cache->since_ms == 0) {
        cache->since_ms = growth->walk_ms != 0 ? growth->walk_ms : 1;
        cache->bytes_then = bytes;
    }
    cache->bytes = bytes;
    cache->bound = bound;
    cache->seen = true;
    cache->members = 0;
}

static void see_scope(struct ftli_leak_detection *leaks, uint32_t slot)
{
    struct ftli_growth *growth = &leaks->growth;
    const struct ftli_scope *scope = &leaks->world.scopes->scopes[slot];
    uint64_t word = ftli_u64_load_acquire(&scope->word);
    uint64_t opened_ms = ftli_u32_load_acquire(&scope->opened_ms), ended_ms = ftli_u32_load_acquire(&scope->ended_ms);
    uint64_t bytes = ftli_u64_load_acquire(&scope->live_bytes);
    uint32_t label = ftli_u32_load_acquire(&scope->label), kind = ftli_u32_load_acquire(&scope->kind);
    enum ftli_scope_state state = ftli_scope_state_of(word);
    uint64_t again = ftli_u64_load_acquire(&scope->word);
    if (ftli_scope_generation_of(again) != ftli_scope_generation_of(word) || ftli_scope_state_of(again) != state)
        return;
    if (kind == FTL_SCOPE_CACHE) {
        if (state == FTLI_SCOPE_OPEN)
            see_cache(growth, scope, slot, word);
        return;
    }
    struct ftli_watched *group = group_of_scopes(growth, label);
    if (state == FTLI_SCOPE_OPEN) {
        bool old = growth->walk_ms >= opened_ms + growth->young_ms;
        group->sight.count += old;
        group->sight.young += !old;
        group->sight.bytes += old ? bytes : 0;
    } else if (ended_ms > opened_ms && ended_ms - opened_ms > group->longest_ms) {
        group->longest_ms = ended_ms - opened_ms;
    }
}

/* Whether a member of this open scope counts by itself, or with the scope. */
static void look_at_scope(struct ftli_leak_detection *leaks, const struct ftli_leak_tensor *tensor)
{
    struct ftli_growth *growth = &leaks->growth;
    struct ftli_growth_memo *memo = &growth->memo;
    if (memo->scope_slot == tensor->scope_slot)
        return;
    memo->scope_slot = tensor->scope_slot;
    memo->scopes = group_of_scopes(growth, tensor->scope_label);
    uint64_t age_ms = growth->walk_ms > tensor->scope_opened_ms ? growth->walk_ms - tensor->scope_opened_ms : 0;
    memo->scope_counts = age_ms >= HELD_WINDOWS * window_ms(leaks) && age_ms >= HELD_LIVES * memo->scopes->longest_ms;
}

static struct ftli_watched *group_of(struct ftli_growth *growth, const struct ftli_leak_tensor *tensor)
{
    struct ftli_growth_memo *memo = &growth->memo;
    const struct ftli_watched_key key = {FTLI_WATCHED_TENSORS, tensor->label, tensor->scope_label, tensor->site};
    if (memo->group == NULL || memo->key.label != key.label || memo->key.scope_label != key.scope_label ||
        memo->key.site != key.site) {
        memo->group = ftli_watched_of(&growth->groups, &key);
        memo->key = key;
    }
    return memo->group;
}

static void add(struct ftli_growth *growth, struct ftli_watched *group, const struct ftli_leak_tensor *tensor)
{
    struct ftli_watched_sight *sight = &group->sight;
    uint64_t references = ftli_word_references(tensor->word);
    sight->site_number = tensor->site_number != 0 ? tensor->site_number : sight->site_number;
    if (tensor->age_ms < ftli_growth_old_ms(growth, group)) {
        sight->young++;
        sight->references_young += references;
        return;
    }
    sight->count++;
    sight->bytes += tensor->bytes;
    sight->references += references;
    if ((tensor->root == 0 && tensor->born_ms >= sight->newest_ms) || sight->newest == 0) { /* a view has no name */
        sight->newest = tensor->tensor;
        sight->newest_ms = tensor->born_ms;
    }
    sight->oldest_age_ms = tensor->age_ms > sight->oldest_age_ms ? tensor->age_ms : sight->oldest_age_ms;
    if (group->survive_ms != 0 && tensor->age_ms >= group->survive_ms && tensor->born_ms >= group->busy_from_ms) {
        sight->survivors++;
        sight->survivor_bytes += tensor->bytes;
    }
}

static void see_tensor(struct ftli_leak_detection *leaks, struct ftli_leak_tensor *tensor)
{
    struct ftli_growth *growth = &leaks->growth;
    uint32_t alarm = (uint32_t)(100 * leaks->world.settings->growth_alarm);
    if (ftli_word_state(tensor->word) != FTLI_LIVE || tensor->cause != 0)
        return;
    ftli_leak_name_view(leaks, tensor, growth->walk_ns);
    const struct ftli_suspicion *suspicion = ftli_suspicion_of(growth->suspicions, growth->suspicion_count, tensor);
    growth->walk_suspects += suspicion != NULL && suspicion->certainty >= alarm;
    if (tensor->held == FTLI_HELD_BY_CACHE) {
        for (uint32_t i = 0; i < FTLI_GROWTH_CACHES_MOST; i++) {
            struct ftli_growth_cache *cache = &growth->caches[i];
            if (cache->seen && cache->slot == tensor->scope_slot) {
                cache->members++;
                cache->newest = tensor->tensor;
            }
        }
        return;
    }
    if (tensor->held == FTLI_HELD_BY_SCOPE) {
        look_at_scope(leaks, tensor);
        if (tensor->age_ms >= growth->young_ms)
            growth->memo.scopes->sight.newest = tensor->tensor;
        if (!growth->memo.scope_counts)
            return;
    }
    add(growth, group_of(growth, tensor), tensor);
}

static bool slice(struct ftli_leak_detection *leaks, uint64_t now_ns)
{
    struct ftli_growth *growth = &leaks->growth;
    for (uint32_t n = 0; growth->next_scope < growth->end_scope; growth->next_scope++)
        if (n++ == FTLI_LEAK_SLICE_SLOTS)
            return true;
        else
            see_scope(leaks, growth->next_scope);
    uint32_t left = growth->end_slot - growth->next_slot;
    uint32_t end = growth->next_slot + (left < FTLI_LEAK_SLICE_SLOTS ? left : FTLI_LEAK_SLICE_SLOTS);
    struct ftli_leak_tensor tensor;
    for (; growth->next_slot < end; growth->next_slot = ftli_table_next(leaks->world.table, growth->next_slot, end))
        if (ftli_leak_look(leaks, growth->next_slot, now_ns, &tensor))
            see_tensor(leaks, &tensor);
    return growth->next_slot < growth->end_slot;
}

/* ---- the end of a walk ----------------------------------------------------------------------------------------------------- */

static void end_block(struct ftli_leak_detection *leaks, bool judge)
{
    struct ftli_growth *growth = &leaks->growth;
    for (uint32_t i = 0; i < growth->groups.end; i++) {
        struct ftli_watched *group = &growth->groups.groups[i];
        if (group->key.kind == FTLI_WATCHED_NONE)
            continue;
        ftli_trend_add(&group->count, &growth->clock,
                       group->has_floor ? group->floor_count : (double)group->last.count);
        ftli_trend_add(&group->bytes, &growth->clock,
                       group->has_floor ? group->floor_bytes : (double)group->last.bytes);
        group->has_floor = false;
        if (!judge) { /* what was held is not held now: judgements in a row are missing */
            memset(group->count.recent, 0, sizeof group->count.recent);
            memset(group->bytes.recent, 0, sizeof group->bytes.recent);
            memset(group->verdicts, 0, sizeof group->verdicts);
        }
    }
    if (judge)
        ftli_growth_judge(leaks);
    growth->clock.blocks++;
    growth->block_end_ns += growth->block_ns;
}

/* The walk that has ended belongs to the block in which it began. A rest has blocks too: nothing changed in them. */
static bool end_blocks(struct ftli_leak_detection *leaks)
{
    struct ftli_growth *growth = &leaks->growth;
    uint64_t slow_ns = leaks->passes[FTLI_LEAK_PASS_GROWTH].busy_ns * FTLI_LEAK_SHARE;
    growth->block_ns = slow_ns > growth->block_ns ? slow_ns : growth->block_ns; /* a block has a walk, at least */
    if (growth->block_end_ns == 0)
        growth->block_end_ns = growth->walk_ns + growth->block_ns;
    if (growth->walk_ns < growth->block_end_ns)
        return false;
    uint64_t blocks = (growth->walk_ns - growth->block_end_ns) / growth->block_ns + 1;
    if (blocks > BLOCKS_TO_FILL) {
        growth->block_end_ns += (blocks - BLOCKS_TO_FILL) * growth->block_ns;
        blocks = BLOCKS_TO_FILL;
    }
    for (; blocks != 0; blocks--)
        end_block(leaks, blocks <= FTLI_TREND_HELD);
    return true;
}

static void take_in(struct ftli_growth *growth)
{
    for (uint32_t i = 0; i < growth->groups.end; i++) {
        struct ftli_watched *group = &growth->groups.groups[i];
        if (group->key.kind == FTLI_WATCHED_NONE)
            continue;
        double count = (double)group->sight.count, bytes = (double)group->sight.bytes;
        uint32_t site = group->last.site_number;
        group->floor_count = group->has_floor && group->floor_count < count ? group->floor_count : count;
        group->floor_bytes = group->has_floor && group->floor_bytes < bytes ? group->floor_bytes : bytes;
        group->has_floor = true;
        group->last = group->sight;
        group->last.site_number = group->last.site_number != 0 ? group->last.site_number : site;
    }
    for (uint32_t i = 0; i < FTLI_GROWTH_CACHES_MOST; i++)
        if (!growth->caches[i].seen)
            growth->caches[i] = (struct ftli_growth_cache){0};
}

static uint64_t end(struct ftli_leak_detection *leaks, uint64_t now_ns)
{
    struct ftli_growth *growth = &leaks->growth;
    (void)now_ns;
    bool block = end_blocks(leaks);
    take_in(growth);
    ftli_u64_store_release(&growth->suspects, growth->walk_suspects);
    if (block) {
        ftli_growth_publish(leaks);
        growth->block_busy_ms = growth->walk_ms;
        ftli_watched_sweep(&growth->groups);
    }
    return FTLI_LEAK_NO_DATE;
}

const struct ftli_leak_pass_operations ftli_growth_pass = {.begin = begin, .slice = slice, .end = end};
