#include "worker/model/shards.h"

#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "worker/model/json_fields.h"
#include "worker/model/mapped.h"

enum { PATH_BYTES_MAX = 4096 };
#define SHARD_BYTES_MAX ((size_t)1 << 40)
static const char index_name[] = "model.safetensors.index.json", whole_name[] = "model.safetensors";

struct ops_shards {
    size_t files, count, bytes;
    ops_mapped *mapped[OPS_SHARDS_MAX];
    ops_safetensors *shard[OPS_SHARDS_MAX];
};

/* --- the index --- */
static bool plain_name(const char *name)
{
    const ops_slice s = ops_slice_str(name);
    if (s.n > OPS_SHARDS_NAME_MAX || s.p[0] == '.' || !ops_slice_ends(s, OPS_SLICE(".safetensors")))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '/' || s.p[i] == '\\' || (unsigned char)s.p[i] < 32)
            return false;
    return true;
}

/* The place of a file's name among those seen, which it joins. */
static ops_status file_place(ops_shard_index *x, const char *name, size_t *ret, ops_err *reterr)
{
    for (*ret = 0; *ret < x->files; ++*ret)
        if (strcmp(x->file[*ret], name) == 0)
            return OPS_OK;
    if (x->files == OPS_SHARDS_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "%s: more than %d files", index_name, OPS_SHARDS_MAX);
    (void)snprintf(x->file[x->files++], sizeof *x->file, "%s", name);
    return OPS_OK;
}

static ops_status read_entry(ops_shard_index *x, const char *tensor, const json_t *file, ops_err *reterr)
{
    const char *name = json_string_value(file);
    size_t place = 0;
    if (name == NULL || !plain_name(name))
        return ops_fail(reterr, OPS_ECORRUPT,
                        "%s: the file of tensor '%.100s' is no plain name that ends in .safetensors",
                        index_name, tensor);
    const ops_status st = file_place(x, name, &place, reterr);
    if (st != OPS_OK)
        return st;
    if (ops_map_put(x->file_of, ops_slice_str(tensor), x->file[place], NULL) != OPS_OK)
        return ops_fail(reterr, OPS_ENOMEM, "%s", index_name);
    x->tensors++;
    return OPS_OK;
}

static ops_status read_index(json_t *root, ops_shard_index *x, ops_err *reterr)
{
    json_t *map = json_object_get(root, "weight_map");
    const char *tensor;
    json_t *file;
    if (!json_is_object(map) || json_object_size(map) == 0)
        return ops_fail(reterr, OPS_ECORRUPT, "%s: weight_map names no tensor", index_name);
    if (json_object_size(map) > OPS_SAFETENSORS_TENSORS_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "%s: %zu tensors, at most %d are read", index_name,
                        json_object_size(map), OPS_SAFETENSORS_TENSORS_MAX);
    x->file = ops_calloc(OPS_SHARDS_MAX, sizeof *x->file);
    x->file_of = ops_map_new();
    if (x->file == NULL || x->file_of == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "%s", index_name);
    json_object_foreach(map, tensor, file)
    {
        const ops_status st = read_entry(x, tensor, file, reterr);
        if (st != OPS_OK)
            return st;
    }
    return OPS_OK;
}

ops_status ops_shard_index_parse(ops_slice json, ops_shard_index *ret, ops_err *reterr)
{
    if (json.n > OPS_SHARDS_INDEX_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "%s: %zu bytes, at most %d are read", index_name, json.n,
                        OPS_SHARDS_INDEX_MAX);
    json_t *root = NULL;
    ops_status st = ops_json_load(json, index_name, &root, reterr);
    if (st != OPS_OK)
        return st;
    ops_shard_index x = {.files = 0};
    st = read_index(root, &x, reterr);
    json_decref(root);
    if (st == OPS_OK)
        *ret = x;
    else
        ops_shard_index_done(&x);
    return st;
}

void ops_shard_index_done(ops_shard_index *x)
{
    ops_free(x->file);
    ops_map_free(x->file_of);
    *x = (ops_shard_index){.files = 0};
}

/* --- the files --- */
static ops_status path_of(const char *folder, const char *name, char ret[PATH_BYTES_MAX], ops_err *reterr)
{
    const int n = snprintf(ret, PATH_BYTES_MAX, "%s/%s", folder, name);
    return n >= 0 && n < PATH_BYTES_MAX ? OPS_OK : ops_fail(reterr, OPS_ETOOBIG, "the path of %s", name);
}

/* The bytes of file i. */
static ops_status take(ops_shards *s, size_t i, ops_slice bytes, ops_err *reterr)
{
    const ops_status st = ops_safetensors_parse(bytes, &s->shard[i], reterr);
    if (st != OPS_OK)
        return st;
    s->bytes += bytes.n;
    s->count += ops_safetensors_count(s->shard[i]);
    return OPS_OK;
}

