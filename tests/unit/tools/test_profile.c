/* Profiles read, summed up, named and written again; and what is none, refused. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actors/tracking/modules.h"
#include "actors/tracking/protobuf.h"
#include "tools/profile_read.h"
#include "tools/profile_rows.h"
#include "tools/profile_symbols.h"
#include "tools/profile_write.h"

/* ---- a profile by hand -------------------------------------------------------------------------------------------------- */

static struct ftli_protobuf whole, inner, innermost;
static const char *const strings[] = {"",    "inuse_objects", "count", "inuse_space", "bytes",   "label", "kv",
                                      "f.c", "make",          "file",  "build",       "outer;x", "a\nb"};
enum { OBJECTS = 1, COUNT, SPACE, BYTES, LABEL, KV, F_C, MAKE, FILE_PATH, BUILD, OUTER, ODD };

static void put_pair(unsigned field, uint64_t first, uint64_t second)
{
    ftli_protobuf_number(&inner, 1, first);
    ftli_protobuf_number(&inner, 2, second);
    ftli_protobuf_message(&whole, field, &inner);
}

static void put_function(uint64_t id, uint64_t name, uint64_t file)
{
    ftli_protobuf_number(&inner, 1, id);
    ftli_protobuf_number(&inner, 2, name);
    ftli_protobuf_number(&inner, 4, file);
    ftli_protobuf_message(&whole, FTLI_PROFILE_FUNCTION, &inner);
}

static void put_location(uint64_t id, uint64_t mapping, uint64_t address, uint64_t function, uint64_t line)
{
    ftli_protobuf_number(&inner, 1, id);
    ftli_protobuf_number(&inner, 2, mapping);
    ftli_protobuf_number(&inner, 3, address);
    if (function != 0) {
        ftli_protobuf_number(&innermost, 1, function);
        ftli_protobuf_number(&innermost, 2, line);
        ftli_protobuf_message(&inner, 4, &innermost);
    }
    ftli_protobuf_message(&whole, FTLI_PROFILE_LOCATION, &inner);
}

static void put_sample(const uint64_t *locations, size_t n, uint64_t objects, uint64_t bytes, uint64_t label)
{
    const uint64_t values[] = {objects, bytes};
    ftli_protobuf_numbers(&inner, 1, locations, n);
    ftli_protobuf_numbers(&inner, 2, values, 2);
    if (label != 0) {
        ftli_protobuf_number(&innermost, 1, LABEL);
        ftli_protobuf_number(&innermost, 2, label);
        ftli_protobuf_message(&inner, 3, &innermost);
    }
    ftli_protobuf_message(&whole, FTLI_PROFILE_SAMPLE, &inner);
}

static void put_mapping(const struct ftli_module *module)
{
    ftli_protobuf_number(&inner, 1, 5);
    ftli_protobuf_number(&inner, 2, module->from);
    ftli_protobuf_number(&inner, 3, module->to);
    ftli_protobuf_number(&inner, 4, module->file_offset);
    ftli_protobuf_number(&inner, 5, FILE_PATH);
    ftli_protobuf_number(&inner, 6, module->build_id_bytes != 0 ? BUILD : 0);
    ftli_protobuf_message(&whole, FTLI_PROFILE_MAPPING, &inner);
}

__attribute__((noinline)) static int marked_function(int x)
{
    return x * 3;
}

/* Out of order, as others may write it: samples first. frame: an address of this program. */
static void make_profile(uintptr_t frame, const struct ftli_module *module, const char *build_id)
{
    const uint64_t one[] = {7, 900}, two[] = {900};
    put_sample(one, 2, 3, 300, KV);
    put_sample(one, 2, 1, 100, 0);
    put_sample(two, 1, 5, 50, KV);
    const uint64_t deep[] = {40};
    put_sample(deep, 1, 1, 7, ODD);
    put_location(900, 0, 0, 12, 0);
    put_location(7, 0, 0, 3, 42);
    put_location(40, 5, frame, 0, 0);
    put_mapping(module);
    put_function(12, OUTER, 0);
    put_function(3, MAKE, F_C);
    put_pair(FTLI_PROFILE_SAMPLE_TYPE, OBJECTS, COUNT);
    put_pair(FTLI_PROFILE_SAMPLE_TYPE, SPACE, BYTES);
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        ftli_protobuf_text(&whole, FTLI_PROFILE_STRING,
                           i == FILE_PATH ? module->path
                           : i == BUILD   ? build_id
                                          : strings[i]);
    ftli_protobuf_number(&whole, FTLI_PROFILE_STANDARD_TYPE, SPACE);
    cr_assert_not(whole.failed);
}

