/* The weights of a Hugging Face folder: model.safetensors, or the files that model.safetensors.index.json names, as one set
 * of tensors. Format of the index: transformers, "Sharded checkpoints" (metadata, weight_map: tensor -> file).
 * @thread immutable once opened */
#ifndef OPS_WORKER_SHARDS_H
#define OPS_WORKER_SHARDS_H

#include "base/coll/map.h"
#include "worker/model/safetensors.h"

enum {
    OPS_SHARDS_MAX = 256,
    OPS_SHARDS_NAME_MAX = 255, /* bytes of a file's name */
    OPS_SHARDS_INDEX_MAX = 16 << 20,
};

/* What an index says. */
typedef struct ops_shard_index {
    size_t files;
    char (*file)[OPS_SHARDS_NAME_MAX + 1]; /* names in the folder, distinct */
    size_t tensors;
    ops_map *file_of; /* tensor -> one of `file` */
} ops_shard_index;

/* Reads an index. A file's name is one plain name that ends in ".safetensors". OPS_ECORRUPT names the tensor; OPS_ETOOBIG the
 * bound; OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_shard_index_parse(ops_slice json, ops_shard_index *ret, ops_err *reterr);
void ops_shard_index_done(ops_shard_index *x);

typedef struct ops_shards ops_shards;

/* Maps and parses the files. A tensor must lie in the file that the index says and in no other, and every tensor of a file must
 * be in the index. The mappings live as long as *ret (see mapped.h). OPS_ENOTFOUND: neither file is there. */
OPS_MUST_USE ops_status ops_shards_open(const char *folder, ops_shards **ret, ops_err *reterr);
/* One file in memory, which must outlive *ret. */
OPS_MUST_USE ops_status ops_shards_parse(ops_slice bytes, ops_shards **ret, ops_err *reterr);
void ops_shards_free(ops_shards *s);
OPS_AUTO_DEFINE(ops_shards, ops_shards_free)

size_t ops_shards_files(const ops_shards *s);
size_t ops_shards_bytes(const ops_shards *s); /* of all files */
size_t ops_shards_count(const ops_shards *s); /* tensors */
const ops_safetensor *ops_shards_at(const ops_shards *s, size_t i);
const ops_safetensor *ops_shards_find(const ops_shards *s, const char *name); /* NULL when absent */

#endif
