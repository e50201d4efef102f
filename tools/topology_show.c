#include "tools/topology.h"

#include <stdarg.h>
#include <string.h>

enum { BOX = 21, CELL = 64 };

/* A group as a heading: "service x2", or what stands for a group without threads. */
static struct ftli_topology_text group_text(const struct ftli_topology_group *group)
{
    struct ftli_topology_text out;
    if (group->count == 0) {
        snprintf(out.text, sizeof out.text, "%s (ftl_runtime_run)", group->name);
    } else {
        snprintf(out.text, sizeof out.text, "%s x%u", group->name, group->count);
    }
    return out;
}

/* The group that runs finalizers: compose has resolved its name. */
static const struct ftli_topology_group *finalizer_group(const struct ftli_topology *topology)
{
    struct ftli_topology_text name = ftli_topology_value(topology, "cleanup", "finalizers");
    uint32_t i = 0;
    while (i + 1 < topology->group_count && strcmp(topology->groups[i].name, name.text) != 0) {
        i++;
    }
    return &topology->groups[i];
}

__attribute__((format(printf, 2, 3))) static void cell(char text[CELL], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, CELL, format, arguments);
    va_end(arguments);
}

static void draw_boxes(const struct ftli_topology *topology, FILE *out)
{
    const struct ftli_topology_actor *allocation = ftli_topology_actor(topology, "allocation");
    const struct ftli_topology_actor *cleanup = ftli_topology_actor(topology, "cleanup");
    struct ftli_topology_text finalizers = group_text(finalizer_group(topology));
    struct ftli_topology_text shards = ftli_topology_value(topology, "allocation", "shards");
    char lines[8][CELL];
    cell(lines[0], " ports: magazines");
    cell(lines[1], "  <= %s a thread", ftli_topology_value(topology, "allocation", "thread_cache").text);
    cell(lines[2], " %-13.13s %s", allocation->name, topology->devices[0].name);
    cell(lines[3], "  %s", strcmp(shards.text, "auto") == 0 ? "2 shards/processor" : shards.text);
    if (strcmp(shards.text, "auto") != 0) {
        cell(lines[3], "  %.20s shard%s", shards.text, strcmp(shards.text, "1") == 0 ? "" : "s");
    }
    cell(lines[4], " %s", cleanup->name);
    cell(lines[5], "  %.10s msgs or %.12s", ftli_topology_value(topology, "cleanup", "batch.messages").text,
         ftli_topology_value(topology, "cleanup", "batch.age").text);
    const struct ftli_topology_group *group = ftli_topology_group_of(topology, allocation);
    const struct ftli_topology_group *cleaners = ftli_topology_group_of(topology, cleanup);
    bool together = group == cleaners;

    fprintf(out, "  %-45s%s\n", "your threads (any number)", group_text(group).text);
    fprintf(out, "  +-----------------------+  full magazines  +---------------------+\n");
    fprintf(out, "  |%-23.23s| ---------------> |%-*.*s|\n", lines[0], BOX, BOX, lines[2]);
    fprintf(out, "  |%-23.23s| <--------------- |%-*.*s|\n", lines[1], BOX, BOX, lines[3]);
    fprintf(out, "  +-----------------------+  empty ones      +---------------------+\n");
    fprintf(out, "        | drops that cannot be done at once        ^ memory back\n");
    fprintf(out, "        v                                          |%s%s\n", together ? "" : "           ",
            together ? "" : group_text(cleaners).text);
    fprintf(out, "                                             +---------------------+\n");
    fprintf(out, "  [emergency|high|normal|background] ------> |%-*.*s| -- your finalizers --> [%s]\n", BOX, BOX,
            lines[4], finalizers.text);
    fprintf(out, "  of 64:  %2u | %2u | %2u | %2u                   |%-*.*s| -- %s --> quarantine <= %s\n",
            topology->lane_shares[0], topology->lane_shares[1], topology->lane_shares[2], topology->lane_shares[3], BOX,
            BOX, lines[5], ftli_topology_value(topology, "cleanup", "deadline").text,
            ftli_topology_value(topology, "cleanup", "quarantine_limit").text);
    fprintf(out, "                                             +---------------------+\n");
}

/* What stands in brackets behind an actor's name. */
static void draw_actor(const struct ftli_topology *topology, const struct ftli_topology_actor *actor, FILE *out)
{
    fprintf(out, "%s", actor->name);
    if (actor->schema->is_user) {
        fprintf(out, " (%s, of yours)", actor->type);
    } else if (strcmp(actor->type, "tracking") == 0) {
        fprintf(out, " (%s)", ftli_topology_value(topology, "tracking", "level").text);
    } else if (strcmp(actor->type, "defragmentation") == 0) {
        fprintf(out, " (when idle for %s)", ftli_topology_value(topology, "defragmentation", "idle").text);
    } else if (strcmp(actor->type, "leak_detection") == 0) {
        struct ftli_topology_text scope = ftli_topology_value(topology, "leak_detection", "outlived.scope");
        struct ftli_topology_text thread = ftli_topology_value(topology, "leak_detection", "outlived.thread");
        bool no_scope = strcmp(scope.text, "none") == 0, no_thread = strcmp(thread.text, "none") == 0;
        fprintf(out, no_scope && no_thread ? " (on request" : no_scope ? " (" : " (scope +%s", scope.text);
        if (!no_thread) {
            fprintf(out, "%sthread +%s", no_scope ? "" : ", ", thread.text);
        }
        putc(')', out);
    } else if (strcmp(actor->type, "telemetry") == 0) {
        struct ftli_topology_text publish = ftli_topology_value(topology, "telemetry", "publish");
        if (strcmp(publish.text, "none") == 0) {
            fputs(" (publishes nothing)", out);
        } else {
            fprintf(out, " (publishes every %s)", ftli_topology_value(topology, "telemetry", "every").text);
        }
    }
}

