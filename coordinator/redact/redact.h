/* Redaction of secrets and personal data from log records before anything is stored.
 *
 * One Hyperscan pass per record looks for triggers (literals and short anchors); only where a trigger fires does a
 * checker of that kind (Luhn, mod 97, quoting rules, ...) decide the exact span. A clean record is returned as it
 * came, without a copy. The only room that includes hs.h.
 *
 * Placeholders: "<redacted:KIND>", or "<KIND#1f2e3d4c>" when a hash key is set: the first four bytes of the keyed
 * BLAKE2b-256 of the secret, so that equal secrets stay equal (joins survive) and cannot be guessed without the key. */
#pragma once
#include "base/mem/arena.h"
#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ops_redact_kind {
    OPS_REDACT_PRIVATE_KEY, /* PEM and PGP private key blocks */
    OPS_REDACT_JWT,
    OPS_REDACT_API_KEY, /* keys with a vendor's prefix: AWS, GCP, Azure, GitHub, Slack, Stripe, Aliyun, ... */
    OPS_REDACT_AUTH,    /* Authorization headers, bearer and basic credentials */
    OPS_REDACT_SECRET,  /* password=, "token": "..", --secret .., in logfmt, JSON, URL query, flags */
    OPS_REDACT_CONNECTION, /* the password in scheme://user:password@host */
    OPS_REDACT_EMAIL,
    OPS_REDACT_CARD,        /* payment cards: issuer range, length and Luhn */
    OPS_REDACT_IBAN,        /* country's length and ISO 7064 mod 97-10 */
    OPS_REDACT_NATIONAL_ID, /* off by default: US SSN, PRC resident identity number (GB 11643 checksum) */
    OPS_REDACT_CUSTOM,
    OPS_REDACT_KIND_COUNT
} ops_redact_kind;

#define OPS_REDACT_CUSTOM_MAX 256
#define OPS_REDACT_ALL        ((1u << OPS_REDACT_KIND_COUNT) - 1)
#define OPS_REDACT_DEFAULT    (OPS_REDACT_ALL & ~(1u << OPS_REDACT_NATIONAL_ID))

typedef struct ops_redact_pattern {
    const char *name;    /* [a-z0-9_-], at most 31 bytes; shown in the placeholder */
    const char *pattern; /* Hyperscan's PCRE subset; the whole match is replaced */
    bool caseless;
} ops_redact_pattern;

typedef struct ops_redact_conf {
    uint32_t kinds; /* bit set of 1u << kind; OPS_REDACT_DEFAULT */
    const ops_redact_pattern *custom;
    size_t custom_count;
    ops_slice hash_key; /* 16..64 bytes: keyed-hash placeholders; empty: "<redacted:kind>" */
} ops_redact_conf;

typedef struct ops_redactor ops_redactor;
typedef struct ops_redact_scratch ops_redact_scratch;

typedef struct ops_redact_span {
    size_t start, end; /* bytes [start, end) of the record; never inside a UTF-8 sequence */
    ops_redact_kind kind;
    const char
        *rule; /* which rule of the kind: "github", "password", the custom pattern's name; static or r's */
} ops_redact_span;

/* The kind's name as placeholders, metrics and `opsctl redact test` show it. */
const char *ops_redact_kind_name(ops_redact_kind kind);

/* Compiles the patterns. Immutable afterwards, so any number of threads may share it.
 * OPS_EINVAL names a custom pattern that does not compile and why; OPS_EUNAVAILABLE: no SSSE3 on this CPU. */
OPS_MUST_USE ops_status ops_redactor_new(const ops_redact_conf *conf, ops_redactor **ret, ops_err *reterr);
ops_redactor *ops_redactor_ref(ops_redactor *r);
void ops_redactor_unref(ops_redactor *r);
OPS_AUTO_DEFINE(ops_redactor, ops_redactor_unref)

/* Working memory, one per thread; serves any redactor, fits itself to a new one after a reload. */
OPS_MUST_USE ops_status ops_redact_scratch_new(ops_redact_scratch **ret, ops_err *reterr);
void ops_redact_scratch_free(ops_redact_scratch *s);
OPS_AUTO_DEFINE(ops_redact_scratch, ops_redact_scratch_free)

/* What would be redacted in `in`: ordered, disjoint spans. *ret belongs to `s` until its next use.
 * @thread any, one at a time per scratch */
OPS_MUST_USE ops_status ops_redact_find(const ops_redactor *r, ops_redact_scratch *s, ops_slice in,
                                        const ops_redact_span **ret, size_t *ret_count);

/* Redacts one record (one line, one attribute value, one joined stack trace).
 * *ret is `in` itself when nothing matched, else a copy in `out`. counts[kind] is increased per replaced span; NULL is
 * allowed. On any failure (OPS_ENOMEM: arena at its cap) *ret is empty and the record must be refused, not stored.
 * @thread any, one at a time per scratch and arena */
OPS_MUST_USE ops_status ops_redact(const ops_redactor *r, ops_redact_scratch *s, ops_slice in, ops_arena *out,
                                   ops_slice *ret, uint32_t counts[OPS_REDACT_KIND_COUNT]);

/* The same for a key and its value that arrive apart (an OTLP or logfmt attribute): a key such as "db.password" makes
 * the whole value secret; any other value is redacted as ops_redact does. */
OPS_MUST_USE ops_status ops_redact_pair(const ops_redactor *r, ops_redact_scratch *s, ops_slice key,
                                        ops_slice in, ops_arena *out, ops_slice *ret,
                                        uint32_t counts[OPS_REDACT_KIND_COUNT]);
