/* What the two topology commands share: a file read and judged, and its values by the names they have in the file. */
#ifndef FTLI_TOOLS_TOPOLOGY_H
#define FTLI_TOOLS_TOPOLOGY_H

#include "runtime/compose/topology.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The topology of a file, or NULL after the error was printed with the line it stands on. types: names of types of actors
 * that only a program knows, with commas between them; NULL: none. */
struct ftli_topology *ftli_topology_read_file(const char *path, const char *types);

/* The message with, if it names a place in that file, the line and a caret under the column. */
void ftli_topology_print_error(const char *path, const char *message, FILE *out);

/* A value of an actor, by its dotted name in the file ("batch.age"), written for people: "10 ms". Empty if the actor or the
 * key is not there. */
struct ftli_topology_text {
    char text[128];
};
struct ftli_topology_text ftli_topology_value(const struct ftli_topology *topology, const char *type, const char *key);

/* "10ms" -> "10 ms", "80%" -> "80 %". */
struct ftli_topology_text ftli_topology_spaced(const char *text);

const struct ftli_topology_group *ftli_topology_group_of(const struct ftli_topology *topology,
                                                         const struct ftli_topology_actor *actor);
uint32_t ftli_topology_thread_count(const struct ftli_topology *topology);

/* The limit of a device here and now, and where it comes from: "the file", "cgroup memory.max", "physical memory". */
uint64_t ftli_topology_limit_bytes(const struct ftli_topology_device *device, const char **from);

/* The lines that check and show have in common: name and promise; warnings; limit, sockets, differences. */
void ftli_topology_print_head(const struct ftli_topology *topology, const char *path, FILE *out);
void ftli_topology_print_tail(const struct ftli_topology *topology, FILE *out);

/* What differs from default.yaml, a line a key. */
void ftli_topology_print_diff(const struct ftli_topology *topology, FILE *out);

void ftli_topology_draw(const struct ftli_topology *topology, FILE *out);
void ftli_topology_draw_routes(const struct ftli_topology *topology, FILE *out);
void ftli_topology_draw_dot(const struct ftli_topology *topology, FILE *out);

#endif
