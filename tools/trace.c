#include "tools/trace.h"

#include "tools/pages.h"
#include "tools/unzstd.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS "t_ns,thread,op,id,bytes,align"

struct loader {
    const char *path;
    struct ftli_unzstd *in;
    struct ftli_trace trace;
    size_t alloc_room, event_room;
    uint64_t header_threads, header_allocs, header_frees;
    unsigned seen; /* a bit per header key, in the order of header_keys */
    uint64_t live_bytes, live_count;
    char *why;
    size_t why_size;
};

enum { KEY_NAME, KEY_WORKLOAD, KEY_PROGRAM, KEY_RECORDED, KEY_THREADS, KEY_ALLOCS, KEY_FREES, KEY_COLUMNS, KEY_COUNT };
static const char *const header_keys[KEY_COUNT] = {"name",    "workload", "program", "recorded",
                                                   "threads", "allocs",   "frees",   "columns"};

__attribute__((format(printf, 2, 3))) static int fault(struct loader *loader, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    snprintf(loader->why, loader->why_size, "%s:%" PRIu64 ": %s", loader->path, ftli_unzstd_line_number(loader->in),
             text);
    return -1;
}

/* Reads decimal digits at *text and what must follow them. False: no digits, something else follows, or over 2^64. */
static bool take_number(const char **text, char follows, uint64_t *out)
{
    const char *at = *text;
    uint64_t number = 0;
    if (*at < '0' || *at > '9') {
        return false;
    }
    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(number, (uint64_t)10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number)) {
            return false;
        }
    }
    if (*at != follows) {
        return false;
    }
    *text = follows == '\0' ? at : at + 1;
    *out = number;
    return true;
}

static int header_line(struct loader *loader, const char *line)
{
    if (line[0] != '#' || line[1] != ' ') {
        return fault(loader, "a header line begins with \"# \"");
    }
    const char *colon = strstr(line, ": ");
    if (colon == NULL) {
        return fault(loader, "a header line is \"# key: value\"");
    }
    size_t length = (size_t)(colon - (line + 2));
    const char *value = colon + 2;
    int key = 0;
    while (key < KEY_COUNT && (strlen(header_keys[key]) != length || memcmp(header_keys[key], line + 2, length) != 0)) {
        key++;
    }
    if (key == KEY_COUNT) {
        return fault(loader, "unknown header key \"%.40s\"", line + 2);
    }
    if (loader->seen & (1u << key)) {
        return fault(loader, "the header key %s is here twice", header_keys[key]);
    }
    loader->seen |= 1u << key;

    uint64_t *number = key == KEY_THREADS  ? &loader->header_threads
                       : key == KEY_ALLOCS ? &loader->header_allocs
                       : key == KEY_FREES  ? &loader->header_frees
                                           : NULL;
    if (number != NULL) {
        const char *text = value;
        if (!take_number(&text, '\0', number)) {
            return fault(loader, "%s: \"%.40s\" is not a number", header_keys[key], value);
        }
    } else if (key == KEY_NAME) {
        snprintf(loader->trace.name, sizeof loader->trace.name, "%s", value);
    } else if (key == KEY_WORKLOAD) {
        snprintf(loader->trace.workload, sizeof loader->trace.workload, "%s", value);
    } else if (key == KEY_RECORDED) {
        snprintf(loader->trace.recorded, sizeof loader->trace.recorded, "%s", value);
    } else if (key == KEY_COLUMNS && strcmp(value, COLUMNS) != 0) {
        return fault(loader, "columns are \"%.80s\"; expected " COLUMNS, value);
    }
    return 0;
}

/* After the last header line: what the events need is there, and within bounds. */
static int check_header(struct loader *loader)
{
    static const int needed[] = {KEY_NAME, KEY_THREADS, KEY_ALLOCS, KEY_FREES, KEY_COLUMNS};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (!(loader->seen & (1u << needed[i]))) {
            return fault(loader, "the header has no \"# %s:\" line", header_keys[needed[i]]);
        }
    }
    if (loader->header_threads > FTLI_TRACE_MAX_THREADS) {
        return fault(loader, "%" PRIu64 " threads; %u is the most that is taken", loader->header_threads,
                     FTLI_TRACE_MAX_THREADS);
    }
    if (loader->header_allocs > UINT32_MAX / 2 || loader->header_frees > loader->header_allocs) {
        return fault(loader, "the header counts %" PRIu64 " allocations and %" PRIu64 " frees; %s",
                     loader->header_allocs, loader->header_frees,
                     loader->header_frees > loader->header_allocs ? "more frees than allocations" : "too many");
    }
    return 0;
}