static ops_status open_one(ops_shards *s, const char *folder, const char *name, ops_err *reterr)
{
    char path[PATH_BYTES_MAX];
    const size_t i = s->files;
    ops_status st = path_of(folder, name, path, reterr);
    if (st == OPS_OK)
        st = ops_mapped_open(path, SHARD_BYTES_MAX, &s->mapped[i], reterr);
    if (st != OPS_OK)
        return st;
    s->files++;
    st = take(s, i, ops_mapped_bytes(s->mapped[i]), reterr);
    if (st != OPS_OK)
        ops_err_prefix(reterr, "%s", name);
    return st;
}

/* Every tensor of file i is in the index, under this file. With as many tensors in the files as in the index, that makes the
 * two the same. */
static ops_status check_file(const ops_shards *s, const ops_shard_index *x, size_t i, ops_err *reterr)
{
    for (size_t t = 0; t < ops_safetensors_count(s->shard[i]); t++) {
        const char *name = ops_safetensors_at(s->shard[i], t)->name;
        const char *file = ops_map_get(x->file_of, ops_slice_str(name));
        if (file == NULL || strcmp(file, x->file[i]) != 0)
            return ops_fail(reterr, OPS_ECORRUPT, "%s has the tensor '%.100s', which %s puts %s%s",
                            x->file[i], name, index_name, file != NULL ? "into " : "nowhere",
                            file != NULL ? file : "");
    }
    return OPS_OK;
}

static ops_status open_indexed(ops_shards *s, const char *folder, const ops_shard_index *x, ops_err *reterr)
{
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < x->files; i++) {
        st = open_one(s, folder, x->file[i], reterr);
        if (st == OPS_OK)
            st = check_file(s, x, i, reterr);
    }
    if (st != OPS_OK || s->count == x->tensors)
        return st;
    return ops_fail(reterr, OPS_ECORRUPT, "%s names %zu tensors, its files have %zu", index_name, x->tensors,
                    s->count);
}

static ops_status open_by_index(ops_shards *s, const char *folder, ops_err *reterr)
{
    char path[PATH_BYTES_MAX];
    OPS_AUTO(ops_mapped_free) ops_mapped *m = NULL;
    ops_shard_index x = {.files = 0};
    ops_status st = path_of(folder, index_name, path, reterr);
    if (st == OPS_OK)
        st = ops_mapped_open(path, OPS_SHARDS_INDEX_MAX, &m, reterr);
    if (st == OPS_ENOTFOUND)
        return ops_fail(reterr, st, "%s has neither %s nor %s", folder, whole_name, index_name);
    if (st == OPS_OK)
        st = ops_shard_index_parse(ops_mapped_bytes(m), &x, reterr);
    if (st != OPS_OK)
        return st;
    st = open_indexed(s, folder, &x, reterr);
    ops_shard_index_done(&x);
    return st;
}

ops_status ops_shards_open(const char *folder, ops_shards **ret, ops_err *reterr)
{
    OPS_AUTO(ops_shards_free) ops_shards *s = ops_calloc(1, sizeof *s);
    if (s == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "%s", folder);
    ops_status st = open_one(s, folder, whole_name, reterr);
    if (st == OPS_ENOTFOUND)
        st = open_by_index(s, folder, reterr);
    if (st == OPS_OK)
        *ret = OPS_STEAL(s);
    return st;
}

ops_status ops_shards_parse(ops_slice bytes, ops_shards **ret, ops_err *reterr)
{
    OPS_AUTO(ops_shards_free) ops_shards *s = ops_calloc(1, sizeof *s);
    if (s == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "weights");
    s->files = 1;
    const ops_status st = take(s, 0, bytes, reterr);
    if (st == OPS_OK)
        *ret = OPS_STEAL(s);
    return st;
}

void ops_shards_free(ops_shards *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->files; i++) {
        ops_safetensors_free(s->shard[i]);
        ops_mapped_free(s->mapped[i]);
    }
    ops_free(s);
}

size_t ops_shards_files(const ops_shards *s)
{
    return s->files;
}

size_t ops_shards_bytes(const ops_shards *s)
{
    return s->bytes;
}

size_t ops_shards_count(const ops_shards *s)
{
    return s->count;
}

const ops_safetensor *ops_shards_at(const ops_shards *s, size_t i)
{
    for (size_t f = 0; f < s->files; f++) {
        if (i < ops_safetensors_count(s->shard[f]))
            return ops_safetensors_at(s->shard[f], i);
        i -= ops_safetensors_count(s->shard[f]);
    }
    return NULL;
}

const ops_safetensor *ops_shards_find(const ops_shards *s, const char *name)
{
    const ops_safetensor *t = NULL;
    for (size_t f = 0; f < s->files && t == NULL; f++)
        t = ops_safetensors_find(s->shard[f], name);
    return t;
}
