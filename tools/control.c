/* fettle control: one request to a process that runs, in the language of ftl_runtime_control. */
#include "tools/command.h"
#include "tools/remote.h"

#include <stdio.h>
#include <string.h>

static const struct ftli_option options[] = {{NULL, NULL, NULL, NULL}};

static int print(const char *text, size_t n, void *user)
{
    (void)user;
    return fwrite(text, 1, n, stdout) == n ? 0 : -1;
}

static int run(const struct ftli_arguments *arguments)
{
    char request[4096] = "";
    size_t used = 0;
    struct ftli_remote *remote;
    for (uint32_t i = 0; i < arguments->more_count; i++) {
        used += (size_t)snprintf(request + used, sizeof request - used, "%s%s", i == 0 ? "" : " ", arguments->more[i]);
        if (used >= sizeof request) {
            return ftli_command_refuse(&ftli_command_control, "a request has at most %zu bytes", sizeof request - 1);
        }
    }
    int result = ftli_remote_open(&ftli_command_control, arguments->word, &remote);
    if (result >= 0) {
        return result;
    }
    result = ftli_remote_ask(remote, request, print, NULL);
    ftli_remote_close(remote);
    return result < 0 ? FTLI_EXIT_GOOD : result;
}

const struct ftli_command ftli_command_control = {
    .name = "control",
    .word = "PID",
    .more = "REQUEST",
    .summary = "asks a running process: stats, check, leaks, topology, ...",
    .text =
        "Asks a running process by its control socket, and prints the answer. PID is the process, PID-NUMBER one of\n"
        "several runtimes in it, or a runtime's name, or the path of a socket; - is the one that there is. REQUEST is "
        "one\n"
        "of those of ftl_runtime_control: stats, check, leaks, topology, tensors, breakdown, sites, profile "
        "heap|folded,\n"
        "set KEY VALUE, reach estimate, quarantine, retry HANDLE, kill ACTOR; some take json.\n"
        "Exits 1 when the answer is a fault, 2 when there is no such request, 3 when nobody can be reached.",
    .options = options,
    .run = run,
};
