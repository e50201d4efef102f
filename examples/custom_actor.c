/* An actor of your own beside Fettle's: it adds up what it is sent, and logs the sum of every hundred requests. */
#include <fettle/actor.h>
#include <fettle/fettle.h>
#include <stdio.h>
#include <stdlib.h>

struct request { /* what it is sent: begins with a message */
    ftl_message message;
    int bytes;
};

struct counter { /* what it knows; nobody else touches it */
    int requests, bytes, every;
};

static int start(void *state, const ftl_context *context)
{
    const char *every = context->setting(context, "every"); /* from the topology */
    ((struct counter *)state)->every = every != NULL ? atoi(every) : 1;
    return ((struct counter *)state)->every > 0 ? FTL_OK : FTL_ECONFIG; /* the open fails */
}

static int receive(void *state, const ftl_context *context, ftl_message *message)
{
    struct counter *counter = state;
    char text[80];
    counter->bytes += ((struct request *)message)->bytes;
    if (++counter->requests % counter->every == 0) {
        snprintf(text, sizeof text, "%d requests, %d bytes", counter->requests, counter->bytes);
        context->log(context, 1, text);
    }
    return FTL_OK; /* the message is the sender's again; any error would have it come again */
}

static void print(const ftl_event *event, void *user)
{
    fprintf(user, "%s: %s\n", event->subject, event->text);
}

int main(void)
{
    static struct request requests[300];
    ftl_actor_type type = {
        .name = "counter", .state_bytes = sizeof(struct counter), .start = start, .receive = receive};
    ftl_open_options options = {.overrides = "actors.requests: {type: counter, settings: {every: 100}}"};
    ftl_runtime *runtime;
    ftl_actor counter;
    options.actor_types = &type;
    options.actor_type_count = 1;
    options.on_event = print;
    options.on_event_user = stdout;
    if (ftl_runtime_open_with(&options, &runtime) != FTL_OK || ftl_actor_find(runtime, "requests", &counter) != FTL_OK)
        return fprintf(stderr, "%s\n", ftl_last_error()), 1;
    int status = FTL_OK;
    for (int i = 0; i < 300 && status == FTL_OK; i++) {
        requests[i].bytes = 10;
        status = ftl_actor_send(counter, FTL_LANE_NORMAL, &requests[i].message);
    }
    return ftl_runtime_close(runtime, NULL) != FTL_OK || status != FTL_OK; /* what waits is received first */
}
