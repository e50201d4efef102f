/* What routes name: events and messages that there are, of actors that are there; and that no ring of them runs for ever. */
#include "runtime/compose/compose.h"
#include "runtime/compose/guess.h"

#include <fettle/fettle.h>

#include <stdio.h>
#include <string.h>

enum { WORDS_MOST = 32 };

/* In the order of their numbers. */
static const char *const news_words[] = {"failed",    "restarted", "down",  "degraded",
                                         "recovered", "overdue",   "alarm", NULL};
_Static_assert(FTLI_NEWS_FAILED == 1 && FTLI_NEWS_RESTARTED == 2 && FTLI_NEWS_DOWN == 3 && FTLI_NEWS_DEGRADED == 4 &&
                   FTLI_NEWS_RECOVERED == 5 && FTLI_NEWS_OVERDUE == 6 && FTLI_NEWS_ALARM == 7,
               "the words are in the order of the kernel's numbers");
static const char *const log_words[] = {"debug", "info", "warning", "error", NULL};
static const char *const pressure_words[] = {"none", "low", "medium", "high", "critical", NULL};
static const char *const no_words[] = {NULL};
static const char pressure[] = "pressure";

static uint32_t index_of(const char *const *words, const char *word)
{
    uint32_t i = 0;
    while (words[i] != NULL && strcmp(words[i], word) != 0) {
        i++;
    }
    return i;
}

/* "no event of cleanup is called "x"; there are ..; did you mean ..?" */
static int unknown_word(struct ftli_composer *c, const struct ftli_path *path, const void *field, const char *what,
                        const char *const *words, size_t count, const char *word, const char *before_guess)
{
    char wrong[FTLI_WRONG_BYTES];
    (void)snprintf(wrong, sizeof wrong, "%s; there %s ", what, count == 1 ? "is" : "are");
    for (size_t i = 0; i < count; i++) {
        ftli_append(wrong, sizeof wrong, "%s%s", i == 0 ? "" : ", ", words[i]);
    }
    const char *guess = ftli_guess(word, words, count);
    if (guess != NULL) {
        ftli_append(wrong, sizeof wrong, "; did you mean %s%s?", before_guess, guess);
    }
    return ftli_report_path(c->report, ftli_origin_place(&c->binder, field), path, wrong);
}

static const struct ftli_topology_actor *find_actor(const struct ftli_composer *c, const char *name)
{
    uint32_t index = ftli_entries_find(ftli_section("actors"), c->topology, name);
    return index < c->topology->actor_count ? &c->topology->actors[index] : NULL;
}

/* Taken out by a layer, or by the build. */
static bool is_left_out(const struct ftli_composer *c, const char *name)
{
    for (size_t i = 0; i < c->input->schema_count; i++) {
        if (c->input->schemas[i]->keys == NULL && strcmp(c->input->schemas[i]->type, name) == 0) {
            return true;
        }
    }
    return ftli_find_removed(c, ftli_section("actors"), name) != NULL;
}

static int unknown_actor(struct ftli_composer *c, const struct ftli_path *path, const void *field, const char *name,
                         const char *event)
{
    const char *names[FTLI_ACTORS_MOST + 1];
    uint32_t count = c->topology->actor_count;
    char wrong[FTLI_WRONG_BYTES], listed[192];
    for (uint32_t i = 0; i < count; i++) {
        names[i] = c->topology->actors[i].name;
    }
    if (event != NULL) {
        names[count++] = pressure;
    }
    ftli_entries_write_names(c, ftli_section("actors"), listed, sizeof listed);
    (void)snprintf(wrong, sizeof wrong, "no actor is called \"%.31s\"; there are %s%s", name, listed,
                   event != NULL ? ", and pressure" : "");
    const char *guess = ftli_guess(name, names, count);
    if (guess != NULL) {
        ftli_append(wrong, sizeof wrong, "; did you mean %s%s%s?", guess, event != NULL ? "." : "",
                    event != NULL ? event : "");
    }
    return ftli_report_path(c->report, ftli_origin_place(&c->binder, field), path, wrong);
}

/* The built-in ones are void where an entry's type was changed. */
static bool may_be_void(const struct ftli_composer *c, const struct ftli_topology_route *route)
{
    return ftli_origin_is_default(&c->binder, route->when);
}

/* ---- when ------------------------------------------------------------------------------------------------ */

static bool take_event(struct ftli_topology_route *route, enum ftli_route_kind kind, const char *const *words,
                       uint32_t first, const char *event)
{
    uint32_t index = index_of(words, event);
    if (words[index] == NULL) {
        return false;
    }
    route->kind = kind;
    route->event = first + index;
    return true;
}

