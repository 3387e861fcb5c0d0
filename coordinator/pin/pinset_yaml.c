/* The file of pins: its form, and what is wrong with it, by line. */
#include <string.h>
#include <yaml.h>

#include "base/coll/map.h"
#include "base/mem/alloc.h"
#include "base/text/utf8.h"
#include "coordinator/analysis/template/slots.h"
#include "coordinator/pin/internal.h"

typedef struct reading {
    ops_pinset *s;
    const char *name;
    yaml_document_t *doc;
    ops_map *patterns; /* pattern of a `one` -> its line */
    ops_err *reterr;
} reading;

static unsigned long line_of(const yaml_node_t *n)
{
    return (unsigned long)n->start_mark.line + 1;
}

#define WRONG(r, node, ...) wrong(r, node, ops_fail((r)->reterr, OPS_EINVAL, __VA_ARGS__))
static ops_status wrong(const reading *r, const yaml_node_t *n, ops_status st)
{
    ops_err_prefix(r->reterr, "%s:%lu", r->name, line_of(n));
    return st;
}

static ops_status no_memory(const reading *r)
{
    return ops_fail(r->reterr, OPS_ENOMEM, "%s", r->name);
}

static yaml_node_t *node(const reading *r, int id)
{
    return yaml_document_get_node(r->doc, id);
}

static ops_slice scalar(const yaml_node_t *n)
{
    return n->type == YAML_SCALAR_NODE ? ops_slice_of(n->data.scalar.value, n->data.scalar.length)
                                       : (ops_slice){NULL, 0};
}

/* `<ip>` and its like, as lists of templates show them, mean `<*>`: the length of such a slot at the front of `s`, or 0. */
static size_t slot_length(ops_slice s)
{
    if (s.n < 3 || s.p[0] != '<')
        return 0;
    for (size_t t = 0; t < OPS_SLOT_TYPES; t++) {
        ops_slice name = ops_slice_str(ops_slot_type_name((ops_slot_type)t));
        if (s.n > name.n + 1 && s.p[name.n + 1] == '>' && ops_slice_eq(ops_slice_sub(s, 1, name.n), name))
            return name.n + 2;
    }
    return 0;
}

/* The pattern with its slots as `<*>`; *ret_words: whether anything is constant in it. */
static char *normal(ops_slice text, bool *ret_words)
{
    char *out = ops_calloc(1, text.n * 2 + 4), *p = out;
    *ret_words = false;
    for (size_t i = 0; out != NULL && i < text.n;) {
        size_t slot = slot_length(ops_slice_sub(text, i, text.n - i));
        if (slot > 0) {
            *p++ = '<';
            *p++ = '*';
            *p++ = '>';
            i += slot;
            continue;
        }
        char c = text.p[i++];
        *ret_words |=
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (uint8_t)c >= 0x80;
        *p++ = c;
    }
    return out;
}

static ops_status add_pattern(reading *r, pin_own *pin, const yaml_node_t *n)
{
    ops_slice text = ops_slice_trim(scalar(n));
    bool words;
    if (n->type != YAML_SCALAR_NODE || text.n == 0)
        return WRONG(r, n, "a pattern is a text that is not empty");
    if (text.n > OPS_PINSET_PATTERN_BYTES_MAX)
        return WRONG(r, n, "a pattern of %zu bytes, at most %d", text.n, OPS_PINSET_PATTERN_BYTES_MAX);
    for (size_t i = 0; i < text.n; i++)
        if ((uint8_t)text.p[i] < ' ' || text.p[i] == 0x7F)
            return WRONG(r, n, "a pattern is one line without control characters");
    if (pin->patterns.n == OPS_PIN_PATTERNS_MAX)
        return WRONG(r, n, "more than %d patterns in one pin", OPS_PIN_PATTERNS_MAX);
    char *copy = normal(text, &words);
    if (copy == NULL)
        return no_memory(r);
    ops_slice s = ops_slice_str(copy);
    unsigned long before = (unsigned long)(uintptr_t)ops_map_get(r->patterns, s);
    ops_status st = OPS_OK;
    if (!words)
        st = WRONG(r, n, "'%s' has no word: it would stand for every line", copy);
    else if (pin->kind == OPS_PIN_ONE && before > 0)
        st = WRONG(r, n, "'%.200s' stands in line %lu already: it can be one with one group only", copy,
                   before);
    else if (pin->kind == OPS_PIN_ONE &&
             ops_map_put(r->patterns, s, (void *)(uintptr_t)line_of(n), NULL) != OPS_OK)
        st = no_memory(r);
    else if (!ops_vec_push(&pin->patterns, s))
        st = no_memory(r);
    if (st != OPS_OK)
        ops_free(copy);
    return st;
}

