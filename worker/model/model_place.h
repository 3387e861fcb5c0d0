/* Which file or folder a path of a model means, and what the model is called by it. @thread any */
#ifndef OPS_WORKER_MODEL_PLACE_H
#define OPS_WORKER_MODEL_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status/status.h"

enum { OPS_MODEL_PLACE_MAX = 4096 };

/* A file; of a folder the only GGUF file in it, or else the folder itself: one of Hugging Face's. *ret_folder: is `path` a
 * folder? OPS_ENOTFOUND, OPS_EIO: the system's words; OPS_EINVAL: several GGUF files in the folder; OPS_ETOOBIG. */
OPS_MUST_USE ops_status ops_model_place_find(const char *path, char ret[OPS_MODEL_PLACE_MAX],
                                             bool *ret_folder, ops_err *reterr);
/* The last part of the path, without the ending of a GGUF file; cut to `cap`. */
void ops_model_place_name(const char *path, bool folder, char *ret, size_t cap);

#endif
