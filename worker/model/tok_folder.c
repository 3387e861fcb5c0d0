/* The files beside tokenizer.json, which say what tokenizer.json does not: the tokens that begin and end texts. */
#include "base/mem/alloc.h"
#include "worker/model/json_fields.h"
#include "worker/model/tok_internal.h"

/* The token that a field names, as a text or as an object with its content; a name that the vocabulary lacks is an error. */
static ops_status read_name(const json_t *config, const char *key, const ops_tokenizer *t, int32_t *ret,
                            ops_err *reterr)
{
    const json_t *v = json_object_get(config, key);
    const char *name = json_string_value(json_is_object(v) ? json_object_get(v, "content") : v);
    if (name == NULL)
        return v == NULL || json_is_null(v)
                   ? OPS_OK
                   : ops_fail(reterr, OPS_ECORRUPT, "tokenizer_config.json: %s is no text", key);
    const ops_slice text = ops_slice_str(name);
    const int32_t special = ops_tokenizer_find(t, text),
                  id = special >= 0 ? special : ops_tok_lookup(t, text);
    if (id < 0)
        return ops_fail(reterr, OPS_ECORRUPT,
                        "tokenizer_config.json: the %s '%.60s' is not in the vocabulary", key, name);
    *ret = id;
    return OPS_OK;
}

/* true or false in a field prevails over what the post-processor of tokenizer.json says, where the token is known. */
static ops_status read_adding(const json_t *config, const char *key, int32_t id, bool *add, ops_err *reterr)
{
    bool wanted = *add;
    const ops_status st = ops_json_bool(config, "tokenizer_config.json", key, *add, &wanted, reterr);
    if (st == OPS_OK)
        *add = wanted && id >= 0;
    return st;
}

static ops_status read_config(const json_t *config, ops_tokenizer *t, ops_err *reterr)
{
    ops_status st = read_name(config, "bos_token", t, &t->bos, reterr);
    if (st == OPS_OK)
        st = read_name(config, "eos_token", t, &t->eos, reterr);
    if (st == OPS_OK)
        st = read_adding(config, "add_bos_token", t->bos, &t->add_bos, reterr);
    return st == OPS_OK ? read_adding(config, "add_eos_token", t->eos, &t->add_eos, reterr) : st;
}

static ops_status put_end(const json_t *id, const char *file, ops_tokenizer *t, ops_err *reterr)
{
    const json_int_t v = json_integer_value(id);
    if (!json_is_integer(id) || v < 0 || (uint64_t)v >= t->n)
        return ops_fail(reterr, OPS_ECORRUPT, "%s: an eos_token_id is not in the vocabulary of %zu", file,
                        t->n);
    if (t->eos < 0)
        t->eos = (int32_t)v;
    if (ops_tokenizer_ends(t, (int32_t)v))
        return OPS_OK;
    if (t->n_eog == OPS_TOKENIZER_EOG_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "%s: more than %d tokens end a text", file,
                        OPS_TOKENIZER_EOG_MAX);
    t->eog[t->n_eog++] = (int32_t)v;
    return OPS_OK;
}

/* eos_token_id: one id or a list of them. */
static ops_status read_ends(const json_t *j, const char *file, ops_tokenizer *t, ops_err *reterr)
{
    const json_t *v = json_object_get(j, "eos_token_id");
    if (v == NULL || json_is_null(v))
        return OPS_OK;
    if (!json_is_array(v))
        return put_end(v, file, t, reterr);
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < json_array_size(v); i++)
        st = put_end(json_array_get(v, i), file, t, reterr);
    return st;
}

static ops_status read_file(ops_slice json, const char *file, bool ends, ops_tokenizer *t, ops_err *reterr)
{
    json_t *j = NULL;
    if (json.p == NULL)
        return OPS_OK;
    ops_status st = ops_json_load(json, file, &j, reterr);
    if (st != OPS_OK)
        return st;
    st = ends ? read_ends(j, file, t, reterr) : read_config(j, t, reterr);
    json_decref(j);
    return st;
}

ops_status ops_tokenizer_from_folder(const ops_tokenizer_files *files, ops_tokenizer **ret, ops_err *reterr)
{
    OPS_AUTO(ops_tokenizer_free) ops_tokenizer *t = NULL;
    ops_status st = ops_tokenizer_from_json(files->tokenizer, &t, reterr);
    if (st == OPS_OK)
        st = read_file(files->config, "tokenizer_config.json", false, t, reterr);
    if (st == OPS_OK)
        st = read_file(files->generation, "generation_config.json", true, t, reterr);
    if (st == OPS_OK && files->generation.p == NULL)
        st = read_file(files->model, "config.json", true, t, reterr);
    if (st == OPS_OK)
        *ret = OPS_STEAL(t);
    return st;
}
