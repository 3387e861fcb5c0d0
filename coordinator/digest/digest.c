/* libcrypto behind a few functions. The MAC is fetched once per process; contexts are per call, so any thread may. */
#include "coordinator/digest/digest.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <pthread.h>

#include "base/text/codec.h"

static pthread_once_t mac_once = PTHREAD_ONCE_INIT;
static EVP_MAC *mac;

static void mac_fetch(void)
{
    mac = EVP_MAC_fetch(NULL, "BLAKE2BMAC", NULL);
}

ops_status ops_digest_sha256(ops_slice in, uint8_t ret[OPS_DIGEST_BYTES])
{
    unsigned n = 0;
    if (EVP_Digest(in.n > 0 ? in.p : "", in.n, ret, &n, EVP_sha256(), NULL) != 1 || n != OPS_DIGEST_BYTES)
        return OPS_EINTERNAL;
    return OPS_OK;
}

ops_status ops_digest_keyed(ops_slice key, ops_slice in, uint8_t ret[OPS_DIGEST_BYTES])
{
    if (key.n < OPS_DIGEST_KEY_MIN || key.n > OPS_DIGEST_KEY_MAX)
        return OPS_EINVAL;
    pthread_once(&mac_once, mac_fetch);
    if (mac == NULL)
        return OPS_EUNAVAILABLE;
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    if (ctx == NULL)
        return OPS_ENOMEM;
    unsigned size = OPS_DIGEST_BYTES;
    OSSL_PARAM params[] = {OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_SIZE, &size), OSSL_PARAM_construct_end()};
    size_t n = 0;
    bool ok = EVP_MAC_init(ctx, (const unsigned char *)key.p, key.n, params) == 1 &&
              EVP_MAC_update(ctx, (const unsigned char *)(in.n > 0 ? in.p : ""), in.n) == 1 &&
              EVP_MAC_final(ctx, ret, &n, OPS_DIGEST_BYTES) == 1 && n == OPS_DIGEST_BYTES;
    EVP_MAC_CTX_free(ctx);
    return ok ? OPS_OK : OPS_EINTERNAL;
}

ops_status ops_digest_hmac_sha256(ops_slice key, ops_slice in, uint8_t ret[OPS_DIGEST_BYTES])
{
    unsigned n = 0;
    if (key.n == 0 || key.n > 4096)
        return OPS_EINVAL;
    return HMAC(EVP_sha256(), key.p, (int)key.n, (const unsigned char *)(in.n > 0 ? in.p : ""), in.n, ret,
                &n) != NULL &&
                   n == OPS_DIGEST_BYTES
               ? OPS_OK
               : OPS_EINTERNAL;
}

ops_status ops_digest_open(ops_digest_kind kind, ops_digest_stream **ret)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    if (c == NULL)
        return OPS_ENOMEM;
    if (EVP_DigestInit_ex(c, kind == OPS_DIGEST_SHA1 ? EVP_sha1() : EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(c);
        return OPS_EUNAVAILABLE;
    }
    *ret = (ops_digest_stream *)c; /* one word for the context, so that no other room sees libcrypto's */
    return OPS_OK;
}

ops_status ops_digest_add(ops_digest_stream *s, ops_slice in)
{
    return in.n == 0 || EVP_DigestUpdate((EVP_MD_CTX *)s, in.p, in.n) == 1 ? OPS_OK : OPS_EINTERNAL;
}

ops_status ops_digest_end_hex(ops_digest_stream *s, char ret[2 * OPS_DIGEST_BYTES + 1])
{
    uint8_t raw[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (EVP_DigestFinal_ex((EVP_MD_CTX *)s, raw, &n) != 1 || n > OPS_DIGEST_BYTES)
        return OPS_EINTERNAL;
    ops_hex_put(ret, raw, n);
    return OPS_OK;
}

void ops_digest_free(ops_digest_stream *s)
{
    EVP_MD_CTX_free((EVP_MD_CTX *)s);
}

bool ops_digest_equal(const uint8_t *a, const uint8_t *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}
