/* Hashes, a keyed hash and a constant-time comparison. The room that hosts OpenSSL's libcrypto. */
#pragma once
#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPS_DIGEST_BYTES   32
#define OPS_DIGEST_KEY_MIN 16
#define OPS_DIGEST_KEY_MAX 64

/* SHA-256 (FIPS 180-4). @thread any */
OPS_MUST_USE ops_status ops_digest_sha256(ops_slice in, uint8_t ret[OPS_DIGEST_BYTES]);

/* Keyed BLAKE2b with 32 bytes out (RFC 7693). OPS_EINVAL: key length. @thread any */
OPS_MUST_USE ops_status ops_digest_keyed(ops_slice key, ops_slice in, uint8_t ret[OPS_DIGEST_BYTES]);

/* HMAC-SHA-256 (RFC 2104, FIPS 198-1), for who must be shown one. OPS_EINVAL: key of no bytes or above 4,096. @thread any */
OPS_MUST_USE ops_status ops_digest_hmac_sha256(ops_slice key, ops_slice in, uint8_t ret[OPS_DIGEST_BYTES]);

/* A hash over bytes that come in pieces. SHA-1 is for the ids that git gives files, not for trust. @thread one at a time */
typedef enum ops_digest_kind { OPS_DIGEST_SHA256, OPS_DIGEST_SHA1 } ops_digest_kind;
typedef struct ops_digest_stream ops_digest_stream;
/* OPS_ENOMEM; OPS_EUNAVAILABLE: libcrypto is not allowed this hash. */
OPS_MUST_USE ops_status ops_digest_open(ops_digest_kind kind, ops_digest_stream **ret);
OPS_MUST_USE ops_status ops_digest_add(ops_digest_stream *s, ops_slice in);
/* 32 bytes of SHA-256 or 20 of SHA-1 in lower-case hexadecimal, with a NUL. Once a stream. */
OPS_MUST_USE ops_status ops_digest_end_hex(ops_digest_stream *s, char ret[2 * OPS_DIGEST_BYTES + 1]);
void ops_digest_free(ops_digest_stream *s);
OPS_AUTO_DEFINE(ops_digest_stream, ops_digest_free)

/* Takes the same time whatever the bytes are. */
bool ops_digest_equal(const uint8_t *a, const uint8_t *b, size_t n);
