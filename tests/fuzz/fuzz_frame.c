/* Any message from another process: what the subscriber lets through, and what the reader of its body makes of that.
 *
 * Input  frames: two bytes of length, little-endian, then so many bytes; the last one is what is left. */
#include "runtime/bridge/subscriber.c" /* for what it does with a message once the frames are there */

#include "tests/fuzz/fuzz.h"
#include "tools/stats_fields.h"

/* As read_message leaves it: of each frame as much as is expected there, and how many there were. */
static void read_frames(const uint8_t *data, size_t bytes, struct ftli_subscriber *subscriber, struct reading *reading)
{
    *reading = (struct reading){0};
    while (bytes > 0 && reading->count <= FTLI_FRAMES) {
        size_t length = bytes >= 2 ? (size_t)(data[0] | data[1] << 8) : 0, skip = bytes >= 2 ? 2 : bytes;
        length = length < bytes - skip ? length : bytes - skip;
        char *places[] = {reading->topic, (char *)reading->header, subscriber->body, NULL};
        size_t rooms[] = {sizeof reading->topic, sizeof reading->header, FTLI_FRAME_MAX_BODY, 0};
        size_t *sizes[] = {&reading->topic_bytes, &reading->header_bytes, &reading->body_bytes, NULL};
        if (reading->count < FTLI_FRAMES) {
            size_t kept = length < rooms[reading->count] ? length : rooms[reading->count];
            memcpy(places[reading->count], data + skip, kept);
            *sizes[reading->count] = length;
        }
        reading->count++;
        data += skip + length;
        bytes -= skip + length;
    }
}

static void check_stats(const char *body)
{
    struct ftli_stats_message message;
    char why[256] = "";
    if (ftli_stats_read(body, &message, why, sizeof why))
        FUZZ_REQUIRE(memchr(message.runtime, '\0', sizeof message.runtime) != NULL, "the name ends");
    else
        FUZZ_REQUIRE(why[0] != '\0', "a refusal says why");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct ftli_subscriber *subscriber;
    struct ftli_subscribed out;
    struct reading reading;
    char why[256] = "";
    if (subscriber == NULL) {
        subscriber = calloc(1, sizeof *subscriber);
        FUZZ_REQUIRE(subscriber != NULL, "memory");
        snprintf(subscriber->topic, sizeof subscriber->topic, "stats");
    }
    uint64_t refused = subscriber->refused;
    read_frames(data, bytes, subscriber, &reading);
    int status = judge(subscriber, &reading, &out, why, sizeof why);
    FUZZ_REQUIRE(subscriber->refused == refused + (status != FTL_OK), "what is refused is counted");
    if (status != FTL_OK) {
        FUZZ_REQUIRE(why[0] != '\0' && (status == FTL_EINVAL || status == FTL_ENOTSUP), "a refusal says why");
        return 0;
    }
    FUZZ_REQUIRE(out.body_bytes <= FTLI_FRAME_MAX_BODY && out.body[out.body_bytes] == '\0', "a zero behind");
    char *body = fuzz_text((const uint8_t *)out.body, out.body_bytes);
    check_stats(body);
    free(body);
    return 0;
}
