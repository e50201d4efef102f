/* A topology as the library reads it: plain structs, every value set, every name resolved.
 *
 * What        ftli_compose reads the built-in default, lays the user's text over it, lays the overrides over
 * that, checks the whole, and hands back one struct. Owns        The struct and what it points to;
 * ftli_compose_free gives all of it back. Threads     No shared state: any thread. The result is constant
 * afterwards. Invariants  of a composed topology: at least one group and one device; each actor's group index
 * and each group reference in its settings is below group_count; actors stand in the order in which they
 * start; no two of one type of ours; no mandatory one is missing; pressure levels rise; the lanes' shares add up
 * to 64; a route that is not void names actors that are there.
 */
#ifndef FTLI_RUNTIME_COMPOSE_TOPOLOGY_H
#define FTLI_RUNTIME_COMPOSE_TOPOLOGY_H

#include "runtime/compose/schema.h"
#include "runtime/kernel/kernel.h"

enum { FTLI_DEVICES_MOST = 16 };
enum { FTLI_PRESSURE_LEVELS = 4, FTLI_LANE_MESSAGES = 64 };
enum { FTLI_PINNED_KEEP = 0, FTLI_PINNED_REFUSE = 1 };
enum { FTLI_DEVICE_HOST = 0 };
/* Their numbers, and those of the steps in the lists, are runtime/supervise's. */
enum {
    FTLI_RECOVERY_TRANSIENT = 0,
    FTLI_RECOVERY_RESOURCE = 1,
    FTLI_RECOVERY_CONFIGURATION = 2,
    FTLI_RECOVERY_CORRUPTION = 3,
    FTLI_RECOVERY_FATAL = 4,
    FTLI_RECOVERY_CLASSES = 5
};
enum { FTLI_GIVE_UP_DEGRADE = 0, FTLI_GIVE_UP_CLOSE = 1 };
enum { FTLI_HUGE_PAGES_NONE = 0, FTLI_HUGE_PAGES_ADVISE = 1 };

/* Waits between tries: first, first * factor, ... never above most. */
struct ftli_backoff {
    int64_t first_ns, most_ns;
    double factor; /* at least 1 */
};

struct ftli_topology_group {
    char name[FTLI_NAME_BYTES];
    uint32_t count; /* 0: the program's own threads, in ftl_runtime_run */
    int32_t nice;
    struct ftli_cpus cpus;
};

struct ftli_topology_back_pressure {
    uint32_t pending; /* drops not yet reclaimed */
    uint64_t bytes;
    int64_t age_ns;  /* of the oldest */
    int64_t wait_ns; /* longest; 0: not at all */
};

struct ftli_topology_device {
    char name[FTLI_NAME_BYTES];
    uint32_t kind;                  /* FTLI_DEVICE_HOST */
    uint32_t huge_pages;            /* FTLI_HUGE_PAGES_... */
    uint64_t limit_bytes;           /* 0: auto, what the container or the machine has */
    double soft, hard;              /* shares of the limit; soft <= hard */
    uint64_t arena_bytes;           /* a multiple of 2 MiB */
    struct ftli_size_or_share keep; /* a share: of the last minute's peak */
    int64_t give_back_ns;
};

struct ftli_topology_actor {
    char name[FTLI_NAME_BYTES];
    const char *type; /* the schema's own string */
    const struct ftli_actor_schema *schema;
    struct ftli_group_reference threads;
    int64_t receive_ns; /* the watchdog reports a receive that runs longer; FTLI_TIME_NONE: it does not */
    void *settings;     /* schema->settings_bytes; the struct of the actor's settings.h */
    uint32_t line;      /* in the user's text; 0: as built in */
    uint32_t place;     /* in the order of reading */
};

struct ftli_topology_supervision {
    uint32_t strategy; /* FTLI_RESTART_... of runtime/kernel/supervision.h */
    uint32_t restarts; /* within within_ns; more: give up */
    uint32_t give_up;  /* FTLI_GIVE_UP_... */
    int64_t within_ns;
    struct ftli_backoff backoff;
    struct {
        uint32_t failures; /* of recoveries in a row */
        int64_t within_ns, open_ns;
    } breaker;
};

