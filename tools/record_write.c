#include "tools/record_write.h"

#include "tools/record_live.h"
#include "tools/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

enum {
    HEADER_BYTES = 4096, /* of the file */
    TEXT_BYTES = 1 << 16,
    LONGEST_LINE = 128,
    LEVEL = 3,
    RAW_THREADS = 1 << 16,
};
#define SKIPPABLE_MAGIC 0x184d2a50u /* zstd passes over what such a frame holds: magic, length, bytes */

struct ftli_record_writer {
    char *path, *part;
    int descriptor; /* -1 once it is finished */
    ZSTD_CCtx *stream;
    struct ftli_record_live live;
    struct ftli_record_sums sums;
    uint64_t first_ns, last_ns; /* of the recorder's clock; 0: no event yet */
    uint64_t events;
    uint16_t number_of[RAW_THREADS];             /* + 1; 0: has none */
    uint16_t holder_of[FTLI_TRACE_MAX_THREADS];  /* the recorder's number */
    uint64_t last_event[FTLI_TRACE_MAX_THREADS]; /* by the trace's number */
    bool seen[RAW_THREADS];
    uint32_t numbers;
    size_t text_bytes;
    char text[TEXT_BYTES];
    unsigned char packed[TEXT_BYTES];
};

__attribute__((format(printf, 3, 4))) static int fault(char *why, size_t why_size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, why_size, format, arguments);
    va_end(arguments);
    return -1;
}

static int write_all(const struct ftli_record_writer *writer, const void *bytes, size_t count, off_t at, char *why,
                     size_t why_size)
{
    const char *from = bytes;
    while (count > 0) {
        ssize_t wrote = pwrite(writer->descriptor, from, count, at);
        if (wrote < 0 && errno != EINTR) {
            return fault(why, why_size, "%s: %s", writer->part, strerror(errno));
        }
        wrote = wrote < 0 ? 0 : wrote;
        from += wrote;
        at += wrote;
        count -= (size_t)wrote;
    }
    return 0;
}

static int compress(struct ftli_record_writer *writer, ZSTD_EndDirective end, char *why, size_t why_size)
{
    ZSTD_inBuffer in = {.src = writer->text, .size = writer->text_bytes, .pos = 0};
    for (;;) {
        ZSTD_outBuffer out = {.dst = writer->packed, .size = sizeof writer->packed, .pos = 0};
        size_t left = ZSTD_compressStream2(writer->stream, &out, &in, end);
        if (ZSTD_isError(left)) {
            return fault(why, why_size, "zstd: %s", ZSTD_getErrorName(left));
        }
        if (write_all(writer, writer->packed, out.pos, (off_t)writer->sums.file_bytes, why, why_size) != 0) {
            return -1;
        }
        writer->sums.file_bytes += out.pos;
        if (end == ZSTD_e_end ? left == 0 : in.pos == in.size) {
            writer->text_bytes = 0;
            return 0;
        }
    }
}

static char *put_number(char *at, uint64_t number, char follows)
{
    char digits[20];
    int count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (count > 0) {
        *at++ = digits[--count];
    }
    *at++ = follows;
    return at;
}

static int write_line(struct ftli_record_writer *writer, uint32_t thread, char op,
                      const struct ftli_record_block *block, char *why, size_t why_size)
{
    char *begin = writer->text + writer->text_bytes;
    char *at = put_number(begin, writer->last_ns - writer->first_ns, ',');
    at = put_number(at, thread, ',');
    *at++ = op;
    *at++ = ',';
    at = put_number(at, block->id, ',');
    at = put_number(at, block->bytes, ',');
    at = put_number(at, UINT64_C(1) << block->align_log2, '\n');
    writer->text_bytes += (size_t)(at - begin);
    if (writer->text_bytes <= TEXT_BYTES - LONGEST_LINE) {
        return 0;
    }
    return compress(writer, ZSTD_e_continue, why, why_size);
}

static int write_free(struct ftli_record_writer *writer, uint32_t thread, const struct ftli_record_block *block,
                      char *why, size_t why_size)
{
    struct ftli_record_sums *sums = &writer->sums;
    sums->frees++;
    sums->live_count--;
    sums->live_bytes -= block->bytes;
    return write_line(writer, thread, 'f', block, why, why_size);
}

