/* A heap profile of a program's own tensors: heap_profile FILE writes it, for `go tool pprof FILE` or `fettle profile FILE`. What it prints
 * is what the program knows itself: tensors and bytes by label. */
#include <fettle/fettle.h>
#include <inttypes.h>
#include <stdio.h>

enum { WEIGHTS = 4, SESSIONS = 300, SCRATCH = 20000 };

struct sum { /* what the program itself has counted */
    const char *label;
    uint64_t tensors, bytes;
};

static int failed(void)
{
    fprintf(stderr, "heap_profile: %s\n", ftl_last_error());
    return 1;
}

static int make(ftl_runtime *runtime, int64_t rows, const ftl_tensor_options *options, struct sum *sum, ftl_tensor *out)
{
    const int64_t shape[] = {rows, 64};
    sum->tensors++;
    sum->bytes += (uint64_t)rows * 64 * 2;
    return ftl_tensor_new(runtime, FTL_F16, 2, shape, options, out);
}

static int make_all(ftl_runtime *runtime, struct sum *weights, struct sum *kv, struct sum *scratch)
{
    int status = FTL_OK;
    ftl_tensor tensor;
    for (int i = 0; i < WEIGHTS && status == FTL_OK; i++)
        status = make(runtime, 8192, &(ftl_tensor_options){.label = "weights", .site = FTL_HERE}, weights, &tensor);
    for (int i = 0; i < SESSIONS && status == FTL_OK; i++) { /* two thirds of the sessions end */
        struct sum gone = {0};
        ftl_scope session;
        status = ftl_scope_open(runtime, &(ftl_scope_options){.label = "session"}, &session);
        const ftl_tensor_options options = {.label = "kv", .site = FTL_HERE, .scope = session};
        if (status == FTL_OK)
            status = make(runtime, 100 + i, &options, i % 3 == 0 ? kv : &gone, &tensor);
        if (i % 3 != 0)
            ftl_scope_end(session, NULL);
    }
    for (int i = 0; i < SCRATCH && status == FTL_OK; i++) { /* these name no site: they are sampled */
        struct sum gone = {0};
        status = make(runtime, 1 + i % 20, NULL, i % 2 == 0 ? scratch : &gone, &tensor);
        if (status == FTL_OK && i % 2 != 0)
            ftl_tensor_drop(tensor);
    }
    return status;
}

static int save(const char *bytes, size_t n, void *file)
{
    return fwrite(bytes, 1, n, file) != n;
}

int main(int argc, char **argv)
{
    struct sum sums[] = {{.label = "weights"}, {.label = "kv"}, {.label = "-"}};
    ftl_runtime *runtime;
    if (argc != 2 || ftl_runtime_open(NULL, &runtime) != FTL_OK)
        return argc != 2 ? fprintf(stderr, "usage: heap_profile FILE\n"), 2 : failed();
    if (make_all(runtime, &sums[0], &sums[1], &sums[2]) != FTL_OK)
        return failed();
    FILE *file = fopen(argv[1], "wb");
    if (file == NULL)
        return perror(argv[1]), 2;
    int status = ftl_runtime_control(runtime, "profile heap", save, file);
    if (fclose(file) != 0)
        return perror(argv[1]), 2;
    for (int i = 0; i < 3; i++)
        printf("%-8s %" PRIu64 " tensors %" PRIu64 " bytes\n", sums[i].label, sums[i].tensors, sums[i].bytes);
    ftl_runtime_close(runtime, NULL);
    return status == FTL_OK ? 0 : failed();
}
