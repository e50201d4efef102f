/* Any text as a topology: an answer in bounded time, and one sentence if it is refused.
 *
 * Input  text, a zero, overrides; without a zero all of it is text. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "actors/port/topology.h"
#include "tests/fuzz/fuzz.h"

static void check_refusal(const char *error)
{
    size_t bytes = strlen(error);
    FUZZ_REQUIRE(bytes > 0 && bytes < 512, "a refusal says why");
    FUZZ_REQUIRE(strchr(error, '\n') == NULL, "a refusal is one line");
}

static void check_topology(const struct ftli_topology *topology)
{
    uint32_t shares = 0;
    FUZZ_REQUIRE(topology->group_count > 0 && topology->device_count > 0 && topology->actor_count > 0, "never empty");
    for (unsigned lane = 0; lane < FTLI_LANES; lane++)
        shares += topology->lane_shares[lane];
    FUZZ_REQUIRE(shares == 64, "the lanes' shares add up");
    for (unsigned i = 1; i < FTLI_PRESSURE_LEVELS; i++)
        FUZZ_REQUIRE(topology->pressure_levels[i - 1] <= topology->pressure_levels[i], "levels rise");
    FUZZ_REQUIRE(ftli_topology_actor(topology, "allocation") != NULL, "a mandatory actor is missing");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const uint8_t *zero = bytes > 0 ? memchr(data, 0, bytes) : NULL;
    size_t text_bytes = zero != NULL ? (size_t)(zero - data) : bytes;
    char *text = fuzz_text(data, text_bytes);
    char *overrides = zero != NULL ? fuzz_text(zero + 1, bytes - text_bytes - 1) : NULL;
    ftl_open_options options = {.text = text, .text_bytes = text_bytes, .overrides = overrides};
    struct ftli_topology *topology = NULL;
    char error[512] = "";
    int status = ftli_topology_load(&options, &topology, error, sizeof error);
    if (status == FTL_OK) {
        check_topology(topology);
        ftli_topology_free(topology);
    } else {
        FUZZ_REQUIRE(topology == NULL, "out is untouched");
        check_refusal(error);
    }
    free(text);
    free(overrides);
    return 0;
}
