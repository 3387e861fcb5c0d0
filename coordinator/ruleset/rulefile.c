/* Form: documentation of Prometheus, "Defining recording rules" and "Alerting rules". */
#include "coordinator/ruleset/rulefile.h"

#include "base/coll/vec.h"
#include "coordinator/ruleset/regex.h"
#include "coordinator/ruleset/yaml_internal.h"

struct ops_rulefile {
    OPS_VEC(ops_rules_group *) groups;
    OPS_VEC(size_t) firsts; /* of each group in `lines` */
    OPS_VEC(unsigned long) lines;
};

typedef struct group_reading {
    ops_rulefile *file;
    ops_slice name;
    int64_t interval_ms;
    uint64_t limit;
    OPS_VEC(ops_rules_rule_def) rules;
    OPS_VEC(yaml_node_t *) at;
} group_reading;

#define RULE(u) ((ops_rules_rule_def *)(u))
static ops_status rule_record(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return ruleset_text(d, v, &RULE(u)->record);
}
static ops_status rule_alert(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return ruleset_text(d, v, &RULE(u)->alert);
}
static ops_status rule_expr(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return ruleset_text(d, v, &RULE(u)->expr);
}
static ops_status rule_for(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return ruleset_duration(d, v, &RULE(u)->for_ms);
}
static ops_status rule_keep(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return ruleset_duration(d, v, &RULE(u)->keep_ms);
}
static ops_status rule_labels(ruleset_doc *d, yaml_node_t *v, void *u)
{
    ops_rules_label *l = NULL;
    ops_status st = ruleset_labels(d, v, &l, &RULE(u)->label_n);
    RULE(u)->labels = l;
    for (size_t i = 0; st == OPS_OK && i < RULE(u)->label_n; i++)
        if (ops_slice_eq(l[i].name, OPS_RULES_NAME))
            return ruleset_wrong(d, v, "__name__ is no label that a rule may set");
    return st;
}
static ops_status rule_annotations(ruleset_doc *d, yaml_node_t *v, void *u)
{
    ops_rules_label *l = NULL;
    ops_status st = ruleset_labels(d, v, &l, &RULE(u)->annotation_n);
    RULE(u)->annotations = l;
    return st;
}

static ops_status read_rule(ruleset_doc *d, yaml_node_t *n, void *u)
{
    static const ruleset_key keys[] = {{"record", rule_record},
                                       {"alert", rule_alert},
                                       {"expr", rule_expr},
                                       {"for", rule_for},
                                       {"keep_firing_for", rule_keep},
                                       {"labels", rule_labels},
                                       {"annotations", rule_annotations},
                                       {NULL, NULL}};
    group_reading *g = u;
    ops_rules_rule_def r = {0};
    ops_status st = ruleset_map(d, n, keys, &r);
    if (st != OPS_OK)
        return st;
    if (r.record.n > 0 && (r.for_ms != 0 || r.keep_ms != 0 || r.annotation_n > 0))
        return ruleset_wrong(d, n,
                             "for, keep_firing_for and annotations are for alerts, not for recording rules");
    if (!ops_vec_push(&g->rules, r) || !ops_vec_push(&g->at, n))
        return ops_fail(d->err, OPS_ENOMEM, "%s: out of memory", d->name);
    return OPS_OK;
}

#define GROUP(u) ((group_reading *)(u))
static ops_status group_name(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return ruleset_text(d, v, &GROUP(u)->name);
}
static ops_status group_interval(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return ruleset_duration(d, v, &GROUP(u)->interval_ms);
}
static ops_status group_limit(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return ruleset_uint(d, v, &GROUP(u)->limit);
}
static ops_status group_rules(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return ruleset_each(d, v, OPS_RULES_RULES_MAX, read_rule, u);
}
static ops_status not_taken(ruleset_doc *d, yaml_node_t *v, void *u)
{
    (void)u;
    (void)ruleset_wrong(d, v, "query_offset and group labels are not taken");
    return OPS_EUNIMPL;
}

