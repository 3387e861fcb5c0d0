#include "worker/serve/open_model.h"

#include <stdio.h>
#include <string.h>

#include "worker/model/bert_file.h"

static bool leads_out(const char *path)
{
    ops_slice rest = ops_slice_str(path), part;
    while (ops_slice_split(&rest, '/', &part))
        if (ops_slice_eq(part, OPS_SLICE("..")))
            return true;
    return false;
}

ops_status ops_model_path(const char *path, char *ret, size_t cap, ops_err *reterr)
{
    if (path[0] == '\0')
        return ops_fail(reterr, OPS_EINVAL, "no path of a model");
    if (path[0] == '/' || path[0] == '.') {
        const int n = snprintf(ret, cap, "%s", path);
        return n >= 0 && (size_t)n < cap
                   ? OPS_OK
                   : ops_fail(reterr, OPS_ETOOBIG, "a path of more than %zu bytes", cap - 1);
    }
    if (leads_out(path))
        return ops_fail(reterr, OPS_EINVAL, "'%.200s' leads out of the models' folder", path);
    return ops_engine_bert_folder(path, ret, cap, reterr);
}

ops_status ops_model_open(const ops_model_conf *conf, const char *at, const char *name,
                          ops_engine **ret_engine, ops_writer **ret_writer, ops_err *reterr)
{
    const char *called = name[0] != '\0' ? name : NULL;
    if (ops_bert_file_is(at)) {
        const ops_engine_bert_conf ec = {
            .path = at, .name = called, .weights = conf->weights, .threads = conf->threads};
        return ops_engine_bert_open(&ec, ret_engine, reterr);
    }
    ops_generator *g = NULL;
    const ops_generator_conf gc = {.path = at,
                                   .name = called,
                                   .threads = conf->threads,
                                   .context_max = conf->context,
                                   .seqs_max = conf->seqs,
                                   .cache_bytes = conf->cache_bytes};
    const ops_status st = ops_generator_open(&gc, &g, reterr);
    if (st != OPS_OK)
        return st;
    ops_writer *w = ops_writer_over(g);
    if (w == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "%.200s", at);
    *ret_writer = w;
    return OPS_OK;
}

static ops_status open_it(void *ctx, const char *path, const char *name, ops_engine **ret_engine,
                          ops_writer **ret_writer, ops_err *reterr)
{
    char at[OPS_RUNNER_PATH_MAX];
    const ops_status st = ops_model_path(path, at, sizeof at, reterr);
    return st == OPS_OK ? ops_model_open(ctx, at, name, ret_engine, ret_writer, reterr) : st;
}

ops_runner_opener ops_model_opener(ops_model_conf *conf)
{
    return (ops_runner_opener){open_it, conf};
}
