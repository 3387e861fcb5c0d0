#include <stdarg.h>
#include <stdio.h>

#include "coordinator/analysis/rules/query.h"
#include "coordinator/ruleset/yaml_internal.h"

unsigned long ruleset_line(const yaml_node_t *n)
{
    return (unsigned long)n->start_mark.line + 1;
}

ops_status ruleset_wrong(const ruleset_doc *d, const yaml_node_t *n, const char *fmt, ...)
{
    char words[400];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(words, sizeof words, fmt, ap);
    va_end(ap);
    return ops_fail(d->err, OPS_EINVAL, "%s:%lu: %s", d->name, ruleset_line(n), words);
}

ops_status ruleset_doc_open(ruleset_doc *d, ops_slice text, const char *name, ops_arena *arena,
                            yaml_node_t **ret_root, ops_err *reterr)
{
    yaml_parser_t p;
    ops_status st = OPS_OK;
    *d = (ruleset_doc){.name = name, .arena = arena, .err = reterr};
    if (text.n > RULESET_FILE_BYTES_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "%s: larger than %d bytes", name, RULESET_FILE_BYTES_MAX);
    if (!yaml_parser_initialize(&p))
        return ops_fail(reterr, OPS_ENOMEM, "%s: out of memory", name);
    yaml_parser_set_input_string(&p, (const unsigned char *)(text.p != NULL ? text.p : ""), text.n);
    if (!yaml_parser_load(&p, &d->doc))
        st = p.error == YAML_MEMORY_ERROR
                 ? ops_fail(reterr, OPS_ENOMEM, "%s: out of memory", name)
                 : ops_fail(reterr, OPS_EINVAL, "%s:%lu: %s", name, (unsigned long)p.problem_mark.line + 1,
                            p.problem != NULL ? p.problem : "not YAML");
    else
        d->open = true;
    yaml_parser_delete(&p);
    if (st == OPS_OK)
        *ret_root = yaml_document_get_root_node(&d->doc);
    return st;
}

void ruleset_doc_done(ruleset_doc *d)
{
    if (d->open)
        yaml_document_delete(&d->doc);
    d->open = false;
}

static bool empty(const yaml_node_t *n)
{
    return n->type == YAML_SCALAR_NODE && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (n->data.scalar.length == 0 || strcmp((const char *)n->data.scalar.value, "~") == 0 ||
            strcmp((const char *)n->data.scalar.value, "null") == 0);
}

static ops_slice scalar(const yaml_node_t *n)
{
    return ops_slice_of(n->data.scalar.value, n->data.scalar.length);
}

ops_status ruleset_map(ruleset_doc *d, yaml_node_t *n, const ruleset_key *keys, void *u)
{
    uint64_t seen = 0;
    ops_status st = OPS_OK;
    if (empty(n))
        return OPS_OK;
    if (n->type != YAML_MAPPING_NODE)
        return ruleset_wrong(d, n, "keys and values are expected here");
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; st == OPS_OK && p < n->data.mapping.pairs.top;
         p++) {
        yaml_node_t *k = yaml_document_get_node(&d->doc, p->key),
                    *v = yaml_document_get_node(&d->doc, p->value);
        size_t i = 0;
        if (k == NULL || v == NULL || k->type != YAML_SCALAR_NODE)
            return ruleset_wrong(d, n, "a plain key is expected");
        while (keys[i].key != NULL && !ops_slice_eq(scalar(k), ops_slice_str(keys[i].key)))
            i++;
        if (keys[i].key == NULL)
            return ruleset_wrong(d, k, "field " OPS_SLICE_FMT " is not known here",
                                 OPS_SLICE_ARG(ops_slice_sub(scalar(k), 0, 64)));
        if ((seen >> i & 1) != 0)
            return ruleset_wrong(d, k, "%s is given twice", keys[i].key);
        seen |= 1ull << i;
        st = keys[i].read(d, v, u);
    }
    return st;
}

