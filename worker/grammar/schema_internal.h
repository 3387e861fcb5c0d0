/* Inside of the compiler of JSON Schema. A schema that may be met again (an object, an array, what a $ref names) is a rule of
 * its own, made from a queue, so recursion of schemas is no recursion of ours. */
#ifndef OPS_WORKER_GRAMMAR_SCHEMA_INTERNAL_H
#define OPS_WORKER_GRAMMAR_SCHEMA_INTERNAL_H

#include <jansson.h>

#include "base/coll/map.h"
#include "worker/grammar/build_internal.h"

enum {
    OPS_GS_POINTER_MAX = 4096,
    OPS_GS_REFS_MAX = 64,     /* from one $ref to the next */
    OPS_GS_COUNT_MAX = 4096,  /* elements or code points that are offered where no more must come */
    OPS_GS_PREFIX_MAX = 1024, /* prefixItems: an expression nests as deep */
    OPS_GS_MADE_MAX = 16384   /* schemas that merging makes */
};

typedef enum ops_gs_what { OPS_GS_VALUE = 1, OPS_GS_OBJECT, OPS_GS_ARRAY } ops_gs_what;

typedef struct ops_gs_job {
    uint32_t rule;
    ops_gs_what what;
    json_t *schema; /* borrowed */
    ops_slice at;   /* its JSON pointer, owned */
} ops_gs_job;

typedef struct ops_gs {
    ops_gb *b;
    json_t *root;
    OPS_VEC(ops_gs_job) jobs;
    ops_map64 *rules;       /* address of a schema + what -> rule + 1 */
    ops_map64 *strings;     /* least and most code points -> rule + 1 */
    ops_map *made_by_text;  /* -> json_t */
    OPS_VEC(json_t *) made; /* schemas that no text holds: merged ones. Owned */
    OPS_VEC(ops_slice) names;
    ops_strbuf at; /* where we are */
    int depth;
    ops_err *err;
    ops_status st;
} ops_gs;

bool ops_gs_going(const ops_gs *s);
/* Each gives OPS_GB_NEVER and sets s->st; `what` is followed by the pointer. */
ops_gb_ref ops_gs_wrong(ops_gs *s, ops_status st, const char *keyword, const char *what);
ops_gb_ref ops_gs_out_of_memory(ops_gs *s);
size_t ops_gs_go_in(ops_gs *s, const char *key); /* "/key", escaped; what to give ops_gs_go_out */
size_t ops_gs_go_in_at(ops_gs *s, size_t index);
void ops_gs_go_out(ops_gs *s, size_t mark);

ops_gb_ref ops_gs_value(ops_gs *s, json_t *schema); /* schema.c */
uint32_t ops_gs_rule(ops_gs *s, json_t *schema, ops_gs_what what);
json_t *ops_gs_resolve(ops_gs *s, const json_t *ref); /* borrowed; NULL: told */
bool ops_gs_is_annotation(const char *key);
/* Keywords other than annotations and those that are named (NULL at the end). */
const char *ops_gs_other_than(const json_t *schema, const char *const *names);

/* Both at once. Borrowed, like every schema; NULL: told. A schema that nothing satisfies is false. (schema_merge.c) */
json_t *ops_gs_both(ops_gs *s, json_t *a, json_t *b);
json_t *ops_gs_all_of(ops_gs *s, json_t *schema);
json_t *ops_gs_without(ops_gs *s, json_t *schema, const char *key);

ops_gb_ref ops_gs_types(ops_gs *s, json_t *schema);    /* schema_type.c */
ops_gb_ref ops_gs_literals(ops_gs *s, json_t *schema); /* enum, const */
ops_slice ops_gs_dump(const json_t *value);            /* owned by the caller; p NULL: the heap is out */
bool ops_gs_takes(const json_t *schema, const json_t *value); /* by its type alone */
ops_gb_ref ops_gs_object(ops_gs *s, json_t *schema);          /* schema_nest.c */
ops_gb_ref ops_gs_array(ops_gs *s, json_t *schema);
/* A count; a greatest one is cut to OPS_GRAMMAR_REPEAT_MAX, a least one above it refused. False: told. Absent leaves *ret. */
bool ops_gs_count(ops_gs *s, const json_t *schema, const char *key, uint32_t *ret);
/* How many are offered at most of those that are allowed. */
static inline uint32_t ops_gs_fewer(uint32_t min, uint32_t max)
{
    const uint32_t few = min > OPS_GS_COUNT_MAX ? min : OPS_GS_COUNT_MAX;
    return max != OPS_GB_NO_MAX && max > few ? few : max;
}

#endif
