/* ftl_runtime_control: one line in, text out. What each word answers is in control_NAME.c. */
#include "actors/port/control.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "actors/port/agent.h"

static const struct ftli_control_word words[] = {
    {"stats", "[json]", ftli_control_stats},
    {"check", NULL, ftli_control_check},
    {"leaks", "[reach] [json]", ftli_control_leaks},
    {"topology", NULL, ftli_control_topology},
    {"quarantine", NULL, ftli_control_quarantine},
    {"retry", "HANDLE", ftli_control_retry},
    {"kill", "ACTOR", ftli_control_kill},
    {"tensors", "[json]", ftli_control_tensors},
    {"breakdown", "[json]", ftli_control_breakdown},
    {"profile", "heap|folded", ftli_control_profile},
    {"sites", "[N]", ftli_control_sites},
    {"set", "KEY VALUE", ftli_control_set},
    {"reach", "estimate", ftli_control_reach},
};

void ftli_control_write(struct ftli_control_answer *answer, const char *bytes, size_t n)
{
    if (answer->stopped == 0 && n != 0)
        answer->stopped = answer->write(bytes, n, answer->user);
}

void ftli_control_say(struct ftli_control_answer *answer, const char *format, ...)
{
    char line[512];
    va_list arguments;
    if (answer->stopped != 0)
        return;
    va_start(arguments, format);
    int n = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (n > 0)
        ftli_control_write(answer, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

static int unknown(const char *request)
{
    char list[300] = "";
    size_t used = 0;
    for (size_t i = 0; i < sizeof words / sizeof words[0] && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s%s%s", i == 0 ? "" : ", ", words[i].word,
                                 words[i].takes == NULL ? "" : " ", words[i].takes == NULL ? "" : words[i].takes);
    return ftli_fail(FTL_ENOTSUP, "request: \"%.40s\" is not known; there are %s", request, list);
}

static int answer(struct ftl_runtime *runtime, const char *request, ftl_write_fn write, void *user)
{
    size_t length = strcspn(request, " ");
    const char *arguments = request + length;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        const struct ftli_control_word *word = &words[i];
        if (strncmp(request, word->word, length) == 0 && word->word[length] == '\0' &&
            (word->takes != NULL || *arguments == '\0'))
            return word->answer(runtime, arguments + strspn(arguments, " "), write, user);
    }
    return unknown(request);
}

int ftl_runtime_control(ftl_runtime *runtime, const char *request, ftl_write_fn write, void *user)
{
    if (runtime == NULL || request == NULL || write == NULL)
        return ftli_fail(FTL_EINVAL, "%s: is NULL",
                         runtime == NULL   ? "runtime"
                         : request == NULL ? "request"
                                           : "write");
    if (!ftli_runtime_enter(runtime))
        return ftli_fail(FTL_ECLOSED, "the runtime is closed");
    int status = ftli_port_is_inherited(runtime) ? ftli_fail(FTL_ENOTSUP, "not in a forked child")
                                                 : answer(runtime, request, write, user);
    ftli_runtime_leave(runtime);
    return status;
}
