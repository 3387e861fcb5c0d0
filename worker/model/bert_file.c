#include "worker/model/bert_file.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem/alloc.h"
#include "base/text/hash.h"
#include "worker/model/mapped.h"
#include "worker/model/model_place.h"

enum { SIDE_BYTES_MAX = 1 << 20 };
#define WEIGHTS_BYTES_MAX ((size_t)16 << 30)

/* The files in the order in which they are hashed: a vector's name outlives the program. */
typedef enum side { CONFIG, SENTENCE, POOLING, WORDS, WEIGHTS, SIDES } side;

struct ops_bert_file {
    ops_bert_config c;
    ops_mapped *file[SIDES]; /* a GGUF file is WEIGHTS alone */
    ops_gguf *gguf;
    ops_safetensors *tensors;
    char *labels;
};

static ops_slice bytes_of(const ops_bert_file *f, side s)
{
    return f->file[s] != NULL ? ops_mapped_bytes(f->file[s]) : ops_slice_of(NULL, 0);
}

static ops_status open_side(const char *folder, const char *name, size_t bytes_max, ops_mapped **ret,
                            ops_err *reterr)
{
    char path[OPS_MODEL_PLACE_MAX];
    const int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return ops_fail(reterr, OPS_ETOOBIG, "the path of the model is longer than %d bytes",
                        OPS_MODEL_PLACE_MAX);
    return ops_mapped_open(path, bytes_max, ret, reterr);
}

/* A side file that may be absent, and what reads it. */
static ops_status read_side(ops_bert_file *f, const char *folder, side s, const char *name,
                            ops_status (*read)(ops_slice, ops_bert_config *, ops_err *), ops_err *reterr)
{
    const ops_status st = open_side(folder, name, SIDE_BYTES_MAX, &f->file[s], reterr);
    if (st != OPS_OK)
        return st == OPS_ENOTFOUND ? OPS_OK : st;
    return read(bytes_of(f, s), &f->c, reterr);
}

static ops_status open_folder(ops_bert_file *f, const char *folder, ops_err *reterr)
{
    OPS_AUTO(ops_mapped_free)
    ops_mapped *modules = NULL; /* a list of steps that are built changes no vector */
    ops_status st = open_side(folder, "config.json", SIDE_BYTES_MAX, &f->file[CONFIG], reterr);
    if (st == OPS_OK)
        st = ops_bert_config_parse(bytes_of(f, CONFIG), &f->c, reterr);
    if (st == OPS_OK && f->c.head != OPS_BERT_NO_HEAD)
        st = ops_bert_config_labels(bytes_of(f, CONFIG), f->c.labels, &f->labels, reterr);
    if (st == OPS_OK)
        st = read_side(f, folder, SENTENCE, "sentence_bert_config.json", ops_bert_config_sentence, reterr);
    if (st == OPS_OK)
        st = read_side(f, folder, POOLING, "1_Pooling/config.json", ops_bert_config_pooling, reterr);
    if (st != OPS_OK)
        return st;
    if (f->file[POOLING] != NULL) { /* whatever it was trained under, it is kept as one that embeds */
        f->c.head = OPS_BERT_NO_HEAD;
        f->c.labels = 0;
    }
    st = open_side(folder, "modules.json", SIDE_BYTES_MAX, &modules, reterr);
    if (st == OPS_OK)
        st = ops_bert_config_modules(ops_mapped_bytes(modules), reterr);
    if (st == OPS_OK || st == OPS_ENOTFOUND)
        st = open_side(folder, "tokenizer.json", OPS_WORDPIECE_JSON_MAX, &f->file[WORDS], reterr);
    if (st == OPS_OK)
        st = open_side(folder, "model.safetensors", WEIGHTS_BYTES_MAX, &f->file[WEIGHTS], reterr);
    return st == OPS_OK ? ops_safetensors_parse(bytes_of(f, WEIGHTS), &f->tensors, reterr) : st;
}

