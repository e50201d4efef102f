#include "actors/leak_detection/links.h"

#include <string.h>

#include "runtime/base/os.h"

#define LOG_BYTES (FTLI_LINK_LOG_MOST * sizeof(ftli_atomic_u64))

void ftli_link_log_init(struct ftli_link_log *log)
{
    memset(log, 0, sizeof *log);
    log->entries = ftli_os_reserve(LOG_BYTES, ftli_os_page_bytes());
}

void ftli_link_log_fini(struct ftli_link_log *log)
{
    if (log->entries != NULL)
        ftli_os_release(log->entries, LOG_BYTES);
    log->entries = NULL;
}

/* It lies there as the last one, and is not taken: who takes it sees what was done before this. pairs: link-log-entry */
static bool is_last(struct ftli_link_log *log, uint64_t tail, uint64_t tensor)
{
    uint64_t seen = tensor;
    return tail != 0 && ftli_u64_cas_acq_rel(&log->entries[(tail - 1) % FTLI_LINK_LOG_MOST], &seen, tensor);
}

/* pairs: link-log. A place is had by its compare-and-swap on the tail, and is empty (0) then: the taker emptied it before it moved
 * the head. */
void ftli_link_log_put(struct ftli_link_log *log, uint64_t tensor)
{
    tensor = ~tensor; /* a look for handles in memory takes it for none */
    uint64_t tail = ftli_u64_load_acquire(&log->tail);
    if (log->entries != NULL && is_last(log, tail, tensor))
        return;
    do {
        if (log->entries == NULL || tail - ftli_u64_load_acquire(&log->head) >= FTLI_LINK_LOG_MOST) {
            ftli_u32_store_seq_cst(&log->lost, 1);
            return;
        }
    } while (!ftli_u64_cas_acq_rel(&log->tail, &tail, tail + 1));
    ftli_u64_store_release(&log->entries[tail % FTLI_LINK_LOG_MOST], tensor);
}

uint64_t ftli_link_log_take(struct ftli_link_log *log)
{
    uint64_t head = ftli_u64_load_relaxed(&log->head);
    if (head == ftli_u64_load_acquire(&log->tail))
        return 0;
    uint64_t tensor =
        ftli_u64_exchange_acq_rel(&log->entries[head % FTLI_LINK_LOG_MOST], 0); /* pairs: link-log-entry */
    if (tensor != 0)
        ftli_u64_store_release(&log->head, head + 1); /* pairs: link-log */
    return tensor != 0 ? ~tensor : 0;
}

bool ftli_link_log_lost(struct ftli_link_log *log)
{
    return ftli_u32_exchange_seq_cst(&log->lost, 0) != 0;
}
