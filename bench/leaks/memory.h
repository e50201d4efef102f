/* Counted tensors, over malloc or over Fettle: what the leaking programs are written with.
 *
 * What     The same calls in both: make, retain, drop, link (the parent holds a reference on the child), pin. Over malloc
 *          a piece is a block with a count in front, as programs have them that do it by hand.
 */
#ifndef FETTLE_BENCH_LEAKS_MEMORY_H
#define FETTLE_BENCH_LEAKS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct piece {
    uint64_t id; /* a handle, or a pointer */
};

void memory_open(void);
struct piece memory_make(size_t bytes, const char *site);
void *memory_data(struct piece);
void memory_retain(struct piece);
void memory_drop(struct piece);
void memory_link(struct piece parent, struct piece child);
void memory_pin(struct piece);
void memory_unpin(struct piece);
/* What the library itself can say, while the program runs: prints a line each; false: this memory cannot. */
bool memory_report(void);

#define BENCH_TEXT_(x) #x
#define BENCH_TEXT(x)  BENCH_TEXT_(x)
#define BENCH_HERE     ("twins.c:" BENCH_TEXT(__LINE__))

#endif
