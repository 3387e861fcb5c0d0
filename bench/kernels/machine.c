/* What the machine can do at most: reading, multiplying; and the threads that do it. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "bench/kernels/bench_kernels.h"

enum { MOST = 64 };
static pthread_t thread[MOST];
static int size = 1;
static part_fn *fn;
static void *job;
static atomic_int turn, left, over;
static int first; /* turn of the last team_start */

double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *wait_for_work(void *arg)
{
    int part = (int)(intptr_t)arg;
    for (int seen = first;;) {
        for (long i = 0; atomic_load_explicit(&turn, memory_order_acquire) == seen; i++)
            if (i > 20000)
                sched_yield();
        seen++;
        if (atomic_load(&over))
            return NULL;
        fn(job, part, size);
        atomic_fetch_sub_explicit(&left, 1, memory_order_release);
    }
}

int team_start(int threads)
{
    size = threads < 1 ? 1 : threads > MOST ? MOST : threads;
    first = atomic_load(&turn);
    atomic_store(&over, 0);
    for (int i = 1; i < size; i++)
        if (pthread_create(&thread[i], NULL, wait_for_work, (void *)(intptr_t)i) != 0)
            return 0;
    return 1;
}

int team_size(void)
{
    return size;
}

void team_run(part_fn *f, void *j)
{
    fn = f;
    job = j;
    atomic_store(&left, size - 1);
    atomic_fetch_add_explicit(&turn, 1, memory_order_release);
    f(j, 0, size);
    for (long i = 0; atomic_load_explicit(&left, memory_order_acquire) > 0; i++)
        if (i > 20000)
            sched_yield();
}

void team_stop(void)
{
    atomic_store(&over, 1);
    atomic_fetch_add(&turn, 1);
    for (int i = 1; i < size; i++)
        pthread_join(thread[i], NULL);
}

#ifdef __x86_64__
#include <immintrin.h>
#define WIDE   __attribute__((target("avx2,fma")))
#define WIDEST __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))

typedef struct span {
    const char *from;
    size_t bytes;
    int64_t sum[MOST];
} span;

WIDE static void read_part(void *arg, int part, int parts)
{
    span *s = arg;
    size_t lines = s->bytes / 256, i = lines * (size_t)part / (size_t)parts,
           end = lines * ((size_t)part + 1) / (size_t)parts;
    __m256i a[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                    _mm256_setzero_si256()};
    for (; i < end; i++) {
        const char *p = s->from + i * 256;
        for (int j = 0; j < 8; j++)
            a[j % 4] = _mm256_xor_si256(a[j % 4], _mm256_load_si256((const void *)(p + 32 * j)));
    }
    a[0] = _mm256_xor_si256(_mm256_xor_si256(a[0], a[1]), _mm256_xor_si256(a[2], a[3]));
    s->sum[part] = _mm256_extract_epi64(a[0], 0);
}

enum { CHAINS = 12, ROUNDS = 2000000 };

WIDEST static void dot_part(void *arg, int part, int parts)
{
    (void)parts;
    __m512i a[CHAINS], x = _mm512_set1_epi32(part + 0x01020304);
    for (int i = 0; i < CHAINS; i++)
        a[i] = _mm512_set1_epi32(i);
    for (int r = 0; r < ROUNDS; r++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            a[i] = _mm512_dpbusd_epi32(a[i], x, x);
    for (int i = 1; i < CHAINS; i++)
        a[0] = _mm512_xor_si512(a[0], a[i]);
    ((int *)arg)[part * 16] = _mm512_reduce_add_epi32(a[0]);
}

WIDEST static void fma_part(void *arg, int part, int parts)
{
    (void)parts;
    __m512 a[CHAINS], x = _mm512_set1_ps(0.5f + (float)part);
    for (int i = 0; i < CHAINS; i++)
        a[i] = _mm512_set1_ps((float)i);
    for (int r = 0; r < ROUNDS; r++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            a[i] = _mm512_fmadd_ps(a[i], x, x);
    for (int i = 1; i < CHAINS; i++)
        a[0] = _mm512_add_ps(a[0], a[i]);
    ((float *)arg)[part * 16] = _mm512_reduce_add_ps(a[0]);
}

static double peak(part_fn *f, double per_round)
{
    if (!__builtin_cpu_supports("avx512vnni") || !__builtin_cpu_supports("avx512vl"))
        return 0;
    static int sink[MOST * 16];
    double from = now_s();
    team_run(f, sink);
    return per_round * CHAINS * ROUNDS * size / (now_s() - from) / 1e9;
}

double peak_gops(void)
{
    return peak(dot_part, 128);
}

double peak_gflops(void)
{
    return peak(fma_part, 32);
}
#else
typedef struct span {
    const char *from;
    size_t bytes;
    int64_t sum[MOST];
} span;

static void read_part(void *arg, int part, int parts)
{
    span *s = arg;
    size_t words = s->bytes / 8, end = words * ((size_t)part + 1) / (size_t)parts;
    for (size_t i = words * (size_t)part / (size_t)parts; i < end; i++)
        s->sum[part] ^= ((const int64_t *)(const void *)s->from)[i];
}

double peak_gops(void)
{
    return 0;
}

double peak_gflops(void)
{
    return 0;
}
#endif

void *wide_pages(size_t bytes)
{
    enum { HUGE = 2 << 20 };
    void *p = aligned_alloc(HUGE, (bytes + HUGE - 1) / HUGE * HUGE);
    if (p == NULL)
        return NULL;
#ifdef MADV_HUGEPAGE
    (void)madvise(p, bytes, MADV_HUGEPAGE);
#endif
    return memset(p, 1, bytes);
}

double read_gbs(const void *from, size_t bytes)
{
    static span s;
    s.from = from;
    s.bytes = bytes;
    double begun = now_s();
    team_run(read_part, &s);
    return (double)bytes / (now_s() - begun) / 1e9;
}
