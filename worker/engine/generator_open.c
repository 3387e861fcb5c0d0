/* From a GGUF file to the parts of a generator. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem/alloc.h"
#include "base/text/hash.h"
#include "worker/engine/generator.h"
#include "worker/engine/kv_pool.h"
#include "worker/model/mapped.h"

enum { PATH_BYTES_MAX = 4096, BLOCK = 32, GUESSES = 32 };
#define FILE_BYTES_MAX ((size_t)1 << 40)

static bool is_gguf(ops_slice name)
{
    return ops_slice_ends(name, OPS_SLICE(".gguf"));
}

/* The only GGUF file of a folder. */
static ops_status look_into(const char *folder, char ret[PATH_BYTES_MAX], ops_err *reterr)
{
    DIR *d = opendir(folder);
    if (d == NULL)
        return ops_fail(reterr, errno == ENOENT ? OPS_ENOTFOUND : OPS_EIO, "%s", strerror(errno));
    size_t n = 0;
    ops_status st = OPS_OK;
    for (const struct dirent *e = readdir(d); e != NULL && st == OPS_OK; e = readdir(d)) {
        if (!is_gguf(ops_slice_str(e->d_name)))
            continue;
        n++;
        const int bytes = snprintf(ret, PATH_BYTES_MAX, "%s/%s", folder, e->d_name);
        if (bytes < 0 || bytes >= PATH_BYTES_MAX)
            st = ops_fail(reterr, OPS_ETOOBIG, "its path has more than %d bytes", PATH_BYTES_MAX);
    }
    (void)closedir(d);
    if (st == OPS_OK && n != 1)
        st =
            ops_fail(reterr, n == 0 ? OPS_ENOTFOUND : OPS_EINVAL, "%zu GGUF files in the folder, not one", n);
    return st;
}

static ops_status find_file(const char *path, char ret[PATH_BYTES_MAX], bool *ret_folder, ops_err *reterr)
{
    struct stat s;
    if (stat(path, &s) != 0)
        return ops_fail(reterr, errno == ENOENT ? OPS_ENOTFOUND : OPS_EIO, "%s", strerror(errno));
    *ret_folder = S_ISDIR(s.st_mode);
    if (*ret_folder)
        return look_into(path, ret, reterr);
    const int n = snprintf(ret, PATH_BYTES_MAX, "%s", path);
    return n >= 0 && n < PATH_BYTES_MAX
               ? OPS_OK
               : ops_fail(reterr, OPS_ETOOBIG, "its path has more than %d bytes", PATH_BYTES_MAX);
}

/* The last part of the path, without the ending of a file. */
static void name_of(const char *path, bool folder, char ret[OPS_GENERATOR_NAME_MAX])
{
    ops_slice name = ops_slice_str(path);
    while (name.n > 1 && name.p[name.n - 1] == '/')
        name.n--;
    for (size_t i = name.n; i > 0; i--)
        if (name.p[i - 1] == '/') {
            name = ops_slice_sub(name, i, name.n);
            break;
        }
    if (!folder && is_gguf(name))
        name.n -= 5;
    (void)snprintf(ret, OPS_GENERATOR_NAME_MAX, OPS_SLICE_FMT, OPS_SLICE_ARG(name));
}

static uint32_t or_else(uint32_t v, uint32_t usual)
{
    return v > 0 ? v : usual;
}

static ops_lm_limits limits_for(const ops_generator_conf *conf, const ops_lm_config *c)
{
    const uint32_t context = or_else(conf->context_max, OPS_GENERATOR_CONTEXT_DEFAULT);
    const uint64_t cache =
        conf->cache_bytes > 0 ? conf->cache_bytes : (uint64_t)OPS_GENERATOR_CACHE_MIB_DEFAULT << 20;
    ops_lm_limits l = {.tokens = (int)or_else(conf->step_tokens, OPS_GENERATOR_STEP_TOKENS_DEFAULT),
                       .seqs = (int)or_else(conf->seqs_max, OPS_GENERATOR_SEQS_DEFAULT),
                       .block = BLOCK,
                       .cache_f32 = conf->cache_f32,
                       .exact = conf->exact};
    l.positions = context < (uint32_t)c->context ? (int)context : c->context;
    l.outputs = l.seqs + GUESSES;
    l.tokens = l.tokens > l.outputs ? l.tokens : l.outputs;
    const uint64_t block_bytes = (uint64_t)BLOCK * (uint64_t)c->layers * 2 * (uint64_t)c->kv_heads *
                                 (uint64_t)c->width * (conf->cache_f32 ? 4 : 2);
    const uint64_t one = ((uint64_t)l.positions + BLOCK - 1) / BLOCK, most = one * (uint64_t)l.seqs;
    uint64_t blocks = cache / block_bytes;
    blocks = blocks < one ? one : blocks > most ? most : blocks;
    l.blocks = (int)(blocks < OPS_KV_BLOCKS_MAX ? blocks : OPS_KV_BLOCKS_MAX);
    return l;
}

