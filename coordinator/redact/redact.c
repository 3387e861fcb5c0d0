/* The redactor: compiles the rules, runs one scan per record, turns the checkers' spans into the redacted copy.
 * The one thing to know: triggers say "look here", never "this is it"; only custom patterns match by themselves. */
#include "coordinator/redact/redact.h"

#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "coordinator/digest/digest.h"
#include "coordinator/redact/rules.h"

#include <hs/hs.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define SPANS_MAX    65536
#define NAME_MAX_LEN 31

typedef struct custom_rule {
    char name[NAME_MAX_LEN + 1];
} custom_rule;

struct ops_redactor {
    atomic_int refs;
    uint64_t serial;                    /* unique per redactor; scratch is fitted to it */
    hs_database_t *db;                  /* NULL: no kind needs it */
    const ops_redact_rule *card, *iban; /* NULL: off */
    uint32_t kinds;
    custom_rule *custom;
    size_t custom_count;
    uint8_t hash_key[OPS_DIGEST_KEY_MAX];
    size_t hash_key_bytes;
};

struct ops_redact_scratch {
    hs_scratch_t *hs;
    uint64_t serial;
    ops_redact_span *spans;
    size_t n, cap;
    bool unordered, overflow, no_memory;
    /* of the scan under way */
    const ops_redactor *r;
    ops_slice in;
    size_t covered
        [OPS_REDACT_KIND_COUNT]; /* end of the kind's last span: triggers inside it are not looked at again */
};

static const char *const kind_names[OPS_REDACT_KIND_COUNT] = {"private-key", "jwt",         "api-key", "auth",
                                                              "secret",      "connection",  "email",   "card",
                                                              "iban",        "national-id", "custom"};

const char *ops_redact_kind_name(ops_redact_kind kind)
{
    return (unsigned)kind < OPS_REDACT_KIND_COUNT ? kind_names[kind] : "unknown";
}

static void redactor_free(ops_redactor *r)
{
    if (r == NULL)
        return;
    hs_free_database(r->db);
    ops_free(r->custom);
    explicit_bzero(r->hash_key, sizeof r->hash_key);
    ops_free(r);
}
OPS_AUTO_DEFINE(ops_redactor, redactor_free)

ops_redactor *ops_redactor_ref(ops_redactor *r)
{
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void ops_redactor_unref(ops_redactor *r)
{
    if (r != NULL && atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) == 1)
        redactor_free(r);
}

