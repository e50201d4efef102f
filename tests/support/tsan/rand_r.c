/* Criterion's sandbox library places its arena at 0x200000000000 + rand_r() * 2^24. ThreadSanitizer reserves nearly
 * all of that range, and the mapping fails. With the numbers below the arena lies at 0x550000000000 or above, in the
 * part that is left to the application. Linked into the tests of ThreadSanitizer builds, and nowhere else.
 * Threads: any; the state is the caller's. */
int rand_r(unsigned *seed);

__attribute__((visibility("default"))) int rand_r(unsigned *seed)
{
    *seed = *seed * 1103515245U + 12345U;
    return (int)(0x350000U + ((*seed >> 8) & 0x3fffU));
}
