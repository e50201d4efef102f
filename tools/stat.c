/* fettle stat: prints what a running process publishes about itself. */
#include "tools/command.h"
#include "tools/json.h"
#include "tools/measure.h"
#include "tools/remote.h"
#include "tools/stats_fields.h"
#include "tools/text.h"

#include "runtime/bridge/subscriber.h"

#include <stdlib.h>
#include <string.h>

enum { COUNT, TIMEOUT, JSON };

static const struct ftli_option options[] = {
    [COUNT] = {"--count", "N", "ends after N samples; 1 by default", NULL},
    [TIMEOUT] = {"--timeout", "TIME", "longest wait for each; 5s by default", NULL},
    [JSON] = {"--json", NULL, "prints each as JSON, with the same names", NULL},
    {NULL, NULL, NULL, NULL},
};

static const char *pressure_name(uint32_t pressure)
{
    static const char *const names[] = {"none", "low", "medium", "high", "critical"};
    return pressure < sizeof names / sizeof *names ? names[pressure] : "unknown";
}

/* A sample is taken while others work: a sum that is off by what moved meanwhile says so, and is no fault. */
static const char *exact(bool is)
{
    return is ? "exact" : "in motion";
}

static void print_text(const struct ftli_stats_message *message, uint64_t lost)
{
    const ftl_stats *stats = &message->stats;
    struct ftli_paint paint = ftli_text_paint(stdout);
    printf("%s   pressure %s", message->runtime[0] == '\0' ? "runtime" : message->runtime,
           pressure_name(stats->pressure));
    if (stats->limit_bytes != 0) {
        printf(" %s of %s", ftli_text_percent((double)stats->committed_bytes / (double)stats->limit_bytes).text,
               ftli_text_bytes(stats->limit_bytes).text);
    }
    if (lost > 0) {
        printf("   %s%s samples lost before this one%s", paint.dim, ftli_text_count(lost).text, paint.plain);
    }
    printf("\ntensors   ");
    ftli_stats_print_tensors(stats, stdout);
    printf("   %s\n          at once %s + by message %s   oldest pending %s\n", exact(ftli_stats_tensors_exact(stats)),
           ftli_text_count(stats->immediate).text, ftli_text_count(stats->deferred).text,
           ftli_text_time(stats->oldest_pending_ns).text);
    printf("bytes     ");
    ftli_stats_print_bytes(stats, stdout);
    printf("   %s\n          efficiency %s   fragmentation %s   peak live %s\n", exact(ftli_stats_bytes_exact(stats)),
           ftli_text_percent(stats->efficiency).text, ftli_text_percent(stats->fragmentation).text,
           ftli_text_bytes(stats->peak_live_bytes).text);
    printf("reclaimed p50 %s   p99 %s   worst %s\n", ftli_text_time(stats->reclaim_p50_ns).text,
           ftli_text_time(stats->reclaim_p99_ns).text, ftli_text_time(stats->reclaim_max_ns).text);
    ftli_stats_operator_print_lanes(&message->sight, stdout);
    printf("tracking  time %s   memory %s   events lost %s\n", ftli_text_percent(stats->tracking_time_overhead).text,
           ftli_text_percent(stats->tracking_memory_overhead).text, ftli_text_count(stats->events_lost).text);
    bool trouble = stats->audits_failed != 0 || stats->degraded != 0 || stats->leak_suspects != 0;
    printf("%shealth    audits failed %s   leak suspects %s   stale handles %s   restarts %s%s%s\n",
           trouble ? paint.red : "", ftli_text_count(stats->audits_failed).text,
           ftli_text_count(stats->leak_suspects).text, ftli_text_count(stats->stale_handles).text,
           ftli_text_count(stats->restarts).text, stats->degraded != 0 ? "   degraded" : "",
           trouble ? paint.plain : "");
    ftli_stats_operator_print(&message->sight, stdout);
}

static void print_json(const struct ftli_stats_message *message, const struct ftli_subscribed *got)
{
    struct ftli_json json;
    ftli_json_begin(&json, stdout);
    ftli_json_text(&json, "runtime", message->runtime);
    ftli_json_count(&json, "time_ns", message->time_ns);
    ftli_json_count(&json, "sequence", got->sequence);
    ftli_json_count(&json, "samples_lost", got->lost);
    ftli_stats_write(&json, &message->stats);
    ftli_stats_operator_write(&json, &message->sight);
    ftli_json_end(&json);
}

