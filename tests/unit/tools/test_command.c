#include "tools/command.h"
#include "tools/simulate.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <string.h>

static const char *const speeds[] = {"max", "real", NULL};
static const struct ftli_option options[] = {
    {"--threads", "N", "how many", NULL},
    {"--speed", "max|real", "how fast", speeds},
    {"--fill", NULL, "all of it", NULL},
    {NULL, NULL, NULL, NULL},
};
static const struct ftli_command command = {
    .name = "try", .word = "FILE", .summary = "tries", .text = "Tries it.", .options = options};

static int parse(struct ftli_arguments *out, int count, const char **words)
{
    return ftli_command_parse(&command, count, (char **)words, out);
}

Test(command, options_in_any_place, .init = cr_redirect_stderr)
{
    struct ftli_arguments arguments;
    cr_assert_eq(parse(&arguments, 4, (const char *[]){"--threads", "4", "x", "--speed=real"}), -1);
    cr_assert_str_eq(arguments.word, "x");
    cr_assert_str_eq(arguments.values[0], "4");
    cr_assert_str_eq(arguments.values[1], "real");
    cr_assert_null(arguments.values[2]);
    cr_assert_eq(parse(&arguments, 3, (const char *[]){"--fill", "--", "--x"}), -1);
    cr_assert_str_eq(arguments.word, "--x");
    cr_assert_str_eq(arguments.values[2], "");
}

static const struct ftli_command runs_another = {
    .name = "run", .word = "COMMAND", .takes_rest = true, .summary = "runs", .text = "Runs it.", .options = options};

Test(command, the_rest_is_anothers, .init = cr_redirect_stderr)
{
    struct ftli_arguments arguments;
    char *words[] = {"--fill", "--", "sh", "--threads", "--help", NULL};
    cr_assert_eq(ftli_command_parse(&runs_another, 5, words, &arguments), -1);
    cr_assert_str_eq(arguments.word, "sh");
    cr_assert_eq(arguments.rest, words + 2);
    cr_assert_null(arguments.values[0]);
    cr_assert_str_eq(arguments.values[2], "");
    cr_assert_eq(ftli_command_parse(&runs_another, 2, words, &arguments), FTLI_EXIT_USAGE);
    fflush(stderr);
    cr_assert_stderr_eq_str("fettle run: which COMMAND? usage: fettle run [...] -- COMMAND [...]; see --help\n");
}

Test(command, bad_usage, .init = cr_redirect_stderr)
{
    struct ftli_arguments arguments;
    cr_assert_eq(parse(&arguments, 0, NULL), FTLI_EXIT_USAGE);
    cr_assert_eq(parse(&arguments, 2, (const char *[]){"a", "b"}), FTLI_EXIT_USAGE);
    cr_assert_eq(parse(&arguments, 2, (const char *[]){"a", "--thread"}), FTLI_EXIT_USAGE);
    cr_assert_eq(parse(&arguments, 2, (const char *[]){"a", "--threads"}), FTLI_EXIT_USAGE);
    cr_assert_eq(parse(&arguments, 2, (const char *[]){"a", "--fill=1"}), FTLI_EXIT_USAGE);
    cr_assert_eq(parse(&arguments, 3, (const char *[]){"a", "--fill", "--fill"}), FTLI_EXIT_USAGE);
    cr_assert_eq(parse(&arguments, 2, (const char *[]){"a", "--speed=rael"}), FTLI_EXIT_USAGE);
    fflush(stderr);
    cr_assert_stderr_eq_str("fettle try: which FILE? usage: fettle try FILE [...]; see --help\n"
                            "fettle try: one FILE at a time; \"b\" is one too many\n"
                            "fettle try: no option --thread; did you mean --threads?; see fettle try --help\n"
                            "fettle try: --threads needs a value: --threads N\n"
                            "fettle try: --fill takes no value\n"
                            "fettle try: --fill is here twice\n"
                            "fettle try: --speed: \"rael\" means nothing here; max, real; did you mean real?\n");
}

Test(command, help, .init = cr_redirect_stdout)
{
    struct ftli_arguments arguments;
    cr_assert_eq(parse(&arguments, 2, (const char *[]){"a", "--help"}), FTLI_EXIT_GOOD);
    fflush(stdout);
    cr_assert_stdout_eq_str("usage: fettle try FILE [--threads N] [--speed max|real] [--fill]\n\nTries it.\n\n"
                            "  --threads N           how many\n"
                            "  --speed max|real      how fast\n"
                            "  --fill                all of it\n"
                            "  --help                prints this\n");
}

