#include "bench/equal.h"

#include <pthread.h>
#include <stdlib.h>

/* Written by one thread, by plain loads and stores; read by whoever sums. */
struct counters {
    _Alignas(64) _Atomic uint64_t created;
    _Atomic uint64_t dropped, created_bytes, dropped_bytes;
    struct counters *next;      /* of all; under lock */
    struct counters *next_free; /* of those without a thread; under lock */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key; /* only to see a thread's end */
static struct counters *all, *unused;
static _Thread_local struct counters *mine;

static void thread_ended(void *user)
{
    struct counters *counters = user;
    pthread_mutex_lock(&lock);
    counters->next_free = unused;
    unused = counters;
    pthread_mutex_unlock(&lock);
    mine = NULL;
}

static void make_key(void)
{
    if (pthread_key_create(&key, thread_ended) != 0) {
        abort();
    }
}

static __attribute__((noinline)) struct counters *join(void)
{
    pthread_once(&once, make_key);
    pthread_mutex_lock(&lock);
    struct counters *counters = unused;
    if (counters != NULL) {
        unused = counters->next_free;
    } else if ((counters = aligned_alloc(64, sizeof *counters)) != NULL) {
        *counters = (struct counters){.next = all};
        all = counters;
    }
    pthread_mutex_unlock(&lock);
    if (counters == NULL || pthread_setspecific(key, counters) != 0) {
        abort(); /* a count that is not kept is worse than none */
    }
    return mine = counters;
}

static inline void count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more, memory_order_relaxed);
}

/* Notes the shape and what it takes. -1: a count is negative, or it is more than there can be. */
static inline int set_shape(struct equal_tensor *tensor, uint16_t dtype, uint16_t ndim, const int64_t *shape)
{
    uint64_t bytes = dtype;
    for (uint16_t i = 0; i < ndim; i++) { /* one loop: of a plain copy gcc makes `rep movs`, 20 ns for one dimension */
        if (shape[i] < 0 || __builtin_mul_overflow(bytes, (uint64_t)shape[i], &bytes)) {
            return -1;
        }
        tensor->shape[i] = shape[i];
    }
    tensor->dtype = dtype;
    tensor->ndim = ndim;
    tensor->bytes = bytes;
    return bytes > (uint64_t)INT64_MAX - EQUAL_ALIGNMENT ? -1 : 0;
}

int equal_new(uint16_t dtype, uint16_t ndim, const int64_t *shape, struct equal_tensor **out)
{
    struct equal_tensor *tensor = ndim > EQUAL_MAX_DIMS ? NULL : malloc(sizeof *tensor);
    if (tensor == NULL) {
        return -1;
    }
    if (set_shape(tensor, dtype, ndim, shape) != 0) {
        free(tensor);
        return -1;
    }
    /* A multiple of the alignment, as C11 wants it, and never 0. */
    uint64_t bytes = tensor->bytes;
    uint64_t room = (bytes + (bytes == 0) + EQUAL_ALIGNMENT - 1) & ~(uint64_t)(EQUAL_ALIGNMENT - 1);
    tensor->data = aligned_alloc(EQUAL_ALIGNMENT, (size_t)room);
    if (tensor->data == NULL) {
        free(tensor);
        return -1;
    }
    atomic_init(&tensor->references, 1);
    struct counters *counters = mine != NULL ? mine : join();
    count(&counters->created, 1);
    count(&counters->created_bytes, bytes);
    *out = tensor;
    return 0;
}

void equal_retain(struct equal_tensor *tensor)
{
    atomic_fetch_add_explicit(&tensor->references, 1, memory_order_relaxed);
}

void equal_drop(struct equal_tensor *tensor)
{
    if (atomic_fetch_sub_explicit(&tensor->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    struct counters *counters = mine != NULL ? mine : join();
    count(&counters->dropped, 1);
    count(&counters->dropped_bytes, tensor->bytes);
    free(tensor->data);
    free(tensor);
}

void equal_sum(struct equal_sums *out)
{
    struct equal_sums sums = {.created = 0};
    pthread_mutex_lock(&lock);
    for (struct counters *counters = all; counters != NULL; counters = counters->next) {
        sums.created += atomic_load_explicit(&counters->created, memory_order_relaxed);
        sums.dropped += atomic_load_explicit(&counters->dropped, memory_order_relaxed);
        sums.created_bytes += atomic_load_explicit(&counters->created_bytes, memory_order_relaxed);
        sums.dropped_bytes += atomic_load_explicit(&counters->dropped_bytes, memory_order_relaxed);
    }
    pthread_mutex_unlock(&lock);
    *out = sums;
}
