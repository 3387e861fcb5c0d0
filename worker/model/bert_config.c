#include "worker/model/bert_config.h"

#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "worker/model/json_fields.h"

static ops_status word(const json_t *j, const char *key, const char *want, ops_err *reterr)
{
    const json_t *v = json_object_get(j, key);
    if (v == NULL)
        return OPS_OK; /* absent means the default, which is the one that is built */
    const char *is = json_string_value(v);
    if (is == NULL)
        return ops_fail(reterr, OPS_ECORRUPT, "config.json: %s is no string", key);
    if (strcmp(is, want) != 0)
        return ops_fail(reterr, OPS_EUNIMPL, "config.json: %s '%.60s' is not built, only '%s'", key, is,
                        want);
    return OPS_OK;
}

/* The first of `architectures` that puts a head on the encoder. */
static ops_status read_head(const json_t *j, ops_bert_config *c, ops_err *reterr)
{
    enum { LABELS_DEFAULT = 2 };
    const json_t *names = json_object_get(j, "architectures"), *labels = json_object_get(j, "id2label");
    for (size_t i = 0; i < json_array_size(names) && c->head == OPS_BERT_NO_HEAD; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (name != NULL && strcmp(name, "BertForSequenceClassification") == 0)
            c->head = OPS_BERT_SEQUENCE_HEAD;
        else if (name != NULL && strcmp(name, "BertForTokenClassification") == 0)
            c->head = OPS_BERT_TOKEN_HEAD;
    }
    if (c->head == OPS_BERT_NO_HEAD)
        return OPS_OK;
    const char *problem = json_string_value(json_object_get(j, "problem_type"));
    c->multi = problem != NULL && strcmp(problem, "multi_label_classification") == 0;
    if (labels == NULL)
        return ops_json_whole(j, "config.json", "num_labels", OPS_BERT_LABELS_MAX, LABELS_DEFAULT, &c->labels,
                              reterr);
    if (!json_is_object(labels) || json_object_size(labels) < 1 ||
        json_object_size(labels) > OPS_BERT_LABELS_MAX)
        return ops_fail(reterr, OPS_ECORRUPT, "config.json: id2label must name 1 to %d labels",
                        OPS_BERT_LABELS_MAX);
    c->labels = (int)json_object_size(labels);
    return OPS_OK;
}

static ops_status fields(const json_t *j, ops_bert_config *c, ops_err *reterr)
{
    const struct {
        const char *key;
        int max, *at;
    } rows[] = {{"vocab_size", OPS_BERT_VOCAB_MAX, &c->vocab},
                {"hidden_size", OPS_BERT_HIDDEN_MAX, &c->hidden},
                {"num_hidden_layers", OPS_BERT_LAYERS_MAX, &c->layers},
                {"num_attention_heads", OPS_BERT_HIDDEN_MAX, &c->heads},
                {"intermediate_size", OPS_BERT_INNER_MAX, &c->inner},
                {"max_position_embeddings", OPS_BERT_POSITIONS_MAX, &c->positions},
                {"type_vocab_size", OPS_BERT_TYPES_MAX, &c->types}};
    if (json_object_get(j, "model_type") == NULL)
        return ops_fail(reterr, OPS_ECORRUPT, "config.json: no model_type");
    ops_status st = word(j, "model_type", "bert", reterr);
    if (st == OPS_OK)
        st = word(j, "hidden_act", "gelu", reterr);
    if (st == OPS_OK)
        st = word(j, "position_embedding_type", "absolute", reterr);
    for (size_t i = 0; st == OPS_OK && i < sizeof rows / sizeof *rows; i++)
        st = ops_json_whole(j, "config.json", rows[i].key, rows[i].max, 0, rows[i].at, reterr);
    if (st != OPS_OK)
        return st;
    if (c->hidden % c->heads != 0)
        return ops_fail(reterr, OPS_ECORRUPT,
                        "config.json: hidden_size %d is no multiple of num_attention_heads %d", c->hidden,
                        c->heads);
    const json_t *eps = json_object_get(j, "layer_norm_eps");
    const double value = eps != NULL ? json_number_value(eps) : 1e-12;
    if ((eps != NULL && !json_is_number(eps)) || !(value >= 1e-30 && value <= 1))
        return ops_fail(reterr, OPS_ECORRUPT, "config.json: layer_norm_eps must be from 1e-30 to 1");
    c->eps = (float)value;
    c->tokens_max = c->positions;
    return read_head(j, c, reterr);
}

ops_status ops_bert_config_parse(ops_slice json, ops_bert_config *ret, ops_err *reterr)
{
    json_t *j = NULL;
    const ops_status loaded = ops_json_load(json, "config.json", &j, reterr);
    if (loaded != OPS_OK)
        return loaded;
    ops_bert_config c = {0};
    const ops_status st = fields(j, &c, reterr);
    json_decref(j);
    if (st == OPS_OK)
        *ret = c;
    return st;
}

