/* fettle leaks: what a running process has leaked, where, why, and what to do. */
#include "tools/command.h"
#include "tools/json.h"
#include "tools/leaks_read.h"
#include "tools/remote.h"
#include "tools/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SINCE, SAVE, EXPECT, JSON, REACH, YES };
enum { SNAPSHOT_MOST = 256 * 1024 * 1024 };

static const struct ftli_option options[] = {
    [SINCE] = {"--since", "FILE", "only what is more than in a snapshot that --save has written", NULL},
    [SAVE] = {"--save", "FILE", "writes what is found now, all of it, for --since", NULL},
    [EXPECT] = {"--expect", "SITE,..", "these sites are meant so: not shown, and no reason to exit 1", NULL},
    [JSON] = {"--json", NULL, "prints the findings as JSON", NULL},
    [REACH] = {"--reach", NULL,
               "also looks for tensors of whose handle no copy is in the process's memory: stops it a moment", NULL},
    [YES] = {"--yes", NULL, "with --reach: does not ask first", NULL},
    {NULL, NULL, NULL, NULL},
};

static int print(const char *text, size_t n, void *user)
{
    return fwrite(text, 1, n, user) == n ? 0 : -1;
}

/* The whole file, to be freed; NULL after a message. */
static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t bytes = 0, room = 0;
    bool good = file != NULL;
    while (good) {
        if (room - bytes < 65536) {
            room = 2 * room + 65537;
            char *more = room > SNAPSHOT_MOST ? NULL : realloc(text, room);
            if (more == NULL) {
                errno = ENOMEM;
                good = false;
                break;
            }
            text = more;
        }
        size_t got = fread(text + bytes, 1, room - bytes - 1, file);
        bytes += got;
        if (got == 0) {
            good = ferror(file) == 0;
            break;
        }
    }
    if (!good) {
        (void)ftli_command_refuse(&ftli_command_leaks, "%s: %s", path, strerror(errno));
        free(text);
        text = NULL;
    } else {
        text[bytes] = '\0';
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return text;
}

static int write_file(const char *path, const char *text, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    bool good = file != NULL && fwrite(text, 1, bytes, file) == bytes;
    good = (file == NULL || fclose(file) == 0) && good;
    return good ? -1 : ftli_command_refuse(&ftli_command_leaks, "%s: %s", path, strerror(errno));
}

static int subtract(struct ftli_leaks *leaks, const char *path)
{
    char why[128];
    struct ftli_leaks before = {0};
    char *text = read_file(path);
    if (text == NULL) {
        return FTLI_EXIT_USAGE;
    }
    int result = -1;
    if (ftli_leaks_read(text, &before, why, sizeof why)) {
        ftli_leaks_subtract(leaks, &before);
    } else {
        result = ftli_command_refuse(&ftli_command_leaks, "%s: %s", path, why);
    }
    ftli_leaks_free(&before);
    free(text);
    return result;
}

static void print_caches(const struct ftli_leaks *leaks)
{
    for (size_t i = 0; i < leaks->cache_count; i++) {
        const struct ftli_leaks_cache *cache = &leaks->caches[i];
        char bytes[24], age[24];
        ftli_leak_text_bytes(cache->bytes, bytes);
        ftli_leak_text_time(cache->age_ns, age);
        printf("%s (%s, %s tensor%s, %s old) %s in a cache scope: not counted\n",
               cache->label[0] != '\0' ? cache->label : "without a label", bytes, ftli_text_count(cache->tensors).text,
               cache->tensors == 1 ? "" : "s", age, cache->tensors == 1 ? "is" : "are");
    }
}