static ops_status open_chat(const ops_gguf *g, ops_generator_parts *p, ops_err *reterr)
{
    ops_err why = {.msg = ""};
    const ops_status st = ops_chat_from_gguf(g, p->tokenizer, &p->chat, &why);
    if (st == OPS_ENOTFOUND)
        (void)snprintf(p->chat_why, sizeof p->chat_why, "it has no template for conversations");
    else if (st == OPS_EUNIMPL)
        (void)snprintf(p->chat_why, sizeof p->chat_why, "%.*s", (int)sizeof p->chat_why - 1, why.msg);
    else if (st != OPS_OK)
        return ops_fail(reterr, st, "%s", why.msg);
    return OPS_OK;
}

static ops_status open_decoder(const ops_gguf *g, const ops_generator_conf *conf, ops_generator_parts *p,
                               ops_err *reterr)
{
    ops_lm_config c;
    ops_status st = ops_lm_config_read(g, &c, reterr);
    if (st != OPS_OK)
        return st;
    const ops_kern_cpu_conf device = {.delayed = conf->delayed, .threads = (int)conf->threads};
    const ops_kern_status opened = ops_kern_cpu_open(&device, &p->dev);
    if (opened != OPS_KERN_OK)
        return ops_fail(reterr, opened == OPS_KERN_ENOMEM ? OPS_ENOMEM : OPS_EINVAL,
                        "%u threads, at most %d; or OPS_KERN_LEVEL is none of this processor's",
                        conf->threads, OPS_KERN_THREADS_MAX);
    const ops_lm_limits l = limits_for(conf, &c);
    return ops_lm_load(g, ops_kern_cpu(), p->dev, &l, &p->lm, reterr);
}

static ops_status open_parts(const ops_generator_conf *conf, ops_generator_parts *p, ops_err *reterr)
{
    char path[PATH_BYTES_MAX];
    bool folder = false;
    OPS_AUTO(ops_mapped_free) ops_mapped *file = NULL;
    OPS_AUTO(ops_gguf_free) ops_gguf *g = NULL;
    ops_status st = find_file(conf->path, path, &folder, reterr);
    if (st == OPS_OK)
        st = ops_mapped_open(path, FILE_BYTES_MAX, &file, reterr);
    if (st == OPS_OK)
        st = ops_gguf_parse(ops_mapped_bytes(file), &g, reterr);
    if (st == OPS_OK)
        st = ops_tokenizer_from_gguf(g, &p->tokenizer, reterr);
    if (st == OPS_OK)
        st = open_chat(g, p, reterr);
    if (st == OPS_OK)
        st = open_decoder(g, conf, p, reterr);
    if (st != OPS_OK)
        return st;
    const ops_slice bytes = ops_mapped_bytes(file);
    (void)snprintf(p->content_hash, sizeof p->content_hash, "%016llx%016llx",
                   (unsigned long long)ops_hash64(bytes.p, bytes.n, 1),
                   (unsigned long long)ops_hash64(bytes.p, bytes.n, 2));
    if (conf->name != NULL)
        (void)snprintf(p->name, sizeof p->name, "%s", conf->name);
    else
        name_of(conf->path, folder, p->name);
    return OPS_OK;
}

ops_status ops_generator_open(const ops_generator_conf *conf, ops_generator **ret, ops_err *reterr)
{
    ops_generator_parts p = {.dev = NULL};
    ops_status st =
        conf->threads > OPS_KERN_THREADS_MAX
            ? ops_fail(reterr, OPS_EINVAL, "%u threads, at most %d", conf->threads, OPS_KERN_THREADS_MAX)
            : open_parts(conf, &p, reterr);
    if (st == OPS_OK)
        st = ops_generator_new(conf, &p, ret, reterr);
    if (st != OPS_OK) {
        ops_generator_parts_done(&p);
        ops_err_prefix(reterr, "%s", conf->path);
    }
    return st;
}
