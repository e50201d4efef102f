#include "tools/json.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

static char *written(void (*write)(struct ftli_json *))
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct ftli_json json;
    ftli_json_begin(&json, out);
    write(&json);
    ftli_json_end(&json);
    fclose(out);
    return text;
}

static void nothing(struct ftli_json *json)
{
    (void)json;
}

static void nested(struct ftli_json *json)
{
    ftli_json_count(json, "count", UINT64_MAX);
    ftli_json_object(json, "inner");
    ftli_json_truth(json, "yes", true);
    ftli_json_list(json, "list");
    ftli_json_number(json, NULL, 0.5);
    ftli_json_number(json, NULL, INFINITY);
    ftli_json_close_list(json);
    ftli_json_object(json, "empty");
    ftli_json_close_object(json);
    ftli_json_close_object(json);
    ftli_json_truth(json, "no", false);
}

static void hostile(struct ftli_json *json)
{
    ftli_json_text(json, "a\"b", "back\\slash \"quoted\" line\nend \x01\x7f");
    ftli_json_text(json, "utf8", "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80");
    ftli_json_text(json, "broken", "\xff|\xc3|\xc0\x80|\xed\xa0\x80|\xf5\x80\x80\x80");
}

Test(json, empty)
{
    char *text = written(nothing);
    cr_assert_str_eq(text, "{}\n");
    free(text);
}

Test(json, nesting_and_commas)
{
    char *text = written(nested);
    cr_assert_str_eq(text,
                     "{\n  \"count\": 18446744073709551615,\n  \"inner\": {\n    \"yes\": true,\n    \"list\": [\n"
                     "      0.5,\n      null\n    ],\n    \"empty\": {}\n  },\n  \"no\": false\n}\n");
    free(text);
}

Test(json, escapes)
{
    char *text = written(hostile);
    cr_assert_str_eq(text,
                     "{\n  \"a\\\"b\": \"back\\\\slash \\\"quoted\\\" line\\u000aend \\u0001\\u007f\",\n"
                     "  \"utf8\": \"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\",\n"
                     "  \"broken\": \"\xef\xbf\xbd|\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd|"
                     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"\n}\n");
    free(text);
}
