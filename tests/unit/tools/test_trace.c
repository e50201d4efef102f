#include "tests/unit/tools/trace_file.h"
#include "tools/trace.h"

#include <inttypes.h>
#include <stdint.h>

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Loads the text that a test wrote and expects it to be refused in these words, at this line (0: none is named). */
static void refuse(struct trace_file *file, unsigned line, const char *words)
{
    struct ftli_trace trace = {.alloc_count = 77};
    char why[512] = "", expected[128];
    cr_assert_eq(ftli_trace_load(file->path, &trace, why, sizeof why), -1, "taken, but expected: %s", words);
    if (line != 0) {
        snprintf(expected, sizeof expected, "%s:%u: ", file->path, line);
        cr_assert_eq(strncmp(why, expected, strlen(expected)), 0, "\"%s\" is not at line %u", why, line);
    }
    cr_assert_not_null(strstr(why, words), "\"%s\" does not say \"%s\"", why, words);
    cr_assert_eq(trace.alloc_count, 77, "the out parameter was touched");
    trace_file_remove(file);
}

static void refuse_events(unsigned threads, unsigned allocs, unsigned frees, const char *events, unsigned line,
                          const char *words)
{
    struct trace_file file = {0};
    trace_file_header(&file, threads, allocs, frees);
    trace_file_add(&file, "%s", events);
    trace_file_write(&file, SIZE_MAX);
    refuse(&file, line, words);
}

Test(trace, small_one_is_read)
{
    struct trace_file file = {0};
    struct ftli_trace trace;
    char why[512] = "";
    trace_file_header(&file, 2, 3, 2);
    trace_file_add(&file, "0,0,a,0,100,64\n5,0,a,1,50,1\n5,1,f,0,100,64\n9,1,a,2,281474976710656,2097152\n"
                          "10,0,f,1,50,1\n");
    trace_file_write(&file, SIZE_MAX);
    cr_assert_eq(ftli_trace_load(file.path, &trace, why, sizeof why), 0, "%s", why);
    cr_assert_str_eq(trace.name, "made");
    cr_assert_str_eq(trace.workload, "of a test");
    cr_assert_eq(trace.thread_count, 2);
    cr_assert_eq(trace.alloc_count, 3);
    cr_assert_eq(trace.free_count, 2);
    cr_assert_eq(trace.event_count, 5);
    cr_assert_eq(trace.crossing_count, 1);
    cr_assert_eq(trace.duration_ns, 10);
    cr_assert_eq(trace.peak_live_count, 2);
    cr_assert_eq(trace.peak_live_bytes, 50 + (UINT64_C(1) << 48));
    cr_assert_eq(trace.left_bytes, UINT64_C(1) << 48);
    cr_assert_eq(trace.allocs[2].align_log2, 21);
    cr_assert(trace.allocs[0].freed && trace.allocs[1].freed && !trace.allocs[2].freed);
    cr_assert(trace.events[2].is_free && trace.events[2].id == 0 && trace.events[2].thread == 1);
    ftli_trace_unload(&trace);
    cr_assert_null(trace.allocs);
    trace_file_remove(&file);
}

