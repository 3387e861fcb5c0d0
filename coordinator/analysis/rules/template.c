/* Actions: operands, pipes and calls. */
#include "coordinator/analysis/rules/template.h"

#include <stdlib.h>

#include "coordinator/analysis/rules/humanize_internal.h"

enum { WORDS_MAX = 16 };

typedef struct action {
    ops_slice text; /* what is left of it */
    const ops_rules_template_data *d;
    ops_arena *a;
    bool dry; /* types are checked, values are not */
    ops_err *err;
} action;

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The next word: up to a blank or `|`; strings in quotes whole. */
static ops_status word(action *x, ops_slice *ret)
{
    size_t n = 0;
    x->text = ops_slice_trim(x->text);
    if (x->text.n == 0) {
        *ret = (ops_slice){0};
        return OPS_OK;
    }
    char c = x->text.p[0];
    if (c == '"' || c == '`') {
        for (n = 1; n < x->text.n && x->text.p[n] != c; n++)
            n += c == '"' && x->text.p[n] == '\\';
        if (n >= x->text.n)
            return ops_fail(x->err, OPS_EINVAL, "template: a string is not closed");
        n++;
    } else if (c == '|') {
        n = 1;
    } else {
        while (n < x->text.n && !blank(x->text.p[n]) && x->text.p[n] != '|')
            n++;
    }
    *ret = ops_slice_sub(x->text, 0, n);
    x->text = ops_slice_sub(x->text, n, x->text.n);
    return OPS_OK;
}

static ops_status string(action *x, ops_slice w, ops_slice *ret)
{
    char *p = ops_arena_alloc(x->a, w.n + 1);
    size_t n = 0;
    if (p == NULL)
        return ops_fail(x->err, OPS_ENOMEM, "template: out of memory");
    for (size_t i = 1; i + 1 < w.n; i++) {
        char c = w.p[i];
        if (c == '\\' && w.p[0] == '"') {
            c = w.p[++i];
            if (c != 'n' && c != 't' && c != '"' && c != '\\')
                return ops_fail(x->err, OPS_EUNIMPL, "template: the escape \\%c is not taken", c);
            c = (char)(c == 'n' ? '\n' : c == 't' ? '\t' : c);
        }
        p[n++] = c;
    }
    *ret = ops_slice_of(p, n);
    return OPS_OK;
}

static bool field(ops_slice w, const char *head, ops_slice *ret)
{
    if (!ops_slice_starts(w, ops_slice_str(head)))
        return false;
    *ret = ops_slice_sub(w, strlen(head), w.n);
    return ret->n > 0 && ops_slice_find_char(*ret, '.') < 0;
}

static ops_slice refused(ops_slice w)
{
    return ops_slice_sub(w, 0, 64);
}

static ops_status operand(action *x, ops_slice w, rules_text *ret)
{
    ops_slice name;
    *ret = (rules_text){0};
    if (w.p[0] == '"' || w.p[0] == '`')
        return string(x, w, &ret->s);
    if (ops_slice_eq(w, OPS_SLICE("$value")) || ops_slice_eq(w, OPS_SLICE(".Value"))) {
        *ret = (rules_text){.is_num = true, .num = x->d->value};
        return OPS_OK;
    }
    if (field(w, "$labels.", &name) || field(w, ".Labels.", &name)) {
        ret->s = ops_rules_labels_get(x->d->labels, name);
        return OPS_OK;
    }
    if (field(w, "$externalLabels.", &name) || field(w, ".ExternalLabels.", &name)) {
        ret->s = x->d->external != NULL ? ops_rules_labels_get(x->d->external, name) : (ops_slice){0};
        return OPS_OK;
    }
    if (ops_slice_to_f64(w, &ret->num)) {
        ret->is_num = true;
        return OPS_OK;
    }
    return ops_fail(x->err, OPS_EUNIMPL, "template: '" OPS_SLICE_FMT "' is not taken",
                    OPS_SLICE_ARG(refused(w)));
}

/* One command of a pipe: an operand, or a function with its operands; `in` is what the command before gave. */
static ops_status command(action *x, rules_text *v, size_t n, const rules_text *in, rules_text *ret)
{
    if (in != NULL)
        v[n++] = *in;
    if (v[0].fn == NULL) {
        if (n > 1)
            return ops_fail(x->err, OPS_EINVAL, "template: a value is no function");
        *ret = v[0];
        return OPS_OK;
    }
    return v[0].fn(v + 1, n - 1, x->a, x->dry, ret, x->err);
}

