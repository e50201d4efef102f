#include "examples/demo/print.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct text count_text(uint64_t count)
{
    struct text digits, out;
    int length = snprintf(digits.text, sizeof digits.text, "%" PRIu64, count), at = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            out.text[at++] = ',';
        }
        out.text[at++] = digits.text[i];
    }
    out.text[at] = '\0';
    return out;
}

struct text time_text(uint64_t time_ns)
{
    struct text out;
    double value = (double)time_ns;
    const char *unit = time_ns < 1000 ? "ns" : time_ns < 1000000 ? "us" : time_ns < 1000000000 ? "ms" : "s";
    value /= time_ns < 1000 ? 1 : time_ns < 1000000 ? 1e3 : time_ns < 1000000000 ? 1e6 : 1e9;
    snprintf(out.text, sizeof out.text, "%.*f %s", time_ns < 1000 || value >= 100 ? 0 : 1, value, unit);
    return out;
}

struct text mib_text(uint64_t bytes)
{
    struct text out, mib = count_text((bytes + 512 * 1024) / (1024 * 1024));
    snprintf(out.text, sizeof out.text, "%.26s MiB", mib.text);
    return out;
}

void print_line(const char *line, bool good, const char *when_good, const char *when_not)
{
    bool paint = isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL && !good;
    printf("%-95s %s%s%s\n", line, paint ? "\033[31m" : "", good ? when_good : when_not, paint ? "\033[0m" : "");
}