static int unknown_event(struct ftli_composer *c, const struct ftli_topology_route *route, const struct ftli_path *path,
                         const char *const *own, const char *const *common, const char *event)
{
    const char *words[WORDS_MOST];
    size_t count = 0;
    for (size_t i = 0; own[i] != NULL && count < WORDS_MOST; i++) {
        words[count++] = own[i];
    }
    for (size_t i = 0; common[i] != NULL && count < WORDS_MOST; i++) {
        words[count++] = common[i];
    }
    char what[96], before[FTLI_NAME_BYTES + 1];
    size_t length = strcspn(route->when, ".");
    (void)snprintf(what, sizeof what, "%.*s has no event \"%.31s\"", (int)length, route->when, event);
    (void)snprintf(before, sizeof before, "%.*s.", (int)(length < FTLI_NAME_BYTES ? length : FTLI_NAME_BYTES - 1),
                   route->when);
    return unknown_word(c, path, route->when, what, words, count, event, before);
}

static int resolve_when(struct ftli_composer *c, struct ftli_topology_route *route, const struct ftli_path *above)
{
    const struct ftli_path path = {above, "when"};
    char name[FTLI_ROUTE_EVENT_BYTES];
    (void)snprintf(name, sizeof name, "%s", route->when);
    char *dot = strchr(name, '.');
    if (dot == NULL || dot == name || dot[1] == '\0') {
        return ftli_report(c->report, ftli_origin_place(&c->binder, route->when), NULL,
                           "routes.%s.when: \"%.31s\" is no event; expected one such as cleanup.completed or "
                           "pressure.medium",
                           above->name, route->when);
    }
    *dot = '\0';
    const char *event = dot + 1;
    if (strcmp(name, pressure) == 0) {
        return take_event(route, FTLI_ROUTE_PRESSURE, pressure_words, 0, event)
                   ? FTL_OK
                   : unknown_event(c, route, &path, pressure_words, no_words, event);
    }
    const struct ftli_topology_actor *actor = find_actor(c, name);
    if (actor == NULL) {
        route->is_void = is_left_out(c, name);
        return route->is_void ? FTL_OK : unknown_actor(c, &path, route->when, name, event);
    }
    (void)snprintf(route->source, sizeof route->source, "%s", actor->name);
    const char *const *own = actor->schema->is_user          ? log_words
                             : actor->schema->events != NULL ? actor->schema->events
                                                             : no_words;
    if (take_event(route, actor->schema->is_user ? FTLI_ROUTE_LOG : FTLI_ROUTE_OWN, own, 0, event) ||
        take_event(route, FTLI_ROUTE_NEWS, news_words, FTLI_NEWS_FAILED, event)) {
        return FTL_OK;
    }
    route->is_void = may_be_void(c, route);
    return route->is_void ? FTL_OK : unknown_event(c, route, &path, own, news_words, event);
}

/* ---- tell, do -------------------------------------------------------------------------------------------- */

static bool is_word(const char *text)
{
    size_t length = strlen(text);
    return length != 0 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-_") == length;
}

static int cannot_be_told(struct ftli_composer *c, const struct ftli_topology_route *route,
                          const struct ftli_path *path, const struct ftli_topology_actor *actor)
{
    char wrong[FTLI_WRONG_BYTES];
    (void)snprintf(wrong, sizeof wrong, "%s takes no messages of routes; there are", actor->name);
    const char *between = " ";
    for (uint32_t i = 0; i < c->topology->actor_count; i++) {
        const struct ftli_topology_actor *other = &c->topology->actors[i];
        if (other->schema->messages != NULL) {
            ftli_append(wrong, sizeof wrong, "%s%s (%s)", between, other->name, other->schema->messages[0].name);
            between = ", ";
        }
    }
    ftli_append(wrong, sizeof wrong, "%sand the program's own actors", between);
    return ftli_report_path(c->report, ftli_origin_place(&c->binder, route->tell), path, wrong);
}

static int resolve_tell(struct ftli_composer *c, struct ftli_topology_route *route, const struct ftli_path *above)
{
    const struct ftli_path tell = {above, "tell"}, word = {above, "do"};
    const struct ftli_topology_actor *actor = find_actor(c, route->tell);
    if (actor == NULL) {
        bool is_void = is_left_out(c, route->tell);
        route->is_void |= is_void;
        return is_void ? FTL_OK : unknown_actor(c, &tell, route->tell, route->tell, NULL);
    }
    if (actor->schema->is_user) {
        return is_word(route->what) ? FTL_OK
                                    : ftli_report_path(c->report, ftli_origin_place(&c->binder, route->what), &word,
                                                       "is no word; expected 1 to 31 characters of a-z 0-9 - _");
    }
    if (actor->schema->messages == NULL) {
        route->is_void |= may_be_void(c, route);
        return route->is_void ? FTL_OK : cannot_be_told(c, route, &tell, actor);
    }
    const char *words[WORDS_MOST];
    size_t count = 0;
    for (const struct ftli_schema_message *m = actor->schema->messages; m->name != NULL && count < WORDS_MOST; m++) {
        if (strcmp(m->name, route->what) == 0) {
            route->message = m;
            return FTL_OK;
        }
        words[count++] = m->name;
    }
    if (may_be_void(c, route)) {
        route->is_void = true;
        return FTL_OK;
    }
    char what[96];
    (void)snprintf(what, sizeof what, "%s has no message \"%.31s\"", actor->name, route->what);
    return unknown_word(c, &word, route->what, what, words, count, route->what, "");
}

