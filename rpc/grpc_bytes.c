/* Small conversions between core's types and ours. */
#include <grpc/support/log.h>

#include "base/log/log.h"
#include "rpc/grpc_internal.h"

/* Core's own words: an error here is answered by a status there, so it is for who debugs. */
static void core_log(gpr_log_func_args *args)
{
    OPS_LOG(args->severity == GPR_LOG_SEVERITY_ERROR ? OPS_LOG_DEBUG : OPS_LOG_OFF, "grpc_core",
            OPS_KV_STR("file", args->file), OPS_KV_INT("line", args->line), OPS_KV_STR("msg", args->message));
}

void rpc_core_ref(void)
{
    gpr_set_log_function(core_log);
    grpc_init();
}

void rpc_core_unref(void)
{
    grpc_shutdown();
}

grpc_byte_buffer *rpc_bytes_of(ops_slice s)
{
    grpc_slice copy = grpc_slice_from_copied_buffer(s.p != NULL ? s.p : "", s.n);
    grpc_byte_buffer *b = grpc_raw_byte_buffer_create(&copy, 1);
    grpc_slice_unref(copy);
    return b;
}

grpc_slice rpc_slice_of(grpc_byte_buffer *b)
{
    grpc_byte_buffer_reader reader;
    grpc_slice *first, all;
    if (!grpc_byte_buffer_reader_init(&reader, b))
        return grpc_empty_slice();
    size_t n = grpc_byte_buffer_length(b);
    if (n > 0 && grpc_byte_buffer_reader_peek(&reader, &first) && GRPC_SLICE_LENGTH(*first) == n)
        all = grpc_slice_ref(*first);
    else {
        grpc_byte_buffer_reader_destroy(&reader);
        if (!grpc_byte_buffer_reader_init(&reader, b))
            return grpc_empty_slice();
        all = grpc_byte_buffer_reader_readall(&reader);
    }
    grpc_byte_buffer_reader_destroy(&reader);
    return all;
}

ops_slice rpc_metadata_find(const grpc_metadata_array *md, const char *key)
{
    for (size_t i = 0; i < md->count; i++)
        if (grpc_slice_str_cmp(md->metadata[i].key, key) == 0)
            return rpc_view(&md->metadata[i].value);
    return (ops_slice){NULL, 0};
}

gpr_timespec rpc_deadline(int64_t timeout_ms)
{
    if (timeout_ms < 0)
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(timeout_ms, GPR_TIMESPAN));
}
