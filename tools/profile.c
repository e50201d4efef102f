/* fettle profile: a heap profile as a table or as folded stacks, its addresses named from the files that the program ran. */
#include "tools/command.h"
#include "tools/json.h"
#include "tools/profile_read.h"
#include "tools/profile_rows.h"
#include "tools/profile_symbols.h"
#include "tools/profile_write.h"
#include "tools/remote.h"
#include "tools/text.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

enum { TOP, FOLDED, OUTPUT, BY, VALUE, MOST, JSON };
enum { MOST_STANDARD = 40, MOST_AT_ALL = 1000000 };

static const char *const kinds[] = {"site", "label", "scope", "dtype", "device", NULL};

static const struct ftli_option options[] = {
    [TOP] = {"--top", NULL, "a table, the most bytes first (without --folded and -o: this is what is printed)", NULL},
    [FOLDED] = {"--folded", NULL, "stacks a line, the outermost function first, as flame graphs are made of", NULL},
    [OUTPUT] = {"-o", "FILE", "writes the profile there, with the names that were found, for pprof", NULL},
    [BY] = {"--by", "KIND", "rows of the table: site (the default), label, scope, dtype, device", kinds},
    [VALUE] = {"--value", "NAME", "what counts: inuse_space (the default), inuse_objects, alloc_space, alloc_objects",
               NULL},
    [MOST] = {"--most", "N", "rows of the table at most; 40 by default", NULL},
    [JSON] = {"--json", NULL, "prints the table as JSON", NULL},
    {NULL, NULL, NULL, NULL},
};

struct table {
    const char *path;
    const struct ftli_profile *profile;
    struct ftli_profile_rows rows;
    size_t value; /* the one that counts */
    uint64_t most;
};

/* ---- the table ------------------------------------------------------------------------------------------------------- */

static bool is_bytes(const struct table *table, size_t value)
{
    return strcmp(table->profile->units[value], "bytes") == 0;
}

static struct ftli_text text_of(const struct table *table, size_t value, int64_t number)
{
    uint64_t count = number > 0 ? (uint64_t)number : 0;
    return is_bytes(table, value) ? ftli_text_bytes(count) : ftli_text_count(count);
}

/* "inuse_space": IN USE; "alloc_objects": MADE, NUMBER. */
static const char *title_of(const char *type)
{
    static const struct {
        const char *type, *title;
    } titles[] = {
        {"inuse_space", "IN USE"}, {"inuse_objects", "TENSORS"}, {"alloc_space", "MADE"}, {"alloc_objects", "TENSORS"}};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        if (strcmp(type, titles[i].type) == 0)
            return titles[i].title;
    return type;
}

/* The value that counts, then the others of a heap profile. */
static size_t columns_of(const struct table *table, size_t *columns)
{
    static const char *const types[] = {"inuse_space", "inuse_objects", "alloc_space", "alloc_objects"};
    size_t n = 0;
    columns[n++] = table->value;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        size_t value = ftli_profile_type(table->profile, types[i]);
        if (value != FTLI_PROFILE_NONE && value != table->value)
            columns[n++] = value;
    }
    return n;
}

static double share_of(const struct table *table, int64_t number)
{
    int64_t sum = table->rows.sums[table->value];
    return sum != 0 ? (double)number / (double)sum : 0;
}

static void print_table(const struct table *table, const char *by)
{
    size_t columns[FTLI_PROFILE_VALUES + 1], n = columns_of(table, columns);
    char kind[32];
    size_t length = (size_t)snprintf(kind, sizeof kind, "%s", by == NULL ? "SITE" : by);
    for (size_t i = 0; i < length; i++)
        if (kind[i] >= 'a' && kind[i] <= 'z')
            kind[i] = (char)(kind[i] - 'a' + 'A');
    printf("%s: %s in %zu samples, by %s\n\n", table->path,
           text_of(table, table->value, table->rows.sums[table->value]).text, table->profile->samples.count,
           table->profile->types[table->value]);
    for (size_t c = 0; c < n; c++) {
        printf("%12s", title_of(table->profile->types[columns[c]]));
        fputs(c == 0 ? "        " : "", stdout);
    }
    printf("  %s\n", kind);
    for (size_t i = 0; i < table->rows.count && i < table->most; i++) {
        const struct ftli_profile_row *row = &table->rows.at[i];
        for (size_t c = 0; c < n; c++) {
            printf("%12s", text_of(table, columns[c], row->values[columns[c]]).text);
            if (c == 0)
                printf("%8s", ftli_text_percent(share_of(table, row->values[table->value])).text);
        }
        printf("  %s\n", row->text);
    }
    if (table->rows.count > table->most)
        printf("and %s more (--most)\n", ftli_text_count(table->rows.count - table->most).text);
}

