/* get models, model load, model unload: the models of a daemon's workers. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "opsctl/remote/remote.h"
#include "proto/ops/v1/model.pb-c.h"

enum { OWN_WORKER = REMOTE_OPTIONS, OWN_NAME };
enum { COLUMNS = 8, ANSWER_BYTES_MAX = 4 << 20, WORKERS_BYTES_MAX = 1 << 16, WORKERS_COLUMNS = 40 };

static const ops_conf_row own[] = {
    {"worker", OPS_CONF_STR, "", .help = "One worker, by its id; without it every one."},
    {"name", OPS_CONF_STR, "", .help = "What the model is called; without it by its path."}};

/* As JSON, YAML or its name; false: a row of a table is wanted. */
static bool print_other(const ops_remote *r, const ProtobufCMessage *m, const char *name)
{
    if (r->mode <= OPS_PRINT_WIDE)
        return false;
    ops_strbuf b;
    ops_strbuf_init(&b, ANSWER_BYTES_MAX);
    if (r->mode == OPS_PRINT_JSON)
        ops_print_json(m, &b);
    else if (r->mode == OPS_PRINT_YAML)
        ops_print_yaml(m, &b);
    else
        ops_strbuf_printf(&b, "model/%s\n", name);
    (void)fwrite(b.p != NULL ? b.p : "", 1, b.n, r->ctx->out);
    ops_strbuf_done(&b);
    return true;
}

static void begin(const ops_remote *r, ops_table *table, const char *const *en, const char *const *zh,
                  size_t columns)
{
    ops_table_begin(table, r->ctx->out, r->zh ? zh : en, columns);
}

static void end(const ops_remote *r, ops_table *table)
{
    table->headed |= r->mode > OPS_PRINT_WIDE;
    ops_table_end(table);
}

/* "used/all"; layers with a window have theirs behind a plus. */
static void put_blocks(const Ops__V1__ModelUse *u, char *ret, size_t cap)
{
    if (u->window_blocks > 0)
        (void)snprintf(ret, cap, "%u/%u+%u/%u", u->blocks_used, u->blocks, u->window_blocks_used,
                       u->window_blocks);
    else
        (void)snprintf(ret, cap, "%u/%u", u->blocks_used, u->blocks);
}

static void model_row(const ops_remote *r, ops_table *table, const Ops__V1__ServedModel *m)
{
    char text[6][48] = {"-", "-", "-", "-", "-", "-"}, fit[128];
    if (print_other(r, &m->base, m->name))
        return;
    ops_strbuf workers;
    ops_strbuf_init(&workers, WORKERS_BYTES_MAX);
    for (size_t i = 0; i < m->n_places; i++)
        ops_strbuf_printf(&workers, "%s%s", i > 0 ? "," : "", m->places[i]->worker_id);
    const char *where = workers.p != NULL ? workers.p : "-";
    (void)snprintf(text[0], sizeof text[0], "%u", m->tokens_max);
    if (m->use != NULL) {
        (void)snprintf(text[1], sizeof text[1], "%u", m->use->running);
        (void)snprintf(text[2], sizeof text[2], "%u", m->use->waiting);
        put_blocks(m->use, text[3], sizeof text[3]);
        (void)snprintf(text[4], sizeof text[4], "%" PRIu64, m->use->completion_tokens);
    }
    const char *cells[COLUMNS] = {
        m->name, m->job,
        text[0], text[1],
        text[2], text[3],
        text[4], r->mode == OPS_PRINT_WIDE ? where : ops_text_fit(where, WORKERS_COLUMNS, fit, sizeof fit)};
    ops_table_row(table, cells);
    ops_strbuf_done(&workers);
}

static ops_status list(ops_remote *r, ops_err *reterr)
{
    static const char *const en[COLUMNS] = {"MODEL",   "JOB",    "CONTEXT", "RUNNING",
                                            "WAITING", "BLOCKS", "WRITTEN", "WORKERS"};
    static const char *const zh[COLUMNS] = {"模型",   "用途",   "上下文",     "运行中",
                                            "等待中", "缓存块", "已生成词元", "工作进程"};
    Ops__V1__ListModelsRequest q = OPS__V1__LIST_MODELS_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    ops_table table;
    const ops_status st = ops_remote_call(r, "/ops.v1.ModelService/ListModels", &q.base,
                                          &ops__v1__list_models_response__descriptor, &m, reterr);
    if (st != OPS_OK)
        return st;
    const Ops__V1__ListModelsResponse *a = (const Ops__V1__ListModelsResponse *)m;
    begin(r, &table, en, zh, COLUMNS);
    for (size_t i = 0; i < a->n_models; i++)
        model_row(r, &table, a->models[i]);
    end(r, &table);
    protobuf_c_message_free_unpacked(m, NULL);
    return OPS_OK;
}

