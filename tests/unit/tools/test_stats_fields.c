#include "tools/stats_fields.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const ftl_stats sample = {
    .created = 100,
    .live = 20,
    .pending = 3,
    .reclaimed = 76,
    .quarantined = 1,
    .immediate = 60,
    .deferred = 20,
    .live_bytes = 700000,
    .pending_bytes = 40000,
    .quarantined_bytes = 100,
    .cached_bytes = 90000,
    .slack_bytes = 9900,
    .metadata_bytes = 160000,
    .committed_bytes = 1000000,
    .fragmentation = 0.05,
    .efficiency = 0.916,
    .pressure = 2,
    .degraded = 5,
    .generation_wraps = UINT64_MAX,
};

static const struct ftli_stats_operator *sight(void)
{
    static struct ftli_stats_operator s = {.is_there = true, .lane_count = 2, .actor_count = 2};
    for (unsigned i = 0; i < FTLI_SUPERVISION_FIELDS; i++) {
        s.supervision[i] = 100 + i;
    }
    for (unsigned k = 0; k < 2; k++) {
        strcpy(s.lanes[k].name, k == 0 ? "emergency" : "high");
        strcpy(s.actors[k].name, k == 0 ? "cleanup" : "requests");
        strcpy(s.actors[k].state, k == 0 ? "idle" : "down");
        for (unsigned i = 0; i < FTLI_LANE_FIELDS; i++) {
            s.lanes[k].fields[i] = 1000 * k + i;
        }
        for (unsigned i = 0; i < FTLI_ACTOR_FIELDS; i++) {
            s.actors[k].fields[i] = 1000 * k + i;
        }
    }
    return &s;
}

static char *text_of(void (*write)(FILE *))
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    write(out);
    fclose(out);
    return text;
}

static void as_json(FILE *out)
{
    struct ftli_json json;
    ftli_json_begin(&json, out);
    ftli_json_text(&json, "runtime", "server");
    ftli_json_count(&json, "time_ns", 12345);
    ftli_json_text(&json, "something_newer", "whatever \"it\" is");
    ftli_json_list(&json, "nested");
    ftli_json_object(&json, NULL);
    ftli_json_count(&json, "live", 7); /* another's */
    ftli_json_close_object(&json);
    ftli_json_close_list(&json);
    ftli_stats_write(&json, &sample);
    ftli_stats_operator_write(&json, sight());
    ftli_json_end(&json);
}

Test(stats_fields, what_is_written_is_read)
{
    struct ftli_stats_message message;
    char why[128], *text = text_of(as_json);
    cr_assert(ftli_stats_read(text, &message, why, sizeof why), "%s", why);
    cr_assert_eq(memcmp(&message.stats, &sample, sizeof sample), 0);
    cr_assert_str_eq(message.runtime, "server");
    cr_assert_eq(message.time_ns, 12345);
    cr_assert_eq(memcmp(&message.sight, sight(), sizeof message.sight), 0);
    free(text);
}

/* Cut anywhere, or with any byte changed: refused or read, never past the end. */
Test(stats_fields, damaged_text)
{
    struct ftli_stats_message message;
    char why[128], *text = text_of(as_json);
    size_t length = strlen(text);
    uint64_t state = 5;
    for (size_t keep = 0; keep + 2 < length; keep++) {
        char *cut = strndup(text, keep);
        cr_assert_not(ftli_stats_read(cut, &message, why, sizeof why), "%zu of %zu bytes were taken", keep, length);
        cr_assert_neq(why[0], '\0');
        free(cut);
    }
    for (int round = 0; round < 20000; round++) {
        char *other = strdup(text);
        for (int i = 0; i < 3; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            other[(state >> 33) % length] = "{}[]\",:\\0-9eE.u\n\xff"[(state >> 20) % 18];
        }
        (void)ftli_stats_read(other, &message, why, sizeof why);
        free(other);
    }
    free(text);
}

Test(stats_fields, refused_texts)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "byte 0"},
        {"[]", "byte 0"},
        {"{} x", "byte 3"},
        {"{\"a\": 1,}", "byte 8"},
        {"{\"a\" 1}", "byte 5"},
        {"{\"a\": 01}", "byte 7"},
        {"{\"a\": 1.}", "byte 8"},
        {"{\"a\": 1e}", "byte 8"},
        {"{\"a\": \"\\x\"}", "byte"},
        {"{\"a\": \"\\u12g4\"}", "byte"},
        {"{\"a\": tru}", "byte"},
        {"{\"a\": [[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]}", "byte"},
        {"{\"live\": \"many\"}", "live: \"many\" is no count"},
        {"{\"actors\": [{\"name\": \"x\"}, {\"restarts\": \"many\"}]}", "actors.1.restarts: \"many\" is no count"},
        {"{\"lanes\": [{\"completed\": -1}]}", "lanes.0.completed: \"-1\" is no count"},
        {"{\"live\": -1}", "live: \"-1\" is no count"},
        {"{\"live\": 1.5}", "is no count"},
        {"{\"live\": 99999999999999999999}", "is no count"},
        {"{\"pressure\": 4294967296}", "is no count"},
        {"{\"time_ns\": \"now\"}", "byte"},
        {"{}", "created is missing"},
        {"{\"created\": 1}", "live is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ftli_stats_message message = {.time_ns = 77};
        char why[128] = "";
        cr_assert_not(ftli_stats_read(cases[i].text, &message, why, sizeof why), "%s", cases[i].text);
        cr_assert_not_null(strstr(why, cases[i].words), "%s: %s", cases[i].text, why);
        cr_assert_eq(message.time_ns, 77, "the out parameter was touched");
    }
}

