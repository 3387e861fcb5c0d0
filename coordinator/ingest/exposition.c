#include "coordinator/ingest/exposition.h"

#include <inttypes.h>
#include <math.h>

#include "base/text/strbuf.h"
#include "coordinator/ingest/samples.h"

enum { TEXT_BYTES_MAX = 256 * 1024 };

typedef enum family_type { TYPE_NONE, TYPE_COUNTER, TYPE_GAUGE, TYPE_HISTOGRAM, TYPE_SUMMARY } family_type;

typedef struct page {
    bool openmetrics, ended;
    uint64_t line, samples;
    ops_slice family; /* of the last # TYPE */
    family_type type;
    ops_strbuf text;                             /* unescaped values of the line at hand */
    size_t key_at[OPS_EXPOSITION_LABELS_MAX][2]; /* offset and length in text */
    size_t val_at[OPS_EXPOSITION_LABELS_MAX][2];
    ops_attr labels[OPS_EXPOSITION_LABELS_MAX];
    size_t label_count;
    ops_slice name;
    bool name_quoted;
    size_t name_at[2];
    ops_err *reterr;
} page;

static ops_status broken(page *p, const char *what)
{
    return ops_fail(p->reterr, OPS_EINVAL, "line %" PRIu64 ": %s", p->line, what);
}

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_blanks(ops_slice *s)
{
    while (s->n > 0 && blank(s->p[0]))
        *s = ops_slice_sub(*s, 1, s->n);
}

static ops_slice word(ops_slice *s)
{
    size_t n = 0;
    while (n < s->n && !blank(s->p[n]))
        n++;
    const ops_slice w = ops_slice_sub(*s, 0, n);
    *s = ops_slice_sub(*s, n, s->n);
    skip_blanks(s);
    return w;
}

static bool name_char(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' ||
           (!first && c >= '0' && c <= '9');
}

static ops_slice name_of(ops_slice *s)
{
    size_t n = 0;
    while (n < s->n && name_char(s->p[n], n == 0))
        n++;
    const ops_slice w = ops_slice_sub(*s, 0, n);
    *s = ops_slice_sub(*s, n, s->n);
    return w;
}

/* What stands in quotes, without its escapes, into p->text. */
static ops_status quoted(page *p, ops_slice *s, size_t ret_at[2])
{
    size_t i = 1;
    ret_at[0] = p->text.n;
    for (; i < s->n && s->p[i] != '"'; i++) {
        char c = s->p[i];
        if (c == '\0')
            return broken(p, "a NUL");
        if (c == '\\') {
            if (++i == s->n)
                break;
            c = s->p[i] == 'n' ? '\n' : s->p[i];
            if (c != '\n' && c != '\\' && c != '"')
                return broken(p, "an escape that is none");
        }
        ops_strbuf_char(&p->text, c);
    }
    if (i >= s->n)
        return broken(p, "a quote that does not end");
    if (p->text.failed)
        return ops_fail(p->reterr, OPS_ETOOBIG, "line %" PRIu64 ": labels of more than %d bytes", p->line,
                        TEXT_BYTES_MAX);
    ret_at[1] = p->text.n - ret_at[0];
    *s = ops_slice_sub(*s, i + 1, s->n);
    return OPS_OK;
}

static ops_status one_label(page *p, ops_slice *s)
{
    size_t key_at[2] = {0};
    ops_slice key = {0};
    ops_status st = OPS_OK;
    const bool in_quotes = s->n > 0 && s->p[0] == '"';
    if (in_quotes)
        st = quoted(p, s, key_at);
    else
        key = name_of(s);
    if (st != OPS_OK)
        return st;
    skip_blanks(s);
    if (in_quotes && s->n > 0 && (s->p[0] == ',' || s->p[0] == '}')) { /* the metric's own name */
        if (p->name.n > 0 || p->name_quoted)
            return broken(p, "a second name");
        p->name_quoted = true;
        memcpy(p->name_at, key_at, sizeof key_at);
        return OPS_OK;
    }
    if ((!in_quotes && key.n == 0) || s->n < 2 || s->p[0] != '=')
        return broken(p, "a label without a name or a value");
    *s = ops_slice_sub(*s, 1, s->n);
    skip_blanks(s);
    if (s->n == 0 || s->p[0] != '"')
        return broken(p, "a label's value without quotes");
    if (p->label_count == OPS_EXPOSITION_LABELS_MAX)
        return broken(p, "too many labels");
    if (!in_quotes) {
        key_at[0] = p->text.n;
        ops_strbuf_slice(&p->text, key);
        key_at[1] = key.n;
    }
    memcpy(p->key_at[p->label_count], key_at, sizeof key_at);
    st = quoted(p, s, p->val_at[p->label_count]);
    p->label_count += st == OPS_OK;
    return st;
}