static ops_status custom_take(ops_redactor *r, const ops_redact_conf *conf, ops_err *reterr)
{
    if (conf->custom_count > OPS_REDACT_CUSTOM_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "redaction: %zu custom patterns, at most %d", conf->custom_count,
                        OPS_REDACT_CUSTOM_MAX);
    if (conf->custom_count == 0 || (r->kinds & 1u << OPS_REDACT_CUSTOM) == 0)
        return OPS_OK;
    r->custom = ops_calloc(conf->custom_count, sizeof *r->custom);
    if (r->custom == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "redaction: custom patterns");
    for (size_t i = 0; i < conf->custom_count; i++) {
        const ops_redact_pattern *c = &conf->custom[i];
        size_t n = c->name != NULL ? strlen(c->name) : 0;
        if (n == 0 || n > NAME_MAX_LEN || strspn(c->name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != n)
            return ops_fail(reterr, OPS_EINVAL,
                            "redaction: custom pattern %zu: name '%s' is not 1 to %d of [a-z0-9_-]", i + 1,
                            c->name != NULL ? c->name : "", NAME_MAX_LEN);
        if (c->pattern == NULL || c->pattern[0] == '\0')
            return ops_fail(reterr, OPS_EINVAL, "redaction: custom pattern '%s' is empty", c->name);
        memcpy(r->custom[i].name, c->name, n + 1);
    }
    r->custom_count = conf->custom_count;
    return OPS_OK;
}

/* Ids: rules by their index, then custom patterns. */
static ops_status compile(ops_redactor *r, const ops_redact_conf *conf, ops_err *reterr)
{
    size_t max = ops_redact_rule_count + r->custom_count, n = 0;
    OPS_AUTO(ops_free) void *memory = ops_calloc(max, sizeof(char *) + 2 * sizeof(unsigned));
    if (memory == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "redaction: compiling %zu patterns", max);
    const char **patterns = memory;
    unsigned *ids = (unsigned *)(void *)(patterns + max), *flags = ids + max;
    for (size_t i = 0; i < ops_redact_rule_count; i++) {
        const ops_redact_rule *rule = &ops_redact_rules[i];
        if ((r->kinds & 1u << rule->kind) == 0)
            continue;
        if (rule->trigger == NULL) {
            *(rule->kind == OPS_REDACT_CARD ? &r->card : &r->iban) = rule;
            continue;
        }
        patterns[n] = rule->trigger;
        flags[n] = HS_FLAG_DOTALL | (rule->caseless ? HS_FLAG_CASELESS : 0);
        ids[n++] = (unsigned)i;
    }
    for (size_t i = 0; i < r->custom_count; i++) {
        patterns[n] = conf->custom[i].pattern;
        flags[n] = HS_FLAG_SOM_LEFTMOST | (conf->custom[i].caseless ? HS_FLAG_CASELESS : 0);
        ids[n++] = (unsigned)(ops_redact_rule_count + i);
    }
    if (n == 0)
        return OPS_OK;
    hs_compile_error_t *error = NULL;
    if (hs_compile_multi(patterns, flags, ids, (unsigned)n, HS_MODE_BLOCK, NULL, &r->db, &error) ==
        HS_SUCCESS)
        return OPS_OK;
    r->db = NULL;
    int which = error != NULL ? error->expression : -1;
    const char *text = error != NULL ? error->message : "no memory";
    ops_status st = which >= 0 ? ops_fail(reterr, OPS_EINVAL, "redaction: pattern '%s' (%s): %s",
                                          ids[which] >= ops_redact_rule_count
                                              ? r->custom[ids[which] - ops_redact_rule_count].name
                                              : ops_redact_rules[ids[which]].name,
                                          patterns[which], text)
                               : ops_fail(reterr, OPS_EINVAL, "redaction: compiling: %s", text);
    hs_free_compile_error(error);
    return st;
}

ops_status ops_redactor_new(const ops_redact_conf *conf, ops_redactor **ret, ops_err *reterr)
{
    static atomic_uint_fast64_t serials;
    if (hs_valid_platform() != HS_SUCCESS)
        return ops_fail(reterr, OPS_EUNAVAILABLE, "redaction: this processor lacks SSSE3");
    if (conf->hash_key.n != 0 &&
        (conf->hash_key.n < OPS_DIGEST_KEY_MIN || conf->hash_key.n > OPS_DIGEST_KEY_MAX))
        return ops_fail(reterr, OPS_EINVAL, "redaction: hash key of %zu bytes, need %d to %d",
                        conf->hash_key.n, OPS_DIGEST_KEY_MIN, OPS_DIGEST_KEY_MAX);
    OPS_AUTO(redactor_free) ops_redactor *r = ops_calloc(1, sizeof *r);
    if (r == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "redaction");
    r->serial = atomic_fetch_add(&serials, 1) + 1;
    r->kinds = conf->kinds & OPS_REDACT_ALL;
    atomic_init(&r->refs, 1);
    if (conf->hash_key.n > 0)
        memcpy(r->hash_key, conf->hash_key.p, conf->hash_key.n);
    r->hash_key_bytes = conf->hash_key.n;
    ops_status st = custom_take(r, conf, reterr);
    if (st == OPS_OK)
        st = compile(r, conf, reterr);
    if (st != OPS_OK)
        return st;
    *ret = OPS_STEAL(r);
    return OPS_OK;
}

ops_status ops_redact_scratch_new(ops_redact_scratch **ret, ops_err *reterr)
{
    ops_redact_scratch *s = ops_calloc(1, sizeof *s);
    if (s == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "redaction scratch");
    *ret = s;
    return OPS_OK;
}

void ops_redact_scratch_free(ops_redact_scratch *s)
{
    if (s == NULL)
        return;
    hs_free_scratch(s->hs);
    ops_free(s->spans);
    ops_free(s);
}

/* Past SPANS_MAX the whole record becomes one span: hidden too much rather than too little. */
static bool span_add(ops_redact_scratch *s, ops_redact_span span)
{
    while (span.start > 0 && span.start < s->in.n && (s->in.p[span.start] & 0xC0) == 0x80)
        span.start--;
    while (span.end < s->in.n && (s->in.p[span.end] & 0xC0) == 0x80)
        span.end++;
    if (s->n == s->cap) {
        size_t cap = s->cap == 0 ? 16 : s->cap * 2;
        if (cap > SPANS_MAX) {
            s->overflow = true;
            return false;
        }
        void *grown = ops_realloc(s->spans, cap * sizeof *s->spans);
        if (grown == NULL) {
            s->no_memory = true;
            return false;
        }
        s->spans = grown;
        s->cap = cap;
    }
    if (s->n > 0 && span.start <= s->spans[s->n - 1].start)
        s->unordered = true;
    s->spans[s->n++] = span;
    return true;
}

static int on_trigger(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *user)
{
    (void)flags;
    ops_redact_scratch *s = user;
    ops_redact_span span = {.start = (size_t)from, .end = (size_t)to, .kind = OPS_REDACT_CUSTOM};
    if (id >= ops_redact_rule_count) {
        span.rule = s->r->custom[id - ops_redact_rule_count].name;
        if (span.end == span.start)
            return 0;
        /* A greedy pattern reports each of its ends: lengthen the span instead of adding one. */
        ops_redact_span *last = s->n > 0 ? &s->spans[s->n - 1] : NULL;
        if (last != NULL && last->rule == span.rule && last->start == span.start) {
            last->end = span.end;
            return 0;
        }
        return span_add(s, span) ? 0 : 1;
    }
    const ops_redact_rule *rule = &ops_redact_rules[id];
    if (to <= s->covered[rule->kind] || !rule->check(rule, s->in, (size_t)to, &span) ||
        span.end <= span.start)
        return 0;
    span.kind = rule->kind;
    span.rule = rule->name;
    s->covered[rule->kind] = span.end;
    return span_add(s, span) ? 0 : 1;
}

static int span_order(const void *a, const void *b)
{
    const ops_redact_span *x = a, *y = b;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    if (x->end != y->end)
        return x->end > y->end ? -1 : 1;
    return (int)x->kind - (int)y->kind;
}

/* Overlapping spans become one, of the kind that starts first; so no byte of either survives. */
static void merge(ops_redact_scratch *s)
{
    if (s->unordered)
        qsort(s->spans, s->n, sizeof *s->spans, span_order);
    size_t w = 0;
    for (size_t i = 0; i < s->n; i++) {
        ops_redact_span *last = w > 0 ? &s->spans[w - 1] : NULL;
        if (last != NULL && s->spans[i].start < last->end) {
            if (s->spans[i].end > last->end)
                last->end = s->spans[i].end;
        } else {
            s->spans[w++] = s->spans[i];
        }
    }
    s->n = w;
}

static ops_status scan_marks(const ops_redactor *r, ops_redact_scratch *s, ops_slice in)
{
    if (r->db == NULL)
        return OPS_OK;
    if (s->serial != r->serial) {
        if (hs_alloc_scratch(r->db, &s->hs) != HS_SUCCESS)
            return OPS_ENOMEM;
        s->serial = r->serial;
    }
    hs_error_t e = hs_scan(r->db, in.p, (unsigned)in.n, 0, s->hs, on_trigger, s);
    return e == HS_SUCCESS || s->overflow || s->no_memory ? OPS_OK : OPS_EINTERNAL;
}

static void scan_numbers(const ops_redactor *r, ops_redact_scratch *s, ops_slice in)
{
    ops_redact_span span = {0};
    const ops_redact_rule *rule = NULL;
    for (size_t at = 0; !s->overflow && !s->no_memory;) {
        at = ops_redact_next_number(r->card, r->iban, in, at, &span, &rule);
        if (at == 0)
            return;
        span.kind = rule->kind;
        span.rule = rule->name;
        if (!span_add(s, span))
            return;
    }
}

ops_status ops_redact_find(const ops_redactor *r, ops_redact_scratch *s, ops_slice in,
                           const ops_redact_span **ret, size_t *ret_count)
{
    s->n = 0;
    *ret = s->spans;
    *ret_count = 0;
    if (in.n == 0)
        return OPS_OK;
    if (in.n > UINT32_MAX)
        return OPS_ETOOBIG;
    s->r = r;
    s->in = in;
    s->unordered = s->overflow = s->no_memory = false;
    memset(s->covered, 0, sizeof s->covered);
    ops_status st = scan_marks(r, s, in);
    if (st == OPS_OK && (r->card != NULL || r->iban != NULL))
        scan_numbers(r, s, in);
    if (s->no_memory)
        return OPS_ENOMEM;
    if (st != OPS_OK)
        return st;
    if (s->overflow) { /* where the scan stopped is not known to be the end of what was found: all of it goes */
        s->spans[0].start = 0;
        s->spans[0].end = in.n;
        s->n = 1;
    }
    if (s->n > 1)
        merge(s);
    *ret = s->spans;
    *ret_count = s->n;
    return OPS_OK;
}

#define PLACEHOLDER_MAX (NAME_MAX_LEN + 16)

static ops_status placeholder(const ops_redactor *r, ops_slice in, const ops_redact_span *span,
                              char out[PLACEHOLDER_MAX], size_t *ret_n)
{
    const char *name = span->kind == OPS_REDACT_CUSTOM ? span->rule : kind_names[span->kind];
    int n = 0;
    if (r->hash_key_bytes > 0) {
        uint8_t digest[OPS_DIGEST_BYTES];
        char hex[9];
        ops_status st = ops_digest_keyed(ops_slice_of(r->hash_key, r->hash_key_bytes),
                                         ops_slice_of(in.p + span->start, span->end - span->start), digest);
        if (st != OPS_OK)
            return st;
        ops_hex_put(hex, digest, 4);
        n = snprintf(out, PLACEHOLDER_MAX, "<%s#%s>", name, hex);
    } else {
        n = snprintf(out, PLACEHOLDER_MAX, "<redacted:%s>", name);
    }
    *ret_n = (size_t)n;
    return OPS_OK;
}

static ops_status replace(const ops_redactor *r, ops_slice in, const ops_redact_span *spans, size_t count,
                          ops_arena *out, ops_slice *ret, uint32_t counts[OPS_REDACT_KIND_COUNT])
{
    size_t removed = 0, at = 0, w = 0;
    for (size_t i = 0; i < count; i++)
        removed += spans[i].end - spans[i].start;
    size_t room = in.n - removed + count * PLACEHOLDER_MAX;
    char *p = ops_arena_alloc(out, room);
    if (p == NULL)
        return OPS_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        memcpy(p + w, in.p + at, spans[i].start - at);
        w += spans[i].start - at;
        size_t n = 0;
        char text[PLACEHOLDER_MAX];
        ops_status st = placeholder(r, in, &spans[i], text, &n);
        if (st != OPS_OK)
            return st;
        memcpy(p + w, text, n);
        w += n;
        at = spans[i].end;
    }
    if (at < in.n)
        memcpy(p + w, in.p + at, in.n - at);
    w += in.n - at;
    for (size_t i = 0; i < count && counts != NULL; i++)
        counts[spans[i].kind]++;
    *ret = ops_slice_of(p, w);
    return OPS_OK;
}

