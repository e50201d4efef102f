/* docs/topology.md names every key that there is, and config/default.yaml is what it explains. */
#include "runtime/compose/compose.h"
#include "tests/unit/runtime/compose/compose_support.h"

#include <criterion/criterion.h>

#include <stdlib.h>

static char text[65536];

static void read_reference(void)
{
    char path[1024];
    const char *root = getenv("FETTLE_SOURCE_DIR");
    (void)snprintf(path, sizeof path, "%s/docs/topology.md", root == NULL ? "." : root);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    size_t bytes = fread(text, 1, sizeof text - 1, file);
    text[bytes] = '\0';
    cr_assert_eq(fclose(file), 0);
}

/* `name`, or `above.name` where one map lies in another. */
static bool is_named(const char *above, const char *name)
{
    char quoted[128];
    (void)snprintf(quoted, sizeof quoted, "`%s`", name);
    if (strstr(text, quoted) != NULL) {
        return true;
    }
    (void)snprintf(quoted, sizeof quoted, "`%s.%s`", above, name);
    return strstr(text, quoted) != NULL;
}

static size_t expect_named(const struct ftli_key *keys, const char *above)
{
    size_t count = 0;
    for (const struct ftli_key *key = keys; key->name != NULL; key++) {
        if (key->kind == FTLI_KEY_MAP || key->kind == FTLI_KEY_NAMED) {
            count += expect_named(key->children, key->name);
            continue;
        }
        cr_expect(is_named(above, key->name), "%s.%s is not in docs/topology.md", above, key->name);
        count++;
    }
    return count;
}

Test(reference, names_every_key)
{
    read_reference();
    size_t count = expect_named(ftli_topology_keys, "");
    for (size_t i = 0; i < sizeof test_schemas / sizeof test_schemas[0]; i++) {
        if (test_schemas[i]->keys != NULL) {
            count += expect_named(test_schemas[i]->keys, test_schemas[i]->type);
        }
    }
    printf("%zu keys\n", count);
    cr_expect_gt(count, 60);
    cr_expect_not(is_named("runtime", "no_such_key"));
}
