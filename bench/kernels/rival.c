/* The rivals, loaded when they are there. Prototypes are those of ggml-backend.h, ggml.h and oneDNN's dnnl.h. */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/kernels/bench_kernels.h"

struct rival {
    /* ggml */
    void *backend, *graph;
    int (*compute)(void *, void *);
    /* oneDNN */
    int eight_bits, m, n, k;
    void *gemm, *a, *b, *c;
};

typedef struct ggml_params {
    size_t bytes;
    void *memory;
    bool no_alloc;
} ggml_params;

static void *sym(void *lib, const char *name)
{
    void *p = dlsym(lib, name);
    if (!p)
        fprintf(stderr, "rival: no %s\n", name);
    return p;
}

#define GET(lib, result, name, ...) result (*name)(__VA_ARGS__) = (result(*)(__VA_ARGS__))sym(lib, #name)

static void *open_in(const char *folder, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return dlopen(path, RTLD_NOW | RTLD_GLOBAL);
}

static void quiet(int level, const char *text, void *ctx)
{
    (void)ctx;
    if (level >= 4)
        fputs(text, stderr);
}

/* The kind of buffer in which the library keeps its interleaved weights, when it has one. */
static void *repacked(void *base, void *dev)
{
    GET(base, void *, ggml_backend_dev_backend_reg, void *);
    GET(base, void *, ggml_backend_reg_get_proc_address, void *, const char *);
    GET(base, const char *, ggml_backend_buft_name, void *);
    void *reg = ggml_backend_dev_backend_reg(dev);
    void **(*extra)(void *) =
        (void **(*)(void *))ggml_backend_reg_get_proc_address(reg, "ggml_backend_dev_get_extra_bufts");
    void **list = extra ? extra(dev) : NULL;
    for (; list && *list; list++)
        if (strstr(ggml_backend_buft_name(*list), "REPACK"))
            return *list;
    return NULL;
}

rival *rival_ggml(const char *folder, int threads, int type, int m, int n, int k, int count, const void *raw,
                  size_t bytes)
{
    static void *base, *top, *backend, *dev;
    if (!folder || !*folder)
        return NULL;
    if (!backend) {
        base = open_in(folder, "libggml-base.so");
        top = base ? open_in(folder, "libggml.v0.5.0.so") : NULL;
        if (!top) {
            fprintf(stderr, "rival: %s\n", dlerror());
            return NULL;
        }
        GET(base, void, ggml_log_set, void (*)(int, const char *, void *), void *);
        GET(top, void, ggml_backend_load_all_from_path, const char *);
        GET(top, void *, ggml_backend_dev_by_type, int);
        GET(base, void *, ggml_backend_dev_init, void *, const char *);
        ggml_log_set(quiet, NULL);
        ggml_backend_load_all_from_path(folder);
        dev = ggml_backend_dev_by_type(0);
        backend = dev ? ggml_backend_dev_init(dev, NULL) : NULL;
        if (!backend)
            return NULL;
        GET(base, void *, ggml_backend_dev_backend_reg, void *);
        GET(base, void *, ggml_backend_reg_get_proc_address, void *, const char *);
        void (*set)(void *, int) = (void (*)(void *, int))ggml_backend_reg_get_proc_address(
            ggml_backend_dev_backend_reg(dev), "ggml_backend_set_n_threads");
        if (set)
            set(backend, threads);
    }
    GET(base, void *, ggml_init, ggml_params);
    GET(base, void *, ggml_new_tensor_2d, void *, int, int64_t, int64_t);
    GET(base, void *, ggml_mul_mat, void *, void *, void *);
    GET(base, void *, ggml_new_graph, void *);
    GET(base, void, ggml_build_forward_expand, void *, void *);
    GET(base, void *, ggml_backend_alloc_ctx_tensors, void *, void *);
    GET(base, void *, ggml_backend_alloc_ctx_tensors_from_buft, void *, void *);
    GET(base, void, ggml_backend_tensor_set, void *, const void *, size_t, size_t);
    ggml_params p = {(size_t)4 << 20, NULL, true};
    void *weights = ggml_init(p), *rest = ggml_init(p), *w[512], *x = ggml_new_tensor_2d(rest, 0, k, m);
    void *graph = ggml_new_graph(rest);
    for (int i = 0; i < count && i < 512; i++) {
        w[i] = ggml_new_tensor_2d(weights, type, k, n);
        ggml_build_forward_expand(graph, ggml_mul_mat(rest, w[i], x));
    }
    void *buft =
        type == 2 || type == 12 ? repacked(base, dev) : NULL; /* Q4_0 and Q4_K are what it repacks on x86 */
    void *got = buft ? ggml_backend_alloc_ctx_tensors_from_buft(weights, buft)
                     : ggml_backend_alloc_ctx_tensors(weights, backend);
    if (!got || !ggml_backend_alloc_ctx_tensors(rest, backend))
        return NULL;
    for (int i = 0; i < count && i < 512; i++)
        ggml_backend_tensor_set(w[i], (const char *)raw + bytes / (size_t)count * (size_t)i, 0,
                                bytes / (size_t)count);
    float *ones = malloc((size_t)m * (size_t)k * 4);
    rival *r = calloc(1, sizeof *r);
    if (!ones || !r) {
        free(ones);
        free(r);
        return NULL;
    }
    for (size_t i = 0; i < (size_t)m * (size_t)k; i++)
        ones[i] = (float)(i * 7919 % 2001) * 1e-3f - 1;
    ggml_backend_tensor_set(x, ones, 0, (size_t)m * (size_t)k * 4);
    free(ones);
    r->backend = backend;
    r->graph = graph;
    r->compute = (int (*)(void *, void *))sym(base, "ggml_backend_graph_compute");
    return r;
}

