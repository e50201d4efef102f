#include "tools/progress.h"

#include <criterion/criterion.h>

Test(progress, lines)
{
    char line[256];
    ftli_progress_line(line, sizeof line, "events", 0, 2000, 0);
    cr_assert_str_eq(line, "[                              ] 0 of 2,000 events   0 /s");
    ftli_progress_line(line, sizeof line, "events", 500, 2000, 1000000000);
    cr_assert_str_eq(line, "[#######                       ] 500 of 2,000 events   500 /s   3.0 s left");
    ftli_progress_line(line, sizeof line, "events", 2000000, 2000000, 1000000000);
    cr_assert_str_eq(line, "[##############################] 2,000,000 of 2,000,000 events   2.0 M/s");
    ftli_progress_line(line, sizeof line, "events", 3, 2, 1000000);
    cr_assert_str_eq(line, "[##############################] 3 of 2 events   3.0 k/s");
}

Test(progress, nothing_without_a_terminal)
{
    FILE *file = tmpfile();
    struct ftli_progress progress;
    ftli_progress_begin(&progress, file, "events", 10, 0);
    ftli_progress_show(&progress, 5, UINT64_C(5000000000));
    ftli_progress_end(&progress);
    cr_assert_eq(ftell(file), 0);
    fclose(file);
}

Test(progress, on_a_terminal_after_a_second)
{
    FILE *file = tmpfile();
    struct ftli_progress progress;
    ftli_progress_begin(&progress, file, "events", 10, 0);
    progress.terminal = true;
    ftli_progress_show(&progress, 5, 900000000);
    cr_assert_eq(ftell(file), 0, "too early");
    ftli_progress_show(&progress, 5, UINT64_C(1100000000));
    cr_assert_gt(ftell(file), 40);
    ftli_progress_end(&progress);
    fclose(file);
}
