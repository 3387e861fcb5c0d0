/* Stream key to partition. */
#include "coordinator/shard/router.h"

#include "base/text/hash.h"

uint32_t ops_router_partition(ops_slice tenant, ops_slice service, uint32_t partitions)
{
    uint64_t h = ops_hash64(service.p, service.n, ops_hash64(tenant.p, tenant.n, 0));
    return (uint32_t)(h % partitions);
}
