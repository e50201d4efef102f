#include "runtime/compose/guess.h"
#include "runtime/compose/scalar.h"
#include "runtime/compose/value.h"

#include <criterion/criterion.h>

#include <locale.h>
#include <stdio.h>
#include <string.h>

static char wrong[320];

static void expect_size(const char *text, uint64_t expected)
{
    uint64_t bytes = 0;
    cr_expect(ftli_read_size(text, "", &bytes, wrong, sizeof wrong), "%s: %s", text, wrong);
    cr_expect_eq(bytes, expected, "%s is %llu", text, (unsigned long long)bytes);
}

static void expect_no_size(const char *text, const char *expected)
{
    uint64_t bytes = 77;
    cr_expect_not(ftli_read_size(text, "", &bytes, wrong, sizeof wrong), "%s was taken", text);
    cr_expect_str_eq(wrong, expected);
    cr_expect_eq(bytes, 77, "the output was touched");
}

#define SIZES "; expected a size such as 64MiB (B, KiB, MiB, GiB, TiB)"

Test(value, sizes)
{
    expect_size("0B", 0);
    expect_size("1B", 1);
    expect_size("64MiB", 64ULL << 20);
    expect_size("1.5KiB", 1536);
    expect_size("0.000001MiB", 1); /* 1.048576, downwards */
    expect_size("8TiB", 8ULL << 40);
    expect_size("9223372036854775807B", INT64_MAX);
    expect_no_size("9223372036854775808B", "\"9223372036854775808B\" is larger than any size");
    expect_no_size("8388608TiB", "\"8388608TiB\" is larger than any size");
    expect_no_size("99999999999999999999999B", "\"99999999999999999999999B\" is larger than any size");
    expect_no_size("1.0000001B", "\"1.0000001B\" has more than 6 digits after the point");
    expect_no_size("", "\"\" is no size" SIZES);
    expect_no_size("-1B", "\"-1B\" is no size" SIZES);
    expect_no_size(".5KiB", "\".5KiB\" is no size" SIZES);
    expect_no_size("5.KiB", "\".KiB\" is no unit of size" SIZES);
    expect_no_size("64", "\"64\" has no unit" SIZES);
    expect_no_size("64 MiB", "\" MiB\" is no unit of size" SIZES "; did you mean 64MiB?");
    expect_no_size("64mb", "\"mb\" is no unit of size" SIZES "; did you mean 64MiB?");
    expect_no_size("2k", "\"k\" is no unit of size" SIZES "; did you mean 2KiB?");
    expect_no_size("1e3B", "\"e3B\" is no unit of size" SIZES);
}

static void expect_time(const char *text, int64_t expected)
{
    int64_t ns = 0;
    cr_expect(ftli_read_time(text, "", &ns, wrong, sizeof wrong), "%s: %s", text, wrong);
    cr_expect_eq(ns, expected, "%s is %lld", text, (long long)ns);
}

static void expect_no_time(const char *text, const char *expected)
{
    int64_t ns = 0;
    cr_expect_not(ftli_read_time(text, "", &ns, wrong, sizeof wrong), "%s was taken", text);
    cr_expect_str_eq(wrong, expected);
}

#define TIMES "; expected a time such as 100ms (us, ms, s, min, h)"

Test(value, times)
{
    expect_time("0ms", 0);
    expect_time("1us", 1000);
    expect_time("0.5us", 500);
    expect_time("250ms", 250000000);
    expect_time("1.5s", 1500000000);
    expect_time("10min", 600000000000);
    expect_time("24h", 86400000000000);
    expect_no_time("1m", "\"m\" is no unit of time" TIMES "; did you mean 1min?");
    expect_no_time("3 sec", "\" sec\" is no unit of time" TIMES "; did you mean 3s?");
    expect_no_time("3ns", "\"ns\" is no unit of time" TIMES);
    expect_no_time("soon", "\"soon\" is no time" TIMES);
    expect_no_time("2562048h", "\"2562048h\" is larger than any time");
}

