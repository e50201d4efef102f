/* Writes a text through zstd into a file of the test's own, for those who read traces. */
#ifndef FTLI_TESTS_UNIT_TOOLS_TRACE_FILE_H
#define FTLI_TESTS_UNIT_TOOLS_TRACE_FILE_H

#include <criterion/criterion.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

struct trace_file {
    char path[64];
    char *text;
    size_t length, room;
};

__attribute__((format(printf, 2, 3), unused)) static void trace_file_add(struct trace_file *file, const char *format,
                                                                         ...)
{
    va_list arguments;
    char line[8192];
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    cr_assert(length >= 0 && (size_t)length < sizeof line);
    if (file->length + (size_t)length + 1 > file->room) {
        file->room = (file->room + (size_t)length + 1) * 2;
        file->text = realloc(file->text, file->room);
        cr_assert_not_null(file->text);
    }
    memcpy(file->text + file->length, line, (size_t)length + 1);
    file->length += (size_t)length;
}

__attribute__((unused)) static void trace_file_header(struct trace_file *file, unsigned threads, unsigned allocs,
                                                      unsigned frees)
{
    trace_file_add(file,
                   "# tensor-trace 1\n# name: made\n# workload: of a test\n# program: none\n# recorded: nothing\n"
                   "# threads: %u\n# allocs: %u\n# frees: %u\n# columns: t_ns,thread,op,id,bytes,align\n",
                   threads, allocs, frees);
}

/* Bytes as they are, into a new file. */
__attribute__((unused)) static void trace_file_write_raw(struct trace_file *file, const void *bytes, size_t count)
{
    snprintf(file->path, sizeof file->path, "/tmp/fettle-trace-XXXXXX");
    int descriptor = mkstemp(file->path);
    cr_assert(descriptor >= 0);
    cr_assert_eq(write(descriptor, bytes, count), (ssize_t)count);
    close(descriptor);
}

/* The text so far, compressed; `keep` of its compressed bytes (all: SIZE_MAX). Returns how many bytes there were. */
__attribute__((unused)) static size_t trace_file_write(struct trace_file *file, size_t keep)
{
    size_t room = ZSTD_compressBound(file->length);
    char *packed = malloc(room);
    cr_assert_not_null(packed);
    size_t count = ZSTD_compress(packed, room, file->text == NULL ? "" : file->text, file->length, 3);
    cr_assert_not(ZSTD_isError(count));
    trace_file_write_raw(file, packed, count < keep ? count : keep);
    free(packed);
    return count;
}

__attribute__((unused)) static void trace_file_remove(struct trace_file *file)
{
    unlink(file->path);
    free(file->text);
    *file = (struct trace_file){0};
}

#endif
