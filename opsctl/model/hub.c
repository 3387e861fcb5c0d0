/* The hub's answer, and the choice of files. Every name in it is somebody else's text: only plain paths pass. */
#include "opsctl/model/hub.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"

enum { ANSWER_BYTES_MAX = 32 << 20, NAMES_TOLD = 8 };

/* What makes a model of safetensors; the first two must be there, and the weights. */
static const char whole[] = "model.safetensors", shards[] = "model.safetensors.index.json";
static const char *const parts[] = {"config.json",
                                    "tokenizer.json",
                                    "tokenizer_config.json",
                                    "special_tokens_map.json",
                                    "generation_config.json",
                                    "sentence_bert_config.json",
                                    "modules.json",
                                    "1_Pooling/config.json",
                                    "chat_template.jinja"};
enum { PARTS = sizeof parts / sizeof *parts, PARTS_NEEDED = 2 };

static bool hex_ok(const char *s, size_t n)
{
    return s != NULL && strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

static ops_status add(ops_hub_files *out, const char *base, const ops_source *s, const json_t *row,
                      const char *path, ops_err *reterr)
{
    ops_hub_file f = {0};
    const json_t *lfs = json_object_get(row, "lfs");
    const char *sha256 = json_string_value(json_object_get(lfs, "sha256"));
    const char *blob = json_string_value(json_object_get(row, "blobId"));
    const json_t *size = json_object_get(row, "size");
    (void)snprintf(f.path, sizeof f.path, "%s", path);
    if (json_is_integer(size) && json_integer_value(size) > 0)
        f.bytes = (uint64_t)json_integer_value(size);
    if (hex_ok(sha256, 64))
        (void)snprintf(f.sha256, sizeof f.sha256, "%s", sha256);
    else if (lfs == NULL && hex_ok(blob, 40)) /* of a large file the blob is a pointer, not the bytes */
        (void)snprintf(f.git_sha1, sizeof f.git_sha1, "%s", blob);
    if (snprintf(f.url, sizeof f.url, "%s/%s/%s/resolve/%s/%s", base, s->owner, s->repo, out->commit, path) >=
        (int)sizeof f.url)
        return ops_fail(reterr, OPS_ETOOBIG, "the URL of %s is longer than %d bytes", path,
                        OPS_SOURCE_URL_MAX);
    out->v[out->n++] = f;
    return OPS_OK;
}

static const json_t *find(const json_t *rows, const char *path)
{
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(rows, i), "rfilename"));
        if (name != NULL && strcmp(name, path) == 0)
            return json_array_get(rows, i);
    }
    return NULL;
}

/* How many GGUF files there are; `told` gets the names of the first. */
static size_t gguf_files(const json_t *rows, const char **ret_first, ops_strbuf *told)
{
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(rows, i), "rfilename"));
        if (name == NULL || !ops_slice_ends(ops_slice_str(name), OPS_SLICE(".gguf")) ||
            !ops_source_path_ok(name))
            continue;
        if (n == 0)
            *ret_first = name;
        if (n < NAMES_TOLD)
            ops_strbuf_printf(told, "%s%s", n > 0 ? ", " : "", name);
        n++;
    }
    return n;
}

/* The weights: one file, or an index and every file beside it that is called as transformers calls shards. */
static ops_status take_weights(const char *base, const ops_source *s, const json_t *rows, ops_hub_files *out,
                               ops_err *reterr)
{
    const bool one = find(rows, whole) != NULL;
    const json_t *first = find(rows, one ? whole : shards);
    if (first == NULL)
        return ops_fail(reterr, OPS_EINVAL, "%s/%s has no GGUF file and no %s", s->owner, s->repo, whole);
    ops_status st = add(out, base, s, first, one ? whole : shards, reterr);
    for (size_t i = 0; !one && st == OPS_OK && i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const char *name = json_string_value(json_object_get(row, "rfilename"));
        const ops_slice text = ops_slice_str(name);
        if (name == NULL || !ops_slice_starts(text, OPS_SLICE("model-")) ||
            !ops_slice_ends(text, OPS_SLICE(".safetensors")) || strchr(name, '/') != NULL ||
            !ops_source_path_ok(name))
            continue;
        st = out->n < OPS_HUB_FILES_MAX ? add(out, base, s, row, name, reterr)
                                        : ops_fail(reterr, OPS_ETOOBIG, "%s/%s is in more than %d files",
                                                   s->owner, s->repo, OPS_HUB_FILES_MAX);
    }
    return st;
}

