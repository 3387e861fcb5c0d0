#include "worker/model/lm_file.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem/alloc.h"
#include "worker/model/json_fields.h"
#include "worker/model/mapped.h"

enum { PATH_BYTES_MAX = 4096, CONFIG_BYTES_MAX = 1 << 20, TOKENIZER_CONFIG_BYTES_MAX = 16 << 20 };
#define FILE_BYTES_MAX ((size_t)1 << 40)

struct ops_lm_file {
    ops_mapped *file; /* the GGUF file, or config.json */
    ops_gguf *gguf;
    ops_shards *shards;
    char *folder;
};

/* A file of the folder. One that may be absent and is stays NULL, which reads as no bytes. */
static ops_status open_side(const char *folder, const char *name, size_t bytes_max, bool maybe,
                            ops_mapped **ret, ops_err *reterr)
{
    char path[PATH_BYTES_MAX];
    const int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return ops_fail(reterr, OPS_ETOOBIG, "the path of %s", name);
    const ops_status st = ops_mapped_open(path, bytes_max, ret, reterr);
    return maybe && st == OPS_ENOTFOUND ? OPS_OK : st;
}

static ops_slice bytes_of(const ops_mapped *m)
{
    return m != NULL ? ops_mapped_bytes(m) : ops_slice_of(NULL, 0);
}

static ops_status open_folder(ops_lm_file *f, const char *path, ops_err *reterr)
{
    f->folder = ops_strdup(path);
    if (f->folder == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "%s", path);
    const ops_status st = open_side(path, "config.json", CONFIG_BYTES_MAX, false, &f->file, reterr);
    return st == OPS_OK ? ops_shards_open(path, &f->shards, reterr) : st;
}

ops_status ops_lm_file_open(const char *path, ops_lm_file **ret, ops_err *reterr)
{
    struct stat info;
    OPS_AUTO(ops_lm_file_free) ops_lm_file *f = ops_calloc(1, sizeof *f);
    if (f == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "%s", path);
    ops_status st;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        st = open_folder(f, path, reterr);
    } else {
        st = ops_mapped_open(path, FILE_BYTES_MAX, &f->file, reterr);
        if (st == OPS_OK)
            st = ops_gguf_parse(ops_mapped_bytes(f->file), &f->gguf, reterr);
    }
    if (st == OPS_OK)
        *ret = OPS_STEAL(f);
    return st;
}

void ops_lm_file_free(ops_lm_file *f)
{
    if (f == NULL)
        return;
    ops_gguf_free(f->gguf);
    ops_shards_free(f->shards);
    ops_mapped_free(f->file);
    ops_free(f->folder);
    ops_free(f);
}

const ops_gguf *ops_lm_file_gguf(const ops_lm_file *f)
{
    return f->gguf;
}

const ops_shards *ops_lm_file_shards(const ops_lm_file *f)
{
    return f->shards;
}

ops_slice ops_lm_file_json(const ops_lm_file *f)
{
    return f->gguf == NULL ? ops_mapped_bytes(f->file) : ops_slice_of(NULL, 0);
}

size_t ops_lm_file_bytes(const ops_lm_file *f)
{
    return f->gguf != NULL ? ops_mapped_bytes(f->file).n : ops_shards_bytes(f->shards);
}

ops_lm_source ops_lm_file_source(const ops_lm_file *f)
{
    return f->gguf != NULL ? ops_lm_source_gguf(f->gguf) : ops_lm_source_shards(f->shards);
}

ops_status ops_lm_file_config(const ops_lm_file *f, ops_lm_config *ret, ops_err *reterr)
{
    return f->gguf != NULL ? ops_lm_config_read(f->gguf, ret, reterr)
                           : ops_lm_config_parse(ops_lm_file_json(f), ret, reterr);
}