static int make_room(struct loader *loader)
{
    struct ftli_trace *trace = &loader->trace;
    if (trace->alloc_count == loader->alloc_room) {
        size_t room = loader->alloc_room == 0 ? 1 << 16 : loader->alloc_room * 2;
        void *grown = ftli_pages_grow(trace->allocs, trace->allocs_mapped_bytes, room * sizeof *trace->allocs);
        if (grown == NULL) {
            return fault(loader, "out of memory after %" PRIu32 " allocations", trace->alloc_count);
        }
        trace->allocs = grown;
        trace->allocs_mapped_bytes = room * sizeof *trace->allocs;
        loader->alloc_room = room;
    }
    if (trace->event_count == loader->event_room) {
        size_t room = loader->event_room == 0 ? 1 << 17 : loader->event_room * 2;
        void *grown = ftli_pages_grow(trace->events, trace->events_mapped_bytes, room * sizeof *trace->events);
        if (grown == NULL) {
            return fault(loader, "out of memory after %" PRIu32 " events", trace->event_count);
        }
        trace->events = grown;
        trace->events_mapped_bytes = room * sizeof *trace->events;
        loader->event_room = room;
    }
    return 0;
}

struct line {
    uint64_t time_ns, thread, id, bytes, align;
    char op;
};

static int parse_event(struct loader *loader, const char *text, struct line *out)
{
    const char *at = text;
    if (!take_number(&at, ',', &out->time_ns) || !take_number(&at, ',', &out->thread)) {
        return fault(loader, "\"%.60s\" is no event; expected " COLUMNS, text);
    }
    out->op = *at;
    if ((out->op != 'a' && out->op != 'f') || at[1] != ',') {
        return fault(loader, "the op is \"%.*s\"; expected a or f", (int)strcspn(at, ","), at);
    }
    at += 2;
    if (!take_number(&at, ',', &out->id) || !take_number(&at, ',', &out->bytes) ||
        !take_number(&at, '\0', &out->align)) {
        return fault(loader, "\"%.60s\" is no event; expected " COLUMNS, text);
    }
    return 0;
}

static int add_alloc(struct loader *loader, const struct line *line)
{
    struct ftli_trace *trace = &loader->trace;
    if (line->id != trace->alloc_count) {
        return fault(loader, "allocation %" PRIu64 "; ids are dense, expected %" PRIu32, line->id, trace->alloc_count);
    }
    if (line->bytes == 0) {
        return fault(loader, "allocation %" PRIu64 " has size 0; a size is at least 1", line->id);
    }
    if (line->bytes > FTLI_TRACE_MAX_BYTES) {
        return fault(loader, "allocation %" PRIu64 " has %" PRIu64 " bytes; 2^48 is the most that is taken", line->id,
                     line->bytes);
    }
    if (line->align == 0 || (line->align & (line->align - 1)) != 0) {
        return fault(loader, "align %" PRIu64 " is not a power of two", line->align);
    }
    if (line->align > FTLI_TRACE_MAX_ALIGN) {
        return fault(loader, "align %" PRIu64 "; 2 MiB is the most that is taken", line->align);
    }
    if (trace->alloc_count >= loader->header_allocs) {
        return fault(loader, "more allocations than the header's %" PRIu64, loader->header_allocs);
    }
    trace->allocs[trace->alloc_count++] = (struct ftli_trace_alloc){
        .bytes = line->bytes,
        .time_ns = line->time_ns,
        .thread = (uint8_t)line->thread,
        .align_log2 = (uint8_t)__builtin_ctzll(line->align),
    };
    trace->total_bytes += line->bytes;
    loader->live_bytes += line->bytes;
    loader->live_count++;
    if (loader->live_bytes > trace->peak_live_bytes) {
        trace->peak_live_bytes = loader->live_bytes;
    }
    if (loader->live_count > trace->peak_live_count) {
        trace->peak_live_count = loader->live_count;
    }
    return 0;
}

static int add_free(struct loader *loader, const struct line *line)
{
    struct ftli_trace *trace = &loader->trace;
    if (line->id >= trace->alloc_count) {
        return fault(loader, "free of %" PRIu64 ", which was never allocated", line->id);
    }
    struct ftli_trace_alloc *alloc = &trace->allocs[line->id];
    if (alloc->freed) {
        return fault(loader, "%" PRIu64 " is freed for the second time", line->id);
    }
    if (alloc->bytes != line->bytes || line->align != UINT64_C(1) << alloc->align_log2) {
        return fault(loader,
                     "free of %" PRIu64 " says %" PRIu64 " bytes aligned to %" PRIu64 "; it was allocated with %" PRIu64
                     " aligned to %" PRIu64,
                     line->id, line->bytes, line->align, alloc->bytes, UINT64_C(1) << alloc->align_log2);
    }
    alloc->freed = true;
    alloc->freed_by = (uint8_t)line->thread;
    trace->crossing_count += alloc->thread != line->thread;
    trace->free_count++;
    loader->live_bytes -= line->bytes;
    loader->live_count--;
    return 0;
}

