/* model rerank, model classify: what a daemon's models with a head say of texts. */
#include <stdio.h>
#include <string.h>

#include "opsctl/remote/remote.h"
#include "proto/ops/v1/model.pb-c.h"

enum { OWN_QUERY = REMOTE_OPTIONS, OWN_TOP };
enum { TEXT_COLUMNS = 72, ROW_BYTES_MAX = 1 << 20 };

static const ops_conf_row own[] = {
    {"query", OPS_CONF_STR, "", .help = "What the texts are to answer."},
    {"top", OPS_CONF_UINT, "0", .max = 256, .help = "So many of the best; 0 is all."}};

/* One row: a text, what is said of it, how sure. As JSON `keys` name the three. */
static void row(const ops_remote *r, ops_table *table, const char *const keys[3], ops_slice text,
                const char *label, uint32_t index, double sure)
{
    char number[32], fit[TEXT_COLUMNS * 4 + 4], place[16];
    if (r->mode == OPS_PRINT_JSON) {
        ops_strbuf b;
        ops_strbuf_init(&b, ROW_BYTES_MAX);
        ops_strbuf_printf(&b, "{\"index\":%u,", index);
        if (label != NULL) {
            ops_strbuf_str(&b, "\"label\":");
            ops_strbuf_json(&b, ops_slice_str(label));
            ops_strbuf_char(&b, ',');
        }
        ops_strbuf_printf(&b, "\"%s\":%.9g,\"%s\":", keys[0], sure, keys[1]);
        ops_strbuf_json(&b, text);
        ops_strbuf_str(&b, "}\n");
        (void)fwrite(b.p != NULL ? b.p : "", 1, b.n, r->ctx->out);
        ops_strbuf_done(&b);
        return;
    }
    ops_strbuf whole;
    ops_strbuf_init(&whole, ROW_BYTES_MAX);
    ops_strbuf_slice(&whole, text);
    (void)snprintf(number, sizeof number, "%.4f", sure);
    (void)snprintf(place, sizeof place, "%u", index);
    const char *shown = ops_text_fit(whole.p != NULL ? whole.p : "", TEXT_COLUMNS, fit, sizeof fit);
    const char *cells[] = {place, number, label != NULL ? label : shown, shown};
    ops_table_row(table, cells);
    ops_strbuf_done(&whole);
}

static ops_status take_words(ops_remote *r, const char *what, ops_err *reterr)
{
    if (r->ctx->argc < 2)
        return ops_fail(reterr, OPS_EINVAL, "takes %s", what);
    return r->mode >= OPS_PRINT_YAML ? ops_fail(reterr, OPS_EINVAL, "writes a table, or JSON with -o json")
                                     : OPS_OK;
}

static ops_status rerank(ops_remote *r, ops_err *reterr)
{
    static const char *const en[] = {"TEXT", "SCORE", "WHAT IT SAYS"}, *const zh[] = {"文本", "得分", "内容"};
    static const char *const keys[] = {"relevance_score", "document", ""};
    Ops__V1__RerankRequest q = OPS__V1__RERANK_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    ops_table table;
    char query[4096];
    if (snprintf(query, sizeof query, "%s", ops_conf_str(r->conf, OWN_QUERY)) >= (int)sizeof query)
        return ops_fail(reterr, OPS_ETOOBIG, "--query takes up to %zu bytes", sizeof query - 1);
    q.model = r->ctx->argv[0];
    q.query = query;
    q.n_documents = (size_t)r->ctx->argc - 1;
    q.documents = r->ctx->argv + 1;
    q.top_n = (uint32_t)ops_conf_uint(r->conf, OWN_TOP);
    const ops_status st = ops_remote_call(r, "/ops.v1.ModelService/Rerank", &q.base,
                                          &ops__v1__rerank_response__descriptor, &m, reterr);
    if (st != OPS_OK)
        return st;
    const Ops__V1__RerankResponse *a = (const Ops__V1__RerankResponse *)m;
    ops_table_begin(&table, r->ctx->out, r->zh ? zh : en, 3);
    for (size_t i = 0; i < a->n_results; i++)
        if (a->results[i]->index < q.n_documents)
            row(r, &table, keys, ops_slice_str(q.documents[a->results[i]->index]), NULL, a->results[i]->index,
                (double)a->results[i]->relevance_score);
    table.headed |= r->mode == OPS_PRINT_JSON;
    ops_table_end(&table);
    protobuf_c_message_free_unpacked(m, NULL);
    return OPS_OK;
}