static ops_status make_group(ruleset_doc *d, yaml_node_t *n, group_reading *g)
{
    ops_rules_group *made = NULL;
    size_t at = SIZE_MAX;
    if (g->name.n == 0)
        return ruleset_wrong(d, n, "a group needs a name");
    for (size_t i = 0; i < g->file->groups.n; i++)
        if (ops_slice_eq(ops_rules_group_name(g->file->groups.v[i]), g->name))
            return ruleset_wrong(d, n, "groupname: \"" OPS_SLICE_FMT "\" is repeated in the same file",
                                 OPS_SLICE_ARG(g->name));
    ops_status st = ops_rules_group_new(g->name, g->interval_ms, (size_t)g->limit, g->rules.v, g->rules.n,
                                        &ops_ruleset_regex, &made, &at, d->err);
    if (st != OPS_OK) {
        const yaml_node_t *where = at < g->at.n ? g->at.v[at] : n;
        ops_err_prefix(d->err, "%s:%lu", d->name, ruleset_line(where));
        return st;
    }
    bool kept = ops_vec_push(&g->file->firsts, g->file->lines.n);
    for (size_t i = 0; kept && i < g->at.n; i++)
        kept = ops_vec_push(&g->file->lines, ruleset_line(g->at.v[i]));
    if (kept && ops_vec_push(&g->file->groups, made))
        return OPS_OK;
    ops_rules_group_free(made);
    return ops_fail(d->err, OPS_ENOMEM, "%s: out of memory", d->name);
}

typedef struct file_reading {
    ops_rulefile *file;
    int64_t interval_ms;
} file_reading;

static ops_status read_group(ruleset_doc *d, yaml_node_t *n, void *u)
{
    static const ruleset_key keys[] = {{"name", group_name},
                                       {"interval", group_interval},
                                       {"limit", group_limit},
                                       {"rules", group_rules},
                                       {"query_offset", not_taken},
                                       {"labels", not_taken},
                                       {NULL, NULL}};
    const file_reading *f = u;
    group_reading g = {.file = f->file, .interval_ms = f->interval_ms};
    ops_status st = ruleset_map(d, n, keys, &g);
    if (st == OPS_OK)
        st = make_group(d, n, &g);
    ops_vec_done(&g.rules);
    ops_vec_done(&g.at);
    return st;
}

static ops_status file_groups(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return ruleset_each(d, v, OPS_RULESET_GROUPS_MAX, read_group, u);
}

ops_status ops_rulefile_parse(ops_slice yaml, const char *name, int64_t interval_ms, ops_rulefile **ret,
                              ops_err *reterr)
{
    static const ruleset_key keys[] = {{"groups", file_groups}, {NULL, NULL}};
    OPS_AUTO(ops_rulefile_free) ops_rulefile *f = ops_calloc(1, sizeof *f);
    ruleset_doc d;
    ops_arena arena;
    yaml_node_t *root = NULL;
    if (f == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "%s: out of memory", name);
    file_reading r = {f, interval_ms};
    ops_arena_init(&arena, 4 * (size_t)RULESET_FILE_BYTES_MAX);
    ops_status st = ruleset_doc_open(&d, yaml, name, &arena, &root, reterr);
    if (st == OPS_OK && root != NULL)
        st = ruleset_map(&d, root, keys, &r);
    ruleset_doc_done(&d);
    ops_arena_done(&arena);
    if (st == OPS_OK)
        *ret = OPS_STEAL(f);
    return st;
}

void ops_rulefile_free(ops_rulefile *f)
{
    if (f == NULL)
        return;
    for (size_t i = 0; i < f->groups.n; i++)
        ops_rules_group_free(f->groups.v[i]);
    ops_vec_done(&f->groups);
    ops_vec_done(&f->firsts);
    ops_vec_done(&f->lines);
    ops_free(f);
}
size_t ops_rulefile_count(const ops_rulefile *f)
{
    return f->groups.n;
}
ops_rules_group *ops_rulefile_group(ops_rulefile *f, size_t i)
{
    return f->groups.v[i];
}
unsigned long ops_rulefile_line(const ops_rulefile *f, size_t i, size_t rule)
{
    return f->lines.v[f->firsts.v[i] + rule];
}