ops_status ops_lm_file_load(const ops_lm_file *f, const ops_kern *kern, ops_kern_dev *dev,
                            const ops_lm_limits *limits, ops_lm **ret, ops_err *reterr)
{
    ops_lm_config c;
    const ops_lm_source s = ops_lm_file_source(f);
    const ops_status st = ops_lm_file_config(f, &c, reterr);
    return st == OPS_OK ? ops_lm_load_from(&c, &s, kern, dev, limits, ret, reterr) : st;
}

static ops_status folder_tokenizer(const ops_lm_file *f, ops_tokenizer **ret, ops_err *reterr)
{
    OPS_AUTO(ops_mapped_free) ops_mapped *tokenizer = NULL, *config = NULL, *generation = NULL;
    ops_status st = open_side(f->folder, "tokenizer.json", OPS_TOKENIZER_JSON_MAX, false, &tokenizer, reterr);
    if (st == OPS_OK)
        st = open_side(f->folder, "tokenizer_config.json", TOKENIZER_CONFIG_BYTES_MAX, true, &config, reterr);
    if (st == OPS_OK)
        st = open_side(f->folder, "generation_config.json", CONFIG_BYTES_MAX, true, &generation, reterr);
    if (st != OPS_OK)
        return st;
    const ops_tokenizer_files files = {.tokenizer = bytes_of(tokenizer),
                                       .config = bytes_of(config),
                                       .generation = bytes_of(generation),
                                       .model = ops_lm_file_json(f)};
    return ops_tokenizer_from_folder(&files, ret, reterr);
}

ops_status ops_lm_file_tokenizer(const ops_lm_file *f, ops_tokenizer **ret, ops_err *reterr)
{
    return f->gguf != NULL ? ops_tokenizer_from_gguf(f->gguf, ret, reterr) : folder_tokenizer(f, ret, reterr);
}

/* The template in tokenizer_config.json: a text, or a list of named ones. Empty: it has none. */
static ops_slice find_template(const json_t *config)
{
    const json_t *v = json_object_get(config, "chat_template");
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *row = json_array_get(v, i);
        const char *name = json_string_value(json_object_get(row, "name"));
        if (name != NULL && strcmp(name, "default") == 0) {
            v = json_object_get(row, "template");
            break;
        }
    }
    return json_is_string(v) ? ops_slice_of(json_string_value(v), json_string_length(v))
                             : ops_slice_of(NULL, 0);
}

static ops_status make_chat(ops_slice jinja, const ops_tokenizer *t, ops_chat **ret, ops_err *reterr)
{
    if (jinja.n == 0)
        return ops_fail(reterr, OPS_ENOTFOUND, "the model brings no chat template");
    return ops_chat_new(jinja, ops_tokenizer_piece(t, ops_tokenizer_bos(t)),
                        ops_tokenizer_piece(t, ops_tokenizer_eos(t)), ret, reterr);
}

static ops_status folder_chat(const ops_lm_file *f, const ops_tokenizer *t, ops_chat **ret, ops_err *reterr)
{
    OPS_AUTO(ops_mapped_free) ops_mapped *jinja = NULL, *config = NULL;
    json_t *j = NULL;
    ops_status st = open_side(f->folder, "chat_template.jinja", OPS_CHAT_TEMPLATE_MAX, true, &jinja, reterr);
    if (st != OPS_OK || jinja != NULL)
        return st == OPS_OK ? make_chat(ops_mapped_bytes(jinja), t, ret, reterr) : st;
    st = open_side(f->folder, "tokenizer_config.json", TOKENIZER_CONFIG_BYTES_MAX, true, &config, reterr);
    if (st == OPS_OK && config != NULL)
        st = ops_json_load(ops_mapped_bytes(config), "tokenizer_config.json", &j, reterr);
    if (st == OPS_OK)
        st = make_chat(find_template(j), t, ret, reterr);
    json_decref(j);
    return st;
}

ops_status ops_lm_file_chat(const ops_lm_file *f, const ops_tokenizer *t, ops_chat **ret, ops_err *reterr)
{
    return f->gguf != NULL ? ops_chat_from_gguf(f->gguf, t, ret, reterr) : folder_chat(f, t, ret, reterr);
}