/* The other actors, a line for each group that has any. */
static void draw_others(const struct ftli_topology *topology, FILE *out)
{
    for (uint32_t i = 0; i < topology->group_count; i++) {
        const struct ftli_topology_group *group = &topology->groups[i];
        uint32_t drawn = 0;
        for (uint32_t k = 0; k < topology->actor_count; k++) {
            const struct ftli_topology_actor *actor = &topology->actors[k];
            if (ftli_topology_group_of(topology, actor) != group || strcmp(actor->type, "allocation") == 0 ||
                strcmp(actor->type, "cleanup") == 0) {
                continue;
            }
            if (drawn == 0) {
                char heading[160], nice[32] = "";
                if (group->count > 0 && group->nice != 0) {
                    snprintf(nice, sizeof nice, ", nice %d", group->nice);
                }
                snprintf(heading, sizeof heading, "%s%s:", group_text(group).text, nice);
                fprintf(out, "  %-24s  ", heading);
            } else if (drawn % 2 == 0) {
                fprintf(out, "\n  %-24s  ", "");
            } else {
                fputs("   ", out);
            }
            draw_actor(topology, actor, out);
            drawn++;
        }
        if (drawn > 0) {
            putc('\n', out);
        }
    }
}

/* Two a line. */
void ftli_topology_draw_routes(const struct ftli_topology *topology, FILE *out)
{
    uint32_t drawn = 0;
    int before = 0; /* characters of the one at the left */
    for (uint32_t i = 0; i < topology->route_count; i++) {
        const struct ftli_topology_route *route = &topology->routes[i];
        char text[96];
        if (route->is_void) {
            continue;
        }
        snprintf(text, sizeof text, "%s > %s %s", route->when, route->tell, route->what);
        fprintf(out, drawn == 0 ? "  routes   " : drawn % 2 == 0 ? "\n           " : " ");
        if (drawn % 2 == 1) {
            fprintf(out, "%*s", before < 46 ? 46 - before : 0, "");
        }
        before = fprintf(out, "%s", text);
        drawn++;
    }
    fprintf(out, drawn == 0 ? "  routes   none\n" : "\n");
}

void ftli_topology_draw(const struct ftli_topology *topology, FILE *out)
{
    draw_boxes(topology, out);
    draw_others(topology, out);
}

static void dot_text(const char *text, FILE *out)
{
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            putc('\\', out);
        }
        putc(*text, out);
    }
}

static void dot_routes(const struct ftli_topology *topology, FILE *out)
{
    bool pressure = false;
    for (uint32_t i = 0; i < topology->route_count; i++) {
        const struct ftli_topology_route *route = &topology->routes[i];
        if (!route->is_void) {
            fprintf(out, "  \"%s\" -> \"%s\" [label=\"%s > %s\", style=dashed];\n",
                    route->kind == FTLI_ROUTE_PRESSURE ? "pressure " : route->source, route->tell,
                    strchr(route->when, '.') + 1, route->what);
            pressure |= route->kind == FTLI_ROUTE_PRESSURE;
        }
    }
    if (pressure) { /* no actor can be called so */
        fputs("  \"pressure \" [label=\"pressure\", shape=ellipse];\n", out);
    }
}

void ftli_topology_draw_dot(const struct ftli_topology *topology, FILE *out)
{
    const char *allocation = ftli_topology_actor(topology, "allocation")->name;
    const char *cleanup = ftli_topology_actor(topology, "cleanup")->name;
    fputs("digraph \"", out);
    dot_text(topology->name, out);
    fputs("\" {\n  rankdir=LR; node [shape=box, fontname=\"sans-serif\"]; edge [fontname=\"sans-serif\"];\n"
          "  \"your threads\" [shape=ellipse];\n",
          out);
    for (uint32_t i = 0; i < topology->group_count; i++) {
        const struct ftli_topology_group *group = &topology->groups[i];
        fprintf(out, "  subgraph \"cluster_%s\" {\n    label=\"%s\";\n", group->name, group_text(group).text);
        for (uint32_t k = 0; k < topology->actor_count; k++) {
            const struct ftli_topology_actor *actor = &topology->actors[k];
            if (ftli_topology_group_of(topology, actor) == group) {
                fprintf(out, "    \"%s\" [label=\"", actor->name);
                draw_actor(topology, actor, out);
                fputs("\"];\n", out);
            }
        }
        if (group == finalizer_group(topology)) {
            fputs("    \"your finalizers\" [shape=ellipse];\n", out);
        }
        fputs("  }\n", out);
    }
    fprintf(out,
            "  \"your threads\" -> \"%s\" [label=\"full magazines\"];\n"
            "  \"%s\" -> \"your threads\" [label=\"empty ones\"];\n"
            "  \"your threads\" -> \"%s\" [label=\"drops that cannot be done at once\"];\n"
            "  \"%s\" -> \"%s\" [label=\"memory back\"];\n"
            "  \"%s\" -> \"your finalizers\";\n",
            allocation, allocation, cleanup, cleanup, allocation, cleanup);
    dot_routes(topology, out);
    fputs("}\n", out);
}
