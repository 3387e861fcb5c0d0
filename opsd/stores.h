/* The data folder: two databases and the layout they were made with. */
#ifndef OPSD_STORES_H
#define OPSD_STORES_H

#include "storage/repo/repo.h"
#include "storage/streamlog/streamlog.h"

typedef struct opsd_stores {
    char *path;
    ops_kv *log_kv, *db_kv;
    ops_streamlog *log;
    ops_repo *repo;
} opsd_stores;

/* Makes the folder when missing. OPS_ECONFLICT: another opsd has it (names its pid), or it was made with another number of
 * partitions. `conf`: its space port is set here. */
OPS_MUST_USE ops_status opsd_stores_open(const char *path, ops_streamlog_conf *conf, opsd_stores *ret,
                                         ops_err *reterr);
void opsd_stores_close(opsd_stores *s);

#endif
