/* The keys of a topology: tables that say what a key is called, what it holds and where the value goes.
 *
 * What        A table of struct ftli_key describes one struct of settings. Compose reads YAML by such tables
 * and knows no actor: each actor hands over the table of its own keys (struct ftli_actor_schema). Owns
 * Nothing. Tables are constants of the program. Threads     Constants: any. Invariants  A table ends with an
 * entry without a name. The type of a field fits its key's kind: the macros below refuse to compile
 * otherwise.
 */
#ifndef FTLI_RUNTIME_COMPOSE_SCHEMA_H
#define FTLI_RUNTIME_COMPOSE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FTLI_NAME_BYTES = 16 }; /* of a runtime, group, device or actor: 15 characters of a-z 0-9 - _ and a zero */
enum { FTLI_CPUS_MOST = 1024 };
enum { FTLI_WORDS_MOST = 8 }; /* in a list of words */
enum { FTLI_TIME_NONE = -1 }; /* a time that may be none: not at all */

/* A thread group, by name. The index is into struct ftli_topology's groups and is set when all of them are
 * known. */
struct ftli_group_reference {
    uint32_t index;
    char name[FTLI_NAME_BYTES];
};

/* A number of bytes, or a share of something that only the reader knows. */
struct ftli_size_or_share {
    bool is_share;
    double share;   /* 0 to 1, if is_share */
    uint64_t bytes; /* if not */
};

/* A list of words, each at most once, in their order. */
struct ftli_words {
    uint32_t count;
    uint32_t items[FTLI_WORDS_MOST]; /* indices in the key's `words` */
};

/* Processors a group may run on. any: the mask is void. */
struct ftli_cpus {
    bool any;
    uint64_t mask[FTLI_CPUS_MOST / 64];
};

/* What a type of the program's says for itself: any keys, one value each. */
enum { FTLI_SETTINGS_MOST = 32, FTLI_SETTING_KEY_BYTES = 32, FTLI_SETTING_VALUE_BYTES = 128 };
struct ftli_settings {
    uint32_t count;
    struct {
        char key[FTLI_SETTING_KEY_BYTES], value[FTLI_SETTING_VALUE_BYTES];
    } items[FTLI_SETTINGS_MOST];
};

enum ftli_key_kind {
    FTLI_KEY_SIZE,          /* 64MiB          uint64_t bytes */
    FTLI_KEY_SIZE_OR_AUTO,  /* 64MiB, auto    uint64_t bytes; 0: auto */
    FTLI_KEY_SIZE_OR_NONE,  /* 64MiB, none    uint64_t bytes; 0: none */
    FTLI_KEY_SIZE_OR_SHARE, /* 64MiB, 10%     struct ftli_size_or_share */
    FTLI_KEY_TIME,          /* 50ms           int64_t ns */
    FTLI_KEY_TIME_OR_NONE,  /* 50ms, none     int64_t ns; FTLI_TIME_NONE */
    FTLI_KEY_SHARE,         /* 80%            double, 0.8 */
    FTLI_KEY_COUNT,         /* 4096           uint32_t */
    FTLI_KEY_COUNT_OR_AUTO, /* 4, auto        uint32_t; 0: auto */
    FTLI_KEY_INTEGER,       /* -5             int32_t */
    FTLI_KEY_NUMBER,        /* 1.5            double */
    FTLI_KEY_CHOICE,        /* standard       uint32_t, the index in `words` */
    FTLI_KEY_WORDS,         /* [retry, restart] struct ftli_words, of `words`; at least one */
    FTLI_KEY_TEXT,          /* a-word         char[most + 1], if `accept` takes it */
    FTLI_KEY_TEXT_OR_NONE,  /* ipc://x, none  the same; none: the empty text */
    FTLI_KEY_GROUP,         /* background     struct ftli_group_reference */
    FTLI_KEY_CPUS,          /* any, 0-3,8     struct ftli_cpus */
    FTLI_KEY_MAP,           /* {..}           `children`; their offsets count from the same struct */
    FTLI_KEY_LIST,          /* [{..}, ..]     `children` of an element; a list replaces the list before it */
    FTLI_KEY_SETTINGS,      /* {KEY: VALUE}   struct ftli_settings; a layer adds to what is there, or changes it */
    FTLI_KEY_NAMED,         /* {NAME: {..}}   compose's own: entries by name, each of which begins with its name */
};

