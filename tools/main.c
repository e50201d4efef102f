/* fettle: the command line. Finds the subcommand in a table, parses its options, runs it. */
#include "tools/command.h"
#include "tools/text.h"

#include <fettle/fettle.h>

#include <stdio.h>
#include <string.h>

static const struct ftli_command *const commands[] = {
    &ftli_command_record,         &ftli_command_replay,        &ftli_command_stress,  &ftli_command_simulate,
    &ftli_command_topology_check, &ftli_command_topology_show, &ftli_command_profile,
#if FETTLE_BRIDGE
    &ftli_command_stat,           &ftli_command_control,       &ftli_command_leaks,
#endif
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void usage(FILE *out)
{
    fputs("fettle: looks after tensor memory\n\nusage: fettle COMMAND ...\n\n", out);
    for (uint32_t i = 0; i < COMMANDS; i++) {
        char call[64];
        snprintf(call, sizeof call, "%s %s", commands[i]->name, commands[i]->word == NULL ? "" : commands[i]->word);
        fprintf(out, "  %-24s %s\n", call, commands[i]->summary);
    }
    fputs("\n"
          "  --version                the version\n"
          "  --help                   this; after a command: all about it\n"
          "\n"
          "exit codes: 0 good, 1 a fault was found (a leak, a sum that is broken), 2 bad usage or input,\n"
          "            3 the process cannot be reached\n",
          out);
}

/* The command that the words call, and how many words its name has. */
static const struct ftli_command *find(int argc, char **argv, int *name_words)
{
    for (uint32_t i = 0; i < COMMANDS; i++) {
        const char *name = commands[i]->name;
        size_t first = strcspn(name, " ");
        if (strlen(argv[0]) != first || memcmp(argv[0], name, first) != 0) {
            continue;
        }
        if (name[first] == '\0') {
            *name_words = 1;
            return commands[i];
        }
        if (argc > 1 && strcmp(argv[1], name + first + 1) == 0) {
            *name_words = 2;
            return commands[i];
        }
    }
    return NULL;
}

static int unknown(int argc, char **argv)
{
    char given[64];
    const char *names[COMMANDS];
    bool half = false; /* the first word is the first of two */
    for (uint32_t i = 0; i < COMMANDS; i++) {
        size_t first = strcspn(commands[i]->name, " ");
        names[i] = commands[i]->name;
        half = half || (names[i][first] == ' ' && strlen(argv[0]) == first && memcmp(argv[0], names[i], first) == 0);
    }
    if (half) {
        bool help = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
        FILE *out = help ? stdout : stderr;
        fprintf(out, help ? "%s:\n" : "fettle %s: which? There are\n", argv[0]);
        for (uint32_t i = 0; i < COMMANDS; i++) {
            if (strncmp(names[i], argv[0], strlen(argv[0])) == 0) {
                fprintf(out, "  fettle %s %s    %s\n", names[i], commands[i]->word == NULL ? "" : commands[i]->word,
                        commands[i]->summary);
            }
        }
        return help ? FTLI_EXIT_GOOD : FTLI_EXIT_USAGE;
    }
    snprintf(given, sizeof given, "%s", argv[0]);
    const char *guess = ftli_text_guess(given, names, COMMANDS);
    fprintf(stderr, "fettle: no command is called \"%s\"%s%s%s; see fettle --help\n", given,
            guess == NULL ? "" : "; did you mean ", guess == NULL ? "" : guess, guess == NULL ? "" : "?");
    return FTLI_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return FTLI_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        usage(stdout);
        return FTLI_EXIT_GOOD;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("fettle %d.%d.%d\n", FTL_VERSION_MAJOR, FTL_VERSION_MINOR, FTL_VERSION_PATCH);
        return FTLI_EXIT_GOOD;
    }
    int name_words = 0;
    const struct ftli_command *command = find(argc - 1, argv + 1, &name_words);
    if (command == NULL) {
        return unknown(argc - 1, argv + 1);
    }
    struct ftli_arguments arguments;
    int result = ftli_command_parse(command, argc - 1 - name_words, argv + 1 + name_words, &arguments);
    if (result < 0) {
        result = command->run(&arguments);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("fettle: stdout");
        return FTLI_EXIT_FAULT;
    }
    return result;
}