static void print_json(const struct table *table, const char *by)
{
    struct ftli_json json;
    ftli_json_begin(&json, stdout);
    ftli_json_text(&json, "profile", table->path);
    ftli_json_text(&json, "by", by == NULL ? "site" : by);
    ftli_json_text(&json, "value", table->profile->types[table->value]);
    ftli_json_count(&json, "samples", table->profile->samples.count);
    ftli_json_object(&json, "sums");
    for (unsigned v = 0; v < table->profile->value_count; v++)
        ftli_json_number(&json, table->profile->types[v], (double)table->rows.sums[v]);
    ftli_json_close_object(&json);
    ftli_json_list(&json, "rows");
    for (size_t i = 0; i < table->rows.count && i < table->most; i++) {
        ftli_json_object(&json, NULL);
        ftli_json_text(&json, by == NULL ? "site" : by, table->rows.at[i].text);
        for (unsigned v = 0; v < table->profile->value_count; v++)
            ftli_json_number(&json, table->profile->types[v], (double)table->rows.at[i].values[v]);
        ftli_json_close_object(&json);
    }
    ftli_json_close_list(&json);
    ftli_json_end(&json);
}

static void print_folded(const struct table *table)
{
    for (size_t i = 0; i < table->rows.count; i++)
        printf("%s %" PRId64 "\n", table->rows.at[i].text, table->rows.at[i].values[table->value]);
}

/* ---- the command ----------------------------------------------------------------------------------------------------- */

/* A file is made whole or not at all: an old one stays until the new one is there. What is no file (a pipe, a device) is written to. */
static int write_file(const struct ftli_profile *profile, const char *path)
{
    char temporary[4096];
    struct stat there;
    bool is_new = stat(path, &there) != 0 || S_ISREG(there.st_mode);
    if ((size_t)snprintf(temporary, sizeof temporary, "%s%s", path, is_new ? ".new" : "") >= sizeof temporary)
        return ftli_command_refuse(&ftli_command_profile, "%s: the path is too long", path);
    FILE *out = fopen(temporary, "wb");
    if (out == NULL)
        return ftli_command_refuse(&ftli_command_profile, "%s: %s", path, strerror(errno));
    bool good = ftli_profile_write(profile, out);
    int why = errno;
    if (fclose(out) != 0 && good) {
        good = false;
        why = errno;
    }
    if (good && is_new && rename(temporary, path) != 0) {
        good = false;
        why = errno;
    }
    if (good)
        return -1;
    if (is_new)
        (void)remove(temporary);
    return ftli_command_refuse(&ftli_command_profile, "%s: %s", path, strerror(why));
}

static int choose_value(const struct ftli_arguments *arguments, const struct ftli_profile *profile, size_t *value)
{
    const char *name = arguments->values[VALUE];
    *value = ftli_profile_type(profile, name != NULL ? name : "inuse_space");
    if (*value == FTLI_PROFILE_NONE && name == NULL)
        *value = ftli_profile_type(profile, profile->standard_type);
    if (*value == FTLI_PROFILE_NONE && name == NULL)
        *value = profile->value_count - 1;
    if (*value != FTLI_PROFILE_NONE)
        return -1;
    char list[256] = "";
    for (unsigned i = 0; i < profile->value_count; i++) {
        size_t used = strlen(list);
        (void)snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ", profile->types[i]);
    }
    return ftli_command_refuse(&ftli_command_profile, "--value: \"%s\" is none of this profile; it has %s", name, list);
}

static int show(const struct ftli_arguments *arguments, const char *title, const struct ftli_profile *profile)
{
    struct table table = {.path = title, .profile = profile, .most = MOST_STANDARD};
    bool folded = arguments->values[FOLDED] != NULL;
    const char *by =
        arguments->values[BY] != NULL && strcmp(arguments->values[BY], kinds[0]) != 0 ? arguments->values[BY] : NULL;
    int result = choose_value(arguments, profile, &table.value);
    if (result < 0 && arguments->values[MOST] != NULL)
        result =
            ftli_command_count(&ftli_command_profile, "--most", arguments->values[MOST], 1, MOST_AT_ALL, &table.most);
    if (result >= 0)
        return result;
    if (!ftli_profile_sum(profile, folded ? NULL : by, folded ? FTLI_PROFILE_OUTER_FIRST : FTLI_PROFILE_INNER_FIRST,
                          table.value, &table.rows))
        return ftli_command_refuse(&ftli_command_profile, "no memory");
    if (folded)
        print_folded(&table);
    else if (arguments->values[JSON] != NULL)
        print_json(&table, by);
    else
        print_table(&table, by);
    ftli_profile_rows_free(&table.rows);
    return FTLI_EXIT_GOOD;
}