struct ftli_key {
    const char *name;
    enum ftli_key_kind kind;
    size_t offset;      /* of the field in the settings; of a list: of its first element */
    double least, most; /* bytes, ns, share, count or characters; least = most = 0: no bound beyond the kind's own */
    const char *const *words; /* choice, words: ends with NULL; of words at most FTLI_WORDS_MOST */
    const char *example;      /* for messages; NULL: the kind's own */
    const struct ftli_key *children;
    size_t stride, count_offset; /* list: bytes of an element, and where its uint32_t length is; 1 to `most` elements */
    bool may_be_empty;           /* list: [] and none are none of them */
    /* text: false and what is wrong and what was expected. */
    bool (*accept)(const char *text, char *wrong, size_t wrong_bytes);
};

/* What a route may tell an actor of a type: `do`, and the message as the actor knows it. */
struct ftli_schema_message {
    const char *name;
    uint32_t type, lane;
};

/* What an actor's own check found between its keys. */
struct ftli_complaint {
    char key[64]; /* "batch.age": dotted, below the actor */
    char text[192];
};

struct ftli_actor_schema {
    const char *type;
    const struct ftli_key
        *keys; /* NULL: a type that this build leaves out; the default's entry for it is passed over */
    size_t settings_bytes;
    bool mandatory;      /* cannot be left out of a topology */
    uint32_t order;      /* of starting; unique, but for those of the program, which start in the order of the file */
    bool is_user;        /* a type of the program's: any number of actors may be of it */
    const char *threads; /* of those: what an entry begins with */
    int64_t receive_ns;
    /* What routes may name of it; both end with a NULL name, and may be NULL: none. */
    const char *const *events;                  /* beside those of every actor */
    const struct ftli_schema_message *messages; /* of a type of the program's: whatever it knows */
    /* NULL, or: false and a complaint if the values do not fit each other. */
    bool (*check)(const void *settings, struct ftli_complaint *complaint);
};

/* The offset of a field, if it has the type that its key's kind stores. */
#define FTLI_KEY_OFFSET_(type, field, value) _Generic(((type *)0)->field, value : offsetof(type, field))

#define FTLI_SIZE(key, type, field, from, to)                                                                     \
    {                                                                                                             \
        .name = (key), .kind = FTLI_KEY_SIZE, .offset = FTLI_KEY_OFFSET_(type, field, uint64_t), .least = (from), \
        .most = (to)                                                                                              \
    }
#define FTLI_SIZE_OR_AUTO(key, type, field, from, to)                                                    \
    {                                                                                                    \
        .name = (key), .kind = FTLI_KEY_SIZE_OR_AUTO, .offset = FTLI_KEY_OFFSET_(type, field, uint64_t), \
        .least = (from), .most = (to)                                                                    \
    }
#define FTLI_SIZE_OR_NONE(key, type, field, from, to)                                                    \
    {                                                                                                    \
        .name = (key), .kind = FTLI_KEY_SIZE_OR_NONE, .offset = FTLI_KEY_OFFSET_(type, field, uint64_t), \
        .least = (from), .most = (to)                                                                    \
    }
#define FTLI_SIZE_OR_SHARE(key, type, field)                               \
    {                                                                      \
        .name = (key), .kind = FTLI_KEY_SIZE_OR_SHARE,                     \
        .offset = FTLI_KEY_OFFSET_(type, field, struct ftli_size_or_share) \
    }
#define FTLI_TIME(key, type, field, from, to)                                                                    \
    {                                                                                                            \
        .name = (key), .kind = FTLI_KEY_TIME, .offset = FTLI_KEY_OFFSET_(type, field, int64_t), .least = (from), \
        .most = (to)                                                                                             \
    }
#define FTLI_TIME_OR_NONE(key, type, field, from, to)                                                   \
    {                                                                                                   \
        .name = (key), .kind = FTLI_KEY_TIME_OR_NONE, .offset = FTLI_KEY_OFFSET_(type, field, int64_t), \
        .least = (from), .most = (to)                                                                   \
    }
#define FTLI_SHARE(key, type, field)                                                                                  \
    {                                                                                                                 \
        .name = (key), .kind = FTLI_KEY_SHARE, .offset = FTLI_KEY_OFFSET_(type, field, double), .least = 0, .most = 1 \
    }
