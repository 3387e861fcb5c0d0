/* What a file's bytes are: their hashes, and whether they are what the ending says. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "coordinator/digest/digest.h"
#include "opsctl/model/store.h"
#include "worker/model/gguf.h"
#include "worker/model/mapped.h"
#include "worker/model/safetensors.h"

enum { PIECE = 1 << 20 };
static const size_t file_bytes_max = (size_t)1 << 40;

static ops_status add_file(FILE *in, ops_digest_stream *sha256, ops_digest_stream *sha1, uint64_t *ret_bytes)
{
    OPS_AUTO(ops_free) void *buf = ops_malloc(PIECE);
    ops_status st = buf == NULL ? OPS_ENOMEM : OPS_OK;
    *ret_bytes = 0;
    for (size_t n; st == OPS_OK && (n = fread(buf, 1, PIECE, in)) > 0;) {
        st = ops_digest_add(sha256, ops_slice_of(buf, n));
        if (st == OPS_OK && sha1 != NULL)
            st = ops_digest_add(sha1, ops_slice_of(buf, n));
        *ret_bytes += n;
    }
    return st == OPS_OK && ferror(in) ? OPS_EIO : st;
}

ops_status ops_store_hash(const char *path, char ret_sha256[OPS_HUB_HASH_MAX], char *ret_git,
                          uint64_t *ret_bytes, ops_err *reterr)
{
    OPS_AUTO(ops_digest_free) ops_digest_stream *sha256 = NULL;
    OPS_AUTO(ops_digest_free) ops_digest_stream *sha1 = NULL;
    struct stat sb;
    char head[40];
    FILE *in = fopen(path, "re");
    if (in == NULL)
        return ops_fail(reterr, errno == ENOENT ? OPS_ENOTFOUND : OPS_EIO, "%s: %s", path, strerror(errno));
    ops_status st = ops_digest_open(OPS_DIGEST_SHA256, &sha256);
    if (st == OPS_OK && ret_git != NULL && fstat(fileno(in), &sb) == 0) {
        int n = snprintf(head, sizeof head, "blob %lld", (long long)sb.st_size);
        st = ops_digest_open(OPS_DIGEST_SHA1, &sha1);
        if (st == OPS_OK)
            st = ops_digest_add(sha1, ops_slice_of(head, (size_t)n + 1));
    }
    if (st == OPS_OK)
        st = add_file(in, sha256, sha1, ret_bytes);
    (void)fclose(in);
    if (st == OPS_OK)
        st = ops_digest_end_hex(sha256, ret_sha256);
    if (st == OPS_OK && sha1 != NULL)
        st = ops_digest_end_hex(sha1, ret_git);
    return st == OPS_OK ? OPS_OK : ops_fail(reterr, st, "%s: %s", path, ops_status_text(st));
}

static ops_status check_json(const char *path, ops_err *reterr)
{
    json_error_t e;
    json_t *root = json_load_file(path, 0, &e);
    if (root == NULL)
        return ops_fail(reterr, OPS_ECORRUPT, "%s: no JSON: %s (line %d)", path, e.text, e.line);
    json_decref(root);
    return OPS_OK;
}

ops_status ops_store_check(const char *path, ops_err *reterr)
{
    bool gguf = ops_slice_ends(ops_slice_str(path), OPS_SLICE(".gguf")),
         tensors = ops_slice_ends(ops_slice_str(path), OPS_SLICE(".safetensors"));
    if (ops_slice_ends(ops_slice_str(path), OPS_SLICE(".json")))
        return check_json(path, reterr);
    if (!gguf && !tensors)
        return OPS_OK;
    OPS_AUTO(ops_mapped_free) ops_mapped *m = NULL;
    OPS_AUTO(ops_gguf_free) ops_gguf *g = NULL;
    OPS_AUTO(ops_safetensors_free) ops_safetensors *s = NULL;
    ops_status st = ops_mapped_open(path, file_bytes_max, &m, reterr);
    if (st != OPS_OK)
        return st;
    st = gguf ? ops_gguf_parse(ops_mapped_bytes(m), &g, reterr)
              : ops_safetensors_parse(ops_mapped_bytes(m), &s, reterr);
    if (st != OPS_OK)
        ops_err_prefix(reterr, "%s", path);
    return st;
}