static int print_text(const struct ftli_leaks *leaks, const struct ftli_arguments *arguments, size_t quiet)
{
    char watched[24], elapsed[24];
    const char *since = arguments->values[SINCE] != NULL ? " more than in the snapshot" : "";
    ftli_leak_text_time(leaks->watched_ns, watched);
    if (leaks->elapsed_ns < 1000000) {
        snprintf(elapsed, sizeof elapsed, "under 1 ms");
    } else {
        ftli_leak_text_time(leaks->elapsed_ns, elapsed);
    }
    if (leaks->row_count == 0) {
        printf("%s %llu: no leak%s among %s tensors; watched for %s", leaks->runtime,
               (unsigned long long)leaks->process, since, ftli_text_count(leaks->scanned).text, watched);
    } else {
        printf("%s %llu: %s finding%s%s over %s tensors, looked at in %s%s", leaks->runtime,
               (unsigned long long)leaks->process, ftli_text_count(leaks->row_count).text,
               leaks->row_count == 1 ? "" : "s", since, ftli_text_count(leaks->scanned).text, elapsed,
               arguments->values[REACH] != NULL ? "" : " without stopping anything");
    }
    printf(quiet == 0 ? "\n" : "; %zu expected\n", quiet);
    struct ftli_leak_line *lines = calloc(leaks->row_count + 1, sizeof *lines);
    if (lines == NULL) {
        return ftli_command_refuse(&ftli_command_leaks, "out of memory");
    }
    for (size_t i = 0; i < leaks->row_count; i++) {
        const struct ftli_leaks_row *row = &leaks->rows[i];
        lines[i] = (struct ftli_leak_line){&row->leak, row->reason, row->fix, row->stack};
    }
    fputs(leaks->row_count == 0 ? "" : "\n", stdout);
    ftli_leak_text(lines, leaks->row_count, true, print, stdout);
    free(lines);
    fputs(leaks->cache_count != 0 && leaks->row_count != 0 ? "\n" : "", stdout);
    print_caches(leaks);
    return -1;
}

static void print_finding(struct ftli_json *json, const struct ftli_leaks_row *row)
{
    char tensor[24];
    snprintf(tensor, sizeof tensor, "0x%016llx", (unsigned long long)row->leak.tensor.id);
    ftli_json_object(json, NULL);
    ftli_json_text(json, "cause", ftli_leak_cause(row->leak.cause));
    ftli_json_count(json, "certainty", row->leak.certainty);
    ftli_json_count(json, "count", row->leak.count);
    ftli_json_count(json, "bytes", row->leak.bytes);
    ftli_json_count(json, "age_ns", row->leak.age_ns);
    ftli_json_number(json, "growth_bytes_per_second", row->leak.growth_bytes_per_second);
    ftli_json_text(json, "tensor", tensor);
    ftli_json_count(json, "tag", row->leak.tag);
    ftli_json_text(json, "label", row->leak.label);
    ftli_json_text(json, "scope", row->leak.scope);
    ftli_json_text(json, "site", row->leak.site);
    ftli_json_text(json, "reason", row->reason);
    ftli_json_text(json, "fix", row->fix);
    ftli_json_text(json, "stack", row->stack);
    ftli_json_close_object(json);
}

static void print_json(const struct ftli_leaks *leaks)
{
    struct ftli_json json;
    ftli_json_begin(&json, stdout);
    ftli_json_text(&json, "runtime", leaks->runtime);
    ftli_json_count(&json, "process", leaks->process);
    ftli_json_count(&json, "scanned", leaks->scanned);
    ftli_json_count(&json, "elapsed_ns", leaks->elapsed_ns);
    ftli_json_count(&json, "watched_ns", leaks->watched_ns);
    ftli_json_list(&json, "findings");
    for (size_t i = 0; i < leaks->row_count; i++) {
        print_finding(&json, &leaks->rows[i]);
    }
    ftli_json_close_list(&json);
    ftli_json_list(&json, "caches");
    for (size_t i = 0; i < leaks->cache_count; i++) {
        ftli_json_object(&json, NULL);
        ftli_json_text(&json, "label", leaks->caches[i].label);
        ftli_json_count(&json, "tensors", leaks->caches[i].tensors);
        ftli_json_count(&json, "bytes", leaks->caches[i].bytes);
        ftli_json_count(&json, "age_ns", leaks->caches[i].age_ns);
        ftli_json_close_object(&json);
    }
    ftli_json_close_list(&json);
    ftli_json_end(&json);
}

