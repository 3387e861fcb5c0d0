#include "opsctl/cmd/model_file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem/alloc.h"

ops_status ops_model_file_find(const char *given, char ret[OPS_STORE_PATH_MAX], ops_err *reterr)
{
    char folder[OPS_STORE_PATH_MAX];
    OPS_AUTO(ops_free) void *block = ops_calloc(1, sizeof(ops_store_model));
    ops_store_model *m = block;
    ops_err why;
    (void)snprintf(ret, OPS_STORE_PATH_MAX, "%s", given);
    if (m == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "%s", given);
    if (access(given, F_OK) == 0 || !ops_source_name_ok(given) ||
        ops_store_folder(NULL, folder, &why) != OPS_OK || ops_store_read(folder, given, m, &why) != OPS_OK)
        return OPS_OK;
    for (size_t i = 0; i < m->n; i++)
        if (strstr(m->v[i].path, ".gguf") != NULL)
            return snprintf(ret, OPS_STORE_PATH_MAX, "%s/%s/%s", folder, given, m->v[i].path) <
                           OPS_STORE_PATH_MAX
                       ? OPS_OK
                       : ops_fail(reterr, OPS_ETOOBIG, "%s: its path", given);
    return snprintf(ret, OPS_STORE_PATH_MAX, "%s/%s", folder, given) < OPS_STORE_PATH_MAX
               ? OPS_OK
               : ops_fail(reterr, OPS_ETOOBIG, "%s: its path", given);
}

static ops_status open_all(const char *given, int threads, ops_lm_limits limits, ops_model_open *o,
                           ops_err *reterr)
{
    char path[OPS_STORE_PATH_MAX];
    ops_lm_config c;
    ops_status st = ops_model_file_find(given, path, reterr);
    if (st == OPS_OK)
        st = ops_lm_file_open(path, &o->file, reterr);
    if (st == OPS_OK)
        st = ops_lm_file_config(o->file, &c, reterr);
    if (st != OPS_OK)
        return st;
    if (limits.positions == 0 || limits.positions > c.context)
        limits.positions = c.context;
    limits.blocks = (limits.positions + limits.block - 1) / limits.block * limits.seqs;
    const ops_kern_cpu_conf conf = {.threads = threads};
    const ops_kern_status opened = ops_kern_cpu_open(&conf, &o->dev);
    if (opened != OPS_KERN_OK)
        return ops_fail(reterr, opened == OPS_KERN_ENOMEM ? OPS_ENOMEM : OPS_EINVAL,
                        "%d threads, at most %d; or OPS_KERN_LEVEL is none of this processor's", threads,
                        OPS_KERN_THREADS_MAX);
    return ops_lm_file_load(o->file, ops_kern_cpu(), o->dev, &limits, &o->lm, reterr);
}

ops_status ops_model_open_lm(const char *given, int threads, ops_lm_limits limits, ops_model_open *ret,
                             ops_err *reterr)
{
    const ops_status st = open_all(given, threads, limits, ret, reterr);
    if (st != OPS_OK)
        ops_err_prefix(reterr, "%s", given);
    return st;
}

void ops_model_open_done(ops_model_open *o)
{
    ops_lm_free(o->lm);
    if (o->dev != NULL)
        ops_kern_cpu()->dev_free(o->dev);
    ops_lm_file_free(o->file);
}