static ops_status labels(page *p, ops_slice *s)
{
    *s = ops_slice_sub(*s, 1, s->n);
    skip_blanks(s);
    while (s->n > 0 && s->p[0] != '}') {
        ops_status st = one_label(p, s);
        if (st != OPS_OK)
            return st;
        skip_blanks(s);
        if (s->n > 0 && s->p[0] == ',') {
            *s = ops_slice_sub(*s, 1, s->n);
            skip_blanks(s);
        } else if (s->n == 0 || s->p[0] != '}') {
            return broken(p, "labels that are not parted by a comma");
        }
    }
    if (s->n == 0)
        return broken(p, "labels that do not end");
    *s = ops_slice_sub(*s, 1, s->n);
    /* The buffer does not move any more: offsets become slices. */
    for (size_t i = 0; i < p->label_count; i++) {
        p->labels[i].key = ops_slice_of(p->text.p + p->key_at[i][0], p->key_at[i][1]);
        p->labels[i].val = ops_slice_of(p->text.p + p->val_at[i][0], p->val_at[i][1]);
    }
    if (p->name_quoted)
        p->name = ops_slice_of(p->text.p + p->name_at[0], p->name_at[1]);
    return OPS_OK;
}

static bool number(ops_slice s, double *ret)
{
    if (ops_slice_eq_nocase(s, OPS_SLICE("NaN"))) {
        *ret = NAN;
        return true;
    }
    const bool minus = ops_slice_starts(s, OPS_SLICE("-"));
    const ops_slice rest = minus || ops_slice_starts(s, OPS_SLICE("+")) ? ops_slice_sub(s, 1, s.n) : s;
    if (ops_slice_eq_nocase(rest, OPS_SLICE("Inf")) || ops_slice_eq_nocase(rest, OPS_SLICE("Infinity"))) {
        *ret = minus ? -INFINITY : INFINITY;
        return true;
    }
    return ops_slice_to_f64(ops_slice_starts(s, OPS_SLICE("+")) ? rest : s, ret);
}

/* `tail` follows the family's name in the sample's. */
static bool tail_of(const page *p, ops_slice *ret)
{
    if (p->type == TYPE_NONE || !ops_slice_starts(p->name, p->family))
        return false;
    *ret = ops_slice_sub(p->name, p->family.n, p->name.n);
    return ret->n == 0 || ret->p[0] == '_';
}

static ops_series_kind kind_of(const page *p, bool has_le)
{
    ops_slice tail;
    if (!tail_of(p, &tail))
        return ops_samples_kind_of_name(p->name, has_le);
    if (ops_slice_eq(tail, OPS_SLICE("_created")))
        return OPS_SERIES_GAUGE;
    if (p->type == TYPE_COUNTER)
        return OPS_SERIES_COUNTER;
    if (p->type == TYPE_HISTOGRAM && ops_slice_eq(tail, OPS_SLICE("_bucket")))
        return OPS_SERIES_BUCKET;
    if ((p->type == TYPE_HISTOGRAM || p->type == TYPE_SUMMARY) &&
        (ops_slice_eq(tail, OPS_SLICE("_count")) || ops_slice_eq(tail, OPS_SLICE("_sum"))))
        return OPS_SERIES_COUNTER;
    return OPS_SERIES_GAUGE;
}

/* To the microsecond: that is what a double holds of a time in seconds. */
static ops_status time_of(page *p, ops_slice s, ops_exposition_sample *ret)
{
    const double us_per = p->openmetrics ? 1e6 : 1e3;
    double t;
    if (!number(s, &t) || !isfinite(t) || fabs(t * us_per) >= 9.2e15)
        return broken(p, "a time that is none");
    ret->timed = true;
    ret->time_ns = (int64_t)llround(t * us_per) * 1000;
    return OPS_OK;
}

