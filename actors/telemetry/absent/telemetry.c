/* Instead of telemetry, in a library built without it: the runtime's struct has its place, and no actor can start. */
#include "actors/telemetry/telemetry.h"

#include <string.h>

void ftli_telemetry_init(struct ftli_telemetry *telemetry, const struct ftli_telemetry_world *world)
{
    memset(telemetry, 0, sizeof *telemetry);
    telemetry->world = *world;
}

const char *ftli_telemetry_why(const struct ftli_telemetry *telemetry)
{
    (void)telemetry;
    return "telemetry is not in this build";
}

static int start(void *state, ftli_context *context)
{
    (void)state;
    (void)context;
    return FTL_ENOTSUP;
}

static int on_message(void *state, ftli_context *context, ftli_message *message)
{
    (void)state;
    (void)context;
    (void)message;
    return FTL_ENOTSUP;
}

const ftli_actor_operations ftli_telemetry_operations = {
    .type = "telemetry",
    .start = start,
    .on_message = on_message,
};

size_t ftli_telemetry_sample_bytes(uint32_t actors)
{
    (void)actors;
    return 0;
}

size_t ftli_telemetry_describe(const char *runtime, uint64_t time_ns, const struct ftli_sample *sample, char *out,
                               size_t bytes)
{
    (void)runtime, (void)time_ns, (void)sample, (void)out, (void)bytes;
    return 0;
}

size_t ftli_telemetry_leaks_begin(const struct ftli_telemetry_leaks *leaks, char *out, size_t bytes)
{
    (void)leaks, (void)out, (void)bytes;
    return 0;
}

size_t ftli_telemetry_leaks_finding(const struct ftli_telemetry_leak *leak, bool first, char *out, size_t bytes)
{
    (void)leak, (void)first, (void)out, (void)bytes;
    return 0;
}

size_t ftli_telemetry_leaks_caches(char *out, size_t bytes)
{
    (void)out, (void)bytes;
    return 0;
}

size_t ftli_telemetry_leaks_cache(const struct ftli_telemetry_cache *cache, bool first, char *out, size_t bytes)
{
    (void)cache, (void)first, (void)out, (void)bytes;
    return 0;
}

size_t ftli_telemetry_leaks_end(char *out, size_t bytes)
{
    (void)out, (void)bytes;
    return 0;
}