/* The trace's number of one of the recorder's. */
static uint32_t thread_number(struct ftli_record_writer *writer, uint32_t thread)
{
    uint32_t raw = thread % RAW_THREADS, number = 0;
    if (!writer->seen[raw]) {
        writer->seen[raw] = true;
        writer->sums.threads++;
    }
    if (writer->number_of[raw] == 0) {
        if (writer->numbers < FTLI_TRACE_MAX_THREADS) {
            number = writer->numbers++;
        } else {
            for (uint32_t i = 1; i < FTLI_TRACE_MAX_THREADS; i++) {
                number = writer->last_event[i] < writer->last_event[number] ? i : number;
            }
            writer->number_of[writer->holder_of[number]] = 0;
        }
        writer->holder_of[number] = (uint16_t)raw;
        writer->number_of[raw] = (uint16_t)(number + 1);
    }
    number = writer->number_of[raw] - 1u;
    writer->last_event[number] = ++writer->events;
    return number;
}

static int add_alloc(struct ftli_record_writer *writer, const struct ftli_record_event *event, char *why,
                     size_t why_size)
{
    struct ftli_record_sums *sums = &writer->sums;
    struct ftli_record_block block;
    uint32_t thread = thread_number(writer, event->thread);
    if (ftli_record_live_remove(&writer->live, event->address, &block)) {
        sums->implied_frees++;
        if (write_free(writer, thread, &block, why, why_size) != 0) {
            return -1;
        }
    }
    uint8_t most_align = (uint8_t)__builtin_ctzll(FTLI_TRACE_MAX_ALIGN);
    block = (struct ftli_record_block){.address = event->address,
                                       .id = sums->allocs,
                                       .bytes = event->bytes == 0 ? 1 : event->bytes,
                                       .align_log2 = event->align_log2 > most_align ? most_align : event->align_log2};
    if (!ftli_record_live_add(&writer->live, &block)) {
        return fault(why, why_size, "out of memory with %zu allocations alive", writer->live.count);
    }
    sums->allocs++;
    sums->total_bytes += block.bytes;
    sums->live_count++;
    sums->live_bytes += block.bytes;
    sums->peak_count = sums->live_count > sums->peak_count ? sums->live_count : sums->peak_count;
    sums->peak_bytes = sums->live_bytes > sums->peak_bytes ? sums->live_bytes : sums->peak_bytes;
    return write_line(writer, thread, 'a', &block, why, why_size);
}

static int end_all(struct ftli_record_writer *writer, uint32_t thread, char *why, size_t why_size)
{
    struct ftli_record_block block;
    size_t from = 0;
    while (ftli_record_live_pop(&writer->live, &from, &block)) {
        writer->sums.implied_frees++;
        if (write_free(writer, thread, &block, why, why_size) != 0) {
            return -1;
        }
    }
    return 0;
}

int ftli_record_writer_add(struct ftli_record_writer *writer, const struct ftli_record_event *event, char *why,
                           size_t why_size)
{
    struct ftli_record_block block;
    if (event->kind == FTLI_RECORD_ALLOC && writer->first_ns == 0) {
        writer->first_ns = writer->last_ns = event->time_ns;
    }
    /* The clock is read before the ticket is drawn, so two threads' times may cross. */
    writer->last_ns = event->time_ns > writer->last_ns && writer->first_ns != 0 ? event->time_ns : writer->last_ns;
    writer->sums.duration_ns = writer->last_ns - writer->first_ns;
    switch (event->kind) {
    case FTLI_RECORD_ALLOC:
        return add_alloc(writer, event, why, why_size);
    case FTLI_RECORD_FREE:
        if (!ftli_record_live_remove(&writer->live, event->address, &block)) {
            writer->sums.unknown_frees++;
            return 0;
        }
        return write_free(writer, thread_number(writer, event->thread), &block, why, why_size);
    default:
        return writer->live.count == 0 ? 0 : end_all(writer, thread_number(writer, event->thread), why, why_size);
    }
}

const struct ftli_record_sums *ftli_record_writer_sums(const struct ftli_record_writer *writer)
{
    return &writer->sums;
}

/* The finished trace is renamed to its path: where a device or a pipe is, that would put a file in its place. */
static bool is_taken(const char *path)
{
    struct stat there;
    return stat(path, &there) == 0 && !S_ISREG(there.st_mode);
}

