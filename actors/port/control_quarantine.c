/* What an operator asks of the quarantine: "quarantine" lists it, "retry HANDLE" and "retry all" have the cleanup begin again. */
#include <string.h>

#include "actors/port/control.h"

#include "tensor/extension.h"
#include "tensor/registry.h"

struct row {
    uint64_t tensor, bytes, tag;
    uint32_t tries;
    int status; /* that its finalizer returned last */
    uint32_t label;
    const char *site;
};

static void say_row(struct ftli_control_answer *answer, const struct ftl_runtime *runtime, const struct row *row)
{
    char site[64];
    ftli_site_copy(site, sizeof site, row->site);
    ftli_control_say(answer, "0x%016llx  %12llu bytes  %5u tries  last status %d  label \"%s\"  tag %llu  %s\n",
                     (unsigned long long)row->tensor, (unsigned long long)row->bytes, row->tries, row->status,
                     ftli_label_text(&runtime->labels, row->label), (unsigned long long)row->tag, site);
}

static void say_sum(struct ftli_control_answer *answer, const char *what, uint64_t tensors, uint64_t bytes)
{
    ftli_control_say(answer, "%llu %s, %llu bytes\n", (unsigned long long)tensors, what, (unsigned long long)bytes);
}

/* False: it is not in quarantine, or no more. Nobody writes a header that is, so what was read belongs together if the word is the
 * same afterwards. */
static bool read_row(const struct ftl_runtime *runtime, const struct ftli_header *header, struct row *out)
{
    uint64_t word = ftli_u64_load_acquire(&header->word);
    if (ftli_word_state(word) != FTLI_QUARANTINED)
        return false;
    struct row row = {.tensor = ftli_table_handle(&runtime->table, header), .bytes = ftli_header_own_bytes(header)};
    uint32_t cold = ftli_u32_load_acquire(&header->cold);
    if (cold != 0) {
        const struct ftli_extension *extension = ftli_extension(&runtime->table, cold);
        row.tries = ftli_attempts_in_all(ftli_u32_load_acquire(&extension->attempts));
        row.status = row.tries != 0 ? (int)ftli_u32_load_acquire(&extension->last_status) : 0;
        row.tag = ftli_u64_load_acquire(&extension->tag);
        row.label = ftli_u32_load_acquire(&extension->label);
        row.site = ftli_pointer_load_acquire(&extension->site);
    }
    if (ftli_u64_load_acquire(&header->word) != word)
        return false;
    *out = row;
    return true;
}

/* Each that is in quarantine is said, and with `retry` sent back: those that this call took. */
static void walk(struct ftl_runtime *runtime, bool retry, struct ftli_control_answer *answer)
{
    uint64_t tensors = 0, bytes = 0;
    uint32_t slots = ftli_table_fresh(&runtime->table);
    for (uint32_t slot = 1; slot < slots; slot = ftli_table_next(&runtime->table, slot, slots)) {
        struct ftli_header *header = ftli_table_header(&runtime->table, slot);
        struct row row;
        if (!read_row(runtime, header, &row))
            continue;
        if (retry && !ftli_cleanup_send_retry(&runtime->cleanup, header, ftli_handle_generation(row.tensor)))
            continue;
        tensors++;
        bytes += row.bytes;
        say_row(answer, runtime, &row);
    }
    say_sum(answer, retry ? "retried" : "quarantined", tensors, bytes);
}

/* "0x" and up to 16 digits, and nothing else. */
static bool read_handle(const char *text, uint64_t *id)
{
    uint64_t value = 0;
    if (text[0] != '0' || text[1] != 'x')
        return false;
    const char *digits = text + 2;
    size_t n = strspn(digits, "0123456789abcdefABCDEF");
    if (n == 0 || n > 16 || digits[n] != '\0')
        return false;
    for (size_t i = 0; i < n; i++) {
        uint64_t digit = (uint64_t)(digits[i] <= '9' ? digits[i] - '0' : (digits[i] | 0x20) - 'a' + 10);
        value = value << 4 | digit;
    }
    *id = value;
    return true;
}

/* Why a handle is not in quarantine. */
static int refuse(const struct ftli_header *header, uint64_t id)
{
    uint64_t word = ftli_u64_load_acquire(&header->word);
    enum ftli_state state = ftli_word_state(word);
    unsigned long long tensor = id;
    if (ftli_word_generation(word) != ftli_handle_generation(id) || state == FTLI_FREE || state == FTLI_RETIRED)
        return ftli_fail(FTL_ESTALE, "retry: there is no tensor 0x%016llx: it was reclaimed, or never made", tensor);
    if (state == FTLI_LIVE)
        return ftli_fail(FTL_EINVAL, "retry: 0x%016llx is alive, not in quarantine", tensor);
    return ftli_fail(FTL_EBUSY, "retry: 0x%016llx is being reclaimed, not in quarantine", tensor);
}

static int retry_one(struct ftl_runtime *runtime, const char *text, struct ftli_control_answer *answer)
{
    uint64_t id;
    struct row row;
    if (!read_handle(text, &id))
        return ftli_fail(FTL_EINVAL, "retry: \"%.40s\" is no handle: one that \"quarantine\" lists, 0x.., or all",
                         text);
    struct ftli_header *header = ftli_handle_runtime(id) == runtime->number ? ftli_registry_find(id) : NULL;
    if (header == NULL)
        return ftli_fail(FTL_ESTALE, "retry: there is no tensor 0x%016llx in this runtime", (unsigned long long)id);
    if (!read_row(runtime, header, &row) || row.tensor != id ||
        !ftli_cleanup_send_retry(&runtime->cleanup, header, ftli_handle_generation(id)))
        return refuse(header, id);
    say_row(answer, runtime, &row);
    say_sum(answer, "retried", 1, row.bytes);
    return FTL_OK;
}

int ftli_control_quarantine(struct ftl_runtime *runtime, const char *arguments, ftl_write_fn write, void *user)
{
    struct ftli_control_answer answer = {write, user, 0};
    (void)arguments;
    walk(runtime, false, &answer);
    return FTL_OK;
}

int ftli_control_retry(struct ftl_runtime *runtime, const char *what, ftl_write_fn write, void *user)
{
    struct ftli_control_answer answer = {write, user, 0};
    if (!ftli_runtime_is_open(runtime))
        return ftli_fail(FTL_ECLOSED, "retry: the runtime is closing");
    if (strcmp(what, "all") != 0)
        return retry_one(runtime, what, &answer);
    walk(runtime, true, &answer);
    return FTL_OK;
}
