/* Address space: numbers, addresses and owners agree, and an address of nobody's is known as such. */
#include <criterion/criterion.h>
#include <fettle/fettle.h>

#include "actors/allocation/arena.h"
#include "actors/allocation/heap.h"

#define MIB ((size_t)1 << 20)

Test(arena, numbers_lead_to_addresses_and_back)
{
    struct ftli_space space;
    uint32_t first[3], granules[3];
    cr_assert_eq(ftli_space_init(&space, 4 * MIB), FTL_OK);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(ftli_space_grow(&space, (i * 5 + 1) * MIB, &first[i], &granules[i]), FTL_OK);
        cr_assert_eq(granules[i], (i * 5 + 1 + 3) / 4 * 2, "whole steps of 4 MiB: %u granules", granules[i]);
        for (uint32_t n = first[i]; n < first[i] + granules[i] * FTLI_GRANULE_PAGES; n++) {
            const char *address = ftli_space_address(&space, n);
            uint64_t entry = ftli_space_entry(&space, address + 4095);
            cr_assert_eq(ftli_entry_number(entry, address + 4095), n);
            cr_assert_eq(ftli_entry_owner(entry), 0);
            cr_assert_eq(&ftli_entry_granule(entry)->pages[n % FTLI_GRANULE_PAGES], ftli_space_page(&space, n));
        }
    }
    cr_assert_eq(space.reserved_bytes, (4 + 8 + 12) * MIB);
    ftli_space_fini(&space);
}

Test(arena, owners)
{
    struct ftli_space space;
    uint32_t first, granules;
    int local;
    cr_assert_eq(ftli_space_init(&space, 8 * MIB), FTL_OK);
    cr_assert_eq(ftli_space_grow(&space, 1, &first, &granules), FTL_OK);
    const char *address = ftli_space_address(&space, first);
    ftli_space_set_owner(&space, first + FTLI_GRANULE_PAGES, 2, 65535);
    cr_assert_eq(ftli_heap_owner(&space, address), 0);
    cr_assert_eq(ftli_heap_owner(&space, address + 2 * MIB), 65535);
    cr_assert_eq(ftli_heap_owner(&space, address + 6 * MIB - 1), 65535);
    cr_assert_eq(ftli_heap_owner(&space, address + 6 * MIB), 0);
    cr_assert_eq(ftli_heap_owner(&space, &local), 0);
    cr_assert_eq(ftli_heap_owner(&space, NULL), 0);
    cr_assert_eq(ftli_heap_owner(&space, (const void *)UINTPTR_MAX), 0, "no address of user space");
    cr_assert(ftli_space_joined(&space, first + 2 * FTLI_GRANULE_PAGES, 65535));
    cr_assert_not(ftli_space_joined(&space, first + FTLI_GRANULE_PAGES, 65535), "the granule before is nobody's");
    cr_assert_not(ftli_space_joined(&space, first, 0), "nothing lies before the first");
    ftli_space_fini(&space);
}

Test(arena, refuses_what_cannot_be)
{
    struct ftli_space space;
    uint32_t first = 7, granules = 7;
    cr_assert_eq(ftli_space_init(&space, 0), FTL_EINVAL);
    cr_assert_eq(ftli_space_init(&space, 3 * MIB), FTL_EINVAL);
    cr_assert_eq(ftli_space_init(&space, 2 * MIB), FTL_OK);
    cr_assert_eq(ftli_space_grow(&space, SIZE_MAX / 2, &first, &granules), FTL_ENOMEM);
    cr_assert_eq(ftli_space_grow(&space, (size_t)1 << 46, &first, &granules), FTL_ENOMEM);
    cr_assert_eq(first, 7);
    cr_assert_eq(granules, 7);
    ftli_space_fini(&space);
}