static int report(struct ftli_leaks *leaks, const struct ftli_arguments *arguments)
{
    size_t quiet = 0;
    int result = -1;
    if (arguments->values[SINCE] != NULL) {
        result = subtract(leaks, arguments->values[SINCE]);
    }
    if (result < 0 && arguments->values[EXPECT] != NULL) {
        quiet = ftli_leaks_quiet(leaks, arguments->values[EXPECT]);
    }
    if (result < 0 && arguments->values[JSON] != NULL) {
        print_json(leaks);
    } else if (result < 0) {
        result = print_text(leaks, arguments, quiet);
    }
    return result >= 0 ? result : leaks->row_count == 0 ? FTLI_EXIT_GOOD : FTLI_EXIT_FAULT;
}

/* What a snapshot will cost, said first. -1: go on; else an exit code. */
static int ask_first(struct ftli_remote *remote, const struct ftli_arguments *arguments)
{
    char *text, line[16] = "";
    size_t bytes;
    int result = ftli_remote_text(remote, "reach estimate", &text, &bytes);
    if (result >= 0) {
        return result;
    }
    text[strcspn(text, "\n")] = '\0';
    (void)fprintf(stderr, "%s: %s", ftli_remote_title(remote), text);
    free(text);
    if (arguments->values[YES] != NULL) {
        (void)fprintf(stderr, "\n");
        return -1;
    }
    (void)fprintf(stderr, "; go on? [y/N] ");
    if (fgets(line, sizeof line, stdin) != NULL && (line[0] == 'y' || line[0] == 'Y')) {
        return -1;
    }
    return ftli_command_refuse(&ftli_command_leaks, "not looked");
}

static int run(const struct ftli_arguments *arguments)
{
    struct ftli_remote *remote;
    struct ftli_leaks leaks = {0};
    char *text, why[128];
    size_t bytes;
    int result = ftli_remote_open(&ftli_command_leaks, arguments->word, &remote);
    if (result >= 0) {
        return result;
    }
    if (arguments->values[REACH] != NULL) {
        result = ask_first(remote, arguments);
    }
    if (result < 0) {
        result = ftli_remote_text(remote, arguments->values[REACH] != NULL ? "leaks reach json" : "leaks json", &text,
                                  &bytes);
    }
    if (result < 0) {
        if (!ftli_leaks_read(text, &leaks, why, sizeof why)) {
            (void)ftli_command_refuse(&ftli_command_leaks, "%s: the answer %s", ftli_remote_title(remote), why);
            result = FTLI_EXIT_NOBODY;
        }
        if (result < 0 && arguments->values[SAVE] != NULL) {
            result = write_file(arguments->values[SAVE], text, bytes);
        }
        if (result < 0) {
            result = report(&leaks, arguments);
        }
        ftli_leaks_free(&leaks);
        free(text);
    }
    ftli_remote_close(remote);
    return result;
}

const struct ftli_command ftli_command_leaks = {
    .name = "leaks",
    .word = "PID",
    .word_optional = true,
    .summary = "what a running process has leaked, and where",
    .text =
        "Looks at every tensor of a running process, which goes on meanwhile, and prints what ought to be gone: a row "
        "a\n"
        "site and cause, most bytes first, then why and what to do. PID is the process, PID-NUMBER one of several\n"
        "runtimes in it, or a runtime's name, or the path of its control socket; nothing: the one that there is.\n"
        "What is in a cache scope is no leak, and is named. Exits 1 with findings, 0 without, 3 when nobody answers.",
    .options = options,
    .run = run,
};
