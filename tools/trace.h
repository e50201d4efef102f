/* Recorded tensor lifetimes: reads a trace, checks all of it, and only then hands it out.
 *
 * What     A trace is a zstd-compressed text: header lines `# key: value`, the first `# tensor-trace 1`, then one event a
 *          line, `t_ns,thread,op,id,bytes,align`. bench/traces holds two.
 * Owns     The arrays of a struct ftli_trace lie in mappings of their own, outside malloc, and so does what the
 *          decompressor needs: whoever measures a malloc afterwards finds a heap that nothing was freed into.
 * Threads  One at a time while it loads; read-only, and so anybody's, afterwards.
 * Invariants of a loaded trace
 *          - ids are dense: event i with op 'a' and id k is the (k + 1)th 'a' of the file;
 *          - every 'f' comes after its 'a', at most once; times never go back; threads are dense, 256 at most;
 *          - allocs and frees are the header's figures and the lines' counts as well.
 */
#ifndef FTLI_TOOLS_TRACE_H
#define FTLI_TOOLS_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FTLI_TRACE_MAX_THREADS 256u
#define FTLI_TRACE_MAX_BYTES   (UINT64_C(1) << 48) /* of one tensor */
#define FTLI_TRACE_MAX_ALIGN   (UINT64_C(1) << 21) /* ftl_tensor_options.alignment takes no more */

struct ftli_trace_alloc {
    uint64_t bytes;
    uint64_t time_ns;
    uint8_t thread;
    uint8_t align_log2;
    bool freed;
    uint8_t freed_by; /* the thread, if freed */
};

struct ftli_trace_event {
    uint64_t time_ns; /* since the first event */
    uint32_t id;      /* index of allocs */
    uint8_t thread;
    bool is_free;
};

struct ftli_trace {
    char name[64];
    char workload[256];
    char recorded[256];
    uint32_t thread_count;
    uint32_t alloc_count, free_count;
    uint32_t event_count;    /* alloc_count + free_count */
    uint32_t crossing_count; /* freed by another thread than allocated them */
    struct ftli_trace_alloc *allocs;
    struct ftli_trace_event *events;
    uint64_t duration_ns;
    uint64_t total_bytes;
    uint64_t peak_live_bytes; /* in the file's order */
    uint64_t peak_live_count;
    uint64_t left_bytes; /* of what is never freed */
    size_t allocs_mapped_bytes, events_mapped_bytes;
};

/* Loads and checks the whole file. 0, or -1 with one line `file:line: what is wrong` in why; *out is then untouched. */
int ftli_trace_load(const char *path, struct ftli_trace *out, char *why, size_t why_size);

/* Gives the arrays back; the struct is zero afterwards. */
void ftli_trace_unload(struct ftli_trace *trace);

#endif
