/* fettle topology check and show: reads a topology file, says what is wrong with it, or draws it. */
#include "tools/topology.h"

#include "tools/command.h"
#include "tools/measure.h"
#include "tools/text.h"

#include "actors/port/topology.h"
#include "runtime/compose/scalar.h"

#include <fettle/actor.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct ftli_topology_text ftli_topology_spaced(const char *text)
{
    struct ftli_topology_text out;
    size_t to = 0;
    for (size_t i = 0; text[i] != '\0' && to + 2 < sizeof out.text; i++) {
        if (i > 0 && isdigit((unsigned char)text[i - 1]) && (isalpha((unsigned char)text[i]) || text[i] == '%')) {
            out.text[to++] = ' ';
        }
        out.text[to++] = text[i];
    }
    out.text[to] = '\0';
    return out;
}

struct ftli_topology_text ftli_topology_value(const struct ftli_topology *topology, const char *type, const char *key)
{
    const struct ftli_topology_actor *actor = ftli_topology_actor(topology, type);
    const struct ftli_key *table = actor == NULL ? NULL : actor->schema->keys;
    while (table != NULL && table->name != NULL) {
        size_t length = strcspn(key, ".");
        if (strlen(table->name) != length || memcmp(table->name, key, length) != 0) {
            table++;
        } else if (key[length] == '.' && table->kind == FTLI_KEY_MAP) {
            key += length + 1;
            table = table->children;
        } else {
            char written[128];
            ftli_write_value(table, actor->settings, written, sizeof written);
            return ftli_topology_spaced(written);
        }
    }
    return (struct ftli_topology_text){""};
}

const struct ftli_topology_group *ftli_topology_group_of(const struct ftli_topology *topology,
                                                         const struct ftli_topology_actor *actor)
{
    return &topology->groups[actor->threads.index];
}

uint32_t ftli_topology_thread_count(const struct ftli_topology *topology)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < topology->group_count; i++) {
        count += topology->groups[i].count;
    }
    return count;
}

uint64_t ftli_topology_limit_bytes(const struct ftli_topology_device *device, const char **from)
{
    if (device->limit_bytes != 0) {
        *from = "as the file says";
        return device->limit_bytes;
    }
    uint64_t limit = ftli_measure_memory_limit_bytes();
    *from = limit < ftli_measure_physical_bytes() ? "cgroup memory.max" : "physical memory";
    return limit;
}

/* Line `number` of a file, without its end; false if it is not there. */
static bool read_line(const char *path, unsigned long number, char *line, size_t size)
{
    FILE *file = fopen(path, "r");
    bool found = false;
    unsigned long at = 1;
    if (file == NULL) {
        return false;
    }
    while (!found && fgets(line, (int)size, file) != NULL) {
        size_t length = strcspn(line, "\r\n");
        bool ends = line[length] != '\0';
        found = at == number;
        line[length] = '\0';
        at += ends;
        if (found && !ends) { /* longer than the buffer: what there is of it */
            break;
        }
    }
    fclose(file);
    return found;
}

void ftli_topology_print_error(const char *path, const char *message, FILE *out)
{
    char line[512], *end;
    size_t length = strlen(path);
    fprintf(out, "%s\n", message);
    if (strncmp(message, path, length) != 0 || message[length] != ':') {
        return;
    }
    unsigned long number = strtoul(message + length + 1, &end, 10);
    unsigned long column = *end == ':' ? strtoul(end + 1, &end, 10) : 0;
    if (number == 0 || column == 0 || *end != ':' || !read_line(path, number, line, sizeof line)) {
        return;
    }
    /* Nothing of the file may move the cursor. Columns count characters, as the caret does. */
    for (unsigned char *at = (unsigned char *)line; *at != '\0'; at++) {
        *at = *at < 0x20 || *at == 0x7f ? (unsigned char)' ' : *at;
    }
    int before = column - 1 < sizeof line ? (int)column - 1 : 0;
    fprintf(out, "%5lu | %s\n      | %*s^\n", number, line, before, "");
}

/* Names of types, apart. */
struct types {
    char text[1088];
    ftl_actor_type types[FTLI_USER_TYPES_MOST];
    size_t count;
};