Test(value, shares)
{
    double share = 0;
    cr_expect(ftli_read_share("80%", &share, wrong, sizeof wrong));
    cr_expect_float_eq(share, 0.8, 1e-12);
    cr_expect(ftli_read_share("0%", &share, wrong, sizeof wrong));
    cr_expect_float_eq(share, 0, 0);
    cr_expect(ftli_read_share("100%", &share, wrong, sizeof wrong));
    cr_expect_float_eq(share, 1, 0);
    static const struct {
        const char *text, *expected;
    } bad[] = {
        {"101%", "101% is more than 100%; expected a percentage such as 80%"},
        {"75", "\"75\" is not a share; expected a percentage such as 80%; did you mean 75%?"},
        {"0.5", "\"0.5\" is not a share; expected a percentage such as 80%; did you mean 50%?"},
        {"0.001", "\"0.001\" is not a share; expected a percentage such as 80%; did you mean 0.1%?"},
        {"1", "\"1\" is not a share; expected a percentage such as 80%"},
        {"750", "\"750\" is not a share; expected a percentage such as 80%"},
        {"-5%", "\"-5%\" is not a share; expected a percentage such as 80%"},
        {"80 %", "\"80 %\" is not a share; expected a percentage such as 80%"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_expect_not(ftli_read_share(bad[i].text, &share, wrong, sizeof wrong));
        cr_expect_str_eq(wrong, bad[i].expected);
    }
}

Test(value, numbers)
{
    double number = 0;
    int64_t integer = 0;
    cr_expect(ftli_read_number("1.25", &number, wrong, sizeof wrong));
    cr_expect_float_eq(number, 1.25, 1e-12);
    cr_expect_not(ftli_read_number("1,25", &number, wrong, sizeof wrong));
    cr_expect_not(ftli_read_number("nan", &number, wrong, sizeof wrong));
    cr_expect_not(ftli_read_number("0x10", &number, wrong, sizeof wrong));
    cr_expect(ftli_read_integer("-20", "x", &integer, wrong, sizeof wrong));
    cr_expect_eq(integer, -20);
    cr_expect_not(ftli_read_integer("--2", "x", &integer, wrong, sizeof wrong));
    cr_expect_not(ftli_read_integer("1.0", "x", &integer, wrong, sizeof wrong));
    cr_expect_not(ftli_read_integer("18446744073709551615", "x", &integer, wrong, sizeof wrong));
}

Test(value, processors)
{
    struct ftli_cpus cpus = {.any = true};
    char text[64];
    cr_expect(ftli_read_cpu_list("0-3,8", &cpus, wrong, sizeof wrong), "%s", wrong);
    cr_expect_not(cpus.any);
    cr_expect_eq(cpus.mask[0], 0x10f);
    ftli_write_cpus(&cpus, text, sizeof text);
    cr_expect_str_eq(text, "[0-3, 8]");
    cr_expect(ftli_read_cpu_list("63-64,1023", &cpus, wrong, sizeof wrong));
    ftli_write_cpus(&cpus, text, sizeof text);
    cr_expect_str_eq(text, "[63-64, 1023]");
    cr_expect(ftli_read_cpu_list("any", &cpus, wrong, sizeof wrong));
    ftli_write_cpus(&cpus, text, sizeof text);
    cr_expect_str_eq(text, "any");
    static const char *const bad[] = {"",    "3-1", "-1",     "1-",  "0,,1",
                                      "0;1", "1.5", "0-1024", "all", "00000000000000000000000000000001"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_expect_not(ftli_read_cpu_list(bad[i], &cpus, wrong, sizeof wrong), "%s was taken", bad[i]);
        cr_expect(cpus.any, "the output was touched");
    }
}

/* What is written reads back as the same value, whatever the locale thinks of points. */
Test(value, written_and_read_again)
{
    (void)setlocale(LC_ALL, "de_DE.UTF-8");
    static const uint64_t sizes[] = {0, 1, 1023, 1024, 1536, 64ULL << 20, 3ULL << 30, 1ULL << 40, (1ULL << 40) + 1};
    char text[64];
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ftli_write_size(sizes[i], text, sizeof text);
        expect_size(text, sizes[i]);
    }
    static const int64_t times[] = {0, 500, 1000, 1500000, 90000000000, 3600000000000, 1234567891000};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        ftli_write_time(times[i], text, sizeof text);
        expect_time(text, times[i]);
    }
    static const double shares[] = {0, 0.001, 0.125, 0.5, 0.999, 1};
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        double share = -1;
        ftli_write_share(shares[i], text, sizeof text);
        cr_expect(ftli_read_share(text, &share, wrong, sizeof wrong), "%s: %s", text, wrong);
        cr_expect_float_eq(share, shares[i], 1e-12);
    }
}

Test(guess, distance)
{
    cr_expect_eq(ftli_word_distance("", ""), 0);
    cr_expect_eq(ftli_word_distance("abc", ""), 3);
    cr_expect_eq(ftli_word_distance("kitten", "sitting"), 3);
    cr_expect_eq(ftli_word_distance("ab", "ba"), 1, "neighbours swapped are one slip");
    cr_expect_eq(ftli_word_distance("defragmentatoin", "defragmentation"), 1);
    cr_expect_eq(ftli_word_distance("finaliser", "finalizers"), 2);
    cr_expect_eq(ftli_word_distance("012345678901234567890123456789012", "0"), UINT32_MAX);
}

Test(guess, nearest)
{
    static const char *const words[] = {"low", "medium", "high", "critical"};
    cr_expect_str_eq(ftli_guess("hihg", words, 4), "high");
    cr_expect_str_eq(ftli_guess("medum", words, 4), "medium");
    cr_expect_null(ftli_guess("background", words, 4));
    cr_expect_null(ftli_guess("", words, 4));
    cr_expect_null(ftli_guess("low", words, 0));
}