ops_status ops_cmd_get_models(ops_verb_ctx *ctx, ops_err *reterr)
{
    ops_remote r;
    ops_status st = ops_remote_open(ctx, NULL, 0, &r, reterr);
    if (st != OPS_OK)
        return st;
    st = ctx->argc > 0 ? ops_fail(reterr, OPS_EINVAL, "'%s' is one word too many", ctx->argv[0])
                       : list(&r, reterr);
    ops_remote_close(&r);
    return st;
}

/* A line a worker; exit code 1 when one of them could not. */
static void show_changes(const ops_remote *r, Ops__V1__ModelChange *const *changes, size_t n,
                         const char *model)
{
    static const char *const en[] = {"WORKER", "DONE", "WHY NOT"}, *const zh[] = {"工作进程", "完成",
                                                                                  "未完成的原因"};
    ops_table table;
    begin(r, &table, en, zh, 3);
    for (size_t i = 0; i < n; i++) {
        const char *yes = r->zh ? "是" : "yes", *no = r->zh ? "否" : "no";
        const char *cells[] = {changes[i]->worker_id, changes[i]->done ? yes : no,
                               changes[i]->done ? "-" : changes[i]->message};
        if (!print_other(r, &changes[i]->base, model))
            ops_table_row(&table, cells);
        if (!changes[i]->done)
            r->ctx->exit_code = 1;
    }
    end(r, &table);
}

static ops_status load(ops_remote *r, char *path, ops_err *reterr)
{
    char worker[256], name[256];
    Ops__V1__LoadModelRequest q = OPS__V1__LOAD_MODEL_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    (void)snprintf(worker, sizeof worker, "%s", ops_conf_str(r->conf, OWN_WORKER));
    (void)snprintf(name, sizeof name, "%s", ops_conf_str(r->conf, OWN_NAME));
    q.path = path;
    q.worker_id = worker;
    q.name = name;
    const ops_status st = ops_remote_call(r, "/ops.v1.ModelService/LoadModel", &q.base,
                                          &ops__v1__load_model_response__descriptor, &m, reterr);
    if (st != OPS_OK)
        return st;
    const Ops__V1__LoadModelResponse *a = (const Ops__V1__LoadModelResponse *)m;
    show_changes(r, a->changes, a->n_changes, name[0] != '\0' ? name : path);
    protobuf_c_message_free_unpacked(m, NULL);
    return OPS_OK;
}

static ops_status unload(ops_remote *r, char *name, ops_err *reterr)
{
    char worker[256];
    Ops__V1__UnloadModelRequest q = OPS__V1__UNLOAD_MODEL_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    (void)snprintf(worker, sizeof worker, "%s", ops_conf_str(r->conf, OWN_WORKER));
    q.name = strncmp(name, "model/", 6) == 0 ? name + 6 : name;
    q.worker_id = worker;
    const ops_status st = ops_remote_call(r, "/ops.v1.ModelService/UnloadModel", &q.base,
                                          &ops__v1__unload_model_response__descriptor, &m, reterr);
    if (st != OPS_OK)
        return st;
    const Ops__V1__UnloadModelResponse *a = (const Ops__V1__UnloadModelResponse *)m;
    show_changes(r, a->changes, a->n_changes, q.name);
    protobuf_c_message_free_unpacked(m, NULL);
    return OPS_OK;
}

static ops_status change(ops_verb_ctx *ctx, size_t own_count, const char *what,
                         ops_status (*fn)(ops_remote *r, char *word, ops_err *reterr), ops_err *reterr)
{
    ops_remote r;
    ops_status st = ops_remote_open(ctx, own, own_count, &r, reterr);
    if (st != OPS_OK)
        return st;
    st = ctx->argc != 1 ? ops_fail(reterr, OPS_EINVAL, "takes %s", what) : fn(&r, ctx->argv[0], reterr);
    ops_remote_close(&r);
    return st;
}

ops_status ops_cmd_model_load(ops_verb_ctx *ctx, ops_err *reterr)
{
    return change(ctx, 2, "one PATH: on the worker's machine, or a name below its models' folder", load,
                  reterr);
}

ops_status ops_cmd_model_unload(ops_verb_ctx *ctx, ops_err *reterr)
{
    return change(ctx, 1, "one NAME: 'opsctl get models' lists them", unload, reterr);
}
