/* Any file as a trace: refused with one line, or all that tools/trace.h promises of a loaded one.
 *
 * Input  a byte; even: the rest is the file as it is. Odd: the rest is text, and the file is that, compressed. */
#include <sys/mman.h>
#include <unistd.h>

#include <zstd.h>

#include "tests/fuzz/fuzz.h"
#include "tools/trace.h"

static void write_all(int file, const void *data, size_t bytes)
{
    const char *at = data;
    while (bytes > 0) {
        ssize_t written = write(file, at, bytes);
        FUZZ_REQUIRE(written > 0, "a file in memory takes what is written");
        at += written;
        bytes -= (size_t)written;
    }
}

static void write_compressed(int file, const uint8_t *data, size_t bytes)
{
    size_t room = ZSTD_compressBound(bytes);
    void *compressed = malloc(room);
    FUZZ_REQUIRE(compressed != NULL, "memory");
    size_t got = ZSTD_compress(compressed, room, data, bytes, 1);
    FUZZ_REQUIRE(!ZSTD_isError(got), "zstd compresses anything");
    write_all(file, compressed, got);
    free(compressed);
}

static void check_trace(const struct ftli_trace *trace)
{
    uint64_t live = 0, peak = 0, total = 0, last_ns = 0;
    uint32_t allocs = 0, frees = 0;
    FUZZ_REQUIRE(trace->event_count == trace->alloc_count + trace->free_count, "every line is one of two");
    FUZZ_REQUIRE(trace->thread_count <= FTLI_TRACE_MAX_THREADS, "256 threads at most");
    for (uint32_t i = 0; i < trace->event_count; i++) {
        const struct ftli_trace_event *event = &trace->events[i];
        FUZZ_REQUIRE(event->time_ns >= last_ns && event->thread < trace->thread_count,
                     "time goes on, threads are dense");
        last_ns = event->time_ns;
        if (event->is_free) {
            FUZZ_REQUIRE(event->id < allocs && trace->allocs[event->id].freed, "freed after it was made");
            live -= trace->allocs[event->id].bytes;
            frees++;
        } else {
            FUZZ_REQUIRE(event->id == allocs, "ids are dense");
            FUZZ_REQUIRE(trace->allocs[allocs].bytes <= FTLI_TRACE_MAX_BYTES, "a size");
            live += trace->allocs[allocs].bytes;
            total += trace->allocs[allocs++].bytes;
        }
        peak = live > peak ? live : peak;
    }
    FUZZ_REQUIRE(allocs == trace->alloc_count && frees == trace->free_count, "all were counted");
    FUZZ_REQUIRE(peak == trace->peak_live_bytes && total == trace->total_bytes && live == trace->left_bytes,
                 "the sums");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    char path[64], why[512] = "";
    struct ftli_trace trace = {0};
    if (bytes == 0)
        return 0;
    int file = memfd_create("trace", MFD_CLOEXEC);
    FUZZ_REQUIRE(file >= 0, "memfd_create");
    if (data[0] % 2 == 0)
        write_all(file, data + 1, bytes - 1);
    else
        write_compressed(file, data + 1, bytes - 1);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    if (ftli_trace_load(path, &trace, why, sizeof why) == 0) {
        check_trace(&trace);
        ftli_trace_unload(&trace);
    } else {
        FUZZ_REQUIRE(why[0] != '\0' && strchr(why, '\n') == NULL, "a refusal is one line");
        FUZZ_REQUIRE(trace.allocs == NULL && trace.events == NULL, "out is untouched");
    }
    close(file);
    return 0;
}
