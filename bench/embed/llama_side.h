/* What every rival over llama.cpp's C API sets up alike. Compiled by the benches' run.py, against the pinned release's headers. */
#ifndef OPS_BENCH_LLAMA_SIDE_H
#define OPS_BENCH_LLAMA_SIDE_H

#include <stdio.h>
#include <string.h>

#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "llama.h"

static void quiet(enum ggml_log_level level, const char *text, void *unused)
{
    (void)unused;
    if (level >= GGML_LOG_LEVEL_ERROR || strstr(text, "backend from") != NULL)
        fputs(text, stderr);
}

/* Threads that stay between calls, as its own tools make them; without, each call starts its own. */
static void keep_threads(struct llama_context *x, int threads)
{
    ggml_backend_reg_t reg =
        ggml_backend_dev_backend_reg(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU));
    struct ggml_threadpool *(*make)(struct ggml_threadpool_params *) =
        (struct ggml_threadpool * (*)(struct ggml_threadpool_params *))
            ggml_backend_reg_get_proc_address(reg, "ggml_threadpool_new");
    if (make == NULL)
        return;
    struct ggml_threadpool_params p = ggml_threadpool_params_default(threads);
    struct ggml_threadpool *pool = make(&p);
    llama_attach_threadpool(x, pool, pool);
}

#endif