/* Any schedule that follows the rules is taken, and read back event by event. */
Test(trace, generated_ones_are_read_back)
{
    enum { ROUNDS = 30, MOST = 3000 };
    struct wrote {
        uint32_t id, thread;
        uint64_t time_ns, bytes, align;
        bool is_free;
    };
    struct wrote *wrote = malloc(MOST * sizeof *wrote);
    uint32_t *live = malloc(MOST * sizeof *live);
    uint64_t(*shape)[2] = malloc(MOST * sizeof *shape);
    uint64_t state = 20261122;
    for (int round = 0; round < ROUNDS; round++) {
        struct trace_file file = {0}, events = {0};
        uint32_t threads = 0, allocs = 0, frees = 0, live_count = 0;
        uint64_t time_ns = 0, live_bytes = 0, peak_bytes = 0;
        uint32_t most = 1 + (uint32_t)(next_random(&state) % MOST),
                 most_threads = 1 + (uint32_t)(next_random(&state) % 256);
        for (uint32_t i = 0; i < most; i++) {
            struct wrote *event = &wrote[i];
            time_ns += next_random(&state) % 1000;
            event->time_ns = time_ns;
            event->thread = (uint32_t)(next_random(&state) % (threads < most_threads ? threads + 1 : threads));
            threads += event->thread == threads;
            event->is_free = live_count > 0 && next_random(&state) % 2 == 0;
            if (event->is_free) {
                uint32_t at = (uint32_t)(next_random(&state) % live_count);
                event->id = live[at];
                live[at] = live[--live_count];
                frees++;
                live_bytes -= shape[event->id][0];
            } else {
                event->id = allocs++;
                shape[event->id][0] = 1 + next_random(&state) % (UINT64_C(1) << (next_random(&state) % 30));
                shape[event->id][1] = UINT64_C(1) << (next_random(&state) % 22);
                live[live_count++] = event->id;
                live_bytes += shape[event->id][0];
                peak_bytes = live_bytes > peak_bytes ? live_bytes : peak_bytes;
            }
            event->bytes = shape[event->id][0];
            event->align = shape[event->id][1];
            trace_file_add(&events, "%" PRIu64 ",%" PRIu32 ",%c,%" PRIu32 ",%" PRIu64 ",%" PRIu64 "\n", event->time_ns,
                           event->thread, event->is_free ? 'f' : 'a', event->id, event->bytes, event->align);
        }
        trace_file_header(&file, threads, allocs, frees);
        for (size_t at = 0; at < events.length; at += 4096) {
            trace_file_add(&file, "%.4096s", events.text + at);
        }
        trace_file_write(&file, SIZE_MAX);
        struct ftli_trace trace;
        char why[512] = "";
        cr_assert_eq(ftli_trace_load(file.path, &trace, why, sizeof why), 0, "round %d: %s", round, why);
        cr_assert_eq(trace.event_count, most);
        cr_assert_eq(trace.thread_count, threads);
        cr_assert_eq(trace.peak_live_bytes, peak_bytes);
        cr_assert_eq(trace.left_bytes, live_bytes);
        for (uint32_t i = 0; i < most; i++) {
            const struct ftli_trace_alloc *alloc = &trace.allocs[trace.events[i].id];
            cr_assert(trace.events[i].id == wrote[i].id && trace.events[i].thread == wrote[i].thread &&
                          trace.events[i].time_ns == wrote[i].time_ns && trace.events[i].is_free == wrote[i].is_free &&
                          alloc->bytes == wrote[i].bytes && UINT64_C(1) << alloc->align_log2 == wrote[i].align,
                      "round %d, event %u", round, i);
        }
        ftli_trace_unload(&trace);
        free(events.text);
        trace_file_remove(&file);
    }
    free(wrote);
    free(live);
    free(shape);
}

/* Wherever the file is cut, it is refused, in words. */
Test(trace, cut_anywhere_is_refused)
{
    struct trace_file file = {0};
    trace_file_header(&file, 1, 400, 0);
    for (unsigned i = 0; i < 400; i++) {
        trace_file_add(&file, "%u,0,a,%u,%u,64\n", i * 7, i, 1 + i * i);
    }
    size_t whole = trace_file_write(&file, SIZE_MAX);
    unlink(file.path);
    cr_assert_gt(whole, 300);
    for (size_t keep = 0; keep < whole; keep += 1 + keep / 16) {
        struct ftli_trace trace;
        char why[512] = "";
        trace_file_write(&file, keep);
        cr_assert_eq(ftli_trace_load(file.path, &trace, why, sizeof why), -1, "%zu of %zu bytes were taken", keep,
                     whole);
        cr_assert(strstr(why, keep == 0 ? "is empty" : "cut off") != NULL, "%s", why);
        unlink(file.path);
    }
    free(file.text);
}

/* One byte changed: refused, or (in a field that nobody checks, such as the workload's text) read without harm. */
Test(trace, a_flipped_byte_never_crashes)
{
    struct trace_file file = {0};
    trace_file_header(&file, 1, 100, 50);
    for (unsigned i = 0; i < 100; i++) {
        trace_file_add(&file, "%u,0,a,%u,%u,64\n", i, i, 1 + i);
    }
    for (unsigned i = 0; i < 50; i++) {
        trace_file_add(&file, "%u,0,f,%u,%u,64\n", 100 + i, i * 2, 1 + i * 2);
    }
    char *text = strdup(file.text);
    uint64_t state = 7;
    for (int round = 0; round < 400; round++) {
        struct ftli_trace trace;
        char why[512] = "";
        size_t at = next_random(&state) % file.length;
        file.text[at] = (char)(next_random(&state) % 256);
        trace_file_write(&file, SIZE_MAX);
        if (ftli_trace_load(file.path, &trace, why, sizeof why) == 0) {
            cr_assert_eq(trace.event_count, 150);
            ftli_trace_unload(&trace);
        } else {
            cr_assert_gt(strlen(why), 10);
        }
        unlink(file.path);
        memcpy(file.text, text, file.length);
    }
    free(text);
    free(file.text);
}

