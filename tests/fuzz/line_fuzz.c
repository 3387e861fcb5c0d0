/* One log line, from any bytes: always a record, always UTF-8. */
#include <stdlib.h>

#include "base/text/utf8.h"
#include "coordinator/ingest/line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ops_ingest_limits limits;
    ops_arena arena;
    ops_record r;

    ops_ingest_limits_default(&limits);
    const ops_line_ctx ctx = {.limits = &limits, .recv_ns = 1767258000000000000, .zone_offset_s = 3600};
    ops_arena_init(&arena, 65536);
    const ops_line_shape shape = ops_line_parse(&ctx, ops_slice_of(data, size), &arena, &r, NULL, NULL);
    if (shape >= OPS_LINE_SHAPE_COUNT || r.severity > 24 || !ops_utf8_valid(r.message) ||
        !ops_utf8_valid(r.service))
        abort();
    for (uint32_t i = 0; i < r.attr_count; i++) {
        if (!ops_utf8_valid(r.attrs[i].key) || !ops_utf8_valid(r.attrs[i].val))
            abort();
    }
    ops_arena_done(&arena);
    return 0;
}
