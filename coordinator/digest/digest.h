/* Hashes, a keyed hash and a constant-time comparison. The room that hosts OpenSSL's libcrypto. */
#pragma once
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

/* Takes the same time whatever the bytes are. */
bool ops_digest_equal(const uint8_t *a, const uint8_t *b, size_t n);
