#include "worker/model/stops.h"

ops_status ops_stops_check(const ops_slice *stop, size_t n, ops_err *reterr)
{
    if (n > OPS_STOPS_MAX)
        return ops_fail(reterr, OPS_EINVAL, "%zu stop texts, at most %d", n, OPS_STOPS_MAX);
    for (size_t i = 0; i < n; i++)
        if (stop[i].n == 0 || stop[i].n > OPS_STOP_BYTES_MAX)
            return ops_fail(reterr, OPS_EINVAL, "stop text %zu has %zu bytes, not 1 to %d", i, stop[i].n,
                            OPS_STOP_BYTES_MAX);
    return OPS_OK;
}

size_t ops_stops_shown(ops_slice text, const ops_slice *stop, size_t n, bool *ret_stopped)
{
    size_t until = text.n;
    *ret_stopped = false;
    for (size_t i = 0; i < n; i++) {
        const ptrdiff_t at = ops_slice_find(text, stop[i]);
        if (at >= 0 && (!*ret_stopped || (size_t)at < until)) {
            *ret_stopped = true;
            until = (size_t)at;
        }
    }
    for (size_t i = 0; !*ret_stopped && i < n; i++)
        for (size_t k = 1; k < stop[i].n && k <= text.n; k++)
            if (text.n - k < until && ops_slice_ends(text, ops_slice_sub(stop[i], 0, k)))
                until = text.n - k;
    return until;
}