struct ftli_record_writer *ftli_record_writer_open(const char *path, char *why, size_t why_size)
{
    struct ftli_record_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) {
        fault(why, why_size, "out of memory");
        return NULL;
    }
    writer->descriptor = -1;
    writer->sums.file_bytes = HEADER_BYTES;
    writer->stream = ZSTD_createCCtx();
    writer->path = strdup(path);
    if (writer->stream == NULL || writer->path == NULL || asprintf(&writer->part, "%s.part", path) < 0) {
        writer->part = NULL;
        fault(why, why_size, "out of memory");
        ftli_record_writer_close(writer);
        return NULL;
    }
    ZSTD_CCtx_setParameter(writer->stream, ZSTD_c_compressionLevel, LEVEL);
    if (is_taken(path)) {
        fault(why, why_size, "%s: there is no file, but something else", path);
        ftli_record_writer_close(writer);
        return NULL;
    }
    writer->descriptor = open(writer->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (writer->descriptor < 0) {
        fault(why, why_size, "%s: %s", path, strerror(errno));
        ftli_record_writer_close(writer);
        return NULL;
    }
    return writer;
}

/* "# key: value", in one line that the reader of traces takes. */
static size_t header_line(char *text, size_t size, size_t length, const char *key, const char *value)
{
    enum { LONGEST_VALUE = 240 };
    int added = snprintf(text + length, size - length, "# %s: %.*s\n", key, LONGEST_VALUE, value);
    for (char *at = text + length; added > 0 && at < text + length + added - 1; at++) {
        if ((unsigned char)*at < ' ') {
            *at = ' ';
        }
    }
    return length + (size_t)added;
}

static int write_header(struct ftli_record_writer *writer, const struct ftli_record_about *about, char *why,
                        size_t why_size)
{
    char text[2048];
    unsigned char head[HEADER_BYTES] = {0};
    size_t length = (size_t)snprintf(text, sizeof text, "# tensor-trace 1\n");
    length = header_line(text, sizeof text, length, "name", about->name);
    length = header_line(text, sizeof text, length, "workload", about->workload);
    length = header_line(text, sizeof text, length, "program", about->program);
    length = header_line(text, sizeof text, length, "recorded", about->recorded);
    length += (size_t)snprintf(text + length, sizeof text - length,
                               "# threads: %" PRIu32 "\n# allocs: %" PRIu64 "\n# frees: %" PRIu64
                               "\n# columns: t_ns,thread,op,id,bytes,align\n",
                               writer->numbers, writer->sums.allocs, writer->sums.frees);
    size_t packed = ZSTD_compress(head, sizeof head - 8, text, length, LEVEL);
    if (ZSTD_isError(packed)) {
        return fault(why, why_size, "zstd: %s", ZSTD_getErrorName(packed));
    }
    uint32_t left = (uint32_t)(sizeof head - packed - 8);
    for (unsigned i = 0; i < 4; i++) { /* little-endian, as all of zstd */
        head[packed + i] = (unsigned char)(SKIPPABLE_MAGIC >> 8 * i);
        head[packed + 4 + i] = (unsigned char)(left >> 8 * i);
    }
    return write_all(writer, head, sizeof head, 0, why, why_size);
}

int ftli_record_writer_finish(struct ftli_record_writer *writer, const struct ftli_record_about *about, char *why,
                              size_t why_size)
{
    if (writer->sums.allocs == 0) {
        return fault(why, why_size, "no allocation was recorded");
    }
    if (compress(writer, ZSTD_e_end, why, why_size) != 0 || write_header(writer, about, why, why_size) != 0) {
        return -1;
    }
    int closed = close(writer->descriptor);
    writer->descriptor = -1;
    if (closed != 0 || rename(writer->part, writer->path) != 0) {
        int result = fault(why, why_size, "%s: %s", writer->path, strerror(errno));
        unlink(writer->part);
        return result;
    }
    return 0;
}

void ftli_record_writer_close(struct ftli_record_writer *writer)
{
    if (writer->descriptor >= 0 && writer->part != NULL) {
        close(writer->descriptor);
        unlink(writer->part);
    }
    ZSTD_freeCCtx(writer->stream);
    ftli_record_live_fini(&writer->live);
    free(writer->path);
    free(writer->part);
    free(writer);
}