Test(stats_fields, sums)
{
    ftl_stats stats = sample;
    cr_assert(ftli_stats_tensors_exact(&stats));
    cr_assert(ftli_stats_bytes_exact(&stats));
    cr_assert(ftli_stats_reclaimed_exact(&stats));
    stats.live++;
    cr_assert_not(ftli_stats_tensors_exact(&stats));
    stats.slack_bytes--;
    cr_assert_not(ftli_stats_bytes_exact(&stats));
    stats.immediate--;
    cr_assert_not(ftli_stats_reclaimed_exact(&stats));
}

static ftl_stats printed;

static void as_tensors(FILE *out)
{
    ftli_stats_print_tensors(&printed, out);
}

static void as_bytes(FILE *out)
{
    ftli_stats_print_bytes(&printed, out);
}

Test(stats_fields, lines)
{
    printed = sample;
    printed.created = 1000080;
    char *text = text_of(as_tensors);
    cr_assert_str_eq(text, "created 1,000,080 = live 20 + pending 3 + reclaimed 76 + quarantined 1");
    free(text);
    text = text_of(as_bytes);
    cr_assert_str_eq(text,
                     "committed 977 = live 684 + pending 39 + quarantined 0 + cached 88 + slack 10 + metadata 156 KiB");
    free(text);
}

/* Whatever the terms are, those that are printed add up to the sum that is printed, and none is off by a unit. */
Test(stats_fields, what_is_printed_adds_up)
{
    uint64_t state = 1;
    for (int round = 0; round < 2000; round++) {
        uint64_t *terms[] = {&printed.live_bytes,   &printed.pending_bytes, &printed.quarantined_bytes,
                             &printed.cached_bytes, &printed.slack_bytes,   &printed.metadata_bytes};
        uint64_t shown[7];
        printed = (ftl_stats){0};
        for (int i = 0; i < 6; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            *terms[i] = (state >> 30) >> (state % 30);
            printed.committed_bytes += *terms[i];
        }
        char *text = text_of(as_bytes), *to = text;
        for (char *from = text; *from != '\0'; from++) {
            if (*from != ',') {
                *to++ = *from;
            }
        }
        *to = '\0';
        cr_assert_eq(
            sscanf(text,
                   "committed %lu = live %lu + pending %lu + quarantined %lu + cached %lu + slack %lu + metadata %lu",
                   &shown[0], &shown[1], &shown[2], &shown[3], &shown[4], &shown[5], &shown[6]),
            7, "%s", text);
        cr_assert_eq(shown[0], shown[1] + shown[2] + shown[3] + shown[4] + shown[5] + shown[6], "%s", text);
        double unit = strstr(text, "MiB") != NULL ? 1048576.0 : 1024.0;
        for (int i = 0; i < 6; i++) {
            double off = (double)shown[i + 1] - (double)*terms[i] / unit;
            cr_assert(off > -1.0 && off < 1.0, "%s", text);
        }
        free(text);
    }
}

/* More than there is room for, lists in lists, and names of any length: passed over. */
Test(stats_fields, what_is_beyond_is_passed_over)
{
    char *text = text_of(as_json), *many = NULL, why[128];
    size_t size = 0;
    struct ftli_stats_message message;
    FILE *out = open_memstream(&many, &size);
    fprintf(out, "%.*s,\"actors\":[", (int)strlen(text) - 2, text);
    for (unsigned i = 0; i < FTLI_STATS_ACTORS_MOST + 10; i++) {
        fprintf(out, "%s{\"name\":\"%0*u\",\"deep\":[[1,{\"x\":2}]],\"%0200u\":3}", i == 0 ? "" : ",", (int)(i % 60), i,
                i);
    }
    fprintf(out, "]}\n");
    fclose(out);
    cr_assert(ftli_stats_read(many, &message, why, sizeof why), "%s", why);
    cr_assert_eq(message.sight.actor_count, FTLI_STATS_ACTORS_MOST);
    cr_assert_str_eq(message.sight.actors[59].name, "0000000000000000000000000000000");
    free(many);
    free(text);
}

Test(stats_fields, a_table_of_actors)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ftli_stats_operator_print_lanes(sight(), out);
    ftli_stats_operator_print(sight(), out);
    fclose(out);
    cr_assert_str_eq(text, "          high       1,000 drops   p50 1.0 us   p99 1.0 us   worst 1.0 us\n"
                           "recovery  retries 100   quarantines 101   given up 102   breakers opened 103, open 104\n"
                           "overdue   receives 105   drops 106   scopes 107   lane alarms 108\n\n"
                           "ACTOR            STATE         EMERG     HIGH   NORMAL   BACKGR     OLDEST     MESSAGES "
                           "FAILURES OVERDUE ALARMS RESTARTS\n"
                           "cleanup          idle              7        8        9       10      11 ns            5    "
                           "    2       3      4        1\n"
                           "requests         down          1,007    1,008    1,009    1,010     1.0 us        1,005    "
                           "1,002   1,003  1,004    1,001  degraded\n");
    free(text);
    struct ftli_stats_operator none = {.is_there = false};
    out = open_memstream(&text, &size);
    ftli_stats_operator_print_lanes(&none, out);
    ftli_stats_operator_print(&none, out);
    fclose(out);
    cr_assert_str_eq(text, "");
    free(text);
}
