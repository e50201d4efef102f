#include "tools/text.h"

#include <criterion/criterion.h>

Test(text, counts)
{
    cr_assert_str_eq(ftli_text_count(0).text, "0");
    cr_assert_str_eq(ftli_text_count(999).text, "999");
    cr_assert_str_eq(ftli_text_count(1000).text, "1,000");
    cr_assert_str_eq(ftli_text_count(1310402).text, "1,310,402");
    cr_assert_str_eq(ftli_text_count(UINT64_MAX).text, "18,446,744,073,709,551,615");
}

Test(text, bytes)
{
    cr_assert_str_eq(ftli_text_bytes(0).text, "0 B");
    cr_assert_str_eq(ftli_text_bytes(1023).text, "1023 B");
    cr_assert_str_eq(ftli_text_bytes(1024).text, "1 KiB");
    cr_assert_str_eq(ftli_text_bytes(4200).text, "4.10 KiB");
    cr_assert_str_eq(ftli_text_bytes(UINT64_C(733) << 20).text, "733 MiB");
    cr_assert_str_eq(ftli_text_bytes(UINT64_C(1023) << 20).text, "1.00 GiB");
    cr_assert_str_eq(ftli_text_bytes(UINT64_C(5) << 30).text, "5 GiB");
    cr_assert_str_eq(ftli_text_bytes(UINT64_MAX).text, "16 EiB");
}

Test(text, mebibytes)
{
    cr_assert_str_eq(ftli_text_mib(0).text, "0");
    cr_assert_str_eq(ftli_text_mib(20000).text, "0.02");
    cr_assert_str_eq(ftli_text_mib(300000).text, "0.3");
    cr_assert_str_eq(ftli_text_mib(UINT64_C(4096) << 20).text, "4,096");
}

Test(text, times)
{
    cr_assert_str_eq(ftli_text_time(0).text, "0 ns");
    cr_assert_str_eq(ftli_text_time(999).text, "999 ns");
    cr_assert_str_eq(ftli_text_time(1900).text, "1.9 us");
    cr_assert_str_eq(ftli_text_time(999600).text, "1.0 ms");
    cr_assert_str_eq(ftli_text_time(2100000).text, "2.1 ms");
    cr_assert_str_eq(ftli_text_time(11200000000).text, "11.2 s");
    cr_assert_str_eq(ftli_text_time(223000000000).text, "3 min 43 s");
    cr_assert_str_eq(ftli_text_time(11520000000000).text, "3 h 12 min");
}

Test(text, shares)
{
    cr_assert_str_eq(ftli_text_percent(0).text, "0 %");
    cr_assert_str_eq(ftli_text_percent(0.0004).text, "0.04 %");
    cr_assert_str_eq(ftli_text_percent(0.004).text, "0.4 %");
    cr_assert_str_eq(ftli_text_percent(0.916).text, "91.6 %");
    cr_assert_str_eq(ftli_text_percent(1).text, "100 %");
}

Test(text, guesses)
{
    static const char *const words[] = {"replay", "stat", "topology check"};
    cr_assert_str_eq(ftli_text_guess("repaly", words, 3), "replay");
    cr_assert_str_eq(ftli_text_guess("rplay", words, 3), "replay");
    cr_assert_str_eq(ftli_text_guess("stats", words, 3), "stat");
    cr_assert_null(ftli_text_guess("banana", words, 3));
    cr_assert_null(ftli_text_guess("", words, 3));
    cr_assert_null(ftli_text_guess("a word that is far longer than any that could be meant here", words, 3));
}

Test(text, no_colour_in_a_file)
{
    FILE *file = tmpfile();
    struct ftli_paint paint = ftli_text_paint(file);
    cr_assert_str_eq(paint.red, "");
    cr_assert_str_eq(paint.plain, "");
    fclose(file);
}
