/* The templates of one tenant over all partitions, as one: a picture of the moment it was taken.
 *
 * A template has one id wherever it is seen, so rows of one id are one: counts add up, first and last are the outermost,
 * slots merge. Partitions fold at their own pace: where one has folded a1 into b7 and another still counts a1, both are
 * b7. What a partition gave up to its catch-all for want of room stays what it is in the others.
 *
 * Taking it looks into each partition twice, under its lock, for a time that grows with its templates; memory is about
 * 150 bytes and the text a template. @thread any; a catalog has one owner. */
#ifndef OPS_SHARD_CATALOG_H
#define OPS_SHARD_CATALOG_H

#include "coordinator/analysis/template/slots.h"
#include "coordinator/shard/owner.h"

typedef struct ops_catalog ops_catalog;

typedef struct ops_catalog_row {
    uint64_t id, count;
    int64_t first_ns, last_ns;
    ops_slice text; /* lives as long as the catalog */
    uint32_t parts; /* partitions that hold it, or what became it */
} ops_catalog_row;

typedef enum ops_catalog_order {
    OPS_CATALOG_BY_COUNT = 0, /* greatest first; equals by id, here and below */
    OPS_CATALOG_BY_FIRST,     /* newest first */
    OPS_CATALOG_BY_LAST,      /* newest first */
    OPS_CATALOG_BY_ID
} ops_catalog_order;

OPS_MUST_USE ops_status ops_catalog_take(ops_owners *o, ops_slice tenant, ops_catalog_order order,
                                         ops_catalog **ret, ops_err *reterr);
void ops_catalog_free(ops_catalog *c);
OPS_AUTO_DEFINE(ops_catalog, ops_catalog_free)
size_t ops_catalog_count(const ops_catalog *c);
uint64_t ops_catalog_lines(const ops_catalog *c); /* of all templates */
const ops_catalog_row *ops_catalog_row_at(const ops_catalog *c, size_t i);
/* The row that stands for `id` now, also when `id` was folded away; OPS_ENOTFOUND names it. */
OPS_MUST_USE ops_status ops_catalog_find(const ops_catalog *c, uint64_t id, size_t *ret, ops_err *reterr);

/* What the partitions know besides, asked for anew: it may be a moment younger than the row. */
typedef struct ops_catalog_fold {
    uint64_t old_id, new_id, count; /* lines that the old one had, over all partitions that folded it */
    int64_t at_ns;                  /* event time, of the first that did */
    char *text;                     /* of the old one */
    ops_miner_fold_why why;
} ops_catalog_fold;
typedef struct ops_catalog_stream {
    char *service;
    uint64_t records, errors;
    uint32_t part;
} ops_catalog_stream;
enum { OPS_CATALOG_FOLDS_MAX = 200, OPS_CATALOG_STREAMS_MAX = 1000 };
typedef struct ops_catalog_detail {
    ops_slots *slots; /* NULL: none */
    char *examples[OPS_MINER_EXAMPLES_MAX];
    size_t example_count;
    ops_catalog_fold
        *folds; /* into this template, directly or not; newest first, at most OPS_CATALOG_FOLDS_MAX */
    size_t fold_count;
    ops_catalog_stream *streams; /* most records first, at most OPS_CATALOG_STREAMS_MAX */
    size_t stream_count;
    bool more; /* folds or streams were left out */
} ops_catalog_detail;
/* Slots and examples of row i; with `whole`, folds and streams too. OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_catalog_look(const ops_catalog *c, size_t i, bool whole, ops_catalog_detail *ret,
                                         ops_err *reterr);
void ops_catalog_detail_done(ops_catalog_detail *d);

#endif
