/* The ten lines that a user writes first; tests/build/install.sh compiles them against an installed copy. */
#include <fettle/fettle.h>

int main(void)
{
    ftl_runtime *runtime;
    ftl_tensor tensor;
    ftl_stats stats;
    if (ftl_runtime_open(NULL, &runtime) != FTL_OK || ftl_bytes_new(runtime, 4096, NULL, &tensor) != FTL_OK)
        return 1;
    ftl_tensor_drop(tensor);
    if (ftl_runtime_drain(runtime, -1) != FTL_OK || ftl_runtime_stats(runtime, &stats) != FTL_OK)
        return 2;
    ftl_runtime_close(runtime, NULL);
    return stats.created == 1 && stats.reclaimed == 1 && stats.live == 0 ? 0 : 3;
}
