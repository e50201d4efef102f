#include "runtime/compose/value.h"

#include "runtime/compose/report.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { FRACTION_DIGITS = 6 }; /* 10^6 * the largest unit stays below 2^64 */

struct unit {
    const char *name;
    uint64_t factor;
};

/* Written by mistake for one of ours. */
struct alias {
    const char *wrong, *right;
};

struct measure {
    const char *noun, *expected; /* "size", "a size such as ..." */
    const struct unit *units;    /* rising */
    const struct alias *aliases;
};

static const struct unit size_units[] = {
    {"B", 1}, {"KiB", 1ULL << 10}, {"MiB", 1ULL << 20}, {"GiB", 1ULL << 30}, {"TiB", 1ULL << 40}, {NULL, 0},
};
static const struct alias size_aliases[] = {
    {"byte", "B"}, {"bytes", "B"}, {"k", "KiB"}, {"kb", "KiB"}, {"kib", "KiB"}, {"m", "MiB"},
    {"mb", "MiB"}, {"mib", "MiB"}, {"g", "GiB"}, {"gb", "GiB"}, {"gib", "GiB"}, {"t", "TiB"},
    {"tb", "TiB"}, {"tib", "TiB"}, {"b", "B"},   {NULL, NULL},
};
static const struct measure sizes = {"size", FTLI_EXPECTED_SIZE, size_units, size_aliases};

static const struct unit time_units[] = {
    {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}, {"min", 60000000000}, {"h", 3600000000000}, {NULL, 0},
};
static const struct alias time_aliases[] = {
    {"usec", "us"},   {"msec", "ms"}, {"sec", "s"},    {"secs", "s"},     {"second", "s"},
    {"seconds", "s"}, {"m", "min"},   {"mins", "min"}, {"minute", "min"}, {"minutes", "min"},
    {"hr", "h"},      {"hour", "h"},  {"hours", "h"},  {"us", "us"},      {"ms", "ms"},
    {"s", "s"},       {"min", "min"}, {"h", "h"},      {NULL, NULL},
};
static const struct measure times = {"time", FTLI_EXPECTED_TIME, time_units, time_aliases};

