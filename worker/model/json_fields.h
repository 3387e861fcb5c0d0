/* Fields of the JSON files that lie in a model's folder, each checked. `file` is the file's name, for messages. */
#ifndef OPS_WORKER_JSON_FIELDS_H
#define OPS_WORKER_JSON_FIELDS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/status/status.h"
#include "base/text/slice.h"

/* A whole file that must be one object without a key twice; *ret is the caller's (json_decref). OPS_ECORRUPT. */
OPS_MUST_USE ops_status ops_json_load(ops_slice json, const char *file, json_t **ret, ops_err *reterr);
/* A whole number from 1 to max; absent or null: `otherwise`, which 0 makes an error. */
OPS_MUST_USE ops_status ops_json_whole(const json_t *j, const char *file, const char *key, int max,
                                       int otherwise, int *ret, ops_err *reterr);
/* A number in (0, max]; absent or null: `otherwise`, which 0 makes an error. */
OPS_MUST_USE ops_status ops_json_number(const json_t *j, const char *file, const char *key, double max,
                                        double otherwise, float *ret, ops_err *reterr);
/* True or false; absent or null: `otherwise`. */
OPS_MUST_USE ops_status ops_json_bool(const json_t *j, const char *file, const char *key, bool otherwise,
                                      bool *ret, ops_err *reterr);
bool ops_json_absent(const json_t *j, const char *key); /* or null */

#endif
