#include "opsd/named_models.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "opsd/keys.h"

#define EMBEDS "all-MiniLM-L6-v2"
#define WRITES "SmolLM2-135M-Instruct"

/* A path that is there as it stands, else as ops_model_path() has it. */
static ops_status place(const char *given, char *ret, size_t cap, ops_err *reterr)
{
    if (strchr(given, '/') == NULL || access(given, R_OK) != 0)
        return ops_model_path(given, ret, cap, reterr);
    const int n = snprintf(ret, cap, "%s", given);
    return n >= 0 && (size_t)n < cap ? OPS_OK
                                     : ops_fail(reterr, OPS_EINVAL, "a path of more than %zu bytes", cap - 1);
}

static ops_status find(const ops_conf *c, size_t key, const char *usual, opsd_named_model *ret,
                       ops_err *reterr)
{
    const char *given = ops_conf_str(c, key);
    *ret = (opsd_named_model){.given = given[0] != '\0' && strcmp(given, "off") != 0};
    if (strcmp(given, "off") == 0)
        return OPS_OK;
    ops_err why = {.msg = ""};
    const ops_status st = place(ret->given ? given : usual, ret->path, sizeof ret->path, &why);
    if (st == OPS_OK && access(ret->path, R_OK) == 0)
        return OPS_OK;
    if (ret->given)
        return ops_fail(reterr, OPS_EINVAL, "%s: %s cannot be read%s%s", opsd_rows[key].key,
                        st == OPS_OK ? ret->path : given, st == OPS_OK ? "" : ": ", why.msg);
    ret->path[0] = '\0';
    return OPS_OK;
}

ops_status opsd_named_models_find(const ops_conf *c, opsd_named_models *ret, ops_err *reterr)
{
    ops_status st = find(c, KEY_WORKER_MODEL, EMBEDS, &ret->embeds, reterr);
    if (st == OPS_OK)
        st = find(c, KEY_WORKER_GENERATOR, WRITES, &ret->writes, reterr);
    ret->off = strcmp(ops_conf_str(c, KEY_WORKER_MODEL), "off") == 0 &&
               strcmp(ops_conf_str(c, KEY_WORKER_GENERATOR), "off") == 0;
    return st;
}

void opsd_model_conf(const ops_conf *c, ops_model_conf *ret)
{
    *ret = (ops_model_conf){.weights = (ops_kern_type)ops_conf_uint(c, KEY_WORKER_PRECISION),
                            .threads = (uint32_t)ops_conf_uint(c, KEY_WORKER_THREADS),
                            .context = (uint32_t)ops_conf_uint(c, KEY_WORKER_CONTEXT),
                            .seqs = (uint32_t)ops_conf_uint(c, KEY_WORKER_SEQS),
                            .cache_bytes = ops_conf_uint(c, KEY_WORKER_CACHE)};
}

ops_status opsd_named_model_add(const opsd_named_model *m, const ops_model_conf *conf, ops_runner *r,
                                ops_err *reterr)
{
    if (m->path[0] == '\0')
        return OPS_OK;
    ops_engine *engine = NULL;
    ops_writer *writer = NULL;
    ops_status st = ops_model_open(conf, m->path, "", &engine, &writer, reterr);
    if (st == OPS_OK)
        st = ops_runner_add(r, engine, writer, reterr);
    if (st != OPS_OK) {
        ops_engine_free(engine);
        ops_writer_free(writer);
    }
    return st;
}
