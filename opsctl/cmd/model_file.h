/* What the verbs over a model file share. */
#ifndef OPS_OPSCTL_MODEL_FILE_H
#define OPS_OPSCTL_MODEL_FILE_H

#include "opsctl/model/store.h"
#include "worker/model/lm_file.h"

/* A name in the folder of models is its GGUF file, or the folder of that name where it has none; anything else is a path. */
OPS_MUST_USE ops_status ops_model_file_find(const char *given, char ret[OPS_STORE_PATH_MAX], ops_err *reterr);

/* A decoder ready to run on this machine's processor. */
typedef struct ops_model_open {
    ops_lm_file *file;
    ops_kern_dev *dev;
    ops_lm *lm;
} ops_model_open;

/* `limits.blocks` is worked out from positions and seqs. Messages name the file. Call done in any case. */
OPS_MUST_USE ops_status ops_model_open_lm(const char *given, int threads, ops_lm_limits limits,
                                          ops_model_open *ret, ops_err *reterr);
void ops_model_open_done(ops_model_open *o);

#endif
