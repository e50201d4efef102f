#include "runtime/bridge/publisher.h"
#include "tests/support/zeromq.h"
#include "tools/command.h"
#include "tools/stats_fields.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char directory[64], endpoint[160];

/* Publishes one text again and again, until it is told to stop. */
struct voice {
    struct ftli_publisher *publisher;
    const char *text;
    size_t bytes;
    atomic_bool stop;
    pthread_t thread;
};

static void *speak(void *user)
{
    struct voice *voice = user;
    while (!atomic_load(&voice->stop)) {
        ftli_publisher_send(voice->publisher, "stats", voice->text, voice->bytes);
        sched_yield();
    }
    return NULL;
}

static void begin(struct voice *voice, const char *text, size_t bytes)
{
    char why[256] = "";
    snprintf(directory, sizeof directory, "/tmp/fettle-stat-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    snprintf(endpoint, sizeof endpoint, "ipc://%s/socket", directory);
    *voice = (struct voice){.text = text, .bytes = bytes};
    cr_assert_eq(ftli_publisher_open(endpoint, &voice->publisher, why, sizeof why), FTL_OK, "%s", why);
    cr_assert_eq(pthread_create(&voice->thread, NULL, speak, voice), 0);
}

static void end(struct voice *voice)
{
    atomic_store(&voice->stop, true);
    pthread_join(voice->thread, NULL);
    ftli_publisher_close(voice->publisher);
    cr_assert_eq(rmdir(directory), 0);
}

static char *stats_text(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ftl_stats stats = {.created = 18204,
                       .live = 204,
                       .reclaimed = 18000,
                       .immediate = 17000,
                       .deferred = 1000,
                       .live_bytes = UINT64_C(700) << 20,
                       .cached_bytes = UINT64_C(50) << 20,
                       .committed_bytes = UINT64_C(750) << 20,
                       .limit_bytes = UINT64_C(1500) << 20,
                       .pressure = 1,
                       .efficiency = 0.916,
                       .fragmentation = 0.05,
                       .reclaim_p50_ns = 300,
                       .reclaim_max_ns = 12000000};
    struct ftli_json json;
    ftli_json_begin(&json, out);
    ftli_json_text(&json, "runtime", "server");
    ftli_json_count(&json, "time_ns", UINT64_C(11520000000000));
    ftli_stats_write(&json, &stats);
    ftli_json_end(&json);
    fclose(out);
    return text;
}

static int stat_with(const char *count, const char *timeout, bool json)
{
    struct ftli_arguments arguments;
    const char *words[6] = {endpoint, "--count", count, "--timeout", timeout, "--json"};
    cr_assert_eq(ftli_command_parse(&ftli_command_stat, json ? 6 : 5, (char **)words, &arguments), -1);
    return ftli_command_stat.run(&arguments);
}

Test(stat, a_sample_as_text, .init = cr_redirect_stdout)
{
    struct voice voice;
    char *text = stats_text();
    begin(&voice, text, strlen(text));
    cr_assert_eq(stat_with("1", "20s", false), FTLI_EXIT_GOOD);
    end(&voice);
    fflush(stdout);
    cr_assert_stdout_eq_str(
        "server   pressure low 50 % of 1.46 GiB\n"
        "tensors   created 18,204 = live 204 + pending 0 + reclaimed 18,000 + quarantined 0   exact\n"
        "          at once 17,000 + by message 1,000   oldest pending 0 ns\n"
        "bytes     committed 750 = live 700 + pending 0 + quarantined 0 + cached 50 + slack 0 + metadata 0 MiB   "
        "exact\n"
        "          efficiency 91.6 %   fragmentation 5 %   peak live 0 B\n"
        "reclaimed p50 300 ns   p99 0 ns   worst 12.0 ms\n"
        "tracking  time 0 %   memory 0 %   events lost 0\n"
        "health    audits failed 0   leak suspects 0   stale handles 0   restarts 0\n");
    free(text);
}

Test(stat, several_as_json, .init = cr_redirect_stdout)
{
    struct voice voice;
    char *text = stats_text();
    begin(&voice, text, strlen(text));
    cr_assert_eq(stat_with("3", "20s", true), FTLI_EXIT_GOOD);
    end(&voice);
    fflush(stdout);
    char got[16384];
    size_t length = fread(got, 1, sizeof got - 1, cr_get_redirected_stdout());
    got[length] = '\0';
    unsigned samples = 0;
    for (const char *at = got; (at = strstr(at, "\"runtime\": \"server\"")) != NULL; at++) {
        samples++;
    }
    cr_assert_eq(samples, 3, "%s", got);
    cr_assert_not_null(strstr(got, "\"reclaimed\": 18000"));
    cr_assert_not_null(strstr(got, "\"sequence\": "));
    free(text);
}

/* However much rubbish comes, the time limit holds and the last refusal is told. */
Test(stat, rubbish, .init = cr_redirect_stderr)
{
    struct voice voice;
    begin(&voice, "{\"created\": 1}", 14);
    cr_assert_eq(stat_with("1", "300ms", false), FTLI_EXIT_NOBODY);
    end(&voice);
    begin(&voice, "{\0}", 3);
    cr_assert_eq(stat_with("1", "300ms", false), FTLI_EXIT_NOBODY);
    end(&voice);
    fflush(stderr);
    char got[1024];
    size_t length = fread(got, 1, sizeof got - 1, cr_get_redirected_stderr());
    got[length] = '\0';
    cr_assert_not_null(strstr(got, "nothing that can be read within 300 ms; the last was refused: live is missing"),
                       "%s", got);
    cr_assert_not_null(strstr(got, "a zero byte in the middle"), "%s", got);
}
