/* A new of a small tensor of one dimension, without options and in no scope: the fast path. */
#include "actors/port/back_pressure.h"
#include "actors/port/small.h"

/* What is rare looks up the thread's port itself, so that the fast path may have it in any register. */

FTLI_INLINE int go_on(struct ftli_port *port, struct ftli_header *header, size_t c, uint64_t bytes, uint64_t size,
                      uint64_t elements, ftl_tensor *out)
{
    ftli_u64_store_release(&header->dimensions_low, elements);
    ftli_new_fill(header, size, port);
    uint64_t id = ftli_port_handle(port, header) | ftli_word_generation(ftli_u64_load_relaxed(&header->word));
    if (FTLI_UNLIKELY(ftli_count_down(FTLI_AT(port->countdown, c))))
        return ftli_new_sampled(id, c, bytes, out);
    return ftli_new_finish(port, header, id, 0, c, bytes, out);
}

/* No header of the class is at hand: the previous magazine, or a full one of the depot; at last the general way, which carves.
 * One slow new in sixteen goes there in any case, to look at the backlog. */
FTLI_ON_NEW static FTLI_NOINLINE int refill_and_go_on(size_t c, uint64_t bytes, uint64_t size, uint64_t elements,
                                                      ftl_tensor *out)
{
    struct ftli_port *port = ftli_thread.port;
    struct ftli_header *header = NULL;
    if (port->owner->cleanup.every_drop_is_a_message && c != 0 && ftli_turn_over(port, (unsigned)(c / 8), 0))
        header = ftli_rack_take(&port->rack, (unsigned)(c / 8));
    else if (c != 0 && (ftli_thread.slow_news & FTLI_LOOKS_EVERY) != 0)
        header = ftli_allocation_refill_ready(port->owner->device, &port->rack, (unsigned)(c / 8));
    if (header == NULL) {
        int64_t shape = (int64_t)elements;
        return ftli_new_plain(port, ftli_size_dtype(size), 1, &shape, out);
    }
    ftli_thread.slow_news++;
    return go_on(port, header, c, bytes, size, elements, out);
}

/* The newest entry was put there by the cleanup, which does not look at the header for its generation. */
FTLI_ON_NEW static FTLI_NOINLINE int new_from_cleanup(size_t c, uint64_t bytes, uint64_t size, uint64_t elements,
                                                      ftl_tensor *out)
{
    struct ftli_port *port = ftli_thread.port;
    uint64_t entry = ftli_rack_newest_at(&port->rack, c);
    if (FTLI_UNLIKELY(entry == 0))
        return refill_and_go_on(c, bytes, size, elements, out);
    ftli_rack_pass_at(&port->rack, c);
    return go_on(port, ftli_port_header(port, entry), c, bytes, size, elements, out);
}

/* The port is entered, the size class is known (c is 8 times it); the rest of the way. No register is saved here: whatever there is to
 * do besides is a call at its end. */
FTLI_INLINE int new_of_class(struct ftli_port *port, size_t c, uint64_t size, uint64_t elements, uint64_t bytes,
                             ftl_tensor *out)
{
    uint64_t id = ftli_rack_newest_at(&port->rack, c);  /* class 0 has none */
    if (FTLI_UNLIKELY(ftli_handle_generation(id) == 0)) /* or it was put there without one */
        return new_from_cleanup(c, bytes, size, elements, out);
    ftli_rack_pass_at(&port->rack, c);
    struct ftli_header *header = ftli_port_header(port, id);
    ftli_u64_store_release(&header->dimensions_low, elements);
    ftli_new_fill(header, size, port);
    if (FTLI_UNLIKELY(
            ftli_count_down(FTLI_AT(port->countdown, c)))) /* a class that is not sampled comes round in 2^64 */
        return ftli_new_sampled(id, c, bytes, out);
    return ftli_new_finish(port, header, id, 0, c, bytes, out);
}

/* One dimension, no options, no scope, a size that may have a class. */
#define IS_SMALL(dtype, ndim, shape, options, out)                                                            \
    (((ndim - 1) | (uintptr_t)options) == 0 && shape != NULL && out != NULL && dtype - 1 < FTLI_DTYPES - 1 && \
     (uint64_t)*shape <= FTLI_CLASS_MAX_BYTES)

/* What is plain, if not small. */
FTLI_ON_NEW static FTLI_NOINLINE int new_larger(ftl_runtime *runtime, ftl_dtype dtype, uint32_t ndim,
                                                const int64_t *shape, const ftl_tensor_options *options,
                                                ftl_tensor *out)
{
    struct ftli_port *port = ftli_thread.port;
    if (ftli_thread.fast != runtime || ndim - 1 >= 4 || options != NULL || shape == NULL || out == NULL ||
        !ftli_port_enter_fast(port))
        return ftli_new_checked(runtime, dtype, ndim, shape, options, out);
    return ftli_new_plain(port, dtype, ndim, shape, out);
}

FTLI_ON_NEW int ftl_tensor_new(ftl_runtime *runtime, ftl_dtype dtype, uint32_t ndim, const int64_t *shape,
                               const ftl_tensor_options *options, ftl_tensor *out)
{
    struct ftli_port *port = ftli_thread.port;
    if (FTLI_UNLIKELY(ftli_thread.fast != runtime || !IS_SMALL(dtype, ndim, shape, options, out) ||
                      !ftli_port_enter_fast(port)))
        return new_larger(runtime, dtype, ndim, shape, options, out);
    uint64_t bits = (uint64_t)*shape * ftli_small.bits[dtype - 1];
    size_t c = ftli_small.class_offsets[(bits + 8 * FTLI_SMALL_UNIT_BYTES - 1) / (8 * FTLI_SMALL_UNIT_BYTES)];
    uint64_t bytes = (bits + 7) / 8;
    return new_of_class(port, c, bytes + ftli_small.kinds[dtype - 1], (uint64_t)*shape, bytes, out);
}

FTLI_ON_NEW int ftl_bytes_new(ftl_runtime *runtime, size_t bytes, const ftl_tensor_options *options, ftl_tensor *out)
{
    struct ftli_port *port = ftli_thread.port;
    if (FTLI_UNLIKELY(ftli_thread.fast != runtime ||
                      (bytes | (uintptr_t)options) > FTLI_CLASS_MAX_BYTES || /* no options lie down there */
                      out == NULL || !ftli_port_enter_fast(port))) {
        int64_t shape = (int64_t)bytes;
        return new_larger(runtime, FTL_U8, 1, &shape, options, out);
    }
    size_t c = ftli_small.class_offsets[(bytes + FTLI_SMALL_UNIT_BYTES - 1) / FTLI_SMALL_UNIT_BYTES];
    return new_of_class(port, c, ftli_size_make(bytes, FTL_U8, 1), bytes, bytes, out);
}
