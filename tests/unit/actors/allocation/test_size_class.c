/* Every size up to the largest class gets the smallest class that holds it. */
#include <criterion/criterion.h>

#include "actors/allocation/size_class.h"

Test(size_class, smallest_that_holds)
{
    for (size_t bytes = 1; bytes <= FTLI_CLASS_MAX_BYTES; bytes++) {
        unsigned size_class = ftli_size_class(bytes);
        cr_assert(size_class >= 1 && size_class < FTLI_CLASSES, "%zu bytes: class %u", bytes, size_class);
        cr_assert(ftli_class_bytes(size_class) >= bytes, "%zu bytes in a class of %u", bytes,
                  ftli_class_bytes(size_class));
        cr_assert(ftli_class_bytes(size_class - 1) < bytes, "%zu bytes would fit in %u", bytes,
                  ftli_class_bytes(size_class - 1));
    }
    cr_assert_eq(ftli_size_class(0), ftli_size_class(1));
    cr_assert_eq(ftli_class_bytes(FTLI_CLASSES - 1), FTLI_CLASS_MAX_BYTES);
}

Test(size_class, multiples_of_64_with_little_waste)
{
    cr_assert_eq(ftli_class_bytes(0), 0);
    for (unsigned c = 1; c < FTLI_CLASSES; c++) {
        cr_assert_eq(ftli_class_bytes(c) % 64, 0);
        uint32_t smallest = ftli_class_bytes(c - 1) + 1; /* of the sizes that come here */
        if (smallest > 512 && ftli_class_is_slots(c)) {
            cr_assert((ftli_class_bytes(c) - smallest) * 9 < ftli_class_bytes(c), "class %u wastes %u of %u", c,
                      ftli_class_bytes(c) - smallest, ftli_class_bytes(c));
        }
    }
}