ops_status ruleset_each(ruleset_doc *d, yaml_node_t *n, size_t max,
                        ops_status (*read)(ruleset_doc *d, yaml_node_t *item, void *u), void *u)
{
    ops_status st = OPS_OK;
    if (empty(n))
        return OPS_OK;
    if (n->type != YAML_SEQUENCE_NODE)
        return ruleset_wrong(d, n, "a list is expected here");
    if ((size_t)(n->data.sequence.items.top - n->data.sequence.items.start) > max)
        return ruleset_wrong(d, n, "more than %zu items", max);
    for (yaml_node_item_t *i = n->data.sequence.items.start; st == OPS_OK && i < n->data.sequence.items.top;
         i++) {
        yaml_node_t *item = yaml_document_get_node(&d->doc, *i);
        st = item != NULL ? read(d, item, u) : ruleset_wrong(d, n, "an item is missing");
    }
    return st;
}

ops_status ruleset_text(ruleset_doc *d, yaml_node_t *n, ops_slice *ret)
{
    if (n->type != YAML_SCALAR_NODE)
        return ruleset_wrong(d, n, "one value is expected here");
    ops_slice s = ops_arena_dup(d->arena, empty(n) ? OPS_SLICE("") : scalar(n));
    if (s.p == NULL)
        return ops_fail(d->err, OPS_ETOOBIG, "%s: too much text, or out of memory", d->name);
    *ret = s;
    return OPS_OK;
}

ops_status ruleset_duration(ruleset_doc *d, yaml_node_t *n, int64_t *ret_ms)
{
    if (n->type != YAML_SCALAR_NODE || !ops_rules_duration(scalar(n), ret_ms))
        return ruleset_wrong(d, n, "a duration such as 30s or 1h30m is expected");
    return OPS_OK;
}

ops_status ruleset_uint(ruleset_doc *d, yaml_node_t *n, uint64_t *ret)
{
    if (n->type != YAML_SCALAR_NODE || !ops_slice_to_u64(scalar(n), ret))
        return ruleset_wrong(d, n, "a whole number is expected");
    return OPS_OK;
}

ops_status ruleset_labels(ruleset_doc *d, yaml_node_t *n, ops_rules_label **ret, size_t *ret_n)
{
    size_t count = 0;
    *ret_n = 0;
    *ret = NULL;
    if (empty(n))
        return OPS_OK;
    if (n->type != YAML_MAPPING_NODE)
        return ruleset_wrong(d, n, "names and texts are expected here");
    size_t max = (size_t)(n->data.mapping.pairs.top - n->data.mapping.pairs.start);
    if (max > OPS_RULES_LABELS_MAX / 2)
        return ruleset_wrong(d, n, "more than %d names", OPS_RULES_LABELS_MAX / 2);
    ops_rules_label *v = ops_arena_alloc(d->arena, (max + 1) * sizeof *v);
    if (v == NULL)
        return ops_fail(d->err, OPS_ENOMEM, "%s: out of memory", d->name);
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++, count++) {
        yaml_node_t *k = yaml_document_get_node(&d->doc, p->key),
                    *x = yaml_document_get_node(&d->doc, p->value);
        if (k == NULL || x == NULL || k->type != YAML_SCALAR_NODE || scalar(k).n == 0)
            return ruleset_wrong(d, n, "a name is expected");
        ops_status st = ruleset_text(d, k, &v[count].name);
        if (st == OPS_OK)
            st = ruleset_text(d, x, &v[count].value);
        if (st != OPS_OK)
            return st;
        for (size_t i = 0; i < count; i++)
            if (ops_slice_eq(v[i].name, v[count].name))
                return ruleset_wrong(d, k, OPS_SLICE_FMT " is given twice", OPS_SLICE_ARG(v[count].name));
    }
    *ret = v;
    *ret_n = count;
    return OPS_OK;
}