Test(command, counts_and_times, .init = cr_redirect_stderr)
{
    uint64_t value = 0;
    cr_assert_eq(ftli_command_count(&command, "--threads", "256", 1, 256, &value), -1);
    cr_assert_eq(value, 256);
    static const char *const no_counts[] = {"", "0", "257", "-1", "4x", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof no_counts / sizeof *no_counts; i++) {
        cr_assert_eq(ftli_command_count(&command, "--threads", no_counts[i], 1, 256, &value), FTLI_EXIT_USAGE, "%s",
                     no_counts[i]);
    }
    cr_assert_eq(ftli_command_time(&command, "--settle", "1.5s", &value), -1);
    cr_assert_eq(value, 1500000000);
    cr_assert_eq(ftli_command_time(&command, "--settle", "250us", &value), -1);
    cr_assert_eq(value, 250000);
    static const char *const no_times[] = {"", "10", "s", "-1s", "1d", "inf s", "1e300s"};
    for (size_t i = 0; i < sizeof no_times / sizeof *no_times; i++) {
        cr_assert_eq(ftli_command_time(&command, "--settle", no_times[i], &value), FTLI_EXIT_USAGE, "%s", no_times[i]);
    }
    cr_assert_eq(value, 250000, "untouched");
}

Test(command, one_that_takes_no_word, .init = cr_redirect_stderr)
{
    static const struct ftli_command bare = {.name = "bare", .text = "Bare.", .options = options};
    struct ftli_arguments arguments;
    cr_assert_eq(ftli_command_parse(&bare, 0, NULL, &arguments), -1);
    cr_assert_eq(ftli_command_parse(&bare, 1, (char *[]){"--fill"}, &arguments), -1);
    cr_assert_eq(ftli_command_parse(&bare, 1, (char *[]){"x"}, &arguments), FTLI_EXIT_USAGE);
}

/* ---- what simulate understands */

Test(simulate, seeds)
{
    uint64_t first = 7, last = 7;
    cr_assert(ftli_simulate_seeds("8412..8412", &first, &last));
    cr_assert(first == 8412 && last == 8412);
    cr_assert(ftli_simulate_seeds("0..18446744073709551615", &first, &last));
    cr_assert(first == 0 && last == UINT64_MAX);
    static const char *const wrong[] = {
        "",      "1",     "..",    "1..",   "..2", "2..1",    "1.2",  "1...2",  "1..2x",   "x1..2",
        "-1..2", "1..-2", " 1..2", "1..2 ", "1-2", "1..2..3", "1, 2", "0x1..2", "1e1..20", "1..18446744073709551616"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_assert_not(ftli_simulate_seeds(wrong[i], &first, &last), "%s", wrong[i]);
    cr_assert(first == 0 && last == UINT64_MAX, "untouched");
}

Test(simulate, faults)
{
    uint32_t faults = 77;
    char unknown[40] = "";
    cr_assert(ftli_simulate_faults("none", &faults, unknown, sizeof unknown));
    cr_assert_eq(faults, 0);
    cr_assert(ftli_simulate_faults("receive", &faults, unknown, sizeof unknown));
    cr_assert_eq(faults, 1);
    cr_assert(ftli_simulate_faults("jump,receive,jump", &faults, unknown, sizeof unknown));
    cr_assert_eq(faults, 0x81);
    static const char *const wrong[] = {"",       ",",           "receive,", ",receive",
                                        "recive", "receive oom", "none,oom", "Receive"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_assert_not(ftli_simulate_faults(wrong[i], &faults, unknown, sizeof unknown), "%s", wrong[i]);
    cr_assert_not(ftli_simulate_faults("receive,recive,oom", &faults, unknown, sizeof unknown));
    cr_assert_str_eq(unknown, "recive");
    cr_assert_eq(faults, 0x81, "untouched");
}

Test(command, sizes, .init = cr_redirect_stderr)
{
    static const char *const bad[] = {"", "B", "0", "1K", "1 KiB", "-1", "1.5MiB", "262145GiB", "99999999999999999999"};
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"1", 1}, {"7B", 7}, {"4KiB", 4096}, {"3MiB", 3 << 20}, {"262144GiB", UINT64_C(1) << 48}};
    uint64_t bytes = 4711;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(ftli_command_bytes(&command, "--least", bad[i], &bytes), FTLI_EXIT_USAGE, "%s", bad[i]);
    }
    cr_assert_eq(bytes, 4711);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_assert_eq(ftli_command_bytes(&command, "--least", good[i].text, &bytes), -1, "%s", good[i].text);
        cr_assert_eq(bytes, good[i].bytes);
    }
}
