/* What cleanup's own files share. */
#ifndef FTLI_ACTORS_CLEANUP_INSIDE_H
#define FTLI_ACTORS_CLEANUP_INSIDE_H

#include "actors/cleanup/cleanup.h"
#include "tensor/extension.h"

FTLI_INLINE struct ftli_extension *ftli_cleanup_extension(const struct ftli_cleanup *cleanup,
                                                          const struct ftli_header *header)
{
    uint32_t cold = ftli_u32_load_relaxed(&header->cold);
    return cold == 0 ? NULL : ftli_extension(cleanup->table, cold);
}

/* What one drop adds to `sent` and to `done`. */
FTLI_INLINE uint64_t ftli_cleanup_one_sent(uint64_t bytes)
{
    return (UINT64_C(1) << FTLI_CLEANUP_SENT_SHIFT) + bytes;
}

/* Gives a header that is ours up, and reports it; why is a part of a sentence. */
void ftli_cleanup_quarantine(struct ftli_cleanup *, struct ftli_header *, const char *why);
/* The receiver's side of a retry: it is ours again, and counted as pending. */
void ftli_cleanup_take_out(struct ftli_cleanup *, struct ftli_header *);

/* Its finalizer is to be called; before all others that no worker can see yet, if it is urgent. */
void ftli_finalizers_add(struct ftli_cleanup *, struct ftli_header *, bool is_urgent);
/* At the end of a run: as many as there is room for can be taken, and all workers hear of it. */
void ftli_finalizers_deal(struct ftli_cleanup *);
uint64_t ftli_finalizers_oldest_ns(const struct ftli_cleanup *); /* 0: none; any thread */

/* What a completion must look like, of a header that is RECLAIMING. */
bool ftli_cleanup_is_valid(const struct ftli_cleanup *, const struct ftli_header *);
/* A header that is RECLAIMING and has nothing left to finish: validated, then to its shard, or to the quarantine. */
void ftli_cleanup_complete(struct ftli_cleanup *, struct ftli_header *);
FTLI_INLINE bool ftli_parcel_is(const struct ftli_parcels *pool, const struct ftli_parcel *parcel)
{
    return (uintptr_t)parcel - (uintptr_t)pool->parcels < (uintptr_t)pool->most * sizeof *parcel;
}

/* All of a parcel, which is returned. */
void ftli_cleanup_on_parcel(struct ftli_cleanup *, struct ftli_parcel *, uint64_t now_ns);
/* Of all that were returned and not taken, the tensors go into the tray, or back to their heaps. */
void ftli_cleanup_unpack_returned(struct ftli_cleanup *);

#endif
