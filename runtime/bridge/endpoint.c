#include "runtime/bridge/endpoint.h"

#include <stdio.h>
#include <string.h>

const char *ftli_endpoint_path(const char *endpoint, char *why, size_t why_size)
{
    static const char scheme[] = "ipc://";
    if (strncmp(endpoint, "tcp://", 6) == 0) {
        snprintf(why, why_size, "tcp:// is not in this version; expected ipc:// and a path");
        return NULL;
    }
    if (strncmp(endpoint, scheme, sizeof scheme - 1) != 0) {
        snprintf(why, why_size, "\"%.64s\" is no endpoint; expected ipc:// and a path", endpoint);
        return NULL;
    }
    const char *path = endpoint + sizeof scheme - 1;
    if (path[0] != '/') {
        snprintf(why, why_size, "\"%.64s\": the path must begin with /", endpoint);
        return NULL;
    }
    if (path[strlen(path) - 1] == '/') {
        snprintf(why, why_size, "\"%.64s\" names a directory; expected a path for the socket", endpoint);
        return NULL;
    }
    if (strlen(path) > FTLI_ENDPOINT_MAX_PATH) {
        snprintf(why, why_size, "the path has %zu bytes; a socket's has at most %d", strlen(path),
                 FTLI_ENDPOINT_MAX_PATH);
        return NULL;
    }
    return path;
}
