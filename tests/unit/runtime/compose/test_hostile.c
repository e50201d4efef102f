/* Whatever the bytes are, reading returns: with a topology, or with one line that says what is wrong. */
#include "tests/unit/runtime/compose/compose_support.h"

#include <criterion/criterion.h>

#include <stdlib.h>

static uint64_t next(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static size_t below(uint64_t *state, size_t bound)
{
    return (size_t)(next(state) % bound);
}

/* A copy of exactly these bytes, so that a sanitizer sees a read past them. */
static bool feed(const char *text, size_t bytes)
{
    char *copy = malloc(bytes == 0 ? 1 : bytes), error[256] = "";
    cr_assert_not_null(copy);
    memcpy(copy, text, bytes);
    struct ftli_topology *topology = NULL;
    struct ftli_compose_input input = test_input();
    input.text = copy;
    input.text_bytes = bytes;
    int status = ftli_compose(&input, &topology, error, sizeof error);
    free(copy);
    if (status == FTL_OK) {
        for (uint32_t i = 0; i < topology->actor_count; i++) {
            cr_assert_lt(topology->actors[i].threads.index, topology->group_count);
        }
        cr_assert_geq(topology->device_count, 1);
        ftli_compose_free(topology);
        return true;
    }
    cr_assert_eq(status, FTL_ECONFIG);
    cr_assert_null(topology);
    cr_assert_eq(strncmp(error, "topology:", 9), 0, "no place in: %s", error);
    cr_assert_null(strchr(error, '\n'));
    return false;
}

Test(hostile, random_bytes)
{
    uint64_t seed = 1;
    for (int round = 0; round < 300; round++) {
        char text[256];
        size_t bytes = below(&seed, sizeof text);
        for (size_t i = 0; i < bytes; i++) {
            text[i] = (char)next(&seed);
        }
        cr_expect_not(feed(text, bytes), "random bytes are a topology?");
    }
}

/* Bytes that mean something to YAML, after a good beginning. */
Test(hostile, random_syntax)
{
    static const char *const pieces[] = {
        "[",       "]",   "{",  "}",      ": ",   ", ",     "- ",      "? ",    "\n",      "\n  ", "\"",       "'",
        "|\n ",    "&a ", "*a", "!!str ", "# ",   "%",      "---\n",   "..",    "none",    "50ms", "threads",  "actors",
        "cleanup", "\t",  "~",  "a",      "\xc3", "\n    ", "runtime", "64MiB", "service", "1",    "tracking", "\\"};
    uint64_t seed = 2;
    for (int round = 0; round < 500; round++) {
        char text[1024] = "fettle: 1\n";
        size_t count = below(&seed, 60);
        for (size_t i = 0; i < count; i++) {
            strcat(text, pieces[below(&seed, sizeof pieces / sizeof pieces[0])]);
        }
        (void)feed(text, strlen(text));
    }
}

static size_t mutate(char *text, size_t bytes, uint64_t *seed)
{
    size_t at = below(seed, bytes), length = 1 + below(seed, 40);
    length = length > bytes - at ? bytes - at : length;
    switch (below(seed, 5)) {
    case 0: /* a byte changes */
        text[at] = (char)next(seed);
        return bytes;
    case 1: /* a piece is lost */
        memmove(text + at, text + at + length, bytes - at - length);
        return bytes - length;
    case 2: /* a piece is there twice */
        memmove(text + at + length, text + at, bytes - at);
        return bytes + length;
    case 3: /* cut off */
        return at;
    default: /* a piece stands elsewhere */
        memmove(text + below(seed, bytes - length + 1), text + at, length);
        return bytes;
    }
}

Test(hostile, mutations_of_the_default)
{
    uint64_t seed = 3;
    size_t taken = 0, size = ftli_default_topology_bytes + 4096;
    char *text = malloc(size);
    cr_assert_not_null(text);
    for (int round = 0; round < 600; round++) {
        size_t bytes = ftli_default_topology_bytes;
        memcpy(text, ftli_default_topology, bytes);
        for (size_t i = 0, count = 1 + below(&seed, 4); i < count && bytes > 0; i++) {
            bytes = mutate(text, bytes, &seed);
        }
        taken += feed(text, bytes);
    }
    free(text);
    /* Many hit comments only: both outcomes must have been seen. */
    printf("%zu of 600 mutations were good topologies\n", taken);
    cr_expect_gt(taken, 20);
    cr_expect_lt(taken, 580);
}

/* 256 KiB of what makes a careless reader quadratic, or deep. A reader that is takes minutes here; the test's time
 * limit is ctest's. */
Test(hostile, large_texts)
{
    static const char *const units[] = {"[",   "{",     "- ",   "? ",     "a: ",     "\"",      "x",
                                        "&a ", "*a ",   "!a ",  "a: 1\n", "- 1\n",   "[],",     "{},",
                                        "#",   "\n",    ":",    "'",      " ",       "a,",      "|\n",
                                        "a\n", "? a\n", "%a\n", "--- ",   "{a: 1},", "a: {}\n", "\"\\x41\", "};
    static const char *const beginnings[] = {"", "fettle: 1\nactors:\n  ", "fettle: 1\nthreads: [",
                                             "fettle: 1\nthreads: {"};
    const size_t most = 256 * 1024;
    char *text = malloc(most);
    cr_assert_not_null(text);
    for (size_t b = 0; b < sizeof beginnings / sizeof beginnings[0]; b++) {
        for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
            size_t unit = strlen(units[u]), bytes = strlen(beginnings[b]);
            memcpy(text, beginnings[b], bytes);
            for (; bytes + unit <= most; bytes += unit) {
                memcpy(text + bytes, units[u], unit);
            }
            (void)feed(text, bytes);
        }
    }
    free(text);
}

/* Every name different, so that nothing stops the reader early but its own limits. */
Test(hostile, very_many_names)
{
    const size_t most = 256 * 1024;
    char *text = malloc(most);
    cr_assert_not_null(text);
    static const char *const sections[] = {"threads", "devices", "actors", "runtime"};
    for (size_t s = 0; s < sizeof sections / sizeof sections[0]; s++) {
        size_t bytes = (size_t)snprintf(text, most, "fettle: 1\n%s:\n", sections[s]);
        for (unsigned i = 0; bytes + 16 < most; i++) {
            bytes += (size_t)snprintf(text + bytes, most - bytes, "  n%u:\n", i);
        }
        cr_expect_not(feed(text, bytes));
    }
    free(text);
}

/* Overrides that put in and take out again leave nothing behind. */
Test(hostile, overrides_over_and_over)
{
    const size_t most = 200 * 1024;
    char *lines = malloc(most), error[256];
    cr_assert_not_null(lines);
    size_t bytes = 0;
    while (bytes + 128 < most) {
        bytes += (size_t)snprintf(lines + bytes, most - bytes,
                                  "threads.io.count: 2\nactors.tracking: none\nactors.tracking.threads: io\n"
                                  "actors.tracking: none\nthreads.io: none\n");
    }
    struct ftli_topology *topology = test_compose(NULL, lines, error, sizeof error);
    cr_assert_not_null(topology, "%s", error);
    cr_expect_eq(topology->group_count, 3);
    cr_expect_null(ftli_topology_actor(topology, "tracking"));
    ftli_compose_free(topology);
    free(lines);
}
