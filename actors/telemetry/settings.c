#include "actors/telemetry/settings.h"

#include <string.h>

#define MILLISECOND 1e6
#define HOUR        3600e9

enum { SOCKET_PATH_MOST = 107 }; /* sun_path, without its zero */

/* "none" never comes here: compose stores it as the empty text. */
static const char *accept_endpoint(const char *text)
{
    if (strncmp(text, "tcp://", 6) == 0) {
        return "tcp:// is not in this version; use ipc://";
    }
    if (strncmp(text, "ipc://", 6) != 0 || text[6] == '\0') {
        return "is no endpoint; expected none, or one such as ipc:///run/user/1000/fettle.sock";
    }
    if (strlen(text + 6) > SOCKET_PATH_MOST) {
        return "is too long; the path of a socket has at most 107 characters";
    }
    return NULL;
}

static const struct ftli_key telemetry_keys[] = {
    FTLI_TIME("every", struct ftli_telemetry_settings, every_ns, 10 * MILLISECOND, HOUR),
    FTLI_TEXT("publish", struct ftli_telemetry_settings, publish, accept_endpoint),
    FTLI_KEYS_END,
};

const struct ftli_actor_schema ftli_telemetry_schema = {
    .type = "telemetry",
    .keys = telemetry_keys,
    .settings_bytes = sizeof(struct ftli_telemetry_settings),
    .order = 5,
};