static ops_status open_gguf(ops_bert_file *f, const char *path, ops_err *reterr)
{
    ops_status st = ops_mapped_open(path, WEIGHTS_BYTES_MAX, &f->file[WEIGHTS], reterr);
    if (st == OPS_OK)
        st = ops_gguf_parse(bytes_of(f, WEIGHTS), &f->gguf, reterr);
    return st == OPS_OK ? ops_bert_config_gguf(f->gguf, &f->c, reterr) : st;
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* A folder of Hugging Face's may have a GGUF file beside: what its config.json speaks of goes first. */
static bool has_config(const char *path)
{
    OPS_AUTO(ops_mapped_free) ops_mapped *config = NULL;
    return is_folder(path) && open_side(path, "config.json", SIDE_BYTES_MAX, &config, NULL) == OPS_OK &&
           ops_bert_config_is(ops_mapped_bytes(config));
}

bool ops_bert_file_is(const char *path)
{
    char file[OPS_MODEL_PLACE_MAX];
    bool folder = false;
    OPS_AUTO(ops_mapped_free) ops_mapped *m = NULL;
    OPS_AUTO(ops_gguf_free) ops_gguf *g = NULL;
    if (has_config(path))
        return true;
    return ops_model_place_find(path, file, &folder, NULL) == OPS_OK && !is_folder(file) &&
           ops_mapped_open(file, SIZE_MAX, &m, NULL) == OPS_OK &&
           ops_gguf_parse(ops_mapped_bytes(m), &g, NULL) == OPS_OK && ops_bert_config_is_gguf(g);
}

ops_status ops_bert_file_open(const char *path, ops_bert_file **ret, ops_err *reterr)
{
    char file[OPS_MODEL_PLACE_MAX];
    bool folder = false;
    OPS_AUTO(ops_bert_file_free) ops_bert_file *f = ops_calloc(1, sizeof *f);
    if (f == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "%s", path);
    (void)snprintf(file, sizeof file, "%s", path);
    ops_status st = has_config(path) ? OPS_OK : ops_model_place_find(path, file, &folder, reterr);
    if (st == OPS_OK)
        st = is_folder(file) ? open_folder(f, path, reterr) : open_gguf(f, file, reterr);
    if (st == OPS_OK)
        *ret = OPS_STEAL(f);
    return st;
}

void ops_bert_file_free(ops_bert_file *f)
{
    if (f == NULL)
        return;
    ops_gguf_free(f->gguf);
    ops_safetensors_free(f->tensors);
    ops_free(f->labels);
    for (int i = 0; i < SIDES; i++)
        ops_mapped_free(f->file[i]);
    ops_free(f);
}

const ops_bert_config *ops_bert_file_config(const ops_bert_file *f)
{
    return &f->c;
}

const char *ops_bert_file_labels(const ops_bert_file *f)
{
    return f->labels;
}

const ops_gguf *ops_bert_file_gguf(const ops_bert_file *f)
{
    return f->gguf;
}

ops_slice ops_bert_file_json(const ops_bert_file *f)
{
    return bytes_of(f, CONFIG);
}

void ops_bert_file_hash(const ops_bert_file *f, char ret[OPS_BERT_FILE_HASH_HEX + 1], ops_kern_type weights)
{
    uint64_t d[2] = {1, 2}; /* two seeds make 128 bits */
    const char type = (char)weights;
    for (int i = 0; i < 2; i++) {
        for (int s = 0; s < SIDES; s++)
            if (f->file[s] != NULL)
                d[i] = ops_hash64(bytes_of(f, (side)s).p, bytes_of(f, (side)s).n, d[i]);
        if (weights != OPS_KERN_F32) /* the same file at another precision makes other vectors */
            d[i] = ops_hash64(&type, 1, d[i]);
    }
    (void)snprintf(ret, OPS_BERT_FILE_HASH_HEX + 1, "%016llx%016llx", (unsigned long long)d[0],
                   (unsigned long long)d[1]);
}

ops_status ops_bert_file_words(const ops_bert_file *f, ops_wordpiece **ret, ops_err *reterr)
{
    OPS_AUTO(ops_wordpiece_free) ops_wordpiece *w = NULL;
    const ops_status st = f->gguf != NULL ? ops_wordpiece_from_gguf(f->gguf, &w, reterr)
                                          : ops_wordpiece_parse(bytes_of(f, WORDS), &w, reterr);
    if (st != OPS_OK)
        return st;
    if (ops_wordpiece_id_max(w) >= f->c.vocab)
        return ops_fail(reterr, OPS_ECORRUPT, "the tokenizer has the id %d, the model a vocabulary of %d",
                        ops_wordpiece_id_max(w), f->c.vocab);
    const size_t specials = ops_wordpiece_specials(w);
    if (specials < 1 || specials >= (size_t)f->c.tokens_max)
        return ops_fail(reterr, OPS_ECORRUPT, "%zu special tokens around a text of at most %d", specials,
                        f->c.tokens_max);
    *ret = OPS_STEAL(w);
    return OPS_OK;
}

ops_status ops_bert_file_load(const ops_bert_file *f, const ops_bert_config *config, const ops_kern *kern,
                              ops_kern_dev *dev, ops_kern_type weights, int tokens_max, int seqs_max,
                              ops_bert **ret, ops_err *reterr)
{
    const ops_lm_source s =
        f->gguf != NULL ? ops_lm_source_gguf(f->gguf) : ops_lm_source_safetensors(f->tensors);
    return ops_bert_load_from(config, &s, kern, dev, weights, tokens_max, seqs_max, ret, reterr);
}
