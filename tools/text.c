#include "tools/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ftli_text ftli_text_count(uint64_t count)
{
    char digits[24];
    struct ftli_text out;
    int length = snprintf(digits, sizeof digits, "%" PRIu64, count);
    char *to = out.text;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            *to++ = ',';
        }
        *to++ = digits[i];
    }
    *to = '\0';
    return out;
}

/* Decimals that leave about three digits: 1.25, 12.5, 125. */
static int decimals(double value)
{
    return value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
}

struct ftli_text ftli_text_bytes(uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    struct ftli_text out;
    if (bytes < 1024) {
        snprintf(out.text, sizeof out.text, "%" PRIu64 " B", bytes);
        return out;
    }
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1024;
        unit++;
    }
    int places = decimals(value);
    if (value == (double)(uint64_t)value) {
        places = 0;
    }
    snprintf(out.text, sizeof out.text, "%.*f %s", places, value, units[unit]);
    return out;
}

struct ftli_text ftli_text_mib(uint64_t bytes)
{
    struct ftli_text out;
    double mib = (double)bytes / (1024.0 * 1024.0);
    if (bytes == 0 || mib >= 9.95) {
        return ftli_text_count((bytes + (1u << 19)) >> 20);
    }
    snprintf(out.text, sizeof out.text, mib < 0.095 ? "%.2f" : "%.1f", mib);
    return out;
}

struct ftli_text ftli_text_time(uint64_t time_ns)
{
    struct ftli_text out;
    double value = (double)time_ns;
    if (time_ns < 1000) {
        snprintf(out.text, sizeof out.text, "%" PRIu64 " ns", time_ns);
    } else if (value < 999.5e3) {
        snprintf(out.text, sizeof out.text, "%.*f us", value < 99.95e3 ? 1 : 0, value / 1e3);
    } else if (value < 999.5e6) {
        snprintf(out.text, sizeof out.text, "%.*f ms", value < 99.95e6 ? 1 : 0, value / 1e6);
    } else if (value < 119.95e9) {
        snprintf(out.text, sizeof out.text, "%.*f s", value < 99.95e9 ? 1 : 0, value / 1e9);
    } else if (value < 7200e9) {
        uint64_t seconds = (time_ns + 500000000u) / 1000000000u;
        snprintf(out.text, sizeof out.text, "%" PRIu64 " min %" PRIu64 " s", seconds / 60, seconds % 60);
    } else {
        uint64_t minutes = (time_ns / 1000000000u + 30) / 60;
        snprintf(out.text, sizeof out.text, "%" PRIu64 " h %" PRIu64 " min", minutes / 60, minutes % 60);
    }
    return out;
}

struct ftli_text ftli_text_percent(double share)
{
    struct ftli_text out;
    double percent = share * 100;
    double whole = (double)(uint64_t)(percent + 0.5);
    bool is_whole = percent >= 99.95 || (percent - whole < 0.0005 && whole - percent < 0.0005);
    int places = is_whole ? 0 : percent < 0.095 ? 2 : 1;
    snprintf(out.text, sizeof out.text, "%.*f %%", places, percent);
    return out;
}

struct ftli_paint ftli_text_paint(FILE *stream)
{
    const char *none = getenv("NO_COLOR");
    if (!isatty(fileno(stream)) || (none != NULL && none[0] != '\0')) {
        return (struct ftli_paint){"", "", "", ""};
    }
    return (struct ftli_paint){.red = "\033[1;31m", .green = "\033[32m", .dim = "\033[2m", .plain = "\033[0m"};
}

/* Edits (a letter more, less, other, or two swapped) between two words of at most 31 letters. */
static uint32_t distance(const char *a, const char *b)
{
    enum { MOST = 32 };
    uint32_t rows[3][MOST + 1];
    size_t a_length = strlen(a), b_length = strlen(b);
    if (a_length >= MOST || b_length >= MOST) {
        return MOST;
    }
    for (uint32_t j = 0; j <= b_length; j++) {
        rows[0][j] = j;
    }
    for (uint32_t i = 1; i <= a_length; i++) {
        uint32_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (uint32_t j = 1; j <= b_length; j++) {
            uint32_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            best = above[j] + 1 < best ? above[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && above2[j - 2] + 1 < best) {
                best = above2[j - 2] + 1;
            }
            row[j] = best;
        }
    }
    return rows[a_length % 3][b_length];
}

const char *ftli_text_guess(const char *word, const char *const *words, uint32_t count)
{
    const char *nearest = NULL;
    uint32_t least = (uint32_t)strlen(word) / 3 + 2; /* one edit more than is forgiven */
    for (uint32_t i = 0; i < count; i++) {
        uint32_t edits = distance(word, words[i]);
        if (edits < least) {
            least = edits;
            nearest = words[i];
        }
    }
    return nearest;
}