rival *rival_dnnl(int eight_bits, int m, int n, int k)
{
    void *lib = dlopen("libdnnl.so.2", RTLD_NOW),
         *gemm = lib ? dlsym(lib, eight_bits ? "dnnl_gemm_u8s8s32" : "dnnl_sgemm") : NULL;
    rival *r = gemm ? calloc(1, sizeof *r) : NULL;
    if (!r)
        return NULL;
    size_t size = eight_bits ? 1 : 4;
    *r = (rival){.eight_bits = eight_bits, .m = m, .n = n, .k = k, .gemm = gemm};
    r->a = calloc((size_t)m * (size_t)k, size);
    r->b = calloc((size_t)n * (size_t)k, size);
    r->c = calloc((size_t)m * (size_t)n, 4);
    if (!r->a || !r->b || !r->c) {
        rival_free(r);
        return NULL;
    }
    memset(r->a, 1, (size_t)m * (size_t)k * size);
    memset(r->b, 1, (size_t)n * (size_t)k * size);
    return r;
}

double rival_run(rival *r)
{
    double from = now_s();
    if (r->backend) {
        r->compute(r->backend, r->graph);
        return now_s() - from;
    }
    if (r->eight_bits) {
        int32_t none = 0;
        ((int (*)(char, char, char, int64_t, int64_t, int64_t, float, const void *, int64_t, uint8_t,
                  const void *, int64_t, int8_t, float, void *, int64_t, const int32_t *))r->gemm)(
            'N', 'T', 'F', r->m, r->n, r->k, 1, r->a, r->k, 0, r->b, r->k, 0, 0, r->c, r->n, &none);
    } else {
        ((int (*)(char, char, int64_t, int64_t, int64_t, float, const void *, int64_t, const void *, int64_t,
                  float, void *, int64_t))r->gemm)('N', 'T', r->m, r->n, r->k, 1, r->a, r->k, r->b, r->k, 0,
                                                   r->c, r->n);
    }
    return now_s() - from;
}

/* What ggml holds stays until the program ends. */
void rival_free(rival *r)
{
    if (!r)
        return;
    free(r->a);
    free(r->b);
    free(r->c);
    free(r);
}
