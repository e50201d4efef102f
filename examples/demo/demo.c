/* Acts 1 to 3 of script/demo.
 *
 * Exit     0 every sum is exact, 1 one is broken or the run failed, 2 wrong arguments. A time bound that was missed is
 *          printed as missed, and is no failure: the machine may have been busy.
 */
#include "examples/demo/acts.h"
#include "examples/demo/play.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const struct act {
    const char *name;
    bool (*play)(uint64_t tensors, struct seen *seen);
} acts[] = {{"drops", act_drops}, {"kill", act_kill}, {"leak", act_leak}};

enum { ACTS = sizeof acts / sizeof acts[0] };

static void usage(FILE *out)
{
    fputs("usage: demo [ACT] [--tensors N]\n"
          "\n"
          "  drops   eight threads make N tensors (2,000,000), one thread only drops them: over malloc, then over "
          "Fettle\n"
          "  kill    the same, while the cleanup actor is killed 100 times and one finalizer never works\n"
          "  leak    a session forgets 20 tensors, among 159 that do not\n"
          "\n"
          "Without ACT all. Exit: 0 every sum is exact and every leak found, 1 not so, 2 wrong arguments.\n",
          out);
}

static bool read_tensors(const char *word, uint64_t *tensors)
{
    char *end;
    *tensors = strtoull(word, &end, 10);
    return word[0] >= '0' && word[0] <= '9' && *end == '\0' && *tensors > 0 && *tensors <= 1000000000;
}

int main(int count, char **words)
{
    uint64_t tensors = 2000000;
    size_t first = 0, end = ACTS;
    for (int i = 1; i < count; i++) {
        size_t act = 0;
        while (act < ACTS && strcmp(words[i], acts[act].name) != 0) {
            act++;
        }
        if (strcmp(words[i], "--help") == 0) {
            usage(stdout);
            return 0;
        }
        if (act < ACTS) {
            first = act;
            end = act + 1;
        } else if (strcmp(words[i], "--tensors") != 0 || i + 1 == count || !read_tensors(words[++i], &tensors)) {
            usage(stderr);
            return 2;
        }
    }
    bool good = true;
    for (size_t act = first; act < end; act++) {
        struct seen *seen = mmap(NULL, 2 * sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (seen == MAP_FAILED) {
            perror("mmap");
            return 1;
        }
        if (act > first) {
            puts("");
        }
        good = acts[act].play(tensors, seen) && good;
        (void)munmap(seen, 2 * sizeof *seen);
    }
    return good ? 0 : 1;
}