/* The likeliest label of each text, or every span of words. */
static void show_scored(const ops_remote *r, ops_table *table, const Ops__V1__ClassifyRequest *q,
                        const Ops__V1__ScoreEnd *end)
{
    static const char *const of_text[] = {"probability", "text", ""}, *const of_words[] = {"probability",
                                                                                           "words", ""};
    for (size_t i = 0; i < end->n_scores && i < q->n_texts; i++) {
        const Ops__V1__TextScore *s = end->scores[i];
        size_t best = 0;
        for (size_t k = 1; k < s->n_probabilities; k++)
            best = s->probabilities[k] > s->probabilities[best] ? k : best;
        if (best < end->n_labels && best < s->n_probabilities)
            row(r, table, of_text, ops_slice_str(q->texts[i]), end->labels[best], (uint32_t)i,
                (double)s->probabilities[best]);
    }
    for (size_t i = 0; i < end->n_spans; i++) {
        const Ops__V1__LabelSpan *s = end->spans[i];
        if (s->text >= q->n_texts || s->end < s->begin || s->end > strlen(q->texts[s->text]))
            continue;
        row(r, table, of_words, ops_slice_of(q->texts[s->text] + s->begin, s->end - s->begin), s->label,
            s->text, (double)s->probability);
    }
}

static ops_status classify(ops_remote *r, ops_err *reterr)
{
    static const char *const en[] = {"TEXT", "PROBABILITY", "LABEL", "WHAT IT SAYS"}, *const zh[] = {
                                                                                          "文本", "概率",
                                                                                          "标签", "内容"};
    Ops__V1__ClassifyRequest q = OPS__V1__CLASSIFY_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    ops_table table;
    q.model = r->ctx->argv[0];
    q.n_texts = (size_t)r->ctx->argc - 1;
    q.texts = r->ctx->argv + 1;
    const ops_status st = ops_remote_call(r, "/ops.v1.ModelService/Classify", &q.base,
                                          &ops__v1__classify_response__descriptor, &m, reterr);
    if (st != OPS_OK)
        return st;
    const Ops__V1__ClassifyResponse *a = (const Ops__V1__ClassifyResponse *)m;
    ops_table_begin(&table, r->ctx->out, r->zh ? zh : en, 4);
    if (a->scored != NULL)
        show_scored(r, &table, &q, a->scored);
    table.headed |= r->mode == OPS_PRINT_JSON;
    ops_table_end(&table);
    protobuf_c_message_free_unpacked(m, NULL);
    return OPS_OK;
}

static ops_status run(ops_verb_ctx *ctx, size_t own_count, const char *what,
                      ops_status (*fn)(ops_remote *r, ops_err *reterr), ops_err *reterr)
{
    ops_remote r;
    ops_status st = ops_remote_open(ctx, own, own_count, &r, reterr);
    if (st != OPS_OK)
        return st;
    st = take_words(&r, what, reterr);
    if (st == OPS_OK)
        st = fn(&r, reterr);
    ops_remote_close(&r);
    return st;
}

ops_status ops_cmd_model_rerank(ops_verb_ctx *ctx, ops_err *reterr)
{
    return run(ctx, 2, "a MODEL that reranks, --query TEXT, and the texts", rerank, reterr);
}

ops_status ops_cmd_model_classify(ops_verb_ctx *ctx, ops_err *reterr)
{
    return run(ctx, 0, "a MODEL that classifies, and the texts", classify, reterr);
}
