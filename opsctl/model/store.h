/* The folder of models: one folder a model, with what it is made of and a manifest that says where each byte came from.
 *
 *   MODELS/NAME/opsd-model.json   {"name","source","commit","pulled_at","files":[{"path","bytes","sha256","proved_by"}]}
 *   MODELS/.pull-NAME/            what came of a pull that did not end; the next pull of that name goes on from it
 *
 *   MODELS/.lock-NAME             empty; locked by a pull
 *
 * MODELS is --models, else $OPSD_MODELS, else $XDG_DATA_HOME/opsd/models, else ~/.local/share/opsd/models. A model
 * folder without a manifest (copied there by hand) is listed too. */
#ifndef OPS_OPSCTL_MODEL_STORE_H
#define OPS_OPSCTL_MODEL_STORE_H

#include "base/coll/vec.h"
#include "opsctl/model/hub.h"

enum { OPS_STORE_PATH_MAX = 4096 };
#define OPS_STORE_MANIFEST "opsd-model.json"

typedef struct ops_store_file {
    char path[OPS_SOURCE_PART_MAX];
    uint64_t bytes;
    char sha256[OPS_HUB_HASH_MAX];
    char proved_by[32]; /* "sha256", "git-sha1"; "" when nobody said what the bytes should be */
} ops_store_file;

typedef struct ops_store_model {
    char name[OPS_SOURCE_PART_MAX];
    char source[OPS_SOURCE_URL_MAX], commit[OPS_SOURCE_PART_MAX], pulled_at[40];
    bool manifest; /* false: only name and files' paths and sizes are known */
    size_t n;
    ops_store_file v[OPS_HUB_FILES_MAX];
} ops_store_model;

/* Where models are; creates nothing. OPS_EINVAL when no home is known. */
OPS_MUST_USE ops_status ops_store_folder(const char *given, char ret[OPS_STORE_PATH_MAX], ops_err *reterr);

/* What is kept under `name`. OPS_ENOTFOUND; OPS_ECORRUPT: the manifest, named. */
OPS_MUST_USE ops_status ops_store_read(const char *folder, const char *name, ops_store_model *ret,
                                       ops_err *reterr);

typedef struct ops_store_names {
    OPS_VEC(char *) v;
} ops_store_names;
/* Names of all models, sorted; a folder that is not there has none. */
OPS_MUST_USE ops_status ops_store_list(const char *folder, ops_store_names *ret, ops_err *reterr);
void ops_store_names_done(ops_store_names *n);

/* A pull's own folder, made and locked: *ret_lock is a descriptor to close. What lies there stays when it came of the
 * same source and commit as m's, else it goes. OPS_ECONFLICT: another pull has it. */
OPS_MUST_USE ops_status ops_store_begin(const char *folder, const ops_store_model *m,
                                        char ret_work[OPS_STORE_PATH_MAX], int *ret_lock, ops_err *reterr);
/* Writes the manifest and gives the folder its name; what stood there before goes. */
OPS_MUST_USE ops_status ops_store_finish(const char *folder, const char *work, const ops_store_model *m,
                                         ops_err *reterr);

/* SHA-256 of a file, and when `git` is not NULL the SHA-1 that git gives it. */
OPS_MUST_USE ops_status ops_store_hash(const char *path, char ret_sha256[OPS_HUB_HASH_MAX], char *ret_git,
                                       uint64_t *ret_bytes, ops_err *reterr);
/* Is the file what its ending says: GGUF and safetensors are parsed, JSON is read. */
OPS_MUST_USE ops_status ops_store_check(const char *path, ops_err *reterr);

#endif
