/* The look for cycles of links: a million tensors, of which a hundred thousand get a link that closes a cycle. What the leak detection
 * actor does then, on its own thread and in slices, is done here in one go. Times are of this thread's processor time. Prints, and judges
 * nothing.
 *
 *     bench-cycles [CLUSTERS]     of ten tensors each; 100000
 *     bench-cycles depth [N]      one ring of N tensors; 10000000
 */
#include <fettle/fettle.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "actors/port/runtime.h"

enum { TENSORS = 10, CHAIN = 5 };

static ftl_runtime *runtime;

static void must(int status, const char *what)
{
    if (status == FTL_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, ftl_last_error());
    exit(1);
}

static double now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* whatever else the machine does */
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* One run of the pass; what it would have spread over ticks of a slice each. */
static void run(const char *what)
{
    struct ftli_leak_detection *leaks = &runtime->leak_detection;
    double begin = now_ms(), longest = 0;
    unsigned slices = 0;
    if (!ftli_cycles_pass.begin(leaks, 0)) {
        printf("  %-58s nothing to do\n", what);
        return;
    }
    for (bool more = true; more; slices++) {
        double before = now_ms();
        more = ftli_cycles_pass.slice(leaks, 0);
        double took = now_ms() - before;
        longest = took > longest ? took : longest;
    }
    uint32_t nodes = leaks->cycles.search.count, edges = leaks->cycles.search.edge_count;
    (void)ftli_cycles_pass.end(leaks, 0);
    printf("  %-58s %8.1f ms  %5u slices, the longest %6.3f ms  %8u tensors and %8u links read  %8llu leaked\n", what,
           now_ms() - begin, slices, longest, nodes, edges,
           (unsigned long long)ftli_u64_load_relaxed(&leaks->cycles.leaked));
}

static void scan(const char *what)
{
    ftl_leak_options options = {.causes = 1u << FTL_LEAK_CYCLE, .timeout_ns = 60000000000};
    ftl_leak_report *report;
    double begin = now_ms();
    must(ftl_leak_scan(runtime, &options, &report), "scan");
    printf("  %-58s %8.1f ms  %llu leaked in %zu rows\n", what, now_ms() - begin, (unsigned long long)report->leaked,
           report->count);
    ftl_leak_report_free(report);
}

/* One ring, as long as it likes: its depth is in no stack. */
static int measure_depth(size_t n)
{
    ftl_tensor first, last, next;
    must(ftl_bytes_new(runtime, 8, NULL, &first), "new");
    last = first;
    for (size_t i = 1; i < n; i++, last = next) {
        must(ftl_bytes_new(runtime, 8, NULL, &next), "new");
        must(ftl_tensor_link(last, next), "link");
        must(ftl_tensor_drop(next), "drop");
    }
    must(ftl_tensor_link(last, first), "link");
    printf("a ring of %zu tensors\n", n);
    run("all of it, held");
    must(ftl_tensor_drop(first), "drop");
    run("its last reference is dropped");
    return 0;
}

int main(int count, char **arguments)
{
    bool is_depth = count > 1 && strcmp(arguments[1], "depth") == 0;
    size_t clusters = count > 1 && !is_depth ? strtoul(arguments[1], NULL, 10) : 100000;
    ftl_tensor *tensors = malloc(clusters * TENSORS * sizeof *tensors);
    const ftl_open_options options = {0};
    must(ftli_runtime_open_as(&options, true, 1, &runtime), "open");
    if (is_depth)
        return measure_depth(count > 2 ? strtoul(arguments[2], NULL, 10) : 10000000);
    for (size_t i = 0; tensors != NULL && i < clusters * TENSORS; i++)
        must(ftl_bytes_new(runtime, 64, NULL, &tensors[i]), "new");
    double begin = now_ms();
    for (size_t c = 0; c < clusters; c++)
        for (size_t i = 0; i + 1 < CHAIN; i++)
            must(ftl_tensor_link(tensors[c * TENSORS + i], tensors[c * TENSORS + i + 1]), "link");
    printf("%zu tensors, %zu links at %.0f ns each, every link noted\n", clusters * TENSORS, clusters * (CHAIN - 1),
           (now_ms() - begin) * 1e6 / (double)(clusters * (CHAIN - 1)));
    run("after all links, more than the log has room for: all");
    run("with nothing new");
    for (size_t c = 0; c < clusters; c++)
        must(ftl_tensor_link(tensors[c * TENSORS + CHAIN - 1], tensors[c * TENSORS]), "link");
    run("a link more in each cluster: each a cycle that is held");
    run("with nothing new: a witness a cycle is looked at");
    scan("a scan of all");
    for (size_t i = 0; i < clusters * TENSORS; i++)
        if (i % TENSORS < CHAIN)
            must(ftl_tensor_drop(tensors[i]), "drop");
    run("after all their references were dropped");
    scan("a scan of all");
    free(tensors);
    return 0; /* the system takes the rest */
}