static int event_line(struct loader *loader, const char *text)
{
    struct ftli_trace *trace = &loader->trace;
    struct line line = {0};
    if (parse_event(loader, text, &line) != 0) {
        return -1;
    }
    if (line.thread >= FTLI_TRACE_MAX_THREADS) {
        return fault(loader, "thread %" PRIu64 "; %u threads is the most that is taken", line.thread,
                     FTLI_TRACE_MAX_THREADS);
    }
    if (line.thread > trace->thread_count) {
        return fault(loader, "thread %" PRIu64 "; threads are numbered by first appearance, expected %" PRIu32,
                     line.thread, trace->thread_count);
    }
    if (line.time_ns < trace->duration_ns) {
        return fault(loader, "time goes back, from %" PRIu64 " to %" PRIu64 " ns", trace->duration_ns, line.time_ns);
    }
    if (make_room(loader) != 0) {
        return -1;
    }
    if ((line.op == 'a' ? add_alloc(loader, &line) : add_free(loader, &line)) != 0) {
        return -1;
    }
    if (line.thread == trace->thread_count) {
        trace->thread_count++;
    }
    trace->duration_ns = line.time_ns;
    trace->events[trace->event_count++] = (struct ftli_trace_event){
        .time_ns = line.time_ns, .id = (uint32_t)line.id, .thread = (uint8_t)line.thread, .is_free = line.op == 'f'};
    return 0;
}

/* At the end: the lines are as many as the header says. */
static int check_counts(struct loader *loader)
{
    struct ftli_trace *trace = &loader->trace;
    if (trace->alloc_count != loader->header_allocs || trace->free_count != loader->header_frees) {
        return fault(loader,
                     "the file ends with %" PRIu32 " allocations and %" PRIu32 " frees; its header counts %" PRIu64
                     " and %" PRIu64,
                     trace->alloc_count, trace->free_count, loader->header_allocs, loader->header_frees);
    }
    if (trace->thread_count != loader->header_threads) {
        return fault(loader, "the file has %" PRIu32 " threads; its header counts %" PRIu64, trace->thread_count,
                     loader->header_threads);
    }
    if (trace->alloc_count == 0) {
        return fault(loader, "no event in the whole file");
    }
    trace->left_bytes = loader->live_bytes;
    return 0;
}

static int load_lines(struct loader *loader)
{
    char *line;
    bool in_header = true;
    for (bool first = true;; first = false) {
        char what[256];
        int got = ftli_unzstd_line(loader->in, &line, what, sizeof what);
        if (got < 0) {
            return fault(loader, "%s", what);
        }
        if (got == 0 && first) {
            return fault(loader, "no line in the file; expected \"# tensor-trace 1\"");
        }
        if (got == 0) {
            return in_header && check_header(loader) != 0 ? -1 : check_counts(loader);
        }
        int result = 0;
        if (first) {
            if (strncmp(line, "# tensor-trace ", 15) != 0) {
                return fault(loader, "the first line is not \"# tensor-trace 1\"");
            }
            if (strcmp(line + 15, "1") != 0) {
                return fault(loader, "version \"%.20s\" of the format is not known; 1 is", line + 15);
            }
        } else if (in_header && line[0] == '#') {
            result = header_line(loader, line);
        } else {
            result = in_header ? check_header(loader) : 0;
            in_header = false;
            result = result != 0 ? result : event_line(loader, line);
        }
        if (result != 0) {
            return result;
        }
    }
}

int ftli_trace_load(const char *path, struct ftli_trace *out, char *why, size_t why_size)
{
    char what[256];
    struct loader loader = {.path = path, .why = why, .why_size = why_size};
    loader.in = ftli_unzstd_open(path, what, sizeof what);
    if (loader.in == NULL) {
        snprintf(why, why_size, "%s: %s", path, what);
        return -1;
    }
    int result = load_lines(&loader);
    ftli_unzstd_close(loader.in);
    if (result != 0) {
        ftli_trace_unload(&loader.trace);
        return -1;
    }
    *out = loader.trace;
    return 0;
}

void ftli_trace_unload(struct ftli_trace *trace)
{
    ftli_pages_unmap(trace->allocs, trace->allocs_mapped_bytes);
    ftli_pages_unmap(trace->events, trace->events_mapped_bytes);
    *trace = (struct ftli_trace){0};
}