Test(trace, what_is_not_zstd)
{
    struct trace_file file = {0};
    trace_file_write_raw(&file, "# tensor-trace 1\n0,0,a,0,1,1\n", 29);
    refuse(&file, 1, "is not zstd");
}

Test(trace, something_after_the_end)
{
    struct trace_file file = {0};
    char bytes[4096];
    trace_file_header(&file, 1, 1, 0);
    trace_file_add(&file, "0,0,a,0,1,1\n");
    size_t count = trace_file_write(&file, SIZE_MAX);
    FILE *raw = fopen(file.path, "r+b");
    cr_assert_eq(fread(bytes, 1, count, raw), count);
    fseek(raw, 0, SEEK_END);
    fputs("and then some text", raw);
    fclose(raw);
    refuse(&file, 11, "not zstd follows");
}

Test(trace, no_such_file)
{
    struct ftli_trace trace;
    char why[512] = "";
    cr_assert_eq(ftli_trace_load("/nowhere/x.csv.zst", &trace, why, sizeof why), -1);
    cr_assert_str_eq(why, "/nowhere/x.csv.zst: No such file or directory");
    cr_assert_eq(ftli_trace_load("/tmp", &trace, why, sizeof why), -1);
    cr_assert_str_eq(why, "/tmp: is a directory; a trace is one file");
}

