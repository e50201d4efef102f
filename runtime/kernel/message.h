/* What a lane carries: links of two kinds, told apart by their address.
 *
 * What      An ordinary message begins with its link and is 32-byte aligned, so its link lies at 0 mod 32. An
 * item embeds its link elsewhere, at 16 mod 32 (a 64-byte line with the link at offset 16, say), and is
 *           whatever its sender and receiver agree on. Telling them apart costs one test of the address.
 * Owns      A message belongs to its sender until it is posted, to the mailbox while it is in one, and to the
 *           receiver while on_message runs and after it returned FTL_OK.
 * Invariant A link is in one container at a time.
 */
#ifndef FTLI_RUNTIME_KERNEL_MESSAGE_H
#define FTLI_RUNTIME_KERNEL_MESSAGE_H

#include <stddef.h>

#include "runtime/base/atomics.h"

typedef struct ftli_link {
    struct ftli_link *next;
} ftli_link;

enum {
    FTLI_MESSAGE_ALIGNMENT = 32,
    FTLI_ITEM_LINK_OFFSET = 16, /* of an item's link, modulo FTLI_MESSAGE_ALIGNMENT */
};

typedef struct ftli_message {
    FTLI_ALIGNED(32) ftli_link link;
    uint64_t sent_ns; /* written by the post, by the kernel's clock */
    uint32_t type;    /* the receiver's enumeration */
    uint32_t flags;   /* the receiver's */
} ftli_message;

#if !defined __cplusplus
_Static_assert(offsetof(ftli_message, link) == 0, "a message begins with its link");
_Static_assert(_Alignof(ftli_message) == FTLI_MESSAGE_ALIGNMENT, "the kind is in the address");
_Static_assert(sizeof(ftli_message) == 32, "half a cache line");
#endif

FTLI_INLINE bool ftli_link_is_item(const ftli_link *link)
{
    return ((uintptr_t)link & FTLI_ITEM_LINK_OFFSET) != 0;
}

/* Only of a link that is not an item's. */
FTLI_INLINE ftli_message *ftli_link_message(ftli_link *link)
{
    return (ftli_message *)(void *)link;
}

#endif