#if FETTLE_BRIDGE
/* A socket is one; else a word that is no file, and does not look like one. */
static bool is_process(const char *word)
{
    struct stat there;
    if (stat(word, &there) == 0)
        return S_ISSOCK(there.st_mode);
    return strncmp(word, "ipc://", 6) == 0 || (strchr(word, '/') == NULL && strchr(word, '.') == NULL);
}

static int ask_process(const char *whom, struct ftli_profile *profile, char *title)
{
    char why[FTLI_PROFILE_WHY_BYTES];
    char *bytes;
    size_t n;
    struct ftli_remote *remote;
    int result = ftli_remote_open(&ftli_command_profile, whom, &remote);
    if (result >= 0)
        return result;
    (void)snprintf(title, FTLI_PROFILE_WHY_BYTES, "%s", ftli_remote_title(remote));
    result = ftli_remote_text(remote, "profile heap", &bytes, &n);
    ftli_remote_close(remote);
    if (result >= 0)
        return result;
    return ftli_profile_take(title, (unsigned char *)bytes, n, profile, why)
               ? -1
               : ftli_command_refuse(&ftli_command_profile, "%s", why);
}
#endif

static int load(const char *word, struct ftli_profile *profile, char *title)
{
    char why[FTLI_PROFILE_WHY_BYTES];
#if FETTLE_BRIDGE
    if (is_process(word))
        return ask_process(word, profile, title);
#endif
    (void)snprintf(title, FTLI_PROFILE_WHY_BYTES, "%s", word);
    return ftli_profile_load(word, profile, why) ? -1 : ftli_command_refuse(&ftli_command_profile, "%s", why);
}

static int run(const struct ftli_arguments *arguments)
{
    char title[FTLI_PROFILE_WHY_BYTES];
    struct ftli_profile profile;
    struct ftli_profile_symbolised named;
    bool shows = arguments->values[OUTPUT] == NULL || arguments->values[TOP] != NULL ||
                 arguments->values[FOLDED] != NULL || arguments->values[JSON] != NULL;
    int result = -1;
    if (arguments->values[FOLDED] != NULL && (arguments->values[TOP] != NULL || arguments->values[JSON] != NULL))
        return ftli_command_refuse(&ftli_command_profile, "--folded is one form, and %s another",
                                   arguments->values[TOP] != NULL ? "--top" : "--json");
    result = load(arguments->word, &profile, title);
    if (result >= 0)
        return result;
    if (!ftli_profile_symbolise(&profile, stderr, &named))
        result = ftli_command_refuse(&ftli_command_profile, "no memory");
    if (result < 0 && arguments->values[OUTPUT] != NULL)
        result = write_file(&profile, arguments->values[OUTPUT]);
    if (result < 0 && arguments->values[OUTPUT] != NULL && !shows)
        printf("%s: %s samples, %s of %s addresses named\n", arguments->values[OUTPUT],
               ftli_text_count(profile.samples.count).text, ftli_text_count(named.named).text,
               ftli_text_count(named.addresses).text);
    if (result < 0)
        result = shows ? show(arguments, title, &profile) : FTLI_EXIT_GOOD;
    ftli_profile_unload(&profile);
    return result;
}

const struct ftli_command ftli_command_profile = {
    .name = "profile",
    .word = "PID|FILE",
    .summary = "shows the heap profile of a running process, or of a file",
    .text =
        "Shows a heap profile: which sites hold how much. Of a process that runs, by its control socket (PID, or "
        "whatever\n"
        "fettle control takes), or of a file (pprof's format, as -o and \"profile heap\" of ftl_runtime_control write "
        "it).\n"
        "Addresses are named by the debug information of the files that the program runs, if they are still the same\n"
        "(build-id). Exits 2 when the profile cannot be read, or the file of -o not be written, 3 when nobody is "
        "reached.",
    .options = options,
    .run = run,
};
