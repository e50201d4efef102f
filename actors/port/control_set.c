/* "set KEY VALUE": what may be changed while it runs. */
#include <stdio.h>
#include <string.h>

#include "actors/port/control.h"
#include "actors/port/topology.h"

enum { KEY_MOST = 64, VALUE_MOST = 64, ERROR_BYTES = 300 };

static int set_level(struct ftl_runtime *runtime, const void *all, struct ftli_control_answer *answer)
{
    const struct ftli_tracking_settings *settings = all;
    uint32_t was;
    int status = ftli_tracking_set_level(&runtime->tracking, settings->level, &was);
    if (status != FTL_OK)
        return ftli_fail(status, "actors.tracking.level: no memory for its ring of events");
    ftli_control_say(answer, "actors.tracking.level was %s, is %s\n", ftli_tracking_level_name(was),
                     ftli_tracking_level_name(settings->level));
    return FTL_OK;
}

static int set_target(struct ftl_runtime *runtime, const void *all, struct ftli_control_answer *answer)
{
    const struct ftli_tracking_settings *settings = all;
    double was;
    ftli_tracking_set_target(&runtime->tracking, settings->target, &was);
    ftli_control_say(answer, "actors.tracking.target was %g%%, is %g%%\n", 100 * was, 100 * settings->target);
    return FTL_OK;
}

static int quota_was_set(int status, struct ftli_control_answer *answer, const char *what)
{
    if (status == FTL_OK)
        ftli_control_say(answer,
                         "actors.leak_detection.quota.%s is set; it counts what is made from the first set on\n", what);
    return status == FTL_OK ? FTL_OK
                            : ftli_fail(status, "request: set: actors.leak_detection.quota.%s: %s", what,
                                        status == FTL_EBUSY ? "another thread sets it" : "no memory for its sums");
}

static int set_quota_label(struct ftl_runtime *runtime, const void *all, struct ftli_control_answer *answer)
{
    const struct ftli_leak_detection_settings *settings = all;
    struct ftli_quotas *quotas = &runtime->leak_detection.quotas;
    return quota_was_set(ftli_quotas_set(quotas, FTLI_QUOTA_LABEL, settings->quota_label_bytes), answer, "label");
}

static int set_quota_site(struct ftl_runtime *runtime, const void *all, struct ftli_control_answer *answer)
{
    const struct ftli_leak_detection_settings *settings = all;
    struct ftli_quotas *quotas = &runtime->leak_detection.quotas;
    return quota_was_set(ftli_quotas_set(quotas, FTLI_QUOTA_SITE, settings->quota_site_bytes), answer, "site");
}

static int set_quota_warn(struct ftl_runtime *runtime, const void *all, struct ftli_control_answer *answer)
{
    const struct ftli_leak_detection_settings *settings = all;
    return quota_was_set(ftli_quotas_set_warn(&runtime->leak_detection.quotas, settings->quota_warn), answer, "warn");
}

static int set_mitigate(struct ftl_runtime *runtime, const void *all, struct ftli_control_answer *answer)
{
    const struct ftli_leak_detection_settings *settings = all;
    ftli_leak_detection_set_mitigate(&runtime->leak_detection, settings->mitigate, ftli_kernel_now_ns(runtime->kernel));
    ftli_control_say(answer, "actors.leak_detection.mitigate is set\n");
    return FTL_OK;
}

static const struct {
    const char *key, *type;
    int (*set)(struct ftl_runtime *, const void *settings, struct ftli_control_answer *);
} keys[] = {{"actors.tracking.level", "tracking", set_level},
            {"actors.tracking.target", "tracking", set_target},
            {"actors.leak_detection.quota.label", "leak_detection", set_quota_label},
            {"actors.leak_detection.quota.site", "leak_detection", set_quota_site},
            {"actors.leak_detection.quota.warn", "leak_detection", set_quota_warn},
            {"actors.leak_detection.mitigate", "leak_detection", set_mitigate}};
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
    if (ftli_topology_actor(runtime->topology, keys[index].type) == NULL)
        return ftli_fail(FTL_ENOTSUP, "request: set: this topology has no %s", keys[index].type);
    int status = read_value(keys[index].key, value, &topology);
    if (status != FTL_OK)
        return status;
    const struct ftli_topology_actor *actor = ftli_topology_actor(topology, keys[index].type);
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
