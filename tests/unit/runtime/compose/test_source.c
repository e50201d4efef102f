/* Files that cannot be read, and some that can. */
#include "runtime/compose/source.h"
#include "tests/unit/runtime/compose/compose_support.h"

#include <criterion/criterion.h>

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/fettle-compose-XXXXXX";

static void enter(void)
{
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
}

static void leave(void)
{
    (void)unlink("t.yaml");
    (void)chdir("/");
    (void)rmdir(folder);
}

static void put(const char *text, size_t bytes)
{
    FILE *file = fopen("t.yaml", "w");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(text, 1, bytes, file), bytes);
    cr_assert_eq(fclose(file), 0);
}

static void expect_error(const char *path, const char *expected)
{
    char error[256] = "";
    struct ftli_topology *topology = NULL;
    struct ftli_compose_input input = test_input();
    input.path = path;
    cr_expect_eq(ftli_compose(&input, &topology, error, sizeof error), FTL_ECONFIG);
    cr_expect_str_eq(error, expected);
    cr_expect_null(topology);
}

TestSuite(source, .init = enter, .fini = leave);

Test(source, unreadable)
{
    expect_error("t.yaml", "t.yaml: cannot be read: No such file or directory");
    expect_error(".", ".: is a directory; expected a file");
    put("", 0);
    expect_error("t.yaml", "t.yaml:1:1: nothing is in it; expected at least fettle: 1");
    if (geteuid() != 0) { /* root may read everything */
        cr_assert_eq(chmod("t.yaml", 0), 0);
        expect_error("t.yaml", "t.yaml: cannot be read: Permission denied");
    }
}

Test(source, too_large)
{
    size_t bytes = 256 * 1024 + 1;
    char *text = malloc(bytes);
    cr_assert_not_null(text);
    memset(text, '\n', bytes);
    memcpy(text, "fettle: 1", 9);
    put(text, bytes - 1);
    struct ftli_topology *topology = NULL;
    struct ftli_compose_input input = test_input();
    char error[256] = "";
    input.path = "t.yaml";
    cr_expect_eq(ftli_compose(&input, &topology, error, sizeof error), FTL_OK, "%s", error);
    ftli_compose_free(topology);
    put(text, bytes);
    expect_error("t.yaml", "t.yaml: is larger than 256 KiB");
    expect_error("/dev/zero", "/dev/zero: is larger than 256 KiB");
    input.path = NULL;
    input.text = text;
    input.text_bytes = bytes;
    cr_expect_eq(ftli_compose(&input, &topology, error, sizeof error), FTL_ECONFIG);
    cr_expect_str_eq(error, "topology: is larger than 256 KiB");
    input.text = NULL;
    memset(text, '\n', bytes - 1);
    text[bytes - 1] = '\0';
    input.overrides = text;
    cr_expect_eq(ftli_compose(&input, &topology, error, sizeof error), FTL_OK, "%s", error);
    ftli_compose_free(topology);
    free(text);
}

/* As editors of other systems leave them. */
Test(source, byte_order_mark_and_carriage_returns)
{
    static const char text[] = "\xef\xbb\xbf"
                               "fettle: 1\r\nruntime:\r\n  name: mine\r\n";
    put(text, sizeof text - 1);
    struct ftli_topology *topology = NULL;
    struct ftli_compose_input input = test_input();
    char error[256] = "";
    input.path = "t.yaml";
    cr_assert_eq(ftli_compose(&input, &topology, error, sizeof error), FTL_OK, "%s", error);
    cr_expect_str_eq(topology->name, "mine");
    cr_expect_str_eq(topology->source, "t.yaml");
    ftli_compose_free(topology);
}