static bool take_types(const char *names, struct types *out)
{
    size_t bytes = strlen(names) + 1;
    *out = (struct types){.count = 0};
    if (bytes > sizeof out->text) {
        fprintf(stderr, "fettle: --type: the list is too long\n");
        return false;
    }
    memcpy(out->text, names, bytes);
    for (char *at = out->text; at != NULL; out->count++) {
        char *comma = strchr(at, ',');
        size_t length = comma != NULL ? (size_t)(comma - at) : strlen(at);
        if (length == 0 || length >= FTLI_NAME_BYTES || strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789-_") < length) {
            fprintf(stderr,
                    "fettle: --type: \"%.*s\" is no name of a type; expected 1 to %d characters of a-z 0-9 - _\n",
                    (int)(length < 40 ? length : 40), at, FTLI_NAME_BYTES - 1);
            return false;
        }
        if (out->count == FTLI_USER_TYPES_MOST) {
            fprintf(stderr, "fettle: --type: more than %d types\n", FTLI_USER_TYPES_MOST);
            return false;
        }
        if (comma != NULL) {
            *comma = '\0';
        }
        out->types[out->count].name = at;
        at = comma != NULL ? comma + 1 : NULL;
    }
    return true;
}

/* What only a program knows cannot be told from a slip of the pen. */
static bool is_of_a_type(const char *error)
{
    return strstr(error, "no actor is of type") != NULL || strstr(error, "or give it one of these as its type") != NULL;
}

struct ftli_topology *ftli_topology_read_file(const char *path, const char *types)
{
    char error[1024] = "";
    struct ftli_topology *topology = NULL;
    struct types brought = {.count = 0};
    if (types != NULL && !take_types(types, &brought)) {
        return NULL;
    }
    ftl_open_options options = {.path = path};
    options.actor_types = brought.count != 0 ? brought.types : NULL;
    options.actor_type_count = brought.count;
    int status = ftli_topology_load(&options, &topology, error, sizeof error);
    if (status == FTL_EINVAL) { /* a type of Fettle's */
        fprintf(stderr, "fettle: --type: %s\n", error);
        return NULL;
    }
    if (status != FTL_OK) {
        ftli_topology_print_error(path, error, stderr);
        if (is_of_a_type(error)) {
            fputs("      a type that your program brings? --type NAME takes it as known\n", stderr);
        }
        return NULL;
    }
    return topology;
}

static const char *promise(const struct ftli_topology *topology)
{
    const struct ftli_topology_actor *allocation = ftli_topology_actor(topology, "allocation");
    const struct ftli_topology_actor *cleanup = ftli_topology_actor(topology, "cleanup");
    if (allocation != NULL && cleanup != NULL && ftli_topology_group_of(topology, allocation)->count > 0 &&
        ftli_topology_group_of(topology, cleanup)->count > 0) {
        return "drops complete within 100 ms, also with idle owners";
    }
    return "drops complete in new's slow path, drain, scope_end, close or ftl_runtime_run";
}

void ftli_topology_print_head(const struct ftli_topology *topology, const char *path, FILE *out)
{
    struct ftli_paint paint = ftli_text_paint(out);
    fprintf(out, "%-8s %s: %sgood%s          promise: %s\n", topology->name, path, paint.green, paint.plain,
            promise(topology));
}

static bool is_set(const struct ftli_topology_text *value)
{
    return value->text[0] != '\0' && strcmp(value->text, "none") != 0;
}

static void print_sockets(const struct ftli_topology *topology, FILE *out)
{
    struct ftli_topology_text publish = ftli_topology_value(topology, "telemetry", "publish");
    struct ftli_topology_text control = ftli_topology_value(topology, "telemetry", "control");
    bool is_auto = strcmp(control.text, "auto") == 0;
    fprintf(out, "  sockets  %s%s%s%s          ports: none\n",
            is_auto            ? "$XDG_RUNTIME_DIR/fettle/PID-... (mode 0700, yours only)"
            : is_set(&control) ? control.text
                               : "",
            is_set(&control) && is_set(&publish) ? ", " : "", is_set(&publish) ? publish.text : "",
            is_set(&control) || is_set(&publish) ? "" : "none");
}

void ftli_topology_print_tail(const struct ftli_topology *topology, FILE *out)
{
    for (uint32_t i = 0; i < topology->warning_count; i++) {
        fprintf(out, "  warning  %s\n", topology->warnings[i]);
    }
    for (uint32_t i = 0; i < topology->device_count; i++) {
        const struct ftli_topology_device *device = &topology->devices[i];
        const char *from;
        uint64_t limit = ftli_topology_limit_bytes(device, &from);
        double soft = (double)limit * device->soft, hard = (double)limit * device->hard;
        fprintf(out, "  limit    %s: %s (%s)   soft %s %s   hard %s %s\n", device->name, ftli_text_bytes(limit).text,
                from, ftli_text_percent(device->soft).text, ftli_text_bytes((uint64_t)soft).text,
                ftli_text_percent(device->hard).text, ftli_text_bytes((uint64_t)hard).text);
    }
    print_sockets(topology, out);
    if (topology->difference_count == 0) {
        fputs("  the same as default.yaml\n", out);
    } else {
        fprintf(out, "  differs from default.yaml in %u key%s: --diff lists them\n", topology->difference_count,
                topology->difference_count == 1 ? "" : "s");
    }
}

