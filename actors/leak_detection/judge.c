/* What becomes of the groups' trends: verdicts, suspicions, news. */
#include <stdio.h>
#include <string.h>

#include "actors/leak_detection/growth.h"
#include "actors/leak_detection/signature.h"
#include "actors/leak_detection/walk.h"
#include "runtime/base/clock.h"
#include "runtime/kernel/route.h"

#define LEAST_SHOWN     20  /* percent; what is less certain is in no list */
#define TOLD_AGAIN      0.5 /* of the alarm: below it, what was told may be told again */
#define STILL_THERE     0.9 /* of what a later level judged: else it went away meanwhile */
#define CACHE_PART      16  /* of the window, that a cache has been above its bound */
#define DEAD_LEAST      1000.0
#define BUSY_DEAD       100.0
#define LIVED_DEAD      20.0 /* dead that say how old the others may become */
#define FAR_BEYOND      1000 /* times what 99 of 100 lived */
#define NEARLY          4    /* dead that lived so long, divided by this, count against it */
#define SURVIVORS_LEAST 3
#define SURVIVORS_SHARE 0.02
#define CERTAIN_MOST    99

static double seconds_of_block(const struct ftli_growth *growth)
{
    return (double)growth->block_ns / 1e9;
}

/* ---- verdicts ---------------------------------------------------------------------------------------------------------- */

static void judge_level(struct ftli_growth *growth, struct ftli_watched *group, unsigned level)
{
    struct ftli_trend_verdict count, bytes;
    struct ftli_watched_verdict *verdict = &group->verdicts[level];
    bool count_grows = ftli_trend_follow(&group->count, &growth->clock, level, &count);
    bool bytes_grow = ftli_trend_follow(&group->bytes, &growth->clock, level, &bytes);
    double gained = ftli_trend_gain(&group->count, &growth->clock, level);
    double length = seconds_of_block(growth) * (double)(UINT64_C(1) << (2 * level)); /* of one of its blocks */
    *verdict = (struct ftli_watched_verdict){0};
    bytes_grow = bytes_grow && gained >= 1;
    if (!count_grows && !bytes_grow)
        return;
    const struct ftli_trend_verdict *better =
        count_grows && (!bytes_grow || count.probability >= bytes.probability) ? &count : &bytes;
    double window = length * FTLI_TREND_POINTS, gained_bytes = ftli_trend_gain(&group->bytes, &growth->clock, level);
    verdict->probability = better->probability;
    verdict->r = better->r;
    verdict->acceleration = better->acceleration;
    verdict->newest = ftli_trend_newest(&group->count, &growth->clock);
    verdict->count_slope = count_grows ? count.slope / seconds_of_block(growth) : gained / window;
    verdict->bytes_slope = bytes_grow ? bytes.slope / seconds_of_block(growth) : gained_bytes / window;
    verdict->seconds = window;
    uint64_t back_ms = (uint64_t)(1000 * window) + ftli_growth_old_ms(growth, group);
    verdict->born_from_ms = growth->walk_ms > back_ms ? growth->walk_ms - back_ms : 0;
}

void ftli_growth_judge(struct ftli_leak_detection *leaks)
{
    struct ftli_growth *growth = &leaks->growth;
    unsigned levels = ftli_trend_levels_new(&growth->clock);
    for (uint32_t i = 0; i < growth->groups.end; i++) {
        struct ftli_watched *group = &growth->groups.groups[i];
        if (group->key.kind == FTLI_WATCHED_NONE)
            continue;
        for (unsigned level = 0; level < levels; level++)
            judge_level(growth, group, level);
        for (unsigned level = levels; level < FTLI_TREND_LEVELS; level++)
            if (ftli_trend_newest(&group->count, &growth->clock) < STILL_THERE * group->verdicts[level].newest)
                group->verdicts[level] = (struct ftli_watched_verdict){0};
    }
}

/* The most probable one; what it is made of goes back as far as the longest level says that is at all likely. */
static struct ftli_watched_verdict best_of(const struct ftli_watched *group)
{
    struct ftli_watched_verdict best = {0};
    uint64_t born_from_ms = 0;
    for (unsigned level = 0; level < FTLI_TREND_LEVELS; level++) {
        const struct ftli_watched_verdict *verdict = &group->verdicts[level];
        best = verdict->probability > best.probability ? *verdict : best;
        born_from_ms = verdict->probability >= 0.5 || level == 0 ? verdict->born_from_ms : born_from_ms;
    }
    best.born_from_ms = best.born_from_ms < born_from_ms ? best.born_from_ms : born_from_ms;
    return best;
}

/* ---- what the dead of a site say ------------------------------------------------------------------------------------------ */

