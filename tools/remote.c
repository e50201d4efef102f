#include "tools/remote.h"

#include "runtime/bridge/place.h"
#include "runtime/bridge/requester.h"

#include <fettle/fettle.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FOUND_MOST = 4096, LISTED_MOST = 16, TEXT_MOST = 256 * 1024 * 1024 };
#define SILENCE_NS UINT64_C(30000000000) /* a scan may take 10 s */

struct ftli_remote {
    const struct ftli_command *command;
    struct ftli_requester *requester;
    char title[160];
};

struct found {
    char path[FTLI_ENDPOINT_MAX_PATH + 1];
    struct ftli_home_name name;
};

struct search {
    const char *whom; /* NULL: any */
    struct found *found;
    size_t count, capacity;
    bool no_memory;
    char homes[FTLI_HOMES * (FTLI_HOME_BYTES + 2)]; /* that were looked at */
};

/* ---- finding ------------------------------------------------------------------------------------------------------- */

static bool is_meant(const char *whom, const struct ftli_home_name *name)
{
    char process[24], number[48];
    snprintf(process, sizeof process, "%lu", name->process);
    snprintf(number, sizeof number, "%lu-%lu", name->process, name->number);
    return whom == NULL || strcmp(whom, process) == 0 || strcmp(whom, number) == 0 || strcmp(whom, name->runtime) == 0;
}

static void add(struct search *search, const char *path, const struct ftli_home_name *name)
{
    if (search->count == search->capacity && search->count < FOUND_MOST) {
        size_t capacity = search->capacity == 0 ? 16 : 2 * search->capacity;
        struct found *more = realloc(search->found, capacity * sizeof *more);
        search->no_memory = search->no_memory || more == NULL;
        if (more != NULL) {
            search->found = more;
            search->capacity = capacity;
        }
    }
    if (search->count < search->capacity) {
        struct found *found = &search->found[search->count++];
        memcpy(found->path, path, strlen(path) + 1);
        found->name = *name;
    }
}

/* Sockets that are meant and alive; those of processes that are gone are removed on the way. */
static void look_in(struct search *search, const char *home_path)
{
    char why[200];
    struct ftli_home_name name;
    const struct dirent *entry;
    int home = ftli_home_open(home_path, false, why, sizeof why);
    DIR *directory = home >= 0 ? opendir(home_path) : NULL;
    size_t length = strlen(search->homes);
    snprintf(search->homes + length, sizeof search->homes - length, "%s%s", length == 0 ? "" : ", ", home_path);
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        char path[FTLI_ENDPOINT_MAX_PATH + 1];
        if (!ftli_home_sweep(home, home_path, entry->d_name) && ftli_home_read_name(entry->d_name, &name) &&
            is_meant(search->whom, &name) && ftli_home_path(path, home_path, entry->d_name) &&
            ftli_place_probe(path, why, sizeof why) == FTL_OK) {
            add(search, path, &name);
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
    if (home >= 0) {
        close(home);
    }
}

static int by_name(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->name.process != y->name.process) {
        return x->name.process < y->name.process ? -1 : 1;
    }
    return (x->name.number > y->name.number) - (x->name.number < y->name.number);
}

static int refuse(const struct ftli_command *command, const struct search *search)
{
    if (search->count == 0) {
        (void)ftli_command_refuse(command, "%s%s%s has a control socket in %s; actors.telemetry.control says where",
                                  search->whom == NULL ? "no process" : "no runtime called \"",
                                  search->whom == NULL ? "" : search->whom, search->whom == NULL ? "" : "\"",
                                  search->homes);
        return FTLI_EXIT_NOBODY;
    }
    (void)ftli_command_refuse(command, "which of these %zu?", search->count);
    for (size_t i = 0; i < search->count && i < LISTED_MOST; i++) {
        const struct ftli_home_name *name = &search->found[i].name;
        fprintf(stderr, "  %lu-%lu  %s\n", name->process, name->number, name->runtime);
    }
    if (search->count > LISTED_MOST) {
        fprintf(stderr, "  ...\n");
    }
    return FTLI_EXIT_NOBODY;
}

/* -1: the one that is meant is in *out. */
static int find(const struct ftli_command *command, const char *whom, struct found *out)
{
    char homes[FTLI_HOMES][FTLI_HOME_BYTES];
    unsigned count = ftli_home_list(homes);
    struct search search = {.whom = whom};
    for (unsigned i = 0; i < count && search.count == 0; i++) {
        look_in(&search, homes[i]);
    }
    if (search.count > 1) {
        qsort(search.found, search.count, sizeof *search.found, by_name);
    }
    int result = -1;
    if (search.no_memory) {
        result = ftli_command_refuse(command, "out of memory");
    } else if (search.count != 1) {
        result = refuse(command, &search);
    } else {
        *out = search.found[0];
    }
    free(search.found);
    return result;
}

