#include "actors/leak_detection/signature.h"

#include <stdio.h>

#define SMALL_SHARE     0.2 /* of what is made: what stays is the exception */
#define MORE_REFERENCES 0.4 /* on average, than those that die have */
#define QUICKER         1.5 /* second half to first: it accelerates */

/* Of what is made, the share that stays: what dies is told by the site's deaths within the same time. 0: not known. */
static double share_that_stays(const struct ftli_leak_facts *facts)
{
    double stays = (double)facts->old;
    return facts->dead > 0 ? stays / (stays + facts->dead) : 0;
}

enum ftli_signature ftli_signature_of(const struct ftli_leak_facts *facts)
{
    double share = share_that_stays(facts), usual = facts->references_young > 0 ? facts->references_young : 1;
    if (facts->bound_bytes != 0)
        return FTLI_SIGNATURE_CACHE;
    if (facts->scopes)
        return FTLI_SIGNATURE_SCOPES;
    if (facts->references >= usual + MORE_REFERENCES)
        return FTLI_SIGNATURE_RETAINED;
    if (!facts->grows)
        return FTLI_SIGNATURE_SURVIVORS;
    if (share > 0 && share <= SMALL_SHARE)
        return FTLI_SIGNATURE_ERROR_PATH;
    if (share >= 1 - SMALL_SHARE)
        return FTLI_SIGNATURE_FORGOTTEN;
    return FTLI_SIGNATURE_GROWTH;
}

static void say_bytes(double bytes, char *text, size_t text_bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    unsigned unit = 0;
    for (; bytes >= 1024 && unit < 4; unit++)
        bytes /= 1024;
    (void)snprintf(text, text_bytes, bytes < 100 && unit > 0 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

void ftli_signature_rate(double bytes_per_second, char *text, size_t bytes)
{
    char amount[64];
    bool by_hour = bytes_per_second < 64 * 1024;
    say_bytes(by_hour ? bytes_per_second * 3600 : bytes_per_second, amount, sizeof amount);
    (void)snprintf(text, bytes, "%s/%s", amount, by_hour ? "h" : "s");
}

static void say_time(double seconds, char *text, size_t bytes)
{
    if (seconds < 1)
        (void)snprintf(text, bytes, "%.0f ms", seconds * 1000);
    else if (seconds < 120)
        (void)snprintf(text, bytes, "%.0f s", seconds);
    else if (seconds < 7200)
        (void)snprintf(text, bytes, "%.0f min", seconds / 60);
    else
        (void)snprintf(text, bytes, "%.1f h", seconds / 3600);
}

/* "0.25", "107000": no exponents. */
static void say_hourly(const struct ftli_leak_facts *facts, char *text, size_t bytes)
{
    double count = facts->count_per_second * 3600;
    (void)(count < 100 ? snprintf(text, bytes, "%.3g", count) : snprintf(text, bytes, "%.0f", count));
}

/* "grows 14.9 MiB/h, steadily for 8 min, r 0.98" */
static void say_growth(const struct ftli_leak_facts *facts, char *text, size_t bytes)
{
    char rate[80], watched[64], hourly[32];
    say_hourly(facts, hourly, sizeof hourly);
    ftli_signature_rate(facts->bytes_per_second, rate, sizeof rate);
    say_time(facts->watched_seconds, watched, sizeof watched);
    (void)snprintf(text, bytes, "grows %s (%s an hour), %s for %s, r %.2f", rate, hourly,
                   facts->acceleration > QUICKER ? "faster and faster" : "steadily", watched, facts->r);
}

static void say_what_usually_happens(const struct ftli_leak_facts *facts, char *text, size_t bytes)
{
    char typical[64];
    say_time((double)facts->typical_ms / 1000, typical, sizeof typical);
    (void)snprintf(text, bytes, "99 of 100 of its site die within %s", typical);
}

static const char *fix_of(enum ftli_signature signature)
{
    switch (signature) {
    case FTLI_SIGNATURE_FORGOTTEN:
        return "nobody drops what is made there: drop it after its last use, make it in a scope, drain the queue or "
               "bound "
               "the map that holds it; what is to stay belongs in a cache scope (FTL_SCOPE_CACHE)";
    case FTLI_SIGNATURE_ERROR_PATH:
        return "look for a return between the new and the drop: an error path, a branch or a connection that breaks; a "
               "scope that ends on each path gives all of them up";
    case FTLI_SIGNATURE_RETAINED:
        return "drop once for each ftl_tensor_retain, in loops too";
    case FTLI_SIGNATURE_SCOPES:
        return "end each scope (ftl_scope_end) on every path, or give it a deadline (deadline_ns) so that you are told";
    case FTLI_SIGNATURE_CACHE:
        return "take entries out when it is above its bound, or give it a hard one (hard_bytes)";
    case FTLI_SIGNATURE_SURVIVORS:
        return "look for a path that skips the drop; what is to stay belongs in a cache scope (FTL_SCOPE_CACHE)";
    default:
        return "drop what is no longer used; what is to stay belongs in a cache scope (FTL_SCOPE_CACHE)";
    }
}

void ftli_signature_words(enum ftli_signature signature, const struct ftli_leak_facts *facts, char *reason,
                          size_t reason_bytes, char *fix, size_t fix_bytes)
{
    char growth[256], usual[128], held[64], bound[64], oldest[64], hourly[32];
    say_hourly(facts, hourly, sizeof hourly);
    say_growth(facts, growth, sizeof growth);
    say_what_usually_happens(facts, usual, sizeof usual);
    say_time((double)facts->oldest_ms / 1000, oldest, sizeof oldest);
    (void)snprintf(fix, fix_bytes, "%s", fix_of(signature));
    switch (signature) {
    case FTLI_SIGNATURE_FORGOTTEN:
        (void)snprintf(reason, reason_bytes, "%s; what is made there stays", growth);
        return;
    case FTLI_SIGNATURE_ERROR_PATH:
        (void)snprintf(reason, reason_bytes, "%s; %s, but %.2g %% stay", growth, usual, 100 * share_that_stays(facts));
        return;
    case FTLI_SIGNATURE_RETAINED:
        (void)snprintf(reason, reason_bytes, "%s%sthey have %.1f references each, others of the place %.1f",
                       facts->grows ? growth : usual, facts->grows ? "; " : ", but some live on; ", facts->references,
                       facts->references_young > 0 ? facts->references_young : 1.0);
        return;
    case FTLI_SIGNATURE_SCOPES:
        (void)snprintf(reason, reason_bytes,
                       "open \"%s\" scopes become more: %s an hour, steadily, r %.2f; %llu are open", facts->scope,
                       hourly, facts->r, (unsigned long long)facts->old);
        return;
    case FTLI_SIGNATURE_CACHE:
        say_bytes((double)facts->held_bytes, held, sizeof held);
        say_bytes((double)facts->bound_bytes, bound, sizeof bound);
        (void)snprintf(reason, reason_bytes, "the cache \"%s\" holds %s, its bound is %s", facts->scope, held, bound);
        return;
    case FTLI_SIGNATURE_SURVIVORS:
        (void)snprintf(reason, reason_bytes, "%s, but %llu of about %.0f live on, the oldest for %s", usual,
                       (unsigned long long)facts->old, facts->dead, oldest);
        return;
    default:
        (void)snprintf(reason, reason_bytes, "%s", growth);
    }
}
