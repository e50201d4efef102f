/* The telemetry actor: at each `every` the counters go out. Nobody waits for it, and it waits for nobody. */
#include "actors/telemetry/telemetry.h"

#include <stdlib.h>
#include <string.h>

#include "actors/telemetry/json.h"
#include "runtime/bridge/publisher.h"
#include "runtime/bridge/responder.h"
#include "runtime/kernel/kernel.h"

#define TOPIC "stats"

void ftli_telemetry_init(struct ftli_telemetry *telemetry, const struct ftli_telemetry_world *world)
{
    memset(telemetry, 0, sizeof *telemetry);
    telemetry->world = *world;
}

const char *ftli_telemetry_why(const struct ftli_telemetry *telemetry)
{
    return telemetry->why;
}

size_t ftli_telemetry_sample_bytes(uint32_t actors)
{
    return FTLI_TELEMETRY_JSON_BYTES + (size_t)actors * FTLI_TELEMETRY_JSON_ACTOR_BYTES;
}

size_t ftli_telemetry_describe(const char *runtime, uint64_t time_ns, const struct ftli_sample *sample, char *out,
                               size_t bytes)
{
    return ftli_telemetry_json(runtime, time_ns, sample, out, bytes);
}

static void give_room_back(struct ftli_telemetry *telemetry)
{
    free(telemetry->actors);
    telemetry->actors = NULL;
}

static void stop(void *state, ftli_context *context)
{
    struct ftli_telemetry *telemetry = state;
    (void)context;
    ftli_responder_close(telemetry->responder);
    telemetry->responder = NULL;
    if (telemetry->publisher != NULL)
        ftli_publisher_close(telemetry->publisher);
    telemetry->publisher = NULL;
    give_room_back(telemetry);
}

/* All actors are there when the first one starts. */
static int make_room(struct ftli_telemetry *telemetry, const ftli_kernel *kernel)
{
    telemetry->actors_most = ftli_kernel_actor_count(kernel);
    telemetry->text_bytes = ftli_telemetry_sample_bytes(telemetry->actors_most);
    give_room_back(telemetry); /* of a state whose stop was not to be run */
    telemetry->actors = malloc(telemetry->actors_most * sizeof *telemetry->actors + telemetry->text_bytes);
    return telemetry->actors != NULL ? FTL_OK : FTL_ENOMEM;
}

/* An endpoint that cannot be had is an error of the one who opens the runtime, who should hear of it at once. */
static int start_publishing(struct ftli_telemetry *telemetry, ftli_context *context)
{
    const struct ftli_telemetry_settings *settings = telemetry->world.settings;
    if (settings->publish[0] == '\0')
        return FTL_OK;
    int status = make_room(telemetry, ftli_actor_kernel(ftli_self(context)));
    if (status == FTL_OK)
        status = ftli_publisher_open(settings->publish, &telemetry->publisher, telemetry->why, sizeof telemetry->why);
    if (status == FTL_OK)
        ftli_actor_run_within(ftli_self(context), (uint64_t)settings->every_ns);
    else
        give_room_back(telemetry);
    return status;
}

/* auto: a runtime opens without it rather than not at all; a path was asked for, and is wanted. */
static int start_answering(struct ftli_telemetry *telemetry, ftli_context *context)
{
    const char *control = telemetry->world.settings->control;
    bool is_auto = strcmp(control, "auto") == 0;
    if (control[0] == '\0' ||
        (is_auto && (!telemetry->world.has_threads || ftli_kernel_is_simulated(ftli_actor_kernel(ftli_self(context))))))
        return FTL_OK;
    const struct ftli_responder_options options = {
        .path = is_auto                              ? NULL
                : strncmp(control, "ipc://", 6) == 0 ? control + 6
                                                     : control,
        .runtime = telemetry->world.runtime,
        .number = telemetry->world.number,
        .answer = telemetry->world.answer,
        .is_ending = telemetry->world.is_ending,
        .user = telemetry->world.user,
    };
    int status = ftli_responder_open(&options, &telemetry->responder, telemetry->why, sizeof telemetry->why);
    if (status == FTL_OK || !is_auto)
        return status;
    ftli_events_post(telemetry->world.events,
                     &(struct ftli_event_news){FTL_EVENT_LOG, 2, .subject = ftli_actor_name(ftli_self(context))},
                     "no control socket: %s", telemetry->why);
    telemetry->why[0] = '\0';
    return FTL_OK;
}

static int start(void *state, ftli_context *context)
{
    struct ftli_telemetry *telemetry = state;
    telemetry->why[0] = '\0';
    int status = start_publishing(telemetry, context);
    if (status == FTL_OK)
        status = start_answering(telemetry, context);
    if (status != FTL_OK)
        stop(state, context);
    return status;
}

/* A message that cannot be sent is lost and counted; the sequence of the frames tells listeners of others. */
static int on_tick(void *state, ftli_context *context)
{
    struct ftli_telemetry *telemetry = state;
    struct ftli_sample sample;
    if (telemetry->publisher == NULL)
        return FTL_OK;
    char *text = (char *)(telemetry->actors + telemetry->actors_most);
    telemetry->world.read_sample(telemetry->world.user, &sample, telemetry->actors, telemetry->actors_most);
    size_t bytes =
        ftli_telemetry_json(telemetry->world.runtime, ftli_now_ns(context), &sample, text, telemetry->text_bytes);
    bool sent = bytes != 0 && ftli_publisher_send(telemetry->publisher, TOPIC, text, bytes) == FTL_OK;
    ftli_u64_add_owner(sent ? &telemetry->published : &telemetry->failed, 1);
    ftli_actor_run_within(ftli_self(context), (uint64_t)telemetry->world.settings->every_ns);
    return FTL_OK;
}

static int on_message(void *state, ftli_context *context, ftli_message *message)
{
    (void)state;
    (void)context;
    (void)message;
    return FTL_OK;
}

const ftli_actor_operations ftli_telemetry_operations = {
    .type = "telemetry",
    .start = start,
    .on_message = on_message,
    .on_tick = on_tick,
    .stop = stop,
    .restartable = true,
};
