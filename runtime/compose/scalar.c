#include "runtime/compose/scalar.h"

#include "runtime/compose/guess.h"
#include "runtime/compose/report.h"
#include "runtime/compose/value.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is(const char *text, const char *word)
{
    return strcmp(text, word) == 0;
}

enum ftli_other_word ftli_other_word(const char *text)
{
    static const char *const no[] = {"off", "no", "false", "null", "~", "none"};
    static const char *const yes[] = {"on", "yes", "true"};
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        if (strcasecmp(text, no[i]) == 0 && !is(text, "none")) {
            return FTLI_WORD_NO;
        }
    }
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        if (strcasecmp(text, yes[i]) == 0) {
            return FTLI_WORD_YES;
        }
    }
    return FTLI_WORD_OURS;
}

static bool takes_none(const struct ftli_key *key)
{
    if (key->kind == FTLI_KEY_CHOICE) {
        for (size_t i = 0; key->words[i] != NULL; i++) {
            if (is(key->words[i], "none")) {
                return true;
            }
        }
        return false;
    }
    return key->kind == FTLI_KEY_TIME_OR_NONE || key->kind == FTLI_KEY_TEXT_OR_NONE ||
           key->kind == FTLI_KEY_SIZE_OR_NONE;
}

static bool has_bounds(const struct ftli_key *key)
{
    return key->least != 0 || key->most != 0;
}

static void write_words(const char *const *words, char *text, size_t text_bytes)
{
    text[0] = '\0';
    for (size_t i = 0; words[i] != NULL; i++) {
        ftli_append(text, text_bytes, "%s%s", i == 0 ? "" : ", ", words[i]);
    }
}

static const char *expected_of(enum ftli_key_kind kind)
{
    switch (kind) {
    case FTLI_KEY_SIZE:
        return FTLI_EXPECTED_SIZE;
    case FTLI_KEY_SIZE_OR_AUTO:
        return "auto or " FTLI_EXPECTED_SIZE;
    case FTLI_KEY_SIZE_OR_NONE:
        return "none or " FTLI_EXPECTED_SIZE;
    case FTLI_KEY_SIZE_OR_SHARE:
        return FTLI_EXPECTED_SHARE ", or " FTLI_EXPECTED_SIZE;
    case FTLI_KEY_TIME:
        return FTLI_EXPECTED_TIME;
    case FTLI_KEY_TIME_OR_NONE:
        return "none or " FTLI_EXPECTED_TIME;
    case FTLI_KEY_SHARE:
        return FTLI_EXPECTED_SHARE;
    case FTLI_KEY_NUMBER:
        return "a number such as 1.5";
    case FTLI_KEY_TEXT:
        return "a word";
    case FTLI_KEY_TEXT_OR_NONE:
        return "none or a text";
    case FTLI_KEY_GROUP:
        return "the name of a thread group";
    case FTLI_KEY_CPUS:
        return FTLI_EXPECTED_CPUS;
    default:
        return "a map";
    }
}

void ftli_write_expected(const struct ftli_key *key, char *text, size_t text_bytes)
{
    switch (key->kind) {
    case FTLI_KEY_COUNT:
    case FTLI_KEY_COUNT_OR_AUTO:
    case FTLI_KEY_INTEGER:
        (void)snprintf(text, text_bytes, "%sa whole number from %.0f to %.0f",
                       key->kind == FTLI_KEY_COUNT_OR_AUTO ? "auto or " : "", key->least, key->most);
        return;
    case FTLI_KEY_CHOICE:
        write_words(key->words, text, text_bytes);
        return;
    case FTLI_KEY_WORDS:
        (void)snprintf(text, text_bytes, "a list of ");
        write_words(key->words, text + strlen(text), text_bytes - strlen(text));
        return;
    default:
        (void)snprintf(text, text_bytes, "%s", expected_of(key->kind));
    }
}

/* A bound in the unit of its key. */
static void write_bound(const struct ftli_key *key, double bound, char *text, size_t text_bytes)
{
    switch (key->kind) {
    case FTLI_KEY_SIZE:
    case FTLI_KEY_SIZE_OR_AUTO:
    case FTLI_KEY_SIZE_OR_NONE:
        ftli_write_size((uint64_t)bound, text, text_bytes);
        return;
    case FTLI_KEY_TIME:
    case FTLI_KEY_TIME_OR_NONE:
        ftli_write_time((int64_t)bound, text, text_bytes);
        return;
    default:
        (void)snprintf(text, text_bytes, "%.0f", bound);
    }
}

