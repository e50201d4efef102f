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
