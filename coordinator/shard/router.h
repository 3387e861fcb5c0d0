/* Which partition a stream belongs to. The number of partitions is fixed per generation of the log. */
#ifndef OPS_SHARD_ROUTER_H
#define OPS_SHARD_ROUTER_H

#include <stdint.h>

#include "base/text/slice.h"

enum { OPS_PARTITIONS_DEFAULT = 16, OPS_PARTITIONS_MAX = 256 };

/* hash(tenant, service) modulo `partitions` (1..OPS_PARTITIONS_MAX); stable across versions and machines. @thread any */
uint32_t ops_router_partition(ops_slice tenant, ops_slice service, uint32_t partitions);

#endif