static struct ftli_module own_module(void)
{
    struct ftli_module module;
    cr_assert(ftli_module_of((uintptr_t)marked_function, &module));
    return module;
}

static void make_own(const char *other_build)
{
    struct ftli_module module = own_module();
    char build_id[2 * FTLI_BUILD_ID_MOST + 1] = "";
    for (unsigned i = 0; i < module.build_id_bytes; i++)
        (void)snprintf(build_id + 2 * i, 3, "%02x", module.build_id[i]);
    if (other_build != NULL)
        module.build_id_bytes = 4;
    make_profile((uintptr_t)marked_function + 1, &module, other_build != NULL ? other_build : build_id);
}

static bool take(const unsigned char *bytes, size_t n, struct ftli_profile *out, char *why)
{
    unsigned char *copy = malloc(n + 1); /* exactly n of them may be read: the sanitizers look */
    cr_assert_not_null(copy);
    memcpy(copy, bytes, n);
    unsigned char *fitting = realloc(copy, n != 0 ? n : 1);
    return ftli_profile_take("it", fitting, n, out, why);
}

static struct ftli_profile loaded(void)
{
    struct ftli_profile profile;
    char why[FTLI_PROFILE_WHY_BYTES];
    cr_assert(take(whole.bytes, whole.used, &profile, why), "%s", why);
    return profile;
}

/* ---- tests ----------------------------------------------------------------------------------------------------------------- */

Test(profile, stacks_and_labels_are_summed_up)
{
    make_own(NULL);
    struct ftli_profile profile = loaded();
    struct ftli_profile_rows rows;
    cr_assert_eq(profile.value_count, 2);
    cr_assert_str_eq(profile.standard_type, "inuse_space");
    size_t space = ftli_profile_type(&profile, "inuse_space");
    cr_assert_eq(space, 1);
    cr_assert_eq(ftli_profile_type(&profile, "alloc_space"), FTLI_PROFILE_NONE);
    cr_assert(ftli_profile_sum(&profile, NULL, FTLI_PROFILE_INNER_FIRST, space, &rows));
    cr_assert_eq(rows.count, 3);
    cr_expect(rows.sums[0] == 10 && rows.sums[1] == 457);
    cr_expect_str_eq(rows.at[0].text, "make f.c:42 < outer;x");
    cr_expect(rows.at[0].values[0] == 4 && rows.at[0].values[1] == 400);
    cr_expect_str_eq(rows.at[1].text, "outer;x");
    cr_expect_eq(strncmp(rows.at[2].text, "test_unit_tools_profile+0x", 26), 0, "%s", rows.at[2].text);
    ftli_profile_rows_free(&rows);
    cr_assert(ftli_profile_sum(&profile, NULL, FTLI_PROFILE_OUTER_FIRST, 0, &rows));
    cr_expect_str_eq(rows.at[0].text, "outer_x", "5 objects");
    cr_expect_str_eq(rows.at[1].text, "outer_x;make");
    ftli_profile_rows_free(&rows);
    cr_assert(ftli_profile_sum(&profile, "label", FTLI_PROFILE_INNER_FIRST, space, &rows));
    cr_assert_eq(rows.count, 3);
    cr_expect_str_eq(rows.at[0].text, "kv");
    cr_expect_eq(rows.at[0].values[1], 350);
    cr_expect_str_eq(rows.at[1].text, "-");
    cr_expect_str_eq(rows.at[2].text, "a_b");
    ftli_profile_rows_free(&rows);
    ftli_profile_unload(&profile);
}