struct decimal {
    uint64_t whole, fraction; /* fraction of `scale` */
    uint64_t scale;
    size_t length; /* characters read; 0: no number */
    bool too_large, too_fine;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static struct decimal read_decimal(const char *text)
{
    struct decimal d = {.scale = 1};
    size_t i = 0;
    for (; is_digit(text[i]); i++) {
        d.too_large |= __builtin_mul_overflow(d.whole, 10, &d.whole);
        d.too_large |= __builtin_add_overflow(d.whole, (uint64_t)(text[i] - '0'), &d.whole);
    }
    if (i == 0) {
        return d;
    }
    if (text[i] == '.' && is_digit(text[i + 1])) {
        i++;
        for (size_t digits = 0; is_digit(text[i]); i++, digits++) {
            if (digits >= FRACTION_DIGITS) {
                d.too_fine = true;
                continue;
            }
            d.fraction = d.fraction * 10 + (uint64_t)(text[i] - '0');
            d.scale *= 10;
        }
    }
    d.length = i;
    return d;
}

static const char *guess_unit(const struct measure *m, const char *name)
{
    for (const struct alias *a = m->aliases; a->wrong != NULL; a++) {
        if (strcasecmp(a->wrong, name) == 0) {
            return a->right;
        }
    }
    return NULL;
}

/* number * unit, in the measure's base. */
static bool multiply(const struct decimal *d, uint64_t factor, uint64_t *out)
{
    uint64_t whole = 0;
    if (d->too_large || __builtin_mul_overflow(d->whole, factor, &whole)) {
        return false;
    }
    return !__builtin_add_overflow(whole, d->fraction * factor / d->scale, out) && *out <= INT64_MAX;
}

static bool read_measure(const struct measure *m, const char *text, const char *expected, uint64_t *out, char *wrong,
                         size_t wrong_bytes)
{
    struct decimal d = read_decimal(text);
    if (d.length == 0) {
        (void)snprintf(wrong, wrong_bytes, "\"%.40s\" is no %s; expected %s%s", text, m->noun, expected, m->expected);
        return false;
    }
    const char *unit = text + d.length;
    if (unit[0] == '\0') {
        (void)snprintf(wrong, wrong_bytes, "\"%.40s\" has no unit; expected %s%s", text, expected, m->expected);
        return false;
    }
    for (const struct unit *u = m->units; u->name != NULL; u++) {
        if (strcmp(u->name, unit) == 0) {
            uint64_t value = 0;
            if (d.too_fine) {
                (void)snprintf(wrong, wrong_bytes, "\"%.40s\" has more than %d digits after the point", text,
                               FRACTION_DIGITS);
                return false;
            }
            if (!multiply(&d, u->factor, &value)) {
                (void)snprintf(wrong, wrong_bytes, "\"%.40s\" is larger than any %s", text, m->noun);
                return false;
            }
            *out = value;
            return true;
        }
    }
    (void)snprintf(wrong, wrong_bytes, "\"%.40s\" is no unit of %s; expected %s%s", unit, m->noun, expected,
                   m->expected);
    const char *guess = guess_unit(m, unit + strspn(unit, " "));
    if (guess != NULL && d.length <= 40) {
        ftli_append(wrong, wrong_bytes, "; did you mean %.*s%s?", (int)d.length, text, guess);
    }
    return false;
}

bool ftli_read_size(const char *text, const char *expected, uint64_t *bytes, char *wrong, size_t wrong_bytes)
{
    return read_measure(&sizes, text, expected, bytes, wrong, wrong_bytes);
}

bool ftli_read_time(const char *text, const char *expected, int64_t *ns, char *wrong, size_t wrong_bytes)
{
    uint64_t value = 0;
    if (!read_measure(&times, text, expected, &value, wrong, wrong_bytes)) {
        return false;
    }
    *ns = (int64_t)value;
    return true;
}

bool ftli_read_share(const char *text, double *share, char *wrong, size_t wrong_bytes)
{
    struct decimal d = read_decimal(text);
    double number = (double)d.whole + (double)d.fraction / (double)d.scale;
    const char *unit = text + d.length;
    if (d.length != 0 && strcmp(unit, "%") == 0) {
        if (d.too_large || number > 100) {
            (void)snprintf(wrong, wrong_bytes, "%.40s is more than 100%%; expected %s", text, FTLI_EXPECTED_SHARE);
            return false;
        }
        *share = number / 100;
        return true;
    }
    (void)snprintf(wrong, wrong_bytes, "\"%.40s\" is not a share; expected %s", text, FTLI_EXPECTED_SHARE);
    if (d.length != 0 && unit[0] == '\0' && number <= 100 && !d.too_large) {
        /* 1 may be 1% or all of it: no guess. */
        char guess[32];
        if (number > 0 && number != 1) {
            ftli_write_share(number < 1 ? number : number / 100, guess, sizeof guess);
            ftli_append(wrong, wrong_bytes, "; did you mean %s?", guess);
        }
    }
    return false;
}

bool ftli_read_number(const char *text, double *number, char *wrong, size_t wrong_bytes)
{
    struct decimal d = read_decimal(text);
    if (d.length == 0 || text[d.length] != '\0' || d.too_large) {
        (void)snprintf(wrong, wrong_bytes, "\"%.40s\" is no number; expected one such as 1.5", text);
        return false;
    }
    *number = (double)d.whole + (double)d.fraction / (double)d.scale;
    return true;
}

bool ftli_read_integer(const char *text, const char *expected, int64_t *integer, char *wrong, size_t wrong_bytes)
{
    bool negative = text[0] == '-';
    const char *digits = negative ? text + 1 : text;
    struct decimal d = read_decimal(digits);
    if (d.length == 0 || digits[d.length] != '\0' || d.scale != 1 || d.too_large || d.whole > INT64_MAX) {
        (void)snprintf(wrong, wrong_bytes, "\"%.40s\" is no whole number; expected %s", text, expected);
        return false;
    }
    *integer = negative ? -(int64_t)d.whole : (int64_t)d.whole;
    return true;
}

bool ftli_read_cpus(const char *item, struct ftli_cpus *cpus, char *wrong, size_t wrong_bytes)
{
    struct decimal first = read_decimal(item);
    const char *rest = item + first.length;
    struct decimal last = first;
    bool good = first.length != 0 && first.scale == 1 && !first.too_large;
    if (good && *rest == '-') {
        last = read_decimal(rest + 1);
        rest += 1 + last.length;
        good = last.length != 0 && last.scale == 1 && !last.too_large && last.whole >= first.whole;
    }
    if (!good || *rest != '\0') {
        (void)snprintf(wrong, wrong_bytes, "\"%.40s\" names no processors; expected " FTLI_EXPECTED_CPUS, item);
        return false;
    }
    if (last.whole >= FTLI_CPUS_MOST) {
        (void)snprintf(wrong, wrong_bytes, "\"%.40s\" is too large; the last processor is %d", item,
                       FTLI_CPUS_MOST - 1);
        return false;
    }
    for (uint64_t cpu = first.whole; cpu <= last.whole; cpu++) {
        cpus->mask[cpu / 64] |= 1ULL << (cpu % 64);
    }
    return true;
}

/* Not by printf's %g: it writes the locale's point. */
void ftli_write_number(double number, char *text, size_t text_bytes)
{
    uint64_t millionths = (uint64_t)(number * 1e6 + 0.5);
    char fraction[8];
    (void)snprintf(fraction, sizeof fraction, "%06u", (uint32_t)(millionths % 1000000));
    size_t digits = 6;
    while (digits > 0 && fraction[digits - 1] == '0') {
        digits--;
    }
    fraction[digits] = '\0';
    (void)snprintf(text, text_bytes, "%llu%s%s", (unsigned long long)(millionths / 1000000), digits == 0 ? "" : ".",
                   fraction);
}

static void write_measure(const struct measure *m, uint64_t value, char *text, size_t text_bytes)
{
    const struct unit *best = m->units;
    for (const struct unit *u = m->units; u->name != NULL; u++) {
        if (value != 0 && value % u->factor == 0) {
            best = u;
        }
    }
    if (value % best->factor == 0) {
        (void)snprintf(text, text_bytes, "%llu", (unsigned long long)(value / best->factor));
    } else {
        ftli_write_number((double)value / (double)best->factor, text, text_bytes);
    }
    ftli_append(text, text_bytes, "%s", best->name);
}

void ftli_write_size(uint64_t bytes, char *text, size_t text_bytes)
{
    write_measure(&sizes, bytes, text, text_bytes);
}

void ftli_write_time(int64_t ns, char *text, size_t text_bytes)
{
    if (ns == 0) {
        (void)snprintf(text, text_bytes, "0s");
        return;
    }
    write_measure(&times, (uint64_t)ns, text, text_bytes);
}

void ftli_write_share(double share, char *text, size_t text_bytes)
{
    ftli_write_number(share * 100, text, text_bytes);
    ftli_append(text, text_bytes, "%%");
}

static bool has_cpu(const struct ftli_cpus *cpus, uint32_t cpu)
{
    return cpu < FTLI_CPUS_MOST && (cpus->mask[cpu / 64] >> (cpu % 64) & 1) != 0;
}

void ftli_write_cpus(const struct ftli_cpus *cpus, char *text, size_t text_bytes)
{
    if (cpus->any) {
        (void)snprintf(text, text_bytes, "any");
        return;
    }
    (void)snprintf(text, text_bytes, "[");
    for (uint32_t cpu = 0; cpu < FTLI_CPUS_MOST; cpu++) {
        if (!has_cpu(cpus, cpu)) {
            continue;
        }
        uint32_t last = cpu;
        while (has_cpu(cpus, last + 1)) {
            last++;
        }
        ftli_append(text, text_bytes, "%s%u", text[1] == '\0' ? "" : ", ", cpu);
        if (last != cpu) {
            ftli_append(text, text_bytes, "-%u", last);
        }
        cpu = last;
    }
    ftli_append(text, text_bytes, "]");
}