static bool in_bounds(const struct ftli_key *key, const char *text, double value, char *wrong, size_t wrong_bytes)
{
    bool small = value<key->least, large = value> key->most;
    if (!has_bounds(key) || (!small && !large)) {
        return true;
    }
    char bound[32];
    write_bound(key, small ? key->least : key->most, bound, sizeof bound);
    (void)snprintf(wrong, wrong_bytes, "%.40s is too %s; %s %s", text, small ? "small" : "large",
                   small ? "at least" : "at most", bound);
    return false;
}

bool ftli_read_choice(const struct ftli_key *key, const char *text, uint32_t *value, char *wrong, size_t wrong_bytes)
{
    size_t count = 0;
    for (; key->words[count] != NULL; count++) {
        if (is(key->words[count], text)) {
            *value = (uint32_t)count;
            return true;
        }
    }
    char words[192];
    write_words(key->words, words, sizeof words);
    (void)snprintf(wrong, wrong_bytes, "\"%.40s\" is not known here; expected %s", text, words);
    const char *guess = ftli_guess(text, key->words, count);
    if (guess != NULL) {
        ftli_append(wrong, wrong_bytes, "; did you mean %s?", guess);
    }
    return false;
}

static bool read_text(const struct ftli_key *key, const char *text, char *field, char *wrong, size_t wrong_bytes)
{
    if (key->kind == FTLI_KEY_TEXT_OR_NONE && is(text, "none")) {
        field[0] = '\0';
        return true;
    }
    if (key->accept != NULL && !key->accept(text, wrong, wrong_bytes)) {
        return false;
    }
    size_t length = strlen(text);
    if (length > (size_t)key->most) {
        (void)snprintf(wrong, wrong_bytes, "\"%.40s\" is too long; at most %.0f characters", text, key->most);
        return false;
    }
    memcpy(field, text, length + 1);
    return true;
}

/* A name that nobody has is found out later, when all groups are known; here it must only fit. */
static bool read_group(const char *text, struct ftli_group_reference *group, char *wrong, size_t wrong_bytes)
{
    size_t length = strlen(text);
    if (length >= sizeof group->name) {
        (void)snprintf(wrong, wrong_bytes, "no thread group is called \"%.40s\"; a name has at most %zu characters",
                       text, sizeof group->name - 1);
        return false;
    }
    memset(group, 0, sizeof *group);
    memcpy(group->name, text, length);
    return true;
}

static bool read_whole(const struct ftli_key *key, const char *text, void *field, char *wrong, size_t wrong_bytes)
{
    if (key->kind == FTLI_KEY_COUNT_OR_AUTO && is(text, "auto")) {
        *(uint32_t *)field = 0;
        return true;
    }
    char expected[64];
    ftli_write_expected(key, expected, sizeof expected);
    int64_t value = 0;
    if (!ftli_read_integer(text, expected, &value, wrong, wrong_bytes) ||
        !in_bounds(key, text, (double)value, wrong, wrong_bytes)) {
        return false;
    }
    if (key->kind == FTLI_KEY_INTEGER) {
        *(int32_t *)field = (int32_t)value;
    } else {
        *(uint32_t *)field = (uint32_t)value;
    }
    return true;
}

static bool read_size(const struct ftli_key *key, const char *text, uint64_t *field, char *wrong, size_t wrong_bytes)
{
    bool automatic = key->kind == FTLI_KEY_SIZE_OR_AUTO, optional = key->kind == FTLI_KEY_SIZE_OR_NONE;
    uint64_t bytes = 0;
    if ((automatic && is(text, "auto")) || (optional && is(text, "none"))) {
        *field = 0;
        return true;
    }
    if (!ftli_read_size(text,
                        automatic  ? "auto or "
                        : optional ? "none or "
                                   : "",
                        &bytes, wrong, wrong_bytes) ||
        !in_bounds(key, text, (double)bytes, wrong, wrong_bytes)) {
        return false;
    }
    *field = bytes;
    return true;
}

