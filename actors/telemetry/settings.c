#include "actors/telemetry/settings.h"

#include <stdio.h>
#include <string.h>

#define MILLISECOND 1e6
#define HOUR        3600e9

enum { SOCKET_PATH_MOST = 107 }; /* sun_path, without its zero */

static bool accept_endpoint(const char *text, char *wrong, size_t wrong_bytes)
{
    if (strncmp(text, "tcp://", 6) == 0) {
        (void)snprintf(wrong, wrong_bytes, "tcp:// is not in this version; use ipc://");
        return false;
    }
    if (strncmp(text, "ipc://", 6) != 0 || text[6] == '\0') {
        (void)snprintf(wrong, wrong_bytes,
                       "\"%.40s\" is no endpoint; expected none, or one such as ipc:///run/fettle.sock", text);
        return false;
    }
    if (strlen(text + 6) > SOCKET_PATH_MOST) {
        (void)snprintf(wrong, wrong_bytes, "is too long; the path of a socket has at most %d characters",
                       SOCKET_PATH_MOST);
        return false;
    }
    return true;
}

static bool accept_control(const char *text, char *wrong, size_t wrong_bytes)
{
    const char *path = strncmp(text, "ipc://", 6) == 0 ? text + 6 : text;
    if (strcmp(text, "auto") == 0)
        return true;
    if (strncmp(text, "tcp://", 6) == 0) {
        (void)snprintf(wrong, wrong_bytes, "tcp:// is not for control: the socket is for this user alone");
        return false;
    }
    if (path[0] != '/' || path[strlen(path) - 1] == '/') {
        (void)snprintf(wrong, wrong_bytes,
                       "\"%.40s\" is no place for a socket; expected auto, none, or a path such as /run/fettle.sock",
                       text);
        return false;
    }
    if (strlen(path) > SOCKET_PATH_MOST) {
        (void)snprintf(wrong, wrong_bytes, "is too long; the path of a socket has at most %d characters",
                       SOCKET_PATH_MOST);
        return false;
    }
    return true;
}

static const struct ftli_key telemetry_keys[] = {
    FTLI_TIME("every", struct ftli_telemetry_settings, every_ns, 10 * MILLISECOND, HOUR),
    FTLI_TEXT_OR_NONE("publish", struct ftli_telemetry_settings, publish, accept_endpoint),
    FTLI_TEXT_OR_NONE("control", struct ftli_telemetry_settings, control, accept_control),
    FTLI_KEYS_END,
};

const struct ftli_actor_schema ftli_telemetry_schema = {
    .type = "telemetry",
    .keys = telemetry_keys,
    .settings_bytes = sizeof(struct ftli_telemetry_settings),
    .order = 5,
};