static ops_status run(action *x, ops_strbuf *out)
{
    rules_text v[WORDS_MAX + 2], got = {0};
    size_t n = 0;
    bool piped = false;
    ops_slice w = {0};
    ops_status st;
    while ((st = word(x, &w)) == OPS_OK) {
        bool end = w.n == 0, pipe = !end && w.p[0] == '|';
        if (!end && !pipe) {
            if (n == WORDS_MAX)
                return ops_fail(x->err, OPS_ETOOBIG, "template: more than %d words in an action", WORDS_MAX);
            v[n] = (rules_text){.fn = n == 0 ? rules_humanize_find(w) : NULL};
            st = v[n].fn != NULL ? OPS_OK : operand(x, w, &v[n]);
            n++;
        } else if (n == 0) {
            st = ops_fail(x->err, OPS_EINVAL, "template: an empty command");
        } else {
            st = command(x, v, n, piped ? &got : NULL, &got);
            piped = true;
            n = 0;
        }
        if (st != OPS_OK || end)
            break;
    }
    if (st == OPS_OK)
        rules_text_print(&got, out);
    return st;
}

/* Where the action that begins at `from` ends: the place of "}}" outside strings; -1. */
static ptrdiff_t action_end(ops_slice t, size_t from)
{
    char quote = '\0';
    for (size_t i = from; i < t.n; i++) {
        char c = t.p[i];
        if (quote != '\0') {
            i += c == '\\' && quote == '"';
            if (c == quote)
                quote = '\0';
        } else if (c == '"' || c == '`') {
            quote = c;
        } else if (c == '}' && i + 1 < t.n && t.p[i + 1] == '}') {
            return (ptrdiff_t)i;
        }
    }
    return -1;
}

static ops_status expand(ops_slice t, const ops_rules_template_data *d, bool dry, ops_strbuf *out,
                         ops_err *reterr)
{
    ops_arena a;
    ops_status st = OPS_OK;
    size_t at = 0;
    if (t.n > OPS_RULES_TEMPLATE_BYTES_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "template: longer than %d bytes", OPS_RULES_TEMPLATE_BYTES_MAX);
    ops_arena_init(&a, 1 << 20);
    while (st == OPS_OK && at < t.n) {
        ptrdiff_t open = ops_slice_find(ops_slice_sub(t, at, t.n), OPS_SLICE("{{"));
        ops_slice text = ops_slice_sub(t, at, open < 0 ? t.n : (size_t)open);
        size_t from = open < 0 ? t.n : at + (size_t)open + 2;
        if (open >= 0 && from + 1 < t.n && t.p[from] == '-' && blank(t.p[from + 1])) {
            while (text.n > 0 && blank(text.p[text.n - 1]))
                text.n--;
            from++;
        }
        ops_strbuf_slice(out, text);
        if (open < 0)
            break;
        ptrdiff_t end = action_end(t, from);
        if (end < 0) {
            st = ops_fail(reterr, OPS_EINVAL, "template: an action ({{) is not closed");
            break;
        }
        action x = {ops_slice_sub(t, from, (size_t)end - from), d, &a, dry, reterr};
        at = (size_t)end + 2;
        if (x.text.n >= 2 && x.text.p[x.text.n - 1] == '-' && blank(x.text.p[x.text.n - 2])) {
            x.text.n--;
            while (at < t.n && blank(t.p[at]))
                at++;
        }
        st = run(&x, out);
    }
    ops_arena_done(&a);
    if (st == OPS_OK && out->failed)
        st = ops_fail(reterr, OPS_ETOOBIG, "template: its text is too long");
    return st;
}

ops_status ops_rules_template_check(ops_slice text, ops_err *reterr)
{
    static const ops_rules_labels none = {0};
    const ops_rules_template_data d = {.labels = &none};
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 20);
    ops_status st = expand(text, &d, true, &b, reterr);
    ops_strbuf_done(&b);
    return st;
}

ops_status ops_rules_template_expand(ops_slice text, const ops_rules_template_data *d, ops_strbuf *out,
                                     ops_err *reterr)
{
    return expand(text, d, false, out, reterr);
}