/* ---- several routes together ----------------------------------------------------------------------------- */

static int check_twice(struct ftli_composer *c, uint32_t index, const struct ftli_path *path)
{
    const struct ftli_topology_route *routes = c->topology->routes, *route = &routes[index];
    for (uint32_t i = 0; i < index; i++) {
        if (strcmp(routes[i].when, route->when) == 0 && strcmp(routes[i].tell, route->tell) == 0 &&
            strcmp(routes[i].what, route->what) == 0) {
            char wrong[64];
            (void)snprintf(wrong, sizeof wrong, "is the same as routes.%u", i + 1);
            return ftli_report_path(c->report, ftli_origin_place(&c->binder, route->when), path, wrong);
        }
    }
    return FTL_OK;
}

/* What an actor does when it is told may make its own events; what becomes of it (restarted, ..) supervision bounds. */
static bool may_follow(const struct ftli_topology_route *route)
{
    return !route->is_void && (route->kind == FTLI_ROUTE_OWN || route->kind == FTLI_ROUTE_LOG);
}

struct ring {
    uint32_t routes[FTLI_ROUTES_MOST]; /* one after the other */
    uint32_t count;
};

/* From where the last route of the ring leads, on to `end`; routes of `seen` lead nowhere. */
static bool leads_to(const struct ftli_topology *t, const char *end, struct ring *ring, bool *seen)
{
    const char *at = t->routes[ring->routes[ring->count - 1]].tell;
    if (strcmp(at, end) == 0) {
        return true;
    }
    for (uint32_t i = 0; i < t->route_count; i++) {
        if (seen[i] || !may_follow(&t->routes[i]) || strcmp(t->routes[i].source, at) != 0) {
            continue;
        }
        seen[i] = true;
        ring->routes[ring->count++] = i;
        if (leads_to(t, end, ring, seen)) { /* as deep as there are routes */
            return true;
        }
        ring->count--;
    }
    return false;
}

static bool names_one_of_the_programs(const struct ftli_composer *c, const struct ring *ring)
{
    for (uint32_t i = 0; i < ring->count; i++) {
        if (c->topology->routes[ring->routes[i]].message == NULL) {
            return true;
        }
    }
    return false;
}

/* What goes round in our own actors ends: each of their events tells of something new. Of the program's nobody knows. */
static int check_ring(struct ftli_composer *c, uint32_t index, const struct ftli_path *path)
{
    const struct ftli_topology *t = c->topology;
    bool seen[FTLI_ROUTES_MOST] = {false};
    struct ring ring = {{index}, 1};
    seen[index] = true;
    if (!may_follow(&t->routes[index]) || !leads_to(t, t->routes[index].source, &ring, seen) ||
        !names_one_of_the_programs(c, &ring)) {
        return FTL_OK;
    }
    char wrong[FTLI_WRONG_BYTES] = "feeds itself: ";
    for (uint32_t i = 0; i < ring.count; i++) {
        const struct ftli_topology_route *route = &t->routes[ring.routes[i]];
        ftli_append(wrong, sizeof wrong, "%s%s > %s %s", i == 0 ? "" : ", ", route->when, route->tell, route->what);
    }
    ftli_append(wrong, sizeof wrong, "; nothing says that this ends");
    return ftli_report_path(c->report, ftli_origin_place(&c->binder, t->routes[index].when), path, wrong);
}

static int warn_of_void(struct ftli_composer *c, const struct ftli_topology_route *route)
{
    if (!route->is_void || ftli_origin_is_default(&c->binder, route->when)) {
        return FTL_OK;
    }
    char sentence[192];
    const char *missing = find_actor(c, route->tell) == NULL ? route->tell : route->when;
    (void)snprintf(sentence, sizeof sentence, "route %s > %s %s is void: there is no %.*s", route->when, route->tell,
                   route->what, (int)strcspn(missing, "."), missing);
    return ftli_compose_warn(c, sentence);
}

int ftli_check_routes(struct ftli_composer *c)
{
    struct ftli_topology *t = c->topology;
    const struct ftli_path section = {NULL, "routes"};
    char numbers[FTLI_ROUTES_MOST][12];
    struct ftli_path paths[FTLI_ROUTES_MOST];
    int status = FTL_OK;
    for (uint32_t i = 0; i < t->route_count && status == FTL_OK; i++) {
        (void)snprintf(numbers[i], sizeof numbers[i], "%u", i + 1);
        paths[i] = (struct ftli_path){&section, numbers[i]};
        status = resolve_when(c, &t->routes[i], &paths[i]);
        if (status == FTL_OK) {
            status = resolve_tell(c, &t->routes[i], &paths[i]);
        }
        if (status == FTL_OK) {
            status = check_twice(c, i, &paths[i]);
        }
        if (status == FTL_OK) {
            status = warn_of_void(c, &t->routes[i]);
        }
    }
    for (uint32_t i = 0; i < t->route_count && status == FTL_OK; i++) {
        status = check_ring(c, i, &paths[i]);
    }
    return status;
}