static ops_status label_name(const json_t *names, int i, char *ret, ops_err *reterr)
{
    char key[16];
    (void)snprintf(key, sizeof key, "%d", i);
    const json_t *name = json_object_get(names, key);
    if (names == NULL) {
        (void)snprintf(ret, OPS_BERT_LABEL_MAX + 1, "LABEL_%d", i);
        return OPS_OK;
    }
    if (!json_is_string(name) || json_string_length(name) < 1 ||
        json_string_length(name) > OPS_BERT_LABEL_MAX)
        return ops_fail(reterr, OPS_ECORRUPT, "config.json: id2label.%s is no text of 1 to %d bytes", key,
                        OPS_BERT_LABEL_MAX);
    memcpy(ret, json_string_value(name), json_string_length(name) + 1);
    return OPS_OK;
}

ops_status ops_bert_config_labels(ops_slice json, int n, char **ret, ops_err *reterr)
{
    json_t *j = NULL;
    size_t at = 0;
    ops_status st = ops_json_load(json, "config.json", &j, reterr);
    if (st != OPS_OK)
        return st;
    OPS_AUTO(ops_free) void *block = ops_calloc((size_t)n, OPS_BERT_LABEL_MAX + 1);
    char *names = block;
    if (names == NULL)
        st = ops_fail(reterr, OPS_ENOMEM, "%d labels", n);
    for (int i = 0; st == OPS_OK && i < n; i++) {
        st = label_name(json_object_get(j, "id2label"), i, names + at, reterr);
        at += strlen(names + at) + 1;
    }
    json_decref(j);
    if (st != OPS_OK)
        return st;
    *ret = names;
    block = NULL;
    return OPS_OK;
}

bool ops_bert_config_is(ops_slice json)
{
    json_t *j = NULL;
    if (ops_json_load(json, "config.json", &j, NULL) != OPS_OK)
        return false;
    const bool is = word(j, "model_type", "bert", NULL) == OPS_OK;
    json_decref(j);
    return is;
}

ops_status ops_bert_config_sentence(ops_slice json, ops_bert_config *c, ops_err *reterr)
{
    json_t *j = NULL;
    const ops_status loaded = ops_json_load(json, "sentence_bert_config.json", &j, reterr);
    if (loaded != OPS_OK)
        return loaded;
    const json_t *v = json_object_get(j, "max_seq_length");
    ops_status st = OPS_OK;
    if (v == NULL || json_is_null(v)) {
        /* nothing told */
    } else if (!json_is_integer(v) || json_integer_value(v) < 2)
        st = ops_fail(reterr, OPS_ECORRUPT,
                      "sentence_bert_config.json: max_seq_length must be a number from 2");
    else if (json_integer_value(v) < c->tokens_max)
        c->tokens_max = (int)json_integer_value(v);
    json_decref(j);
    return st;
}

ops_status ops_bert_config_pooling(ops_slice json, ops_bert_config *c, ops_err *reterr)
{
    static const char file[] = "1_Pooling/config.json", lead[] = "pooling_mode_";
    json_t *j = NULL;
    const char *key;
    json_t *v;
    const ops_status loaded = ops_json_load(json, file, &j, reterr);
    if (loaded != OPS_OK)
        return loaded;
    const bool mean = json_is_true(json_object_get(j, "pooling_mode_mean_tokens"));
    const bool cls = json_is_true(json_object_get(j, "pooling_mode_cls_token"));
    ops_status st = mean != cls
                        ? OPS_OK
                        : ops_fail(reterr, OPS_EUNIMPL,
                                   "%s: built are pooling_mode_mean_tokens and pooling_mode_cls_token, one "
                                   "of them",
                                   file);
    json_object_foreach(j, key, v)
    {
        const bool known =
            strcmp(key, "pooling_mode_mean_tokens") == 0 || strcmp(key, "pooling_mode_cls_token") == 0;
        if (st == OPS_OK && !known && strncmp(key, lead, sizeof lead - 1) == 0 && json_is_true(v))
            st = ops_fail(reterr, OPS_EUNIMPL, "%s: %.60s is not built", file, key);
    }
    json_decref(j);
    if (st == OPS_OK)
        c->pooling = cls ? OPS_BERT_CLS : OPS_BERT_MEAN;
    return st;
}

ops_status ops_bert_config_modules(ops_slice json, ops_err *reterr)
{
    static const char *const built[] = {"Transformer", "Pooling", "Normalize"};
    json_error_t e;
    json_t *j = json_loadb(json.p != NULL ? json.p : "", json.n, JSON_REJECT_DUPLICATES, &e);
    if (j == NULL)
        return ops_fail(reterr, OPS_ECORRUPT, "modules.json: line %d: %.160s", e.line, e.text);
    ops_status st = json_is_array(j) ? OPS_OK : ops_fail(reterr, OPS_ECORRUPT, "modules.json is no list");
    for (size_t i = 0; st == OPS_OK && i < json_array_size(j); i++) {
        const char *type = json_string_value(json_object_get(json_array_get(j, i), "type"));
        const char *dot = type != NULL ? strrchr(type, '.') : NULL, *name = dot != NULL ? dot + 1 : type;
        bool known = false;
        for (size_t b = 0; name != NULL && b < sizeof built / sizeof *built; b++)
            known = known || strcmp(name, built[b]) == 0;
        if (!known)
            st = ops_fail(reterr, OPS_EUNIMPL, "modules.json: the step '%.60s' is not built",
                          type != NULL ? type : "none");
    }
    json_decref(j);
    return st;
}
