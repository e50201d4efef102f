/* One request: what it makes belongs to its scope, and ending the scope gives all of it back, wherever the work stopped. */
#include <fettle/fettle.h>
#include <stdio.h>

static int answer(ftl_runtime *runtime, ftl_scope request)
{
    ftl_tensor_options options = {.scope = request, .label = "hidden", .site = FTL_HERE};
    ftl_tensor hidden, logits;
    if (ftl_tensor_new(runtime, FTL_F32, 2, (int64_t[]){128, 768}, &options, &hidden) != FTL_OK ||
        ftl_tensor_new(runtime, FTL_F32, 1, (int64_t[]){1000}, &options, &logits) != FTL_OK)
        return -1;                       /* nothing to clean up: whatever was made is in the scope */
    float *out = ftl_tensor_pin(logits); /* in place until the unpin, whatever other threads do */
    for (int i = 0; i < 1000; i++)
        out[i] = (float)i;
    ftl_tensor_unpin(logits);
    return 0;
}

int main(void)
{
    ftl_runtime *runtime;
    ftl_scope request;
    uint64_t dropped = 0;
    if (ftl_runtime_open(NULL, &runtime) != FTL_OK || ftl_scope_begin(runtime, "request", &request) != FTL_OK)
        return fprintf(stderr, "%s\n", ftl_last_error()), 1;
    int status = answer(runtime, request);
    ftl_scope_end(request, &dropped);
    printf("%s; %d tensors given back\n", status == 0 ? "answered" : ftl_last_error(), (int)dropped);
    return ftl_runtime_close(runtime, NULL) == FTL_OK ? status : 1;
}
