/* What is done now and then: retention of the stream log, below what the state has durably seen. */
#include "base/log/log.h"
#include "opsd/daemon.h"

enum { NS_PER_MS = 1000000 };

void opsd_upkeep(opsd_daemon *d)
{
    uint32_t partitions = (uint32_t)ops_conf_uint(d->conf, KEY_STORAGE_PARTITIONS);
    const ops_conf *c = d->live != NULL ? d->live : d->conf;
    const ops_streamlog_keep keep = {.age_ns = (int64_t)ops_conf_uint(c, KEY_STORAGE_KEEP_AGE) * NS_PER_MS,
                                     .bytes = ops_conf_uint(c, KEY_STORAGE_KEEP_SIZE) / partitions};
    int64_t now = ops_clock_wall_ns(ops_clock_system());
    for (uint32_t part = 0; part < partitions; part++) {
        ops_fold_state fold;
        ops_err err = {0};
        uint64_t held = 0;
        ops_status st = ops_repo_durable(d->stores.repo, part, &fold, &err);
        if (st == OPS_OK)
            st = ops_streamlog_retain(d->stores.log, part, fold.pos, now, &keep, &held, &err);
        if (st != OPS_OK)
            OPS_LOG(OPS_LOG_ERROR, "retention_failed", OPS_KV_INT("partition", part),
                    OPS_KV_STR("why", err.msg));
        else if (held > 0)
            OPS_LOG(OPS_LOG_WARN, "retention_overtakes_reader", OPS_KV_INT("partition", part),
                    OPS_KV_U64("entries_held", held));
    }
}
