/* The same over Fettle. FETTLE_OVERRIDES: lines of a topology, such as "actors.tracking.level: none". */
#include "bench/leaks/memory.h"

#include <fettle/fettle.h>

#include <stdio.h>
#include <stdlib.h>

static ftl_runtime *runtime;

static _Noreturn void fail(void)
{
    fprintf(stderr, "twins: %s\n", ftl_last_error());
    exit(1);
}

void memory_open(void)
{
    ftl_open_options options = {.overrides = getenv("FETTLE_OVERRIDES")};
    if (ftl_runtime_open_with(&options, &runtime) != FTL_OK)
        fail();
}

struct piece memory_make(size_t bytes, const char *site)
{
    ftl_tensor tensor;
    ftl_tensor_options options = {.site = site};
    if (ftl_bytes_new(runtime, bytes, &options, &tensor) != FTL_OK)
        fail();
    return (struct piece){tensor.id};
}

void *memory_data(struct piece piece)
{
    return ftl_tensor_data((ftl_tensor){piece.id});
}

void memory_retain(struct piece piece)
{
    if (ftl_tensor_retain((ftl_tensor){piece.id}) != FTL_OK)
        fail();
}

void memory_drop(struct piece piece)
{
    ftl_tensor_drop((ftl_tensor){piece.id});
}

void memory_link(struct piece parent, struct piece child)
{
    if (ftl_tensor_link((ftl_tensor){parent.id}, (ftl_tensor){child.id}) != FTL_OK)
        fail();
}

void memory_pin(struct piece piece)
{
    if (ftl_tensor_pin((ftl_tensor){piece.id}) == NULL)
        fail();
}

void memory_unpin(struct piece piece)
{
    ftl_tensor_unpin((ftl_tensor){piece.id});
}

bool memory_report(void)
{
    static const char *const causes[] = {"alive",  "unreferenced", "outlived scope", "outlived thread", "cycle",
                                         "growth", "unreachable",  "survivor",       "pinned"};
    ftl_leak_report *report;
    if (ftl_leak_scan(runtime, NULL, &report) != FTL_OK)
        fail();
    for (size_t i = 0; i < report->count; i++) {
        const ftl_leak *leak = &report->leaks[i];
        printf("found %s: %llu tensors, %llu bytes, %u %%, %s\n",
               leak->cause < sizeof causes / sizeof causes[0] ? causes[leak->cause] : "?",
               (unsigned long long)leak->count, (unsigned long long)leak->bytes, leak->certainty, leak->site);
    }
    ftl_leak_report_free(report);
    return true;
}