static ops_status add_pin(reading *r, ops_pin_kind kind, const yaml_node_t *n)
{
    const pin_own empty = {.kind = kind, .line = line_of(n)};
    ops_status st = OPS_OK;
    if (r->s->own.n == OPS_PINS_MAX)
        return WRONG(r, n, "more than %d pins", OPS_PINS_MAX);
    if (!ops_vec_push(&r->s->own, empty))
        return no_memory(r);
    pin_own *pin = &r->s->own.v[r->s->own.n - 1];
    if (n->type == YAML_SCALAR_NODE && kind == OPS_PIN_APART)
        return add_pattern(r, pin, n);
    if (n->type != YAML_SEQUENCE_NODE)
        return WRONG(r, n, "a pin is a list of patterns");
    for (yaml_node_item_t *i = n->data.sequence.items.start; st == OPS_OK && i < n->data.sequence.items.top;
         i++)
        st = add_pattern(r, pin, node(r, *i));
    if (st == OPS_OK && pin->patterns.n < (kind == OPS_PIN_ONE ? 2u : 1u))
        st = WRONG(r, n,
                   kind == OPS_PIN_ONE ? "'one' takes two patterns or more"
                                       : "'apart' takes a pattern or more");
    return st;
}

static ops_status compile(reading *r, const yaml_node_t *n, ops_slice name, ops_slice regex)
{
    pin_slot slot = {0};
    char why[256];
    if (regex.n == 0 || regex.n > OPS_PINSET_REGEX_BYTES_MAX || memchr(regex.p, '\0', regex.n) != NULL)
        return WRONG(r, n, "a regex of %zu bytes: 1 to %d, none of them NUL", regex.n,
                     OPS_PINSET_REGEX_BYTES_MAX);
    if (name.n > 64 || !ops_utf8_valid(name))
        return WRONG(r, n, "a name of %zu bytes, at most 64", name.n);
    slot.name = ops_strndup(name.p, name.n);
    slot.regex = ops_strndup(regex.p, regex.n);
    ops_status st = slot.name != NULL && slot.regex != NULL ? OPS_OK : no_memory(r);
    if (st == OPS_OK && (st = ops_pin_regex_compile(slot.regex, &slot.code, why, sizeof why)) != OPS_OK)
        st = WRONG(r, n, "regex '%.200s' %s", slot.regex, why);
    if (st == OPS_OK && !ops_vec_push(&r->s->slots, slot))
        st = no_memory(r);
    if (st != OPS_OK) {
        ops_free(slot.name);
        ops_free(slot.regex);
        ops_pin_regex_free(slot.code);
    }
    return st;
}

