/* The redactor on any bytes: spans are ordered, disjoint and inside the record; what was UTF-8 stays UTF-8. */
#include <stdlib.h>

#include "base/text/utf8.h"
#include "coordinator/redact/redact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ops_redactor *r;
    static ops_redact_scratch *s;
    if (r == NULL) {
        const ops_redact_conf conf = {.kinds = OPS_REDACT_ALL};
        must(ops_redactor_new(&conf, &r, NULL) == OPS_OK && ops_redact_scratch_new(&s, NULL) == OPS_OK);
    }
    ops_slice in = ops_slice_of(data, size), got = {0};
    const ops_redact_span *spans = NULL;
    size_t n = 0, at = 0;
    must(ops_redact_find(r, s, in, &spans, &n) == OPS_OK);
    for (size_t i = 0; i < n; i++) {
        must(spans[i].start >= at && spans[i].start < spans[i].end && spans[i].end <= size);
        at = spans[i].end;
    }
    ops_arena out;
    ops_arena_init(&out, 64 + size * 64);
    must(ops_redact(r, s, in, &out, &got, NULL) == OPS_OK);
    must(!ops_utf8_valid(in) || ops_utf8_valid(got));
    ops_arena_done(&out);
    return 0;
}
