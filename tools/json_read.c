#include "tools/json_read.h"

#include <stdio.h>
#include <string.h>

enum { MAX_DEPTH = 16, MAX_WORD = 1200 };

struct reader {
    const char *at;
    unsigned depth;
    ftli_json_member_fn member; /* who is told of nested values; NULL: nobody */
    void *user;
    char path[MAX_WORD]; /* of the value that is read; only while member is set */
    bool too_long;       /* to be told */
};

static void space(struct reader *reader)
{
    reader->at += strspn(reader->at, " \t\r\n");
}

static bool take(struct reader *reader, char what)
{
    space(reader);
    if (*reader->at != what) {
        return false;
    }
    reader->at++;
    return true;
}

static void copy(char *word, const char *from, const char *to)
{
    size_t length = (size_t)(to - from);
    length = length < MAX_WORD ? length : MAX_WORD - 1;
    memcpy(word, from, length);
    word[length] = '\0';
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool text(struct reader *reader, char *word)
{
    if (!take(reader, '"')) {
        return false;
    }
    const char *begin = reader->at;
    while (*reader->at != '"') {
        if ((unsigned char)*reader->at < 0x20) {
            return false; /* the end of the text, too */
        }
        if (*reader->at++ == '\\') {
            if (*reader->at == 'u') {
                for (int i = 1; i <= 4; i++) {
                    if (!is_hex(reader->at[i])) {
                        return false;
                    }
                }
            } else if (*reader->at == '\0' || strchr("\"\\/bfnrt", *reader->at) == NULL) {
                return false;
            }
            reader->at++;
        }
    }
    copy(word, begin, reader->at++);
    return true;
}

static bool digits(struct reader *reader)
{
    size_t count = strspn(reader->at, "0123456789");
    reader->at += count;
    return count > 0;
}

static bool number(struct reader *reader, char *word)
{
    const char *begin = reader->at;
    reader->at += *reader->at == '-';
    if (*reader->at == '0') {
        reader->at++;
    } else if (!digits(reader)) {
        return false;
    }
    if (*reader->at == '.') {
        reader->at++;
        if (!digits(reader)) {
            return false;
        }
    }
    if (*reader->at == 'e' || *reader->at == 'E') {
        reader->at++;
        reader->at += *reader->at == '-' || *reader->at == '+';
        if (!digits(reader)) {
            return false;
        }
    }
    copy(word, begin, reader->at);
    return reader->at - begin < MAX_WORD;
}

static bool literal(struct reader *reader, const char *word)
{
    size_t length = strlen(word);
    if (strncmp(reader->at, word, length) != 0) {
        return false;
    }
    reader->at += length;
    return true;
}

static bool nested(struct reader *reader);

static bool value(struct reader *reader, enum ftli_json_kind *kind, char *word)
{
    word[0] = '\0';
    space(reader);
    switch (*reader->at) {
    case '"':
        *kind = FTLI_JSON_TEXT;
        return text(reader, word);
    case '{':
    case '[':
        *kind = FTLI_JSON_NESTED;
        return nested(reader);
    case 't':
    case 'f':
        *kind = FTLI_JSON_TRUTH;
        memcpy(word, *reader->at == 't' ? "true" : "false", *reader->at == 't' ? 5 : 6);
        return literal(reader, word);
    case 'n':
        *kind = FTLI_JSON_NULL;
        return literal(reader, "null");
    default:
        *kind = FTLI_JSON_NUMBER;
        return number(reader, word);
    }
}

/* One step down the path: where the path ended before. */
static size_t go_down(struct reader *reader, const char *key, unsigned long index)
{
    size_t length = strlen(reader->path);
    int more = key != NULL ? snprintf(reader->path + length, MAX_WORD - length, ".%s", key)
                           : snprintf(reader->path + length, MAX_WORD - length, ".%lu", index);
    reader->too_long = more < 0 || (size_t)more >= MAX_WORD - length;
    return length;
}

static bool element(struct reader *reader, const char *key, unsigned long index)
{
    char word[MAX_WORD];
    enum ftli_json_kind kind;
    if (reader->member == NULL) {
        return value(reader, &kind, word);
    }
    bool above_too_long = reader->too_long;
    size_t length = go_down(reader, key, index);
    reader->too_long |= above_too_long;
    bool good = value(reader, &kind, word);
    if (good && kind != FTLI_JSON_NESTED && !reader->too_long) {
        good = reader->member(reader->user, reader->path, kind, word);
    }
    reader->path[length] = '\0';
    reader->too_long = above_too_long;
    return good;
}

/* An object or a list below the outermost. */
static bool nested(struct reader *reader)
{
    bool object = *reader->at == '{';
    char end = object ? '}' : ']', key[MAX_WORD];
    unsigned long index = 0;
    reader->at++;
    if (++reader->depth >= MAX_DEPTH) {
        return false;
    }
    bool good = take(reader, end);
    if (!good) {
        do {
            if ((object && (!text(reader, key) || !take(reader, ':'))) ||
                !element(reader, object ? key : NULL, index++)) {
                return false;
            }
        } while (take(reader, ','));
        good = take(reader, end);
    }
    reader->depth--;
    return good;
}

static bool members(struct reader *reader, ftli_json_member_fn member, void *user)
{
    char key[MAX_WORD], word[MAX_WORD];
    enum ftli_json_kind kind;
    if (!take(reader, '{')) {
        return false;
    }
    if (take(reader, '}')) {
        return true;
    }
    do {
        if (!text(reader, key) || !take(reader, ':')) {
            return false;
        }
        memcpy(reader->path, key, sizeof key);
        if (!value(reader, &kind, word) || !member(user, key, kind, word)) {
            return false;
        }
    } while (take(reader, ','));
    return take(reader, '}');
}

static bool read_all(struct reader *reader, const char *from, ftli_json_member_fn member, void *user, size_t *where)
{
    bool good = members(reader, member, user);
    if (good) {
        space(reader);
        good = *reader->at == '\0';
    }
    *where = (size_t)(reader->at - from);
    return good;
}

bool ftli_json_read(const char *from, ftli_json_member_fn member, void *user, size_t *where)
{
    struct reader reader = {.at = from};
    return read_all(&reader, from, member, user, where);
}

bool ftli_json_walk(const char *from, ftli_json_member_fn member, void *user, size_t *where)
{
    struct reader reader = {.at = from, .member = member, .user = user};
    return read_all(&reader, from, member, user, where);
}