static ops_status add_slot(reading *r, const yaml_node_t *n)
{
    ops_slice name = {"", 0}, regex = {NULL, 0};
    const yaml_node_t *where = n;
    if (r->s->slots.n == OPS_PINSET_SLOTS_MAX)
        return WRONG(r, n, "more than %d regexes", OPS_PINSET_SLOTS_MAX);
    if (n->type == YAML_SCALAR_NODE)
        return compile(r, n, name, scalar(n));
    if (n->type != YAML_MAPPING_NODE)
        return WRONG(r, n, "a slot has a 'regex', and may have a 'name'");
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
        const yaml_node_t *k = node(r, p->key), *v = node(r, p->value);
        bool is_name = ops_slice_eq(scalar(k), OPS_SLICE("name"));
        if (!is_name && !ops_slice_eq(scalar(k), OPS_SLICE("regex")))
            return WRONG(r, k, "'" OPS_SLICE_FMT "' is no key of a slot (name, regex)",
                         OPS_SLICE_ARG(scalar(k)));
        if (v->type != YAML_SCALAR_NODE)
            return WRONG(r, v, "'" OPS_SLICE_FMT "' is a text", OPS_SLICE_ARG(scalar(k)));
        *(is_name ? &name : &regex) = scalar(v);
        where = is_name ? where : v;
    }
    return regex.p == NULL ? WRONG(r, n, "a slot without 'regex'") : compile(r, where, name, regex);
}

static ops_status add_list(reading *r, size_t what, const yaml_node_t *n)
{
    ops_status st = OPS_OK;
    if (n->type == YAML_SCALAR_NODE && n->data.scalar.length == 0)
        return OPS_OK; /* "one:" with nothing behind it */
    if (n->type != YAML_SEQUENCE_NODE)
        return WRONG(r, n, "a list is wanted here");
    for (yaml_node_item_t *i = n->data.sequence.items.start; st == OPS_OK && i < n->data.sequence.items.top;
         i++)
        st = what == 2 ? add_slot(r, node(r, *i))
                       : add_pin(r, what == 0 ? OPS_PIN_ONE : OPS_PIN_APART, node(r, *i));
    return st;
}

static ops_status read_root(reading *r, const yaml_node_t *root)
{
    static const char *const keys[] = {"one", "apart", "slots"};
    bool seen[3] = {false, false, false};
    if (root->type == YAML_SCALAR_NODE && root->data.scalar.length == 0)
        return OPS_OK;
    if (root->type != YAML_MAPPING_NODE)
        return WRONG(r, root, "the file is a mapping of one, apart and slots");
    for (yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top; p++) {
        const yaml_node_t *k = node(r, p->key);
        size_t what = 0;
        while (what < 3 && !ops_slice_eq(scalar(k), ops_slice_str(keys[what])))
            what++;
        if (what == 3)
            return WRONG(r, k, "'" OPS_SLICE_FMT "' is no key (one, apart, slots)", OPS_SLICE_ARG(scalar(k)));
        if (seen[what])
            return WRONG(r, k, "'%s' stands here a second time", keys[what]);
        seen[what] = true;
        ops_status st = add_list(r, what, node(r, p->value));
        if (st != OPS_OK)
            return st;
    }
    return OPS_OK;
}

ops_status ops_pinset_read(ops_pinset *s, ops_slice yaml, const char *name, ops_err *reterr)
{
    yaml_parser_t parser;
    yaml_document_t doc;
    OPS_AUTO(ops_map_free) ops_map *patterns = ops_map_new();
    if (patterns == NULL || !yaml_parser_initialize(&parser))
        return ops_fail(reterr, OPS_ENOMEM, "%s", name);
    yaml_parser_set_input_string(&parser, (const unsigned char *)(yaml.n > 0 ? yaml.p : ""), yaml.n);
    ops_status st = OPS_OK;
    if (!yaml_parser_load(&parser, &doc)) {
        st = ops_fail(reterr, parser.error == YAML_MEMORY_ERROR ? OPS_ENOMEM : OPS_EINVAL, "%s:%lu: %s", name,
                      (unsigned long)parser.problem_mark.line + 1,
                      parser.problem != NULL ? parser.problem : "no YAML");
    } else {
        reading r = {.s = s, .name = name, .doc = &doc, .patterns = patterns, .reterr = reterr};
        const yaml_node_t *root = yaml_document_get_root_node(&doc);
        if (root != NULL)
            st = read_root(&r, root);
        yaml_document_delete(&doc);
    }
    yaml_parser_delete(&parser);
    return st;
}
