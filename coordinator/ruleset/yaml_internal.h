/* libyaml's document, walked with the place of every mistake. Private to the room. */
#ifndef OPS_RULESET_YAML_INTERNAL_H
#define OPS_RULESET_YAML_INTERNAL_H

#include <yaml.h>

#include "base/mem/arena.h"
#include "base/status/status.h"
#include "coordinator/analysis/rules/labels.h"

enum { RULESET_FILE_BYTES_MAX = 4 << 20 };

typedef struct ruleset_doc {
    yaml_document_t doc;
    bool open;
    const char *name;
    ops_arena *arena; /* texts that outlive the document */
    ops_err *err;
} ruleset_doc;

/* *ret_root is NULL for an empty file. */
ops_status ruleset_doc_open(ruleset_doc *d, ops_slice text, const char *name, ops_arena *arena,
                            yaml_node_t **ret_root, ops_err *reterr);
void ruleset_doc_done(ruleset_doc *d);
unsigned long ruleset_line(const yaml_node_t *n);
/* OPS_EINVAL with "NAME:LINE: ". */
ops_status ruleset_wrong(const ruleset_doc *d, const yaml_node_t *n, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* What a key means: a table of these, ended by a NULL key. */
typedef struct ruleset_key {
    const char *key;
    ops_status (*read)(ruleset_doc *d, yaml_node_t *value, void *u);
} ruleset_key;
/* A mapping by its table; unknown keys and keys given twice are refused. */
ops_status ruleset_map(ruleset_doc *d, yaml_node_t *n, const ruleset_key *keys, void *u);
/* Each item of a list; an empty value is an empty list. */
ops_status ruleset_each(ruleset_doc *d, yaml_node_t *n, size_t max,
                        ops_status (*read)(ruleset_doc *d, yaml_node_t *item, void *u), void *u);
ops_status ruleset_text(ruleset_doc *d, yaml_node_t *n, ops_slice *ret); /* copied */
ops_status ruleset_duration(ruleset_doc *d, yaml_node_t *n, int64_t *ret_ms);
ops_status ruleset_uint(ruleset_doc *d, yaml_node_t *n, uint64_t *ret);
/* A mapping of texts. */
ops_status ruleset_labels(ruleset_doc *d, yaml_node_t *n, ops_rules_label **ret, size_t *ret_n);

#endif
