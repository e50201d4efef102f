#include "tools/topology.h"

#include "actors/port/topology.h"

#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct ftli_topology *composed(const char *text)
{
    struct ftli_topology *topology = NULL;
    char error[512] = "";
    ftl_open_options options = {.text = text, .text_bytes = strlen(text)};
    cr_assert_eq(ftli_topology_load(&options, &topology, error, sizeof error), FTL_OK, "%s", error);
    return topology;
}

static char *printed(void (*print)(const struct ftli_topology *, FILE *), const struct ftli_topology *topology)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    print(topology, out);
    fclose(out);
    return text;
}

Test(topology, values_by_their_names)
{
    struct ftli_topology *topology = composed("fettle: 1\nactors:\n  cleanup: {batch: {messages: 64, age: 10ms}}\n"
                                              "  telemetry: none\n");
    cr_assert_str_eq(ftli_topology_value(topology, "cleanup", "batch.messages").text, "64");
    cr_assert_str_eq(ftli_topology_value(topology, "cleanup", "batch.age").text, "10 ms");
    cr_assert_str_eq(ftli_topology_value(topology, "cleanup", "at_once_above").text, "80 %");
    cr_assert_str_eq(ftli_topology_value(topology, "allocation", "thread_cache").text, "2 MiB");
    cr_assert_str_eq(ftli_topology_value(topology, "cleanup", "batch.mess").text, "");
    cr_assert_str_eq(ftli_topology_value(topology, "cleanup", "nothing").text, "");
    cr_assert_str_eq(ftli_topology_value(topology, "telemetry", "publish").text, "", "left out");
    cr_assert_eq(ftli_topology_thread_count(topology), 3);
    ftli_topology_free(topology);
}

Test(topology, spaced)
{
    cr_assert_str_eq(ftli_topology_spaced("10ms").text, "10 ms");
    cr_assert_str_eq(ftli_topology_spaced("80%").text, "80 %");
    cr_assert_str_eq(ftli_topology_spaced("auto").text, "auto");
    cr_assert_str_eq(ftli_topology_spaced("").text, "");
}

Test(topology, the_drawing)
{
    struct ftli_topology *topology =
        composed("fettle: 1\nthreads:\n  cleaners: {count: 2}\nactors:\n  cleanup: {threads: cleaners}\n"
                 "  allocation: {shards: 1}\n  tracking: {level: debug}\n"
                 "  leak_detection: {outlived: {scope: none, thread: 2s}}\n"
                 "  telemetry: {publish: \"ipc:///run/x\"}\n");
    char *text = printed(ftli_topology_draw, topology);
    cr_assert_not_null(strstr(text, "|  1 shard            |"), "%s", text);
    cr_assert_not_null(strstr(text, "cleaners x2"), "%s", text);
    cr_assert_not_null(strstr(text, "background x1, nice 10:   tracking (debug)"), "%s", text);
    cr_assert_not_null(strstr(text, "leak_detection (thread +2 s)"), "%s", text);
    cr_assert_not_null(strstr(text, "telemetry (publishes every 1 s)"), "%s", text);
    free(text);
    text = printed(ftli_topology_print_tail, topology);
    cr_assert_not_null(strstr(text, "yours only), ipc:///run/x"), "%s", text);
    free(text);
    text = printed(ftli_topology_draw_dot, topology);
    cr_assert_not_null(strstr(text, "subgraph \"cluster_cleaners\""), "%s", text);
    free(text);
    text = printed(ftli_topology_print_diff, topology);
    cr_assert_not_null(strstr(text, "actors.tracking.level"), "%s", text);
    free(text);
    ftli_topology_free(topology);
}

Test(topology, the_routes)
{
    struct ftli_topology *topology = composed("fettle: 1\nactors: {leak_detection: none}\nroutes:\n"
                                              "  - {when: pressure.medium, tell: cleanup, do: run}\n"
                                              "  - {when: pressure.high, tell: leak_detection, do: recheck}\n"
                                              "  - {when: cleanup.completed, tell: tracking, do: update}\n"
                                              "  - {when: tracking.down, tell: cleanup, do: run}\n");
    char *text = printed(ftli_topology_draw_routes, topology);
    cr_assert_str_eq(text,
                     "  routes   pressure.medium > cleanup run                  cleanup.completed > tracking update\n"
                     "           tracking.down > cleanup run\n");
    free(text);
    text = printed(ftli_topology_draw_dot, topology);
    cr_assert_not_null(strstr(text, "\"pressure \" -> \"cleanup\" [label=\"medium > run\", style=dashed];"), "%s",
                       text);
    cr_assert_not_null(strstr(text, "\"cleanup\" -> \"tracking\" [label=\"completed > update\", style=dashed];"), "%s",
                       text);
    cr_assert_null(strstr(text, "recheck"));
    free(text);
    ftli_topology_free(topology);
    topology = composed("fettle: 1\nroutes: none\n");
    text = printed(ftli_topology_draw_routes, topology);
    cr_assert_str_eq(text, "  routes   none\n");
    free(text);
    ftli_topology_free(topology);
}

/* The boxes stay boxes: all their lines end in the same columns. */
Test(topology, boxes_are_straight)
{
    struct ftli_topology *topology = composed("fettle: 1\nactors:\n  allocation: {shards: 64, thread_cache: 1023KiB}\n"
                                              "  cleanup: {batch: {messages: 65536, age: 12345ms}}\n");
    char *text = printed(ftli_topology_draw, topology);
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (strncmp(line, "  |", 3) == 0) {
            cr_assert(line[26] == '|' && line[45] == '|' && line[67] == '|', "%s", line);
        }
    }
    free(text);
    ftli_topology_free(topology);
}

static char *error_of(const char *path, const char *message)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ftli_topology_print_error(path, message, out);
    fclose(out);
    return text;
}

Test(topology, errors_show_the_line)
{
    char path[] = "/tmp/fettle-topology-XXXXXX", message[256], expected[512];
    int descriptor = mkstemp(path);
    FILE *file = fdopen(descriptor, "w");
    fputs("fettle: 1\n\tgr\xc3\xbc\xc3\x9f: 2\nlast", file);
    fclose(file);
    static const struct {
        const char *place, *shown;
    } cases[] = {
        {"1:9: x", "    1 | fettle: 1\n      |         ^\n"},
        {"2:2: x", "    2 |  gr\xc3\xbc\xc3\x9f: 2\n      |  ^\n"},
        {"2:6: x", "    2 |  gr\xc3\xbc\xc3\x9f: 2\n      |      ^\n"},
        {"3:1: x", "    3 | last\n      | ^\n"},
        {"4:1: x", ""},
        {"0:1: x", ""},
        {"1: x", ""},
        {" cannot be read", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(message, sizeof message, "%s:%s", path, cases[i].place);
        snprintf(expected, sizeof expected, "%s\n%s", message, cases[i].shown);
        char *text = error_of(path, message);
        cr_assert_str_eq(text, expected);
        free(text);
    }
    unlink(path);
    char *text = error_of("/nowhere", "/nowhere:1:1: gone");
    cr_assert_str_eq(text, "/nowhere:1:1: gone\n");
    free(text);
}