/* The next sample that can be read, in spite of others that cannot, until the time is over: rubbish does not extend it. */
static int next_sample(struct ftli_subscriber *subscriber, const char *endpoint, uint64_t timeout_ns,
                       struct ftli_subscribed *got, struct ftli_stats_message *message)
{
    char why[256], refused[256] = "";
    uint64_t now_ns = ftli_measure_now_ns(), deadline_ns = now_ns + timeout_ns;
    do {
        int status = ftli_subscriber_receive(subscriber, deadline_ns - now_ns, got, why, sizeof why);
        if (status == FTL_OK && strlen(got->body) != got->body_bytes) {
            snprintf(refused, sizeof refused, "a zero byte in the middle");
        } else if (status == FTL_OK && ftli_stats_read(got->body, message, refused, sizeof refused)) {
            return FTLI_EXIT_GOOD;
        } else if (status == FTL_EINVAL || status == FTL_ENOTSUP) {
            memcpy(refused, why, sizeof refused);
        } else if (status != FTL_OK) {
            break;
        }
        now_ns = ftli_measure_now_ns();
    } while (now_ns < deadline_ns);
    if (refused[0] != '\0') {
        fprintf(stderr, "fettle stat: %s: nothing that can be read within %s; the last was refused: %s\n", endpoint,
                ftli_text_time(timeout_ns).text, refused);
    } else {
        fprintf(stderr, "fettle stat: %s: nothing was heard within %s; actors.telemetry.publish says who publishes\n",
                endpoint, ftli_text_time(timeout_ns).text);
    }
    return FTLI_EXIT_NOBODY;
}

/* What it would publish now, by its control socket. */
static int ask_once(const struct ftli_arguments *arguments)
{
    struct ftli_remote *remote;
    struct ftli_stats_message message;
    char *text, why[256];
    size_t bytes;
    if (arguments->values[COUNT] != NULL || arguments->values[TIMEOUT] != NULL) {
        return ftli_command_refuse(&ftli_command_stat,
                                   "--count and --timeout are for what is published: give an ENDPOINT");
    }
    int result = ftli_remote_open(&ftli_command_stat, arguments->word, &remote);
    if (result >= 0) {
        return result;
    }
    result = ftli_remote_text(remote, "stats json", &text, &bytes);
    if (result < 0) {
        result = FTLI_EXIT_GOOD;
        if (!ftli_stats_read(text, &message, why, sizeof why)) {
            (void)ftli_command_refuse(&ftli_command_stat, "%s: %s", ftli_remote_title(remote), why);
            result = FTLI_EXIT_NOBODY;
        } else if (arguments->values[JSON] != NULL) {
            print_json(&message, &(struct ftli_subscribed){0});
        } else {
            print_text(&message, 0);
        }
        free(text);
    }
    ftli_remote_close(remote);
    return result;
}

static int run(const struct ftli_arguments *arguments)
{
    if (arguments->word == NULL || strstr(arguments->word, "://") == NULL) {
        return ask_once(arguments);
    }
    uint64_t count = 1, timeout_ns = UINT64_C(5000000000);
    int result = -1;
    char why[256];
    struct ftli_subscriber *subscriber = NULL;
    if (arguments->values[COUNT] != NULL) {
        result = ftli_command_count(&ftli_command_stat, "--count", arguments->values[COUNT], 1, UINT32_MAX, &count);
    }
    if (result < 0 && arguments->values[TIMEOUT] != NULL) {
        result = ftli_command_time(&ftli_command_stat, "--timeout", arguments->values[TIMEOUT], &timeout_ns);
    }
    if (result >= 0) {
        return result;
    }
    int status = ftli_subscriber_open(arguments->word, "stats", &subscriber, why, sizeof why);
    if (status != FTL_OK) {
        ftli_command_refuse(&ftli_command_stat, "%s", why);
        return status == FTL_EINVAL || status == FTL_ENOTSUP ? FTLI_EXIT_USAGE : FTLI_EXIT_NOBODY;
    }
    result = FTLI_EXIT_GOOD;
    for (uint64_t i = 0; i < count && result == FTLI_EXIT_GOOD; i++) {
        struct ftli_subscribed got;
        struct ftli_stats_message message;
        result = next_sample(subscriber, arguments->word, timeout_ns, &got, &message);
        if (result == FTLI_EXIT_GOOD && arguments->values[JSON] != NULL) {
            print_json(&message, &got);
        } else if (result == FTLI_EXIT_GOOD) {
            fputs(i == 0 ? "" : "\n", stdout);
            print_text(&message, got.lost);
        }
        fflush(stdout);
    }
    ftli_subscriber_close(subscriber);
    return result;
}

const struct ftli_command ftli_command_stat = {
    .name = "stat",
    .word = "PID|ENDPOINT",
    .word_optional = true,
    .summary = "prints the counters of a running process",
    .text =
        "Prints the counters of a running process. PID: asked once, by its control socket (PID-NUMBER, a runtime's "
        "name, the\n"
        "path of the socket, or nothing: the one that there is). ENDPOINT: what is published, as its topology says\n"
        "under actors.telemetry.publish: ipc:// and the path of a socket. Exits 3 when nobody answers.",
    .options = options,
    .run = run,
};