Test(trace, headers)
{
    static const struct {
        const char *text;
        unsigned line;
        const char *words;
    } cases[] = {
        {"", 0, "no line in the file"},
        {"0,0,a,0,1,1\n", 1, "the first line is not"},
        {"# tensor-trace 2\n", 1, "version \"2\""},
        {"# tensor-trace 1\n#name: x\n", 2, "begins with"},
        {"# tensor-trace 1\n# name\n", 2, "# key: value"},
        {"# tensor-trace 1\n# nmae: x\n", 2, "unknown header key"},
        {"# tensor-trace 1\n# name: x\n# name: y\n", 3, "twice"},
        {"# tensor-trace 1\n# threads: many\n", 2, "is not a number"},
        {"# tensor-trace 1\n# threads: 99999999999999999999\n", 2, "is not a number"},
        {"# tensor-trace 1\n# columns: a,b\n", 2, "columns are \"a,b\""},
        {"# tensor-trace 1\n# name: x\n", 2, "no \"# threads:\" line"},
        {"# tensor-trace 1\n# name: x\n0,0,a,0,1,1\n", 3, "no \"# threads:\" line"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct trace_file file = {0};
        trace_file_add(&file, "%s", cases[i].text);
        trace_file_write(&file, SIZE_MAX);
        refuse(&file, cases[i].line, cases[i].words);
    }
}

Test(trace, header_figures_out_of_bounds)
{
    refuse_events(257, 1, 0, "0,0,a,0,1,1\n", 10, "257 threads");
    refuse_events(1, 1, 2, "0,0,a,0,1,1\n", 10, "more frees than allocations");
    refuse_events(1, 3000000000u, 0, "0,0,a,0,1,1\n", 10, "too many");
}

Test(trace, counts_that_differ_from_the_header)
{
    refuse_events(1, 2, 0, "0,0,a,0,1,1\n", 10, "1 allocations and 0 frees; its header counts 2 and 0");
    refuse_events(1, 1, 1, "0,0,a,0,1,1\n", 10, "header counts 1 and 1");
    refuse_events(1, 1, 0, "0,0,a,0,1,1\n0,0,a,1,1,1\n", 11, "more allocations than the header's 1");
    refuse_events(2, 1, 0, "0,0,a,0,1,1\n", 10, "1 threads; its header counts 2");
    refuse_events(0, 0, 0, "", 9, "no event");
}

Test(trace, events_that_cannot_be)
{
    refuse_events(1, 2, 2, "0,0,a,0,8,8\n1,0,f,1,8,8\n", 11, "never allocated");
    refuse_events(1, 2, 2, "0,0,f,0,8,8\n", 10, "never allocated");
    refuse_events(1, 2, 2, "0,0,a,0,8,8\n1,0,f,0,8,8\n2,0,f,0,8,8\n", 12, "0 is freed for the second time");
    refuse_events(1, 1, 1, "0,0,a,0,8,8\n1,0,f,0,9,8\n", 11, "it was allocated with 8");
    refuse_events(1, 1, 1, "0,0,a,0,8,8\n1,0,f,0,8,16\n", 11, "aligned to 16; it was");
    refuse_events(1, 1, 0, "0,0,a,0,0,8\n", 10, "size 0");
    refuse_events(1, 1, 0, "0,0,a,0,281474976710657,8\n", 10, "2^48 is the most");
    refuse_events(1, 1, 0, "0,0,a,0,8,0\n", 10, "not a power of two");
    refuse_events(1, 1, 0, "0,0,a,0,8,48\n", 10, "not a power of two");
    refuse_events(1, 1, 0, "0,0,a,0,8,4194304\n", 10, "2 MiB is the most");
    refuse_events(1, 2, 0, "0,0,a,1,8,8\n", 10, "ids are dense, expected 0");
    refuse_events(2, 1, 0, "0,1,a,0,8,8\n", 10, "by first appearance, expected 0");
    refuse_events(256, 1, 0, "0,256,a,0,8,8\n", 10, "256 threads is the most");
    refuse_events(1, 2, 0, "5,0,a,0,8,8\n4,0,a,1,8,8\n", 11, "time goes back, from 5 to 4");
}

Test(trace, lines_that_are_no_events)
{
    refuse_events(1, 1, 0, "0,0,b,0,8,8\n", 10, "the op is \"b\"");
    refuse_events(1, 1, 0, "0,0,,0,8,8\n", 10, "the op is \"\"");
    refuse_events(1, 1, 0, "0,0,a,0,8\n", 10, "is no event");
    refuse_events(1, 1, 0, "0,0,a,0,8,8,8\n", 10, "is no event");
    refuse_events(1, 1, 0, "0,0,a,0,8,8 \n", 10, "is no event");
    refuse_events(1, 1, 0, "-1,0,a,0,8,8\n", 10, "is no event");
    refuse_events(1, 1, 0, "0,0,a,0,18446744073709551616,8\n", 10, "is no event");
    refuse_events(1, 1, 0, "\n", 10, "is no event");
    refuse_events(1, 1, 0, "# name: late\n", 10, "twice");
    refuse_events(1, 1, 0, "0,0,a,0,8,8\n# name: late\n", 11, "is no event");
    refuse_events(1, 1, 0, "0,0,a,0,8,8", 10, "the last line has no end");
}

Test(trace, a_zero_byte)
{
    struct trace_file file = {0};
    trace_file_header(&file, 1, 1, 0);
    trace_file_add(&file, "0,0,a,0,1,1?\n");
    file.text[file.length - 2] = '\0';
    trace_file_write(&file, SIZE_MAX);
    refuse(&file, 10, "a zero byte");
}

Test(trace, a_line_without_end)
{
    struct trace_file file = {0};
    trace_file_header(&file, 1, 1, 0);
    for (int i = 0; i < 100; i++) {
        trace_file_add(&file, "%0100d", 0);
    }
    trace_file_add(&file, "\n");
    trace_file_write(&file, SIZE_MAX);
    refuse(&file, 10, "a line of");
}

/* A small file that unpacks into a very long line of nothing must be refused in bounded memory. */
Test(trace, a_bomb)
{
    struct trace_file file = {0};
    size_t bytes = (size_t)64 << 20;
    file.text = calloc(1, bytes);
    file.length = bytes;
    cr_assert_lt(trace_file_write(&file, SIZE_MAX), 1 << 16);
    refuse(&file, 1, "a line of over");
}

Test(trace, the_recorded_ones)
{
    static const struct {
        const char *name;
        uint32_t allocs, frees, threads;
        uint64_t left;
    } traces[] = {{"bert_serving", 99550, 99349, 8, 201}, {"ps_train", 149731, 149601, 7, 130}};
    const char *root = getenv("FETTLE_SOURCE_DIR");
    for (size_t i = 0; i < 2; i++) {
        char path[512], why[1024] = "";
        struct ftli_trace trace;
        snprintf(path, sizeof path, "%s/bench/traces/%s.csv.zst", root == NULL ? "." : root, traces[i].name);
        cr_assert_eq(ftli_trace_load(path, &trace, why, sizeof why), 0, "%s", why);
        cr_assert_str_eq(trace.name, traces[i].name);
        cr_assert_eq(trace.alloc_count, traces[i].allocs);
        cr_assert_eq(trace.free_count, traces[i].frees);
        cr_assert_eq(trace.alloc_count - trace.free_count, traces[i].left);
        cr_assert_eq(trace.thread_count, traces[i].threads);
        ftli_trace_unload(&trace);
    }
}
