/* The stored form of an entry and its keys. Private to storage/streamlog. */
#ifndef OPS_STREAMLOG_ENTRY_INTERNAL_H
#define OPS_STREAMLOG_ENTRY_INTERNAL_H

#include "base/text/strbuf.h"
#include "storage/streamlog/streamlog.h"

enum {
    FAMILY_LOG = 0,
    FAMILY_DEDUPE = 1,
    FAMILY_FOOTER = 2,
    FAMILY_NOTES = 3,
    ENTRY_KEY_BYTES = 12,
    DEDUPE_KEY_BYTES =
        12 + OPS_STREAMLOG_DEDUPE_BYTES, /* receive time, partition, key: old ones come first */
    ENTRY_HEAD_BYTES = 38
};

void ops_entry_key(uint8_t key[ENTRY_KEY_BYTES], uint32_t part, uint64_t offset);
/* Appends the stored value, compressed when that is smaller. OPS_ENOMEM. */
ops_status ops_entry_encode(const ops_streamlog_entry *e, ops_strbuf *out);
/* *ret's payload points into `plain`, which is cleared first. OPS_ECORRUPT says what is wrong. */
ops_status ops_entry_decode(ops_slice value, ops_strbuf *plain, ops_streamlog_entry *ret, ops_err *reterr);

#endif
