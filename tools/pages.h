/* Arrays that grow in mappings of their own, so that malloc's heap is left as it was found. One thread. */
#ifndef FTLI_TOOLS_PAGES_H
#define FTLI_TOOLS_PAGES_H

#include <stddef.h>

/* Zeroed memory, a multiple of the page size; NULL when the system has none. */
void *ftli_pages_map(size_t bytes);

/* Makes an array of old_bytes into one of new_bytes, contents kept, the rest zero; NULL leaves the old one as it is. */
void *ftli_pages_grow(void *pages, size_t old_bytes, size_t new_bytes);

void ftli_pages_unmap(void *pages, size_t bytes);

#endif