/* One actor's news, another's work. */
enum { FTLI_ROUTES_MOST = 64, FTLI_ROUTE_EVENT_BYTES = 32, FTLI_ROUTE_WORD_BYTES = 32 };
enum ftli_route_kind {
    FTLI_ROUTE_OWN = 0,      /* event: the index in its schema's `events` */
    FTLI_ROUTE_NEWS = 1,     /* of any actor; event: FTLI_NEWS_... */
    FTLI_ROUTE_LOG = 2,      /* of an actor of the program's; event: the level */
    FTLI_ROUTE_PRESSURE = 3, /* event: the level; source is empty */
};
struct ftli_topology_route {
    char when[FTLI_ROUTE_EVENT_BYTES]; /* "cleanup.completed" */
    char tell[FTLI_NAME_BYTES];
    char what[FTLI_ROUTE_WORD_BYTES]; /* `do` */
    uint32_t kind, event;
    char source[FTLI_NAME_BYTES];
    const struct ftli_schema_message *message; /* NULL: `tell` is one of the program's */
    bool is_void;                              /* an actor that it names was taken out */
};

/* One key whose value is not the built-in one. */
struct ftli_difference {
    char key[96];
    char value[160], standard[160]; /* as a topology file writes them; "none": not there */
    uint32_t line;                  /* in the user's text; 0: in the overrides */
};

struct ftli_topology {
    uint32_t grammar; /* of the file: 1 */
    char name[FTLI_NAME_BYTES];
    char source[128]; /* as messages call the text: its path, "topology" or "default.yaml (built in)" */
    uint32_t tensors; /* most at once */
    uint32_t pinned_on_close;
    int64_t drain_on_close_ns;
    struct ftli_topology_back_pressure back_pressure;
    uint32_t lane_shares[FTLI_LANES];             /* emergency, high, normal, background; of 64 messages */
    int64_t lane_alarms_ns[FTLI_LANES];           /* of the oldest message; FTLI_TIME_NONE: none */
    double pressure_levels[FTLI_PRESSURE_LEVELS]; /* low, medium, high, critical; of the limit */
    double pressure_hysteresis;                   /* a level ends this much below where it began */
    struct ftli_topology_supervision supervision;
    struct ftli_words recovery[FTLI_RECOVERY_CLASSES]; /* steps, FTLI_STEP_... of runtime/supervise/policy.h */
    uint32_t group_count, device_count, actor_count, route_count, warning_count, difference_count;
    struct ftli_topology_group groups[FTLI_GROUPS_MOST];
    struct ftli_topology_device devices[FTLI_DEVICES_MOST]; /* the first is device 0 */
    struct ftli_topology_actor actors[FTLI_ACTORS_MOST];
    struct ftli_topology_route routes[FTLI_ROUTES_MOST];
    char **warnings; /* one sentence each */
    struct ftli_difference *differences;
    void *types; /* what the schemas of the program's types lie in; freed with the topology. May be NULL */
};

struct ftli_compose_input {
    const char *default_text; /* the built-in default.yaml, zero-terminated */
    const char *path;         /* a file to read, or */
    const char *text;         /* the text itself; both NULL: the default alone */
    size_t text_bytes;
    const char *overrides; /* lines "actors.tracking.level: debug"; NULL: none */
    const struct ftli_actor_schema *const *schemas;
    size_t schema_count;
};

/* FTL_OK and a topology, FTL_ENOMEM, or FTL_ECONFIG and one line in `error`: file:line:column: key: what is
 * wrong. */
int ftli_compose(const struct ftli_compose_input *input, struct ftli_topology **out, char *error, size_t error_bytes);
void ftli_compose_free(struct ftli_topology *topology);

/* The actor of a type, or NULL if the topology leaves it out. */
const struct ftli_topology_actor *ftli_topology_actor(const struct ftli_topology *topology, const char *type);

#endif