#define FTLI_COUNT(key, type, field, from, to)                                                                     \
    {                                                                                                              \
        .name = (key), .kind = FTLI_KEY_COUNT, .offset = FTLI_KEY_OFFSET_(type, field, uint32_t), .least = (from), \
        .most = (to)                                                                                               \
    }
#define FTLI_COUNT_OR_AUTO(key, type, field, from, to)                                                    \
    {                                                                                                     \
        .name = (key), .kind = FTLI_KEY_COUNT_OR_AUTO, .offset = FTLI_KEY_OFFSET_(type, field, uint32_t), \
        .least = (from), .most = (to)                                                                     \
    }
#define FTLI_INTEGER(key, type, field, from, to)                                                                    \
    {                                                                                                               \
        .name = (key), .kind = FTLI_KEY_INTEGER, .offset = FTLI_KEY_OFFSET_(type, field, int32_t), .least = (from), \
        .most = (to)                                                                                                \
    }
#define FTLI_NUMBER(key, type, field, from, to)                                                                   \
    {                                                                                                             \
        .name = (key), .kind = FTLI_KEY_NUMBER, .offset = FTLI_KEY_OFFSET_(type, field, double), .least = (from), \
        .most = (to)                                                                                              \
    }
#define FTLI_CHOICE(key, type, field, list)                                                                        \
    {                                                                                                              \
        .name = (key), .kind = FTLI_KEY_CHOICE, .offset = FTLI_KEY_OFFSET_(type, field, uint32_t), .words = (list) \
    }
#define FTLI_WORDS(key, type, field, list)                                                                 \
    {                                                                                                      \
        .name = (key), .kind = FTLI_KEY_WORDS, .offset = FTLI_KEY_OFFSET_(type, field, struct ftli_words), \
        .words = (list)                                                                                    \
    }
#define FTLI_TEXT(key, type, field, taken)                                                                             \
    {                                                                                                                  \
        .name = (key), .kind = FTLI_KEY_TEXT, .offset = offsetof(type, field), .most = sizeof(((type *)0)->field) - 1, \
        .accept = (taken)                                                                                              \
    }
#define FTLI_TEXT_OR_NONE(key, type, field, taken)                                     \
    {                                                                                  \
        .name = (key), .kind = FTLI_KEY_TEXT_OR_NONE, .offset = offsetof(type, field), \
        .most = sizeof(((type *)0)->field) - 1, .accept = (taken)                      \
    }
#define FTLI_SETTINGS(key, type, field)                                                                         \
    {                                                                                                           \
        .name = (key), .kind = FTLI_KEY_SETTINGS, .offset = FTLI_KEY_OFFSET_(type, field, struct ftli_settings) \
    }
#define FTLI_GROUP(key, type, field)                                                                                \
    {                                                                                                               \
        .name = (key), .kind = FTLI_KEY_GROUP, .offset = FTLI_KEY_OFFSET_(type, field, struct ftli_group_reference) \
    }
#define FTLI_CPUS(key, type, field)                                                                     \
    {                                                                                                   \
        .name = (key), .kind = FTLI_KEY_CPUS, .offset = FTLI_KEY_OFFSET_(type, field, struct ftli_cpus) \
    }
#define FTLI_MAP(key, table)                                     \
    {                                                            \
        .name = (key), .kind = FTLI_KEY_MAP, .children = (table) \
    }
#define FTLI_LIST(key, type, field, length, table)                                                        \
    {                                                                                                     \
        .name = (key), .kind = FTLI_KEY_LIST, .offset = offsetof(type, field),                            \
        .most = sizeof(((type *)0)->field) / sizeof(((type *)0)->field[0]), .children = (table),          \
        .stride = sizeof(((type *)0)->field[0]), .count_offset = FTLI_KEY_OFFSET_(type, length, uint32_t) \
    }
#define FTLI_LIST_OR_NONE(key, type, field, length, table)                                                 \
    {                                                                                                      \
        .name = (key), .kind = FTLI_KEY_LIST, .offset = offsetof(type, field),                             \
        .most = sizeof(((type *)0)->field) / sizeof(((type *)0)->field[0]), .children = (table),           \
        .stride = sizeof(((type *)0)->field[0]), .count_offset = FTLI_KEY_OFFSET_(type, length, uint32_t), \
        .may_be_empty = true                                                                               \
    }
#define FTLI_KEYS_END \
    {                 \
        .name = NULL  \
    }

#endif
