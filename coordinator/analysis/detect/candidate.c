#include "coordinator/analysis/detect/candidate.h"

const char *ops_candidate_kind_name(ops_candidate_kind kind)
{
    static const char *const names[OPS_CANDIDATE_KIND_COUNT] = {
        [OPS_CANDIDATE_NEW_TEMPLATE] = "new_template",
        [OPS_CANDIDATE_RATE_UP] = "rate_up",
        [OPS_CANDIDATE_RATE_DOWN] = "rate_down",
        [OPS_CANDIDATE_SILENT] = "silent",
        [OPS_CANDIDATE_RARE_BURST] = "rare_burst",
        [OPS_CANDIDATE_SEVERITY_SHIFT] = "severity_shift",
        [OPS_CANDIDATE_CHANGE] = "change",
        [OPS_CANDIDATE_METRIC] = "metric",
        [OPS_CANDIDATE_SEQUENCE] = "sequence",
        [OPS_CANDIDATE_RUNOUT] = "runout",
    };
    return kind > 0 && kind < OPS_CANDIDATE_KIND_COUNT && names[kind] != NULL ? names[kind] : "unknown";
}

const char *ops_level_name(ops_level level)
{
    static const char *const names[OPS_LEVEL_COUNT] = {[OPS_LEVEL_INFO] = "info",
                                                       [OPS_LEVEL_WARNING] = "warning",
                                                       [OPS_LEVEL_ERROR] = "error",
                                                       [OPS_LEVEL_CRITICAL] = "critical"};
    return level > 0 && level < OPS_LEVEL_COUNT ? names[level] : "unknown";
}
