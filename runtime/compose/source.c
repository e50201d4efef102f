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

/* ":41" and on to what follows; 0 if that is not there. */
static uint32_t read_part(const char **text)
{
    char *end = NULL;
    if (**text != ':' || (*text)[1] < '0' || (*text)[1] > '9') {
        return 0;
    }
    unsigned long value = strtoul(*text + 1, &end, 10);
    *text = end;
    return value > FTLI_TEXT_BYTES_MOST + 1 ? 0 : (uint32_t)value; /* no text has more lines or columns */
}

bool ftli_source_excerpt(const char *source, const char *text, size_t text_bytes, const char *error, char *out,
                         size_t out_bytes)
{
    size_t length = strlen(source);
    out[0] = '\0';
    if (strncmp(error, source, length) != 0) {
        return false;
    }
    const char *rest = error + length;
    uint32_t line = read_part(&rest), column = read_part(&rest);
    if (line == 0 || column == 0) {
        return false;
    }
    const char *begin = text, *end = text + text_bytes;
    for (uint32_t i = 1; i < line; i++) {
        begin = memchr(begin, '\n', (size_t)(end - begin));
        if (begin == NULL) {
            return false;
        }
        begin++;
    }
    const char *newline = memchr(begin, '\n', (size_t)(end - begin));
    int shown = (int)((newline == NULL ? end : newline) - begin);
    if (shown > 160) {
        shown = 160;
    }
    (void)snprintf(out, out_bytes, "%5u | ", line);
    for (int i = 0; i < shown; i++) { /* no control characters on somebody's terminal */
        ftli_append(out, out_bytes, "%c", (unsigned char)begin[i] < 0x20 || begin[i] == 0x7f ? ' ' : begin[i]);
    }
    ftli_append(out, out_bytes, "\n      | %*s^\n", (int)(column - 1), "");
    return true;
}