static ops_status sample(page *p, ops_slice s, ops_exposition_fn fn, void *u)
{
    ops_exposition_sample x = {.labels = p->labels};
    bool has_le = false;
    ops_status st = OPS_OK;
    ops_strbuf_clear(&p->text);
    p->label_count = 0;
    p->name_quoted = false;
    p->name = name_of(&s);
    skip_blanks(&s);
    if (s.n > 0 && s.p[0] == '{')
        st = labels(p, &s);
    if (st != OPS_OK)
        return st;
    if (p->name.n == 0)
        return broken(p, "a sample without a name");
    skip_blanks(&s);
    if (!number(word(&s), &x.value))
        return broken(p, "a value that is no number");
    if (s.n > 0 && s.p[0] != '#')
        st = time_of(p, word(&s), &x);
    if (st == OPS_OK && s.n > 0 && !(p->openmetrics && s.p[0] == '#')) /* an exemplar */
        st = broken(p, "something after the sample");
    for (size_t i = 0; i < p->label_count; i++)
        has_le |= ops_slice_eq(p->labels[i].key, OPS_SLICE("le"));
    x.name = p->name;
    x.label_count = p->label_count;
    x.kind = kind_of(p, has_le);
    p->samples++;
    return st == OPS_OK && fn != NULL ? fn(u, &x, p->reterr) : st;
}

static ops_status comment(page *p, ops_slice s)
{
    static const struct {
        const char *name;
        family_type type;
    } types[] = {{"counter", TYPE_COUNTER}, {"gauge", TYPE_GAUGE},          {"histogram", TYPE_HISTOGRAM},
                 {"summary", TYPE_SUMMARY}, {"gaugehistogram", TYPE_GAUGE}, {"info", TYPE_GAUGE},
                 {"stateset", TYPE_GAUGE},  {"untyped", TYPE_NONE},         {"unknown", TYPE_NONE}};
    s = ops_slice_sub(s, 1, s.n);
    skip_blanks(&s);
    const ops_slice what = word(&s);
    if (p->openmetrics && ops_slice_eq(what, OPS_SLICE("EOF")) && s.n == 0)
        p->ended = true;
    if (!ops_slice_eq(what, OPS_SLICE("TYPE")))
        return OPS_OK;
    p->family = word(&s);
    if (p->family.n >= 2 && p->family.p[0] == '"')
        p->family = ops_slice_sub(p->family, 1, p->family.n - 2);
    const ops_slice type = word(&s);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (ops_slice_eq(type, ops_slice_str(types[i].name))) {
            p->type = types[i].type;
            return OPS_OK;
        }
    return broken(p, "a type that is none");
}

static ops_status lines(page *p, ops_slice text, uint64_t samples_max, ops_exposition_fn fn, void *u)
{
    ops_slice line;
    while (text.n > 0 && ops_slice_split(&text, '\n', &line)) {
        p->line++;
        if (p->ended)
            return broken(p, "something after # EOF");
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        skip_blanks(&line);
        if (line.n == 0)
            continue;
        ops_status st = line.p[0] == '#' ? comment(p, line) : sample(p, line, fn, u);
        if (st != OPS_OK)
            return st;
        if (p->samples > samples_max)
            return ops_fail(p->reterr, OPS_ETOOBIG, "more than %" PRIu64 " samples", samples_max);
    }
    return p->openmetrics && !p->ended ? broken(p, "no # EOF: the page is cut") : OPS_OK;
}

ops_status ops_exposition_read(ops_slice text, bool openmetrics, uint64_t samples_max, ops_exposition_fn fn,
                               void *u, uint64_t *ret_samples, ops_err *reterr)
{
    page p = {.openmetrics = openmetrics, .reterr = reterr};
    ops_strbuf_init(&p.text, TEXT_BYTES_MAX);
    /* So that there is something to point to even when all names are empty. */
    ops_status st = ops_strbuf_room(&p.text, 64) != NULL ? lines(&p, text, samples_max, fn, u)
                                                         : ops_fail(reterr, OPS_ENOMEM, "a page");
    ops_strbuf_done(&p.text);
    if (st == OPS_OK)
        *ret_samples = p.samples;
    return st;
}
