/* Counted blocks of malloc's: what Fettle's tensors stand beside. */
#include "bench/leaks/memory.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { CHILDREN = 2 };

struct block {
    atomic_uint references;
    unsigned children;
    struct block *child[CHILDREN];
    _Alignas(64) char data[];
};

static struct block *block_of(struct piece piece)
{
    return (struct block *)(uintptr_t)piece.id;
}

void memory_open(void)
{
}

struct piece memory_make(size_t bytes, const char *site)
{
    (void)site;
    struct block *block = aligned_alloc(64, (sizeof(struct block) + bytes + 63) / 64 * 64);
    if (block == NULL)
        abort();
    atomic_init(&block->references, 1);
    block->children = 0;
    return (struct piece){(uintptr_t)block};
}

void *memory_data(struct piece piece)
{
    return block_of(piece)->data;
}

void memory_retain(struct piece piece)
{
    atomic_fetch_add_explicit(&block_of(piece)->references, 1, memory_order_relaxed);
}

void memory_drop(struct piece piece)
{
    struct block *block = block_of(piece);
    if (atomic_fetch_sub_explicit(&block->references, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < block->children; i++)
        memory_drop((struct piece){(uintptr_t)block->child[i]});
    free(block);
}

void memory_link(struct piece parent, struct piece child)
{
    struct block *block = block_of(parent);
    if (block->children == CHILDREN)
        abort();
    memory_retain(child);
    block->child[block->children++] = block_of(child);
}

void memory_pin(struct piece piece)
{
    memory_retain(piece);
}

void memory_unpin(struct piece piece)
{
    memory_drop(piece);
}

bool memory_report(void)
{
    return false;
}
