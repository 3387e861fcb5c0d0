/* A repository of models on a hub that speaks the Hugging Face protocol: which files it has, which of them make the
 * model, and where each is.  https://huggingface.co/docs/hub/api ("GET /api/models/{repo_id}/revision/{revision}") */
#ifndef OPS_OPSCTL_MODEL_HUB_H
#define OPS_OPSCTL_MODEL_HUB_H

#include "opsctl/model/fetch.h"
#include "opsctl/model/source.h"

enum { OPS_HUB_FILES_MAX = 64, OPS_HUB_HASH_MAX = 65 };

typedef struct ops_hub_file {
    char path[OPS_SOURCE_PART_MAX];
    char url[OPS_SOURCE_URL_MAX];
    uint64_t bytes;                  /* 0: not told */
    char sha256[OPS_HUB_HASH_MAX];   /* lower-case hexadecimal; "" when not told */
    char git_sha1[OPS_HUB_HASH_MAX]; /* of "blob LENGTH\0" and the bytes; "" when not told */
} ops_hub_file;

typedef struct ops_hub_files {
    char commit[OPS_SOURCE_PART_MAX]; /* what the revision stands for; "" for a plain URL */
    size_t n;
    ops_hub_file v[OPS_HUB_FILES_MAX];
} ops_hub_files;

/* The files that `s` names. Of a repository without a file: its one GGUF file, or the parts that make a safetensors
 * model. OPS_EINVAL: several GGUF files (named), a model in several parts, nothing that is a model; OPS_ECORRUPT: an
 * answer that is not the protocol's; else as ops_fetch_text. `base`: "https://HOST[/...]". */
OPS_MUST_USE ops_status ops_hub_list(ops_fetch *f, const char *base, const ops_source *s, ops_hub_files *ret,
                                     ops_err *reterr);

/* The same from the answer's text; pure, for ops_hub_list and tests. */
OPS_MUST_USE ops_status ops_hub_read(const char *base, const ops_source *s, ops_slice answer,
                                     ops_hub_files *ret, ops_err *reterr);

#endif