static ops_status take_parts(const char *base, const ops_source *s, const json_t *rows, ops_hub_files *out,
                             ops_err *reterr)
{
    for (size_t i = 0; i < PARTS; i++) {
        const json_t *row = find(rows, parts[i]);
        if (row == NULL && i < PARTS_NEEDED)
            return ops_fail(reterr, OPS_EINVAL, "%s/%s has no GGUF file and no %s", s->owner, s->repo,
                            parts[i]);
        ops_status st = row == NULL ? OPS_OK : add(out, base, s, row, parts[i], reterr);
        if (st != OPS_OK)
            return st;
    }
    return take_weights(base, s, rows, out, reterr);
}

static ops_status choose(const char *base, const ops_source *s, const json_t *rows, ops_hub_files *out,
                         ops_err *reterr)
{
    const char *first = s->file;
    if (s->file[0] == '\0') {
        ops_strbuf told;
        ops_strbuf_init(&told, 4096);
        size_t n = gguf_files(rows, &first, &told);
        ops_status st = n <= 1 ? OPS_OK
                               : ops_fail(reterr, OPS_EINVAL,
                                          "%s/%s has %zu GGUF files: say which, as hf:%s/%s:FILE (%s%s)",
                                          s->owner, s->repo, n, s->owner, s->repo,
                                          told.p != NULL ? told.p : "", n > NAMES_TOLD ? ", ..." : "");
        ops_strbuf_done(&told);
        if (st != OPS_OK)
            return st;
        if (n == 0)
            return take_parts(base, s, rows, out, reterr);
    }
    const json_t *row = find(rows, first);
    if (row == NULL)
        return ops_fail(reterr, OPS_ENOTFOUND, "%s/%s has no file %s at %s", s->owner, s->repo, first,
                        s->revision);
    return add(out, base, s, row, first, reterr);
}

ops_status ops_hub_read(const char *base, const ops_source *s, ops_slice answer, ops_hub_files *ret,
                        ops_err *reterr)
{
    json_error_t e;
    json_t *root = json_loadb(answer.p != NULL ? answer.p : "", answer.n, JSON_REJECT_DUPLICATES, &e);
    const json_t *rows = json_object_get(root, "siblings");
    const char *commit = json_string_value(json_object_get(root, "sha"));
    ops_hub_files *out = ops_calloc(1, sizeof *out);
    ops_status st = OPS_OK;
    if (out == NULL)
        st = ops_fail(reterr, OPS_ENOMEM, "the files of %s/%s", s->owner, s->repo);
    else if (root == NULL)
        st = ops_fail(reterr, OPS_ECORRUPT, "%s: its answer about %s/%s is no JSON: %s (byte %d)", base,
                      s->owner, s->repo, e.text, e.position);
    else if (!json_is_array(rows) || commit == NULL || !ops_source_name_ok(commit))
        st = ops_fail(reterr, OPS_ECORRUPT, "%s: its answer about %s/%s lacks 'siblings' or 'sha'", base,
                      s->owner, s->repo);
    else {
        (void)snprintf(out->commit, sizeof out->commit, "%s", commit);
        st = choose(base, s, rows, out, reterr);
    }
    if (st == OPS_OK)
        *ret = *out;
    ops_free(out);
    json_decref(root);
    return st;
}

ops_status ops_hub_list(ops_fetch *f, const char *base, const ops_source *s, ops_hub_files *ret,
                        ops_err *reterr)
{
    if (!s->hub) {
        ops_hub_file one = {0};
        (void)snprintf(one.path, sizeof one.path, "%s", s->file);
        (void)snprintf(one.url, sizeof one.url, "%s", s->url);
        *ret = (ops_hub_files){.n = 1};
        ret->v[0] = one;
        return OPS_OK;
    }
    char url[OPS_SOURCE_URL_MAX];
    if (snprintf(url, sizeof url, "%s/api/models/%s/%s/revision/%s?blobs=true", base, s->owner, s->repo,
                 s->revision) >= (int)sizeof url)
        return ops_fail(reterr, OPS_ETOOBIG, "the hub's URL is longer than %d bytes", OPS_SOURCE_URL_MAX);
    ops_strbuf answer;
    ops_strbuf_init(&answer, ANSWER_BYTES_MAX);
    ops_status st = ops_fetch_text(f, url, &answer, reterr);
    if (st == OPS_OK)
        st = ops_hub_read(base, s, ops_strbuf_get(&answer), ret, reterr);
    ops_strbuf_done(&answer);
    return st;
}
