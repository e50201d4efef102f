#include "tools/pages.h"

#include <sys/mman.h>

void *ftli_pages_map(size_t bytes)
{
    if (bytes == 0) {
        bytes = 1;
    }
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

void *ftli_pages_grow(void *pages, size_t old_bytes, size_t new_bytes)
{
    if (pages == NULL) {
        return ftli_pages_map(new_bytes);
    }
    void *grown = mremap(pages, old_bytes, new_bytes, MREMAP_MAYMOVE);
    return grown == MAP_FAILED ? NULL : grown;
}

void ftli_pages_unmap(void *pages, size_t bytes)
{
    if (pages != NULL) {
        munmap(pages, bytes == 0 ? 1 : bytes);
    }
}
