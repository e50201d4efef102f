/* Subcommands and their options, by tables: what is parsed is what --help prints. One thread. */
#ifndef FTLI_TOOLS_COMMAND_H
#define FTLI_TOOLS_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

enum { /* exit codes of every subcommand */
       FTLI_EXIT_GOOD = 0,
       FTLI_EXIT_FAULT = 1,  /* a fault was found: a leak, a law broken */
       FTLI_EXIT_USAGE = 2,  /* bad usage or input */
       FTLI_EXIT_NOBODY = 3, /* the process cannot be reached */
};

struct ftli_option {
    const char *name;  /* "--threads"; NULL ends a table */
    const char *value; /* what stands for its value in the help, "N"; NULL: it takes none */
    const char *help;
    const char *const *words; /* the only values taken; NULL: any. Ends with NULL */
};

enum { FTLI_MAX_OPTIONS = 16, FTLI_MAX_MORE = 16 };

struct ftli_arguments {
    const char *word;                /* the one that is no option; NULL: none, if the command can do without */
    const char *more[FTLI_MAX_MORE]; /* those behind it */
    uint32_t more_count;
    const char *values[FTLI_MAX_OPTIONS]; /* by place in the command's table; NULL: not given; "" if it takes none */
    char **rest;                          /* of a command that takes_rest: word and all after it; NULL ends them */
};

struct ftli_command {
    const char *name; /* one word, or two: "topology check" */
    const char *word; /* what the one argument is, "TRACE"; NULL: it takes none */
    bool takes_rest;  /* from the word on all is another program's: no option is looked for in it */
    const char *summary;
    const char *text; /* of its --help, between usage and options */
    const struct ftli_option *options;
    int (*run)(const struct ftli_arguments *arguments);
    bool word_optional;
    const char *more; /* what follows the word, "REQUEST", one or more of them; NULL: nothing may */
};

extern const struct ftli_command ftli_command_profile;
extern const struct ftli_command ftli_command_record;
extern const struct ftli_command ftli_command_replay;
extern const struct ftli_command ftli_command_simulate;
extern const struct ftli_command ftli_command_topology_check;
extern const struct ftli_command ftli_command_topology_show;
extern const struct ftli_command ftli_command_stat;
extern const struct ftli_command ftli_command_stress;
extern const struct ftli_command ftli_command_control;
extern const struct ftli_command ftli_command_leaks;

/* argv[0] is what follows the command's name. -1: go on; else the exit code, after help or a message was printed. */
int ftli_command_parse(const struct ftli_command *command, int argc, char **argv, struct ftli_arguments *out);
void ftli_command_help(const struct ftli_command *command);

/* A count at most `most`, or an exit code after a message that names the option. -1: taken. */
int ftli_command_count(const struct ftli_command *command, const char *option, const char *text, uint64_t least,
                       uint64_t most, uint64_t *out);

/* A time with its unit (us, ms, s, min, h), in the same way. */
int ftli_command_time(const struct ftli_command *command, const char *option, const char *text, uint64_t *out_ns);

/* A size with its unit (B, KiB, MiB, GiB; none: bytes) from 1 to 2^48, in the same way. */
int ftli_command_bytes(const struct ftli_command *command, const char *option, const char *text, uint64_t *out);

/* `fettle NAME: message` on stderr, and the code for bad usage. */
__attribute__((format(printf, 2, 3))) int ftli_command_refuse(const struct ftli_command *command, const char *format,
                                                              ...);

#endif