struct dead {
    double count;        /* 0: not known */
    uint64_t typical_ms; /* 99 of 100 lived for less */
    double lived_long;   /* dead that lived for a quarter of what makes a survivor, and more */
    uint64_t survive_ms;
};

static uint32_t number_of_literal(const struct ftli_sites *sites, const char *literal)
{
    struct ftli_site_view view;
    for (uint32_t site = FTLI_SITE_OTHER + 1; site < ftli_sites_end(sites); site++)
        if (ftli_site_read(sites, site, &view) && view.literal != NULL && strcmp(view.literal, literal) == 0)
            return site;
    return 0;
}

static void read_dead(struct ftli_leak_detection *leaks, struct ftli_watched *group, struct dead *out)
{
    struct ftli_site_figures figures;
    const struct ftli_sites *sites = leaks->world.sites;
    memset(out, 0, sizeof *out);
    if (sites == NULL || group->key.kind != FTLI_WATCHED_TENSORS || group->key.site == NULL)
        return;
    if (group->last.site_number <= FTLI_SITE_OTHER && group->last.count != 0)
        group->last.site_number = number_of_literal(sites, group->key.site);
    if (group->last.site_number <= FTLI_SITE_OTHER)
        return;
    ftli_site_figures(sites, group->last.site_number, &figures);
    uint64_t sum = 0;
    unsigned bucket = 0;
    for (; bucket < FTLI_SITE_LIFETIMES - 1; bucket++) {
        sum += figures.lifetimes[bucket];
        if (100 * sum >= 99 * figures.dropped)
            break;
    }
    uint64_t window = (uint64_t)leaks->world.settings->growth_window_ns / FTLI_NS_PER_MS;
    out->count = (double)figures.dropped / FTLI_WEIGHT_ONE;
    out->typical_ms = ftli_site_lifetime_from_ms(bucket + 1);
    out->survive_ms = FAR_BEYOND * out->typical_ms > window ? FAR_BEYOND * out->typical_ms : window;
    for (bucket = 0; bucket < FTLI_SITE_LIFETIMES; bucket++)
        if (ftli_site_lifetime_from_ms(bucket) >= out->survive_ms / NEARLY)
            out->lived_long += (double)figures.lifetimes[bucket] / FTLI_WEIGHT_ONE;
}

static uint32_t certainty_of_survivors(const struct ftli_watched *group, const struct dead *dead)
{
    double living = (double)group->last.survivors;
    if (living < SURVIVORS_LEAST || dead->count < DEAD_LEAST || living > SURVIVORS_SHARE * dead->count)
        return 0;
    double percent = 100 * (living + 1) / (living + dead->lived_long + 2);
    return percent > CERTAIN_MOST ? CERTAIN_MOST : (uint32_t)percent;
}

/* ---- suspicions ---------------------------------------------------------------------------------------------------------- */

static struct ftli_suspicion *new_suspicion(struct ftli_growth *growth)
{
    if (growth->suspicion_count == FTLI_SUSPICIONS_MOST)
        return NULL;
    struct ftli_suspicion *suspicion = &growth->suspicions[growth->suspicion_count++];
    memset(suspicion, 0, sizeof *suspicion);
    return suspicion;
}

static void say(struct ftli_suspicion *suspicion, const struct ftli_leak_facts *facts)
{
    ftli_signature_words(ftli_signature_of(facts), facts, suspicion->reason, sizeof suspicion->reason, suspicion->fix,
                         sizeof suspicion->fix);
}

static void tell(struct ftli_leak_detection *leaks, const struct ftli_suspicion *suspicion, uint64_t count,
                 uint64_t bytes, uint64_t tensor, bool *told)
{
    double alarm = 100 * leaks->world.settings->growth_alarm;
    if (suspicion->certainty < TOLD_AGAIN * alarm)
        *told = false;
    if (suspicion->certainty < alarm || *told)
        return;
    *told = true;
    const char *label = ftli_label_text(leaks->world.labels, suspicion->label);
    const char *scope = ftli_label_text(leaks->world.labels, suspicion->scope_label);
    struct ftli_event_news news = {.kind = FTL_EVENT_LEAK,
                                   .bytes = bytes,
                                   .count = count,
                                   .tensor = tensor,
                                   .subject = suspicion->site != NULL ? suspicion->site : label};
    ftli_events_post(leaks->world.events, &news, "\"%s\"%s%s: %s (%u %% certain)", label,
                     scope[0] != '\0' ? " of " : "", scope, suspicion->reason, suspicion->certainty);
    if (leaks->growth.confirmed != NULL)
        ftli_route_happened(leaks->growth.confirmed);
}

static double average(uint64_t sum, uint64_t count)
{
    return count != 0 ? (double)sum / (double)count : 0;
}

