#include "tensor/label.h"

#include <assert.h>
#include <string.h>

#include <fettle/fettle.h>

#include "runtime/base/os.h"

/* Two arrays in one reservation: the texts in the order of their coming, and an open-addressed index over them. A text is
 * whole before the index names it, so a reader never meets half of one. */
struct ftli_label_entry {
    char text[FTLI_LABEL_BYTES];
};

enum { INDEX_SLOTS = 2 * FTLI_LABELS_MOST, NUMBER_BITS = 12 };
#define NUMBER_MASK ((UINT32_C(1) << NUMBER_BITS) - 1)

static_assert(FTLI_LABELS_MOST == 1 << NUMBER_BITS, "an index slot holds a number and 20 bits of the hash");

static const char other[] = "(other)";

static size_t round_up(size_t bytes)
{
    size_t page = ftli_os_page_bytes();
    return (bytes + page - 1) / page * page;
}

static size_t entries_bytes(void)
{
    return round_up(FTLI_LABELS_MOST * sizeof(struct ftli_label_entry));
}

static size_t index_bytes(void)
{
    return round_up(INDEX_SLOTS * sizeof(ftli_atomic_u32));
}

static ftli_atomic_u32 *index_of(const struct ftli_labels *labels)
{
    return (ftli_atomic_u32 *)(void *)((char *)labels->entries + entries_bytes());
}

int ftli_labels_init(struct ftli_labels *labels)
{
    void *memory = ftli_os_reserve(entries_bytes() + index_bytes(), ftli_os_page_bytes());
    if (memory == NULL)
        return FTL_ENOMEM;
    labels->entries = memory;
    memcpy(labels->entries[FTLI_LABEL_OTHER].text, other, sizeof other);
    ftli_u32_store_relaxed(&labels->count, FTLI_LABEL_OTHER + 1);
    return FTL_OK;
}

void ftli_labels_fini(struct ftli_labels *labels)
{
    if (labels->entries != NULL)
        ftli_os_release(labels->entries, entries_bytes() + index_bytes());
    labels->entries = NULL;
}

/* At most 31 bytes, cut where a character ends: a report stays UTF-8 if the program's text is. */
static size_t kept_bytes(const char *text)
{
    size_t n = strnlen(text, FTLI_LABEL_BYTES);
    if (n < FTLI_LABEL_BYTES)
        return n;
    for (n = FTLI_LABEL_BYTES - 1; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80;)
        n--;
    return n;
}

/* FNV-1a, its bits mixed once more: the low ones choose the place, the high ones are compared first. */
static uint32_t hash_of(const char *text, size_t n)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return (uint32_t)(hash ^ hash >> 32);
}

static bool is_text(const struct ftli_labels *labels, uint32_t slot, uint32_t hash, const char *text, size_t n)
{
    if (((slot ^ hash) & ~NUMBER_MASK) != 0)
        return false;
    const char *have = labels->entries[slot & NUMBER_MASK].text;
    return memcmp(have, text, n) == 0 && have[n] == '\0';
}

/* A number of one's own; 0: there is none left. */
static uint32_t take_number(struct ftli_labels *labels)
{
    uint32_t seen = ftli_u32_load_relaxed(&labels->count);
    do {
        if (seen >= FTLI_LABELS_MOST)
            return 0;
    } while (!ftli_u32_cas_acq_rel(&labels->count, &seen, seen + 1));
    return seen;
}

/* Two threads that bring one new text at once both write it, and one of them wins the place: the other's number stays
 * unused. It happens once in the life of a label, if ever. pairs: label-index, the compare-and-swap with every load. */
uint32_t ftli_label_intern(struct ftli_labels *labels, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return 0;
    ftli_atomic_u32 *index = index_of(labels);
    size_t n = kept_bytes(text);
    uint32_t hash = hash_of(text, n), mine = 0;
    for (uint32_t at = hash % INDEX_SLOTS, tries = 0; tries < INDEX_SLOTS; at = (at + 1) % INDEX_SLOTS, tries++) {
        uint32_t seen = ftli_u32_load_acquire(&index[at]);
        if (seen == 0) {
            if (mine == 0) {
                mine = take_number(labels);
                if (mine == 0)
                    return FTLI_LABEL_OTHER;
                memcpy(labels->entries[mine].text, text, n);
            }
            if (ftli_u32_cas_acq_rel(&index[at], &seen, (hash & ~NUMBER_MASK) | mine))
                return mine;
        }
        if (is_text(labels, seen, hash, text, n))
            return seen & NUMBER_MASK;
    }
    return FTLI_LABEL_OTHER;
}

const char *ftli_label_text(const struct ftli_labels *labels, uint32_t label)
{
    return label < FTLI_LABELS_MOST ? labels->entries[label].text : "";
}

size_t ftli_labels_metadata_bytes(const struct ftli_labels *labels)
{
    uint32_t count = ftli_u32_load_relaxed(&labels->count);
    size_t bytes = round_up(count * sizeof(struct ftli_label_entry));
    return count > FTLI_LABEL_OTHER + 1 ? bytes + index_bytes() : bytes;
}
