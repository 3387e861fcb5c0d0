/* model list: what the folder of models holds, and with --verify whether its bytes are still those that were pulled. */
#include <inttypes.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "opsctl/model/store.h"
#include "opsctl/print/print.h"
#include "opsctl/verb.h"

typedef struct list {
    ops_verb_ctx *ctx;
    const char *models;
    bool verify, json;
    char folder[OPS_STORE_PATH_MAX];
    ops_table table;
    ops_strbuf out;
    size_t rows, bad;
} list;

static ops_status options(list *l, ops_err *reterr)
{
    for (int i = 0; i < l->ctx->argc; i++) {
        const char *a = l->ctx->argv[i], *value = i + 1 < l->ctx->argc ? l->ctx->argv[i + 1] : NULL;
        if (strcmp(a, "--verify") == 0)
            l->verify = true;
        else if (strcmp(a, "--models") == 0 && value != NULL)
            l->models = l->ctx->argv[++i];
        else if (strcmp(a, "-o") == 0 && value != NULL &&
                 (strcmp(value, "table") == 0 || strcmp(value, "json") == 0))
            l->json = strcmp(l->ctx->argv[++i], "json") == 0;
        else
            return ops_fail(reterr, OPS_EINVAL, "takes --models DIR, --verify and -o table|json, got '%s'",
                            a);
    }
    return ops_store_folder(l->models, l->folder, reterr);
}

/* "ok", "changed", "missing"; "unknown" where no manifest says what the bytes were. */
static const char *state_of(const list *l, const ops_store_model *m)
{
    const char *state = m->manifest ? "ok" : "unknown";
    for (size_t i = 0; m->manifest && i < m->n; i++) {
        char path[OPS_STORE_PATH_MAX], sha256[OPS_HUB_HASH_MAX];
        uint64_t bytes = 0;
        ops_err err;
        if (snprintf(path, sizeof path, "%s/%s/%s", l->folder, m->name, m->v[i].path) >= (int)sizeof path ||
            ops_store_hash(path, sha256, NULL, &bytes, &err) != OPS_OK)
            return "missing";
        if (bytes != m->v[i].bytes || strcmp(sha256, m->v[i].sha256) != 0)
            state = "changed";
    }
    return state;
}

static const char *format_of(const ops_store_model *m)
{
    for (size_t i = 0; i < m->n; i++)
        if (strstr(m->v[i].path, ".gguf") != NULL)
            return "gguf";
    return "safetensors";
}

static void add(list *l, const ops_store_model *m, const char *state)
{
    uint64_t bytes = 0;
    char size[32], files[24];
    for (size_t i = 0; i < m->n; i++)
        bytes += m->v[i].bytes;
    if (!l->json) {
        (void)snprintf(size, sizeof size, "%.1f MiB", (double)bytes / (1 << 20));
        (void)snprintf(files, sizeof files, "%zu", m->n);
        const char *const cells[] = {m->name, format_of(m), files,
                                     size,    state,        m->manifest ? m->source : "-"};
        ops_table_row(&l->table, cells);
        return;
    }
    ops_strbuf_printf(&l->out, "%s{\"name\":", l->rows > 0 ? "," : "");
    ops_strbuf_json(&l->out, ops_slice_str(m->name));
    ops_strbuf_printf(&l->out,
                      ",\"format\":\"%s\",\"bytes\":%" PRIu64 ",\"state\":\"%s\",\"source\":", format_of(m),
                      bytes, state);
    ops_strbuf_json(&l->out, ops_slice_str(m->source));
    ops_strbuf_str(&l->out, ",\"commit\":");
    ops_strbuf_json(&l->out, ops_slice_str(m->commit));
    ops_strbuf_str(&l->out, ",\"files\":[");
    for (size_t i = 0; i < m->n; i++) {
        ops_strbuf_str(&l->out, i > 0 ? ",{\"path\":" : "{\"path\":");
        ops_strbuf_json(&l->out, ops_slice_str(m->v[i].path));
        ops_strbuf_printf(&l->out, ",\"bytes\":%" PRIu64 ",\"sha256\":\"%s\"}", m->v[i].bytes,
                          m->v[i].sha256);
    }
    ops_strbuf_str(&l->out, "]}");
}

static ops_status add_all(list *l, const ops_store_names *names, ops_err *reterr)
{
    OPS_AUTO(ops_free) void *block = ops_calloc(1, sizeof(ops_store_model));
    ops_store_model *m = block;
    if (m == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "%s", l->folder);
    for (size_t i = 0; i < names->v.n; i++) {
        ops_err why;
        ops_status st = ops_store_read(l->folder, names->v.v[i], m, &why);
        if (st == OPS_ENOTFOUND)
            continue; /* a folder of something else */
        if (st != OPS_OK) {
            (void)fprintf(l->ctx->err, "opsctl model list: %s\n", why.msg);
            l->bad++;
            continue;
        }
        const char *state = l->verify ? state_of(l, m) : m->manifest ? "pulled" : "by hand";
        l->bad += strcmp(state, "changed") == 0 || strcmp(state, "missing") == 0;
        add(l, m, state);
        l->rows++;
    }
    return OPS_OK;
}

ops_status ops_cmd_model_list(ops_verb_ctx *ctx, ops_err *reterr)
{
    static const char *const heads[] = {"NAME", "FORMAT", "FILES", "SIZE", "STATE", "SOURCE"};
    list l = {.ctx = ctx};
    ops_store_names names = {0};
    ops_status st = options(&l, reterr);
    if (st == OPS_OK)
        st = ops_store_list(l.folder, &names, reterr);
    if (st != OPS_OK)
        return st;
    ops_strbuf_init(&l.out, 1 << 24);
    if (l.json)
        ops_strbuf_str(&l.out, "{\"models\":[");
    else
        ops_table_begin(&l.table, ctx->out, heads, sizeof heads / sizeof *heads);
    st = add_all(&l, &names, reterr);
    ops_store_names_done(&names);
    if (l.json)
        ops_strbuf_str(&l.out, "]}\n");
    else
        ops_table_end(&l.table);
    if (st == OPS_OK && l.out.failed)
        st = ops_fail(reterr, OPS_ENOMEM, "%s", l.folder);
    if (st == OPS_OK && l.json)
        (void)fwrite(l.out.p, 1, l.out.n, ctx->out);
    if (st == OPS_OK && l.bad > 0)
        st = ops_fail(reterr, OPS_ECORRUPT, "%s: %zu models are not what was pulled", l.folder, l.bad);
    ops_strbuf_done(&l.out);
    return st;
}
