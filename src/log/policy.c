#include "log/store_internal.h"

void log_policy_default(struct log_policy *p)
{
    *p = (struct log_policy){
        .drop = true,
        .retention_ms = 7ll * 24 * 3600 * 1000,
        .retention_bytes = -1,
        .segment_bytes = 1ll << 30,
        .segment_ms = 7ll * 24 * 3600 * 1000,
        .max_compaction_lag_ms = INT64_MAX,
        .delete_retention_ms = 24ll * 3600 * 1000,
        .min_dirty_ratio = 0.5,
    };
}

void log_set_policy(struct log *log, const struct log_policy *policy)
{
    log_state(log)->policy = policy;
}

void store_set_wall_time(struct store *s, int64_t now_ms)
{
    s->wall_ms = now_ms;
}