ops_status ops_redact(const ops_redactor *r, ops_redact_scratch *s, ops_slice in, ops_arena *out,
                      ops_slice *ret, uint32_t counts[OPS_REDACT_KIND_COUNT])
{
    const ops_redact_span *spans = NULL;
    size_t count = 0;
    *ret = (ops_slice){0};
    ops_status st = ops_redact_find(r, s, in, &spans, &count);
    if (st != OPS_OK)
        return st;
    if (count == 0) {
        *ret = in;
        return OPS_OK;
    }
    return replace(r, in, spans, count, out, ret, counts);
}

ops_status ops_redact_pair(const ops_redactor *r, ops_redact_scratch *s, ops_slice key, ops_slice in,
                           ops_arena *out, ops_slice *ret, uint32_t counts[OPS_REDACT_KIND_COUNT])
{
    bool wanted = (r->kinds & 1u << OPS_REDACT_SECRET) != 0;
    if (!wanted || !ops_redact_key_is_secret(key) || ops_redact_value_is_blank(in))
        return ops_redact(r, s, in, out, ret, counts);
    *ret = (ops_slice){0};
    const ops_redact_span whole = {.start = 0, .end = in.n, .kind = OPS_REDACT_SECRET, .rule = "key"};
    return replace(r, in, &whole, 1, out, ret, counts);
}