Test(profile, addresses_get_names_and_are_written_with_them)
{
    if (!FETTLE_DW)
        cr_skip_test("this build has no libdw");
    struct ftli_profile_symbolised named;
    struct ftli_profile_rows rows;
    cr_assert_eq(marked_function(2), 6);
    make_own(NULL);
    struct ftli_profile profile = loaded();
    cr_assert(ftli_profile_symbolise(&profile, stderr, &named));
    cr_assert(named.addresses == 1 && named.named == 1);
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    cr_assert_not_null(out);
    cr_assert(ftli_profile_write(&profile, out));
    (void)fclose(out);
    ftli_profile_unload(&profile);
    char why[FTLI_PROFILE_WHY_BYTES];
    cr_assert(take((unsigned char *)text, bytes, &profile, why), "%s", why);
    free(text);
    cr_assert(ftli_profile_sum(&profile, NULL, FTLI_PROFILE_INNER_FIRST, 1, &rows));
    cr_expect_eq(strncmp(rows.at[2].text, "marked_function test_profile.c:", 31), 0, "%s", rows.at[2].text);
    cr_expect_eq(rows.at[2].values[1], 7);
    cr_expect(rows.sums[0] == 10 && rows.sums[1] == 457);
    ftli_profile_rows_free(&rows);
    ftli_profile_unload(&profile);
}

Test(profile, a_file_that_has_changed_names_nothing)
{
    if (!FETTLE_DW)
        cr_skip_test("this build has no libdw");
    struct ftli_profile_symbolised named;
    char *text = NULL;
    size_t bytes = 0;
    make_own("0123abcd");
    struct ftli_profile profile = loaded();
    FILE *complaints = open_memstream(&text, &bytes);
    cr_assert_not_null(complaints);
    cr_assert(ftli_profile_symbolise(&profile, complaints, &named));
    (void)fclose(complaints);
    cr_expect(named.addresses == 1 && named.named == 0);
    cr_expect_not_null(strstr(text, "has changed since"), "%s", text);
    free(text);
    ftli_profile_unload(&profile);
}

/* Cut anywhere and changed anywhere: refused with a sentence, or read as something else; never more than it has. */
Test(profile, what_is_broken_is_refused)
{
    char why[FTLI_PROFILE_WHY_BYTES];
    struct ftli_profile profile;
    struct ftli_profile_rows rows;
    make_own(NULL);
    unsigned refused = 0;
    for (size_t n = 0; n < whole.used; n++) {
        if (take(whole.bytes, n, &profile, why)) {
            ftli_profile_unload(&profile);
        } else {
            cr_assert_eq(strncmp(why, "it: ", 4), 0, "%s", why);
            refused++;
        }
    }
    cr_expect_gt(refused, whole.used / 2);
    refused = 0;
    for (size_t at = 0; at < whole.used; at++) {
        unsigned char before = whole.bytes[at];
        for (unsigned bit = 0; bit < 8; bit++) {
            whole.bytes[at] = (unsigned char)(before ^ 1u << bit);
            if (!take(whole.bytes, whole.used, &profile, why)) {
                refused++;
                continue;
            }
            cr_assert(ftli_profile_sum(&profile, NULL, FTLI_PROFILE_INNER_FIRST, profile.value_count - 1, &rows));
            ftli_profile_rows_free(&rows);
            ftli_profile_unload(&profile);
        }
        whole.bytes[at] = before;
    }
    cr_expect_gt(refused, 0);
    const unsigned char compressed[] = {0x1f, 0x8b, 8, 0};
    cr_expect_not(take(compressed, sizeof compressed, &profile, why));
    cr_expect_str_eq(why, "it: is compressed; gunzip it first");
    cr_expect_not(ftli_profile_load("/none/such.pb", &profile, why));
    cr_expect_str_eq(why, "/none/such.pb: No such file or directory");
    cr_expect_not(ftli_profile_load("/", &profile, why));
}