static bool read_size_or_share(const char *text, struct ftli_size_or_share *field, char *wrong, size_t wrong_bytes)
{
    struct ftli_size_or_share value = {.is_share = strchr(text, '%') != NULL};
    bool good = value.is_share ? ftli_read_share(text, &value.share, wrong, wrong_bytes)
                               : ftli_read_size(text, FTLI_EXPECTED_SHARE ", or ", &value.bytes, wrong, wrong_bytes);
    if (good) {
        *field = value;
    }
    return good;
}

static bool read_time(const struct ftli_key *key, const char *text, int64_t *field, char *wrong, size_t wrong_bytes)
{
    bool optional = key->kind == FTLI_KEY_TIME_OR_NONE;
    int64_t ns = 0;
    if (optional && is(text, "none")) {
        *field = FTLI_TIME_NONE;
        return true;
    }
    if (!ftli_read_time(text, optional ? "none or " : "", &ns, wrong, wrong_bytes) ||
        !in_bounds(key, text, (double)ns, wrong, wrong_bytes)) {
        return false;
    }
    *field = ns;
    return true;
}

static bool read_number(const struct ftli_key *key, const char *text, double *field, char *wrong, size_t wrong_bytes)
{
    double number = 0;
    if (!ftli_read_number(text, &number, wrong, wrong_bytes) || !in_bounds(key, text, number, wrong, wrong_bytes)) {
        return false;
    }
    *field = number;
    return true;
}

bool ftli_read_scalar(const struct ftli_key *key, const char *text, void *field, char *wrong, size_t wrong_bytes)
{
    enum ftli_other_word word = ftli_other_word(text);
    if (word != FTLI_WORD_OURS && key->kind != FTLI_KEY_TEXT && key->kind != FTLI_KEY_GROUP) {
        char expected[192];
        ftli_write_expected(key, expected, sizeof expected);
        if (word == FTLI_WORD_NO && takes_none(key)) {
            (void)snprintf(wrong, wrong_bytes, "\"%s\" means nothing here; say none", text);
        } else {
            (void)snprintf(wrong, wrong_bytes, "\"%s\" means nothing here; expected %s", text, expected);
        }
        return false;
    }
    switch (key->kind) {
    case FTLI_KEY_SIZE:
    case FTLI_KEY_SIZE_OR_AUTO:
    case FTLI_KEY_SIZE_OR_NONE:
        return read_size(key, text, field, wrong, wrong_bytes);
    case FTLI_KEY_SIZE_OR_SHARE:
        return read_size_or_share(text, field, wrong, wrong_bytes);
    case FTLI_KEY_TIME:
    case FTLI_KEY_TIME_OR_NONE:
        return read_time(key, text, field, wrong, wrong_bytes);
    case FTLI_KEY_SHARE:
        return ftli_read_share(text, field, wrong, wrong_bytes);
    case FTLI_KEY_COUNT:
    case FTLI_KEY_COUNT_OR_AUTO:
    case FTLI_KEY_INTEGER:
        return read_whole(key, text, field, wrong, wrong_bytes);
    case FTLI_KEY_NUMBER:
        return read_number(key, text, field, wrong, wrong_bytes);
    case FTLI_KEY_CHOICE:
        return ftli_read_choice(key, text, field, wrong, wrong_bytes);
    case FTLI_KEY_TEXT:
    case FTLI_KEY_TEXT_OR_NONE:
        return read_text(key, text, field, wrong, wrong_bytes);
    case FTLI_KEY_GROUP:
        return read_group(text, field, wrong, wrong_bytes);
    default:
        (void)snprintf(wrong, wrong_bytes, "is not one value");
        return false;
    }
}

bool ftli_read_cpu_list(const char *text, struct ftli_cpus *cpus, char *wrong, size_t wrong_bytes)
{
    struct ftli_cpus read = {.any = is(text, "any")};
    while (!read.any) {
        size_t length = strcspn(text, ",");
        char item[24] = "";
        if (length < sizeof item) {
            memcpy(item, text, length);
        }
        if (!ftli_read_cpus(item, &read, wrong, wrong_bytes)) {
            return false;
        }
        if (text[length] == '\0') {
            break;
        }
        text += length + 1;
    }
    *cpus = read;
    return true;
}
