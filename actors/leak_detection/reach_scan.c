#include "actors/leak_detection/reach_scan.h"

#include <assert.h>

#include "runtime/base/os_raw.h"
#include "tensor/handle.h"

/* In memory a handle is generation 3 bytes, slot 3.5, runtime 1.5: the last byte is the runtime's high part, the upper half of the one
 * before it the low part. Most data fails at these two. */
typedef unsigned char vector __attribute__((vector_size(16)));
typedef unsigned char loose_vector __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint64_t halves __attribute__((vector_size(16)));
typedef uint64_t loose_u64 __attribute__((aligned(1), may_alias));

enum { LANES = sizeof(vector), LAST = FTLI_REACH_HANDLE_BYTES - 1 };

static_assert(FTLI_HANDLE_RUNTIME_SHIFT == 52, "the runtime is a handle's last byte and a half");

FTLI_OS_BARE static void look_at(const unsigned char *at, uint32_t runtime, uint32_t slots, ftli_reach_found_fn found,
                                 void *user)
{
    uint64_t handle = *(const loose_u64 *)(const void *)at;
    uint32_t slot = ftli_handle_slot(handle);
    if (ftli_handle_runtime(handle) == runtime && slot != 0 && slot < slots)
        found(user, handle);
}

FTLI_OS_BARE void ftli_reach_find(const unsigned char *bytes, size_t n, uint32_t runtime, uint32_t slots,
                                  ftli_reach_found_fn found, void *user)
{
    if (n < FTLI_REACH_HANDLE_BYTES)
        return;
    size_t at = 0, offsets = n - LAST;
    unsigned char last = (unsigned char)(runtime >> 4), before = (unsigned char)(runtime << 4);
    vector lasts = {0}, befores = {0}, upper = {0};
    lasts += last;
    befores += before;
    upper += (unsigned char)0xf0;
    for (; at + LANES <= offsets; at += LANES) {
        vector ends = *(const loose_vector *)(const void *)(bytes + at + LAST);
        vector next = *(const loose_vector *)(const void *)(bytes + at + LAST - 1);
        vector hits = (vector)(ends == lasts) & (vector)((next & upper) == befores);
        halves two = (halves)hits;
        for (unsigned half = 0; half < 2; half++)
            for (uint64_t left = two[half]; left != 0;) {
                unsigned lane = (unsigned)__builtin_ctzll(left) / 8;
                left &= ~(UINT64_C(0xff) << (8 * lane));
                look_at(bytes + at + 8 * half + lane, runtime, slots, found, user);
            }
    }
    for (; at < offsets; at++)
        look_at(bytes + at, runtime, slots, found, user);
}
