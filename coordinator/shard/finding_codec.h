/* A finding as ops.v1.Finding bytes: what the repository keeps and the API hands out. */
#ifndef OPS_SHARD_FINDING_CODEC_H
#define OPS_SHARD_FINDING_CODEC_H

#include "base/status/status.h"
#include "base/text/strbuf.h"
#include "coordinator/analysis/finding/book.h"

/* Appends; check out->failed. `before`: the finding as stored last (empty: none), whose feedback is carried over; bytes
 * that do not read are OPS_ECORRUPT. The revision is left 0: the repository numbers what it writes. `partitions` names
 * where evidence is kept. */
OPS_MUST_USE ops_status ops_finding_encode(const ops_finding *f, ops_slice before, uint32_t partitions,
                                           ops_strbuf *out, ops_err *reterr);

/* The severity (ops.v1.Level) of an encoded finding; 0 when it is empty or does not read. */
int ops_finding_severity(ops_slice body);

/* Adds or replaces the author's feedback in an encoded finding. OPS_ERANGE: OPS_FINDING_FEEDBACK_MAX authors spoke. */
typedef struct ops_finding_feedback {
    ops_slice author, comment;
    int verdict; /* ops.v1.Verdict */
    int64_t time_ns;
} ops_finding_feedback;
enum { OPS_FINDING_FEEDBACK_MAX = 64 };
OPS_MUST_USE ops_status ops_finding_add_feedback(ops_slice before, const ops_finding_feedback *fb,
                                                 ops_strbuf *out, ops_err *reterr);

#endif
