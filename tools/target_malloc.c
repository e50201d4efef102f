#include "tools/target_malloc.h"

#include <errno.h>
#include <gnu/libc-version.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct header {
    _Alignas(64) _Atomic uint64_t references;
    void *block;
    uint64_t bytes;
};
_Static_assert(sizeof(struct header) == 64, "the header is one line");

static uint64_t malloc_create(void *self, uint64_t bytes, uint64_t align)
{
    (void)self;
    uint64_t room =
        align < sizeof(struct header) ? sizeof(struct header) : align; /* the header ends where the data begins */
    char *block = aligned_alloc(room, (room + bytes + room - 1) / room * room);
    if (block == NULL) {
        return 0;
    }
    struct header *header = (struct header *)(void *)(block + room) - 1;
    header->block = block;
    header->bytes = bytes;
    atomic_store_explicit(&header->references, 1, memory_order_relaxed);
    return (uint64_t)(uintptr_t)header;
}

static void *malloc_data(void *self, uint64_t tensor)
{
    (void)self;
    return (struct header *)(uintptr_t)tensor + 1;
}

static bool malloc_drop(void *self, uint64_t tensor)
{
    (void)self;
    struct header *header = (struct header *)(uintptr_t)tensor;
    if (atomic_fetch_sub_explicit(&header->references, 1, memory_order_acq_rel) == 1) {
        free(header->block);
    }
    return true;
}

static void malloc_explain(void *self, char *why, size_t why_size)
{
    (void)self;
    snprintf(why, why_size, "%s", strerror(errno));
}

struct ftli_target ftli_target_malloc(void)
{
    return (struct ftli_target){
        .name = "malloc",
        .create = malloc_create,
        .data = malloc_data,
        .drop = malloc_drop,
        .explain = malloc_explain,
    };
}

void ftli_target_malloc_name(char *name, size_t size)
{
    const char *preload = getenv("LD_PRELOAD");
    const char *slash = preload == NULL ? NULL : strrchr(preload, '/');
    if (preload == NULL || preload[0] == '\0') {
        snprintf(name, size, "glibc %s", gnu_get_libc_version());
    } else {
        snprintf(name, size, "%s", slash == NULL ? preload : slash + 1);
    }
}