void ftli_topology_print_diff(const struct ftli_topology *topology, FILE *out)
{
    int key_width = 0, value_width = 0;
    for (uint32_t i = 0; i < topology->difference_count; i++) {
        int key = (int)strlen(topology->differences[i].key), value = (int)strlen(topology->differences[i].value);
        key_width = key > key_width ? key : key_width;
        value_width = value > value_width && value < 40 ? value : value_width;
    }
    for (uint32_t i = 0; i < topology->difference_count; i++) {
        const struct ftli_difference *difference = &topology->differences[i];
        fprintf(out, "  %-*s  %-*s  default %s\n", key_width, difference->key, value_width, difference->value,
                difference->standard);
    }
    if (topology->difference_count == 0) {
        fputs("  nothing: the same as default.yaml\n", out);
    }
}

enum { DIFF, TYPE, FORMAT };
static const char *const formats[] = {"text", "dot", NULL};

static const struct ftli_option check_options[] = {
    [DIFF] = {"--diff", NULL, "lists what differs from default.yaml", NULL},
    [TYPE] = {"--type", "NAME,..", "types of actors that your program brings", NULL},
    {NULL, NULL, NULL, NULL},
};

static const struct ftli_option show_options[] = {
    [DIFF] = {"--diff", NULL, "lists what differs from default.yaml instead", NULL},
    [TYPE] = {"--type", "NAME,..", "types of actors that your program brings", NULL},
    [FORMAT] = {"--format", "text|dot", "text (the default), or dot for Graphviz", formats},
    {NULL, NULL, NULL, NULL},
};

static int run_check(const struct ftli_arguments *arguments)
{
    struct ftli_topology *topology = ftli_topology_read_file(arguments->word, arguments->values[TYPE]);
    if (topology == NULL) {
        return FTLI_EXIT_USAGE;
    }
    ftli_topology_print_head(topology, arguments->word, stdout);
    ftli_topology_print_tail(topology, stdout);
    if (arguments->values[DIFF] != NULL) {
        putchar('\n');
        ftli_topology_print_diff(topology, stdout);
    }
    ftli_topology_free(topology);
    return FTLI_EXIT_GOOD;
}

static int run_show(const struct ftli_arguments *arguments)
{
    bool dot = arguments->values[FORMAT] != NULL && strcmp(arguments->values[FORMAT], "dot") == 0;
    if (dot && arguments->values[DIFF] != NULL) {
        return ftli_command_refuse(&ftli_command_topology_show, "--diff is text: not with --format dot");
    }
    struct ftli_topology *topology = ftli_topology_read_file(arguments->word, arguments->values[TYPE]);
    if (topology == NULL) {
        return FTLI_EXIT_USAGE;
    }
    if (dot) {
        ftli_topology_draw_dot(topology, stdout);
    } else if (arguments->values[DIFF] != NULL) {
        ftli_topology_print_head(topology, arguments->word, stdout);
        ftli_topology_print_diff(topology, stdout);
    } else {
        ftli_topology_print_head(topology, arguments->word, stdout);
        putchar('\n');
        ftli_topology_draw(topology, stdout);
        putchar('\n');
        ftli_topology_draw_routes(topology, stdout);
        ftli_topology_print_tail(topology, stdout);
    }
    ftli_topology_free(topology);
    return FTLI_EXIT_GOOD;
}

const struct ftli_command ftli_command_topology_check = {
    .name = "topology check",
    .word = "FILE",
    .summary = "reads a topology file and says what is wrong with it",
    .text =
        "Reads a topology file as ftl_runtime_open would, without opening anything. The first thing that is wrong is\n"
        "printed with its line, and the exit code is 2; else warnings, limits, sockets. A type of actor that only "
        "your\n"
        "program knows is an error unless --type names it.",
    .options = check_options,
    .run = run_check,
};

const struct ftli_command ftli_command_topology_show = {
    .name = "topology show",
    .word = "FILE",
    .summary = "draws a topology: actors, threads, lanes, routes",
    .text = "Draws what a topology file asks for: which actors run on which threads, and what goes between them.",
    .options = show_options,
    .run = run_show,
};