/* ---- asking -------------------------------------------------------------------------------------------------------- */

int ftli_remote_open(const struct ftli_command *command, const char *whom, struct ftli_remote **out)
{
    struct found found = {.path = ""};
    char why[300], title[160];
    if (whom != NULL && strcmp(whom, "-") == 0) {
        whom = NULL;
    }
    if (whom != NULL && (whom[0] == '/' || strncmp(whom, "ipc://", 6) == 0)) {
        const char *path = whom[0] == '/' ? whom : whom + 6;
        if (path[0] != '/' || strlen(path) > FTLI_ENDPOINT_MAX_PATH) {
            return ftli_command_refuse(command,
                                       "\"%.60s\" is no socket; expected a path from / on, of at most %d bytes", whom,
                                       FTLI_ENDPOINT_MAX_PATH);
        }
        snprintf(found.path, sizeof found.path, "%s", path);
        snprintf(title, sizeof title, "%s", path);
    } else if (whom != NULL && whom[strcspn(whom, "/:")] != '\0') {
        return ftli_command_refuse(
            command, "\"%.60s\" is no process; expected a PID, a runtime's name, or ipc:// and a path", whom);
    } else {
        int result = find(command, whom, &found);
        if (result >= 0) {
            return result;
        }
        snprintf(title, sizeof title, "%s %lu", found.name.runtime, found.name.process);
    }
    struct ftli_remote *remote = calloc(1, sizeof *remote);
    if (remote == NULL) {
        return ftli_command_refuse(command, "out of memory");
    }
    remote->command = command;
    memcpy(remote->title, title, sizeof title);
    if (ftli_requester_open(found.path, &remote->requester, why, sizeof why) != FTL_OK) {
        (void)ftli_command_refuse(command, "%s", why);
        free(remote);
        return FTLI_EXIT_NOBODY;
    }
    *out = remote;
    return -1;
}

void ftli_remote_close(struct ftli_remote *remote)
{
    if (remote != NULL) {
        ftli_requester_close(remote->requester);
        free(remote);
    }
}

const char *ftli_remote_title(const struct ftli_remote *remote)
{
    return remote->title;
}

int ftli_remote_ask(struct ftli_remote *remote, const char *request, int (*write)(const char *, size_t, void *),
                    void *user)
{
    char why[600];
    int reached = 0;
    int status = ftli_requester_ask(remote->requester, request, SILENCE_NS, write, user, &reached, why, sizeof why);
    if (status == FTL_OK) {
        return -1;
    }
    (void)ftli_command_refuse(remote->command, "%s: %s", remote->title, why[0] != '\0' ? why : ftl_strerror(status));
    if (!reached || status == FTL_ECLOSED) {
        return FTLI_EXIT_NOBODY;
    }
    return status == FTL_EINVAL || status == FTL_ENOTSUP ? FTLI_EXIT_USAGE : FTLI_EXIT_FAULT;
}

struct collected {
    char *text;
    size_t bytes, room;
    bool failed;
};

static int collect(const char *text, size_t n, void *user)
{
    struct collected *to = user;
    if (to->bytes + n + 1 > to->room) {
        size_t room = 2 * (to->bytes + n + 1);
        char *more = room > TEXT_MOST ? NULL : realloc(to->text, room);
        if (more == NULL) {
            to->failed = true;
            return -1;
        }
        to->text = more;
        to->room = room;
    }
    memcpy(to->text + to->bytes, text, n);
    to->bytes += n;
    to->text[to->bytes] = '\0';
    return 0;
}

int ftli_remote_text(struct ftli_remote *remote, const char *request, char **text, size_t *bytes)
{
    struct collected to = {0};
    (void)collect("", 0, &to);
    int result = ftli_remote_ask(remote, request, collect, &to);
    if (result < 0 && (to.failed || to.text == NULL)) {
        (void)ftli_command_refuse(remote->command, "%s: the answer is longer than there is memory for", remote->title);
        result = FTLI_EXIT_FAULT;
    }
    if (result >= 0) {
        free(to.text);
        return result;
    }
    *text = to.text;
    *bytes = to.bytes;
    return -1;
}
