#include "runtime/compose/source.h"

#include "runtime/compose/node.h"

#include <fettle/fettle.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int unreadable(struct ftli_report *report, const char *path, int error)
{
    struct ftli_place place = {path, 0, 0};
    if (error == EISDIR) {
        return ftli_report(report, place, NULL, "is a directory; expected a file");
    }
    return ftli_report(report, place, NULL, "cannot be read: %s", strerrordesc_np(error));
}

int ftli_source_read(const char *path, char **out, size_t *out_bytes, struct ftli_report *report)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return unreadable(report, path, errno);
    }
    char *text = malloc(FTLI_TEXT_BYTES_MOST + 1);
    if (text == NULL) {
        (void)fclose(file);
        return ftli_report_memory(report);
    }
    size_t bytes = fread(text, 1, FTLI_TEXT_BYTES_MOST + 1, file);
    int status = FTL_OK;
    if (ferror(file) != 0) {
        status = unreadable(report, path, errno);
    } else if (bytes > FTLI_TEXT_BYTES_MOST) {
        status = ftli_report(report, (struct ftli_place){path, 0, 0}, NULL, "is larger than 256 KiB");
    }
    (void)fclose(file);
    if (status != FTL_OK) {
        free(text);
        return status;
    }
    *out = text;
    *out_bytes = bytes;
    return FTL_OK;
}
