/* The state of a catalog. Private to the room. */
#ifndef OPS_SHARD_CATALOG_INTERNAL_H
#define OPS_SHARD_CATALOG_INTERNAL_H

#include "base/coll/map.h"
#include "base/coll/vec.h"
#include "coordinator/shard/catalog.h"

/* A template of one partition. */
typedef struct member {
    uint64_t id;
    uint32_t part, row;
} member;

typedef struct entry { /* one id, of whichever partitions */
    ops_catalog_row r;
    uint64_t now; /* the id that it is part of; its own when it stands for itself */
    char *text;
} entry;

struct ops_catalog {
    ops_owners *owners;
    ops_slice tenant;
    char *tenant_text;
    uint32_t partitions;
    OPS_VEC(entry) entries;  /* after taking: sorted, those that stand for themselves first */
    OPS_VEC(member) members; /* sorted by row */
    ops_map64 *places;       /* id -> place in entries + 1 */
    size_t rows;
    uint64_t lines;
};

/* The place of the entry that stands for `id`; SIZE_MAX when none does. */
size_t ops_catalog_place(const ops_catalog *c, uint64_t id);

#endif
