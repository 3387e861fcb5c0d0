/* Where a model is fetched from, as people write it:
 *   hf:OWNER/NAME[@REVISION][:FILE]   a repository of a hub that speaks the Hugging Face protocol
 *   https://HOST/PATH                 one file (http too)
 * Names become folders and parts of URLs, so they are checked here, once. @thread any */
#ifndef OPS_OPSCTL_MODEL_SOURCE_H
#define OPS_OPSCTL_MODEL_SOURCE_H

#include <stdbool.h>

#include "base/status/status.h"

enum { OPS_SOURCE_PART_MAX = 128, OPS_SOURCE_URL_MAX = 2048 };

typedef struct ops_source {
    bool hub;
    char owner[OPS_SOURCE_PART_MAX], repo[OPS_SOURCE_PART_MAX]; /* hub */
    char revision[OPS_SOURCE_PART_MAX];                         /* hub: "main" unless given */
    char file[OPS_SOURCE_PART_MAX]; /* hub: "" for the repository as a whole; else the file's name */
    char url[OPS_SOURCE_URL_MAX];   /* of one file, when not of a hub */
} ops_source;

/* OPS_EINVAL names what is wrong with the text. */
OPS_MUST_USE ops_status ops_source_parse(const char *text, ops_source *ret, ops_err *reterr);

/* Letters, digits, '.', '-', '_'; not "." or ".."; not empty: fit to be a folder's or a file's name. */
bool ops_source_name_ok(const char *name);
/* The same in parts between '/', at most three, none of which starts with a '.': a path inside a model's folder. */
bool ops_source_path_ok(const char *path);

/* What the model is called unless the user says: the file without its ending, or the repository. */
void ops_source_model_name(const ops_source *s, char ret[OPS_SOURCE_PART_MAX]);

#endif