static void suspect_group(struct ftli_leak_detection *leaks, struct ftli_watched *group)
{
    struct ftli_growth *growth = &leaks->growth;
    struct ftli_watched_verdict verdict = best_of(group);
    struct dead dead;
    read_dead(leaks, group, &dead);
    group->survive_ms = dead.count >= DEAD_LEAST ? dead.survive_ms : 0;
    group->lived_ms = dead.count >= LIVED_DEAD ? dead.typical_ms : 0;
    if (group->busy_from_ms == 0 && dead.count >= BUSY_DEAD)
        group->busy_from_ms = growth->block_busy_ms;
    uint32_t grows = (uint32_t)(100 * verdict.probability), survive = certainty_of_survivors(group, &dead);
    bool is_growth = grows >= LEAST_SHOWN && grows >= survive;
    uint32_t certainty = is_growth ? grows : survive;
    if (certainty < LEAST_SHOWN) {
        group->told = false;
        return;
    }
    struct ftli_suspicion *suspicion = new_suspicion(growth);
    if (suspicion == NULL)
        return;
    bool scopes = group->key.kind == FTLI_WATCHED_SCOPES;
    *suspicion = (struct ftli_suspicion){
        .kind = scopes ? FTLI_SUSPECT_SCOPES : FTLI_SUSPECT_TENSORS,
        .cause = is_growth ? FTL_LEAK_GROWTH : FTL_LEAK_SURVIVOR,
        .certainty = certainty,
        .label = group->key.label,
        .scope_label = group->key.scope_label,
        .site = group->key.site,
        .site_number = group->last.site_number,
        .born_from_ms = is_growth ? verdict.born_from_ms : group->busy_from_ms,
        .age_least_ms = is_growth ? ftli_growth_old_ms(growth, group) : group->survive_ms,
        .bytes_per_second = verdict.bytes_slope,
    };
    const struct ftli_watched_sight *last = &group->last;
    const struct ftli_leak_facts facts = {
        .grows = is_growth,
        .scopes = scopes,
        .count_per_second = verdict.count_slope,
        .bytes_per_second = verdict.bytes_slope,
        .r = verdict.r,
        .acceleration = verdict.acceleration,
        .watched_seconds = verdict.seconds,
        .old = is_growth ? last->count : last->survivors,
        .young = last->young,
        .references = average(last->references, last->count),
        .references_young = average(last->references_young, last->young),
        .dead = dead.count,
        .typical_ms = dead.typical_ms,
        .oldest_ms = last->oldest_age_ms,
        .scope = ftli_label_text(leaks->world.labels, group->key.scope_label),
    };
    say(suspicion, &facts);
    tell(leaks, suspicion, facts.old, is_growth ? last->bytes : last->survivor_bytes, last->newest, &group->told);
}

static void suspect_cache(struct ftli_leak_detection *leaks, struct ftli_growth_cache *cache)
{
    struct ftli_growth *growth = &leaks->growth;
    uint64_t part_ms = (uint64_t)leaks->world.settings->growth_window_ns / FTLI_NS_PER_MS / CACHE_PART;
    uint64_t for_ms = growth->walk_ms - cache->since_ms;
    struct ftli_suspicion *suspicion;
    if (cache->since_ms == 0 || for_ms < part_ms || for_ms == 0 || (suspicion = new_suspicion(growth)) == NULL)
        return;
    *suspicion = (struct ftli_suspicion){
        .kind = FTLI_SUSPECT_CACHE,
        .cause = FTL_LEAK_GROWTH,
        .certainty = 100, /* it is above what its owner said that it would be */
        .scope_label = ftli_u32_load_acquire(&leaks->world.scopes->scopes[cache->slot].label),
        .scope_slot = cache->slot,
        .bytes_per_second = ((double)cache->bytes - (double)cache->bytes_then) * 1000 / (double)for_ms,
    };
    const struct ftli_leak_facts facts = {
        .grows = true,
        .bound_bytes = cache->bound,
        .held_bytes = cache->bytes,
        .scope = ftli_label_text(leaks->world.labels, suspicion->scope_label),
    };
    say(suspicion, &facts);
    tell(leaks, suspicion, cache->members, cache->bytes, cache->newest, &cache->told);
}

void ftli_growth_publish(struct ftli_leak_detection *leaks)
{
    struct ftli_growth *growth = &leaks->growth;
    growth->suspicion_count = 0;
    for (uint32_t i = 0; i < FTLI_GROWTH_CACHES_MOST; i++)
        suspect_cache(leaks, &growth->caches[i]);
    for (uint32_t i = 0; i < growth->groups.end; i++)
        if (growth->groups.groups[i].key.kind != FTLI_WATCHED_NONE)
            suspect_group(leaks, &growth->groups.groups[i]);
    ftli_suspicions_replace(growth->published, growth->suspicions, growth->suspicion_count);
}
