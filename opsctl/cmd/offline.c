/* The same analysis over files, with no daemon. */
#include "coordinator/analysis/template/offline.h"
#include "opsctl/cmd/lines.h"
#include "opsctl/cmd/templates.h"
#include "opsctl/verb.h"

ops_status tpl_lines(const tpl_options *o, ops_err *reterr)
{
    ops_lines l;
    ops_status st = ops_lines_open(&l, o->paths[0], o->ctx->in, reterr);
    if (st != OPS_OK)
        return st;
    st = ops_templates_offline(ops_lines_read, &l, ops_lines_write, o->ctx->out, o->online, &o->pins, reterr);
    ops_lines_close(&l);
    return st;
}

ops_status ops_cmd_offline_absent(ops_verb_ctx *ctx, ops_err *reterr)
{
    (void)ctx;
    return ops_fail(reterr, OPS_EUNIMPL, "this version does not have the analysis yet; nothing was read");
}
