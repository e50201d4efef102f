/* Makes a trace out of a recorder's events: pairs allocations with frees, numbers ids and threads, writes the file.
 *
 * What     The format that tools/trace.h reads. The header stands first in the file and its counts are known last: the first
 *          4 KiB are left out, and filled at the end with the header's own zstd frame and a skippable one, so nothing is
 *          written twice.
 * Owns     The file PATH.part, which becomes PATH at the end, and the table of what is live: memory grows with the number
 *          of allocations alive, and with nothing else.
 * Threads  One.
 * Invariants
 *          - what it writes is a trace that loads, whatever events come: a free of an unknown address is left out, an
 *            allocation where one is alive ends that one first, times never go back;
 *          - at most 256 thread numbers: the one unheard of longest is given to the next thread after that. In a replay the
 *            two are one thread; the order of the file stays what it was.
 */
#ifndef FTLI_TOOLS_RECORD_WRITE_H
#define FTLI_TOOLS_RECORD_WRITE_H

#include "tools/recorder/shared.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ftli_record_writer;

struct ftli_record_sums {
    uint64_t allocs, frees;
    uint64_t live_count, live_bytes; /* now */
    uint64_t peak_count, peak_bytes;
    uint64_t total_bytes;
    uint64_t unknown_frees; /* of an address that no event had brought; left out */
    uint64_t implied_frees; /* of an address that was allocated again, or of a program that called exec; written */
    uint64_t threads;       /* that did something */
    uint64_t duration_ns;   /* from the first event to the last */
    uint64_t file_bytes;    /* so far, compressed */
};

/* What stands in the header. Line breaks in them become spaces. */
struct ftli_record_about {
    const char *name, *workload, *program, *recorded;
};

/* NULL, with a line in why: the file cannot be made there. */
struct ftli_record_writer *ftli_record_writer_open(const char *path, char *why, size_t why_size);

/* 0, or -1 with a line in why: the disk is full, or memory. Nothing more is taken then. */
int ftli_record_writer_add(struct ftli_record_writer *writer, const struct ftli_record_event *event, char *why,
                           size_t why_size);

const struct ftli_record_sums *ftli_record_writer_sums(const struct ftli_record_writer *writer);

/* Completes the file and gives it its name. The writer lives on, for its sums. A trace without any event is none. */
int ftli_record_writer_finish(struct ftli_record_writer *writer, const struct ftli_record_about *about, char *why,
                              size_t why_size);

/* Without finish before it: no file is left. */
void ftli_record_writer_close(struct ftli_record_writer *writer);

#endif
