/* "set KEY VALUE": what may be changed while it runs. */
#include <stdio.h>
#include <string.h>

#include "actors/port/control.h"
#include "actors/port/topology.h"

enum { KEY_MOST = 64, VALUE_MOST = 64, ERROR_BYTES = 300 };

static int set_level(struct ftl_runtime *runtime, const struct ftli_tracking_settings *settings,
                     struct ftli_control_answer *answer)
{
    uint32_t was;
    int status = ftli_tracking_set_level(&runtime->tracking, settings->level, &was);
    if (status != FTL_OK)
        return ftli_fail(status, "actors.tracking.level: no memory for its ring of events");
    ftli_control_say(answer, "actors.tracking.level was %s, is %s\n", ftli_tracking_level_name(was),
                     ftli_tracking_level_name(settings->level));
    return FTL_OK;
}

static int set_target(struct ftl_runtime *runtime, const struct ftli_tracking_settings *settings,
                      struct ftli_control_answer *answer)
{
    double was;
    ftli_tracking_set_target(&runtime->tracking, settings->target, &was);
    ftli_control_say(answer, "actors.tracking.target was %g%%, is %g%%\n", 100 * was, 100 * settings->target);
    return FTL_OK;
}

static const struct {
    const char *key;
    int (*set)(struct ftl_runtime *, const struct ftli_tracking_settings *, struct ftli_control_answer *);
} keys[] = {{"actors.tracking.level", set_level}, {"actors.tracking.target", set_target}};
enum { KEYS = sizeof keys / sizeof keys[0] };

/* As a line of overrides over the built-in topology: so it is taken, or refused with the same sentence, as it would be in a file. */
static int read_value(const char *key, const char *value, struct ftli_topology **out)
{
    char line[KEY_MOST + VALUE_MOST + 4], error[ERROR_BYTES];
    (void)snprintf(line, sizeof line, "%s: %s", key, value);
    const ftl_open_options options = {.overrides = line};
    int status = ftli_topology_load(&options, out, error, sizeof error);
    if (status == FTL_OK)
        return FTL_OK;
    const char *at = strstr(error, key); /* behind the place, which is in no file here */
    return ftli_fail(status == FTL_ENOMEM ? FTL_ENOMEM : FTL_EINVAL, "request: set: %s", at != NULL ? at : error);
}

static int set(struct ftl_runtime *runtime, unsigned index, const char *value, struct ftli_control_answer *answer)
{
    struct ftli_topology *topology;
    if (ftli_topology_actor(runtime->topology, "tracking") == NULL)
        return ftli_fail(FTL_ENOTSUP, "request: set: this topology has no tracking");
    int status = read_value(keys[index].key, value, &topology);
    if (status != FTL_OK)
        return status;
    const struct ftli_topology_actor *actor = ftli_topology_actor(topology, "tracking");
    status = keys[index].set(runtime, actor->settings, answer);
    ftli_topology_free(topology);
    return status;
}

static int unknown(const char *key)
{
    char list[KEYS * (KEY_MOST + 2)] = "";
    size_t used = 0;
    for (unsigned i = 0; i < KEYS && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ", keys[i].key);
    return ftli_fail(FTL_EINVAL, "request: set: \"%.60s\" cannot be changed while it runs; what can is %s", key, list);
}

int ftli_control_set(struct ftl_runtime *runtime, const char *arguments, ftl_write_fn write, void *user)
{
    struct ftli_control_answer answer = {write, user, 0};
    char key[KEY_MOST];
    size_t length = strcspn(arguments, " ");
    const char *value = arguments + length + strspn(arguments + length, " ");
    (void)snprintf(key, sizeof key, "%.*s", (int)(length < KEY_MOST ? length : KEY_MOST - 1), arguments);
    if (length == 0 || *value == '\0')
        return ftli_fail(FTL_EINVAL,
                         "request: set: expected a key and a value, such as actors.tracking.level detailed");
    if (strlen(value) > VALUE_MOST || strpbrk(value, "\r\n#:{}[],&*\"'") != NULL)
        return ftli_fail(FTL_EINVAL, "request: set: %s: the value is too long, or no plain word", key);
    for (unsigned i = 0; i < KEYS; i++)
        if (strcmp(key, keys[i].key) == 0)
            return set(runtime, i, value, &answer);
    return unknown(key);
}
