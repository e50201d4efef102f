#include "tools/command.h"

#include "tools/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int ftli_command_refuse(const struct ftli_command *command, const char *format, ...)
{
    va_list arguments;
    fprintf(stderr, "fettle %s: ", command->name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return FTLI_EXIT_USAGE;
}

/* One option of the help, its text wrapped so that it stays in its column. */
static void print_option(const struct ftli_option *option)
{
    enum { COLUMN = 24, WIDTH = 96 };
    int used =
        printf("  %s%s%s", option->name, option->value == NULL ? "" : " ", option->value == NULL ? "" : option->value);
    const char *at = option->help;
    if (used > COLUMN - 2) {
        putchar('\n');
        used = 0;
    }
    while (*at != '\0') {
        size_t length = strlen(at);
        if (length > WIDTH - COLUMN) {
            length = WIDTH - COLUMN;
            while (length > 0 && at[length] != ' ') {
                length--;
            }
        }
        printf("%*s%.*s\n", COLUMN - used, "", (int)length, at);
        used = 0;
        at += length;
        at += strspn(at, " ");
    }
}

void ftli_command_help(const struct ftli_command *command)
{
    printf("usage: fettle %s", command->name);
    if (command->word != NULL && !command->takes_rest) {
        printf(command->word_optional ? " [%s]" : " %s", command->word);
    }
    if (command->more != NULL) {
        printf(" %s", command->more);
    }
    for (const struct ftli_option *option = command->options; option->name != NULL; option++) {
        printf(option->value == NULL ? " [%s]" : " [%s %s]", option->name, option->value);
    }
    if (command->takes_rest) {
        printf(" -- %s ...", command->word);
    }
    printf("\n\n%s\n\n", command->text);
    for (const struct ftli_option *option = command->options; option->name != NULL; option++) {
        print_option(option);
    }
    print_option(&(struct ftli_option){.name = "--help", .help = "prints this"});
}

static int unknown_option(const struct ftli_command *command, const char *given)
{
    const char *names[FTLI_MAX_OPTIONS + 1];
    char word[64];
    uint32_t count = 0;
    for (const struct ftli_option *option = command->options; option->name != NULL; option++) {
        names[count++] = option->name;
    }
    names[count++] = "--help";
    snprintf(word, sizeof word, "%.*s", (int)strcspn(given, "="), given);
    const char *guess = ftli_text_guess(word, names, count);
    return ftli_command_refuse(command, "no option %s%s%s%s; see fettle %s --help", word,
                               guess == NULL ? "" : "; did you mean ", guess == NULL ? "" : guess,
                               guess == NULL ? "" : "?", command->name);
}

static int check_word(const struct ftli_command *command, const struct ftli_option *option, const char *value)
{
    char list[128] = "";
    uint32_t count = 0;
    if (option->words == NULL) {
        return -1;
    }
    for (; option->words[count] != NULL; count++) {
        if (strcmp(option->words[count], value) == 0) {
            return -1;
        }
        size_t length = strlen(list);
        snprintf(list + length, sizeof list - length, "%s%s", count == 0 ? "" : ", ", option->words[count]);
    }
    const char *guess = ftli_text_guess(value, option->words, count);
    return ftli_command_refuse(command, "%s: \"%s\" means nothing here; %s%s%s%s", option->name, value, list,
                               guess == NULL || count == 1 ? "" : "; did you mean ",
                               guess == NULL || count == 1 ? "" : guess, guess == NULL || count == 1 ? "" : "?");
}

/* argv[*at] is an option; moves *at to its value if that stands apart. */
static int take_option(const struct ftli_command *command, int argc, char **argv, int *at, struct ftli_arguments *out)
{
    const char *given = argv[*at];
    for (uint32_t i = 0; command->options[i].name != NULL; i++) {
        const struct ftli_option *option = &command->options[i];
        size_t length = strlen(option->name);
        if (strncmp(given, option->name, length) != 0 || (given[length] != '\0' && given[length] != '=')) {
            continue;
        }
        if (out->values[i] != NULL) {
            return ftli_command_refuse(command, "%s is here twice", option->name);
        }
        if (option->value == NULL) {
            if (given[length] == '=') {
                return ftli_command_refuse(command, "%s takes no value", option->name);
            }
            out->values[i] = "";
            return -1;
        }
        if (given[length] == '=') {
            out->values[i] = given + length + 1;
        } else if (*at + 1 < argc) {
            out->values[i] = argv[++*at];
        } else {
            return ftli_command_refuse(command, "%s needs a value: %s %s", option->name, option->name, option->value);
        }
        return check_word(command, option, out->values[i]);
    }
    return unknown_option(command, given);
}

int ftli_command_parse(const struct ftli_command *command, int argc, char **argv, struct ftli_arguments *out)
{
    bool words_only = false;
    *out = (struct ftli_arguments){0};
    for (int at = 0; at < argc; at++) {
        if (!words_only && strcmp(argv[at], "--") == 0) {
            words_only = true;
        } else if (!words_only && (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0)) {
            ftli_command_help(command);
            return FTLI_EXIT_GOOD;
        } else if (!words_only && argv[at][0] == '-' && argv[at][1] != '\0') {
            int result = take_option(command, argc, argv, &at, out);
            if (result >= 0) {
                return result;
            }
        } else if (command->word == NULL) {
            return ftli_command_refuse(command, "\"%s\" is one word too many; see fettle %s --help", argv[at],
                                       command->name);
        } else if (out->word == NULL) {
            out->word = argv[at];
            out->rest = argv + at;
            if (command->takes_rest) {
                break;
            }
        } else if (command->more != NULL && out->more_count < FTLI_MAX_MORE) {
            out->more[out->more_count++] = argv[at];
        } else {
            return ftli_command_refuse(command, "one %s at a time; \"%s\" is one too many", command->word, argv[at]);
        }
    }
    if (command->more != NULL && out->word != NULL && out->more_count == 0) {
        return ftli_command_refuse(command, "which %s? usage: fettle %s %s %s; see --help", command->more,
                                   command->name, command->word, command->more);
    }
    if (out->word == NULL && command->word != NULL && !command->word_optional) {
        return ftli_command_refuse(command, "which %s? usage: fettle %s %s%s %s; see --help", command->word,
                                   command->name, command->takes_rest ? "[...] -- " : "", command->word,
                                   command->more == NULL ? "[...]" : command->more);
    }
    return -1;
}

int ftli_command_count(const struct ftli_command *command, const char *option, const char *text, uint64_t least,
                       uint64_t most, uint64_t *out)
{
    uint64_t count = 0;
    bool good = text[0] != '\0';
    for (const char *at = text; *at != '\0' && good; at++) {
        good = *at >= '0' && *at <= '9' && count <= most;
        count = count * 10 + (uint64_t)(*at - '0');
    }
    if (!good || count < least || count > most) {
        return ftli_command_refuse(command, "%s: \"%s\"; expected a number from %" PRIu64 " to %" PRIu64, option, text,
                                   least, most);
    }
    *out = count;
    return -1;
}

int ftli_command_time(const struct ftli_command *command, const char *option, const char *text, uint64_t *out_ns)
{
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"min", 60e9}, {"h", 3600e9}};
    char *end = NULL;
    double value = text[0] >= '0' && text[0] <= '9' ? strtod(text, &end) : -1;
    for (size_t i = 0; end != NULL && i < sizeof units / sizeof *units; i++) {
        if (strcmp(end, units[i].name) == 0 && value * units[i].ns < 1e18) {
            *out_ns = (uint64_t)(value * units[i].ns);
            return -1;
        }
    }
    return ftli_command_refuse(command, "%s: \"%s\"%s; expected a time such as 10s (us, ms, s, min, h)", option, text,
                               end != NULL && *end == '\0' ? " has no unit" : "");
}

int ftli_command_bytes(const struct ftli_command *command, const char *option, const char *text, uint64_t *out)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", ""};
    uint64_t most = UINT64_C(1) << 48, value = 0;
    size_t digits = strspn(text, "0123456789");
    unsigned unit = 0;
    for (size_t i = 0; i < digits && value <= most; i++) {
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    while (unit < 5 && strcmp(text + digits, units[unit]) != 0) {
        unit++;
    }
    unsigned shift = unit < 4 ? 10 * unit : 0;
    if (digits == 0 || unit == 5 || value == 0 || value > most >> shift) {
        return ftli_command_refuse(command, "%s: \"%s\"; expected a size from 1 on, such as 1KiB (B, KiB, MiB, GiB)",
                                   option, text);
    }
    *out = value << shift;
    return -1;
}
