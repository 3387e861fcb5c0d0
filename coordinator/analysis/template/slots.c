/* Statistics of slots: see slots.h. */
#include "coordinator/analysis/template/slots_internal.h"

#include "base/mem/alloc.h"
#include "base/text/hash.h"
#include "base/text/utf8.h"

enum {
    SURE_WEIGHT = 256, /* from here on a slot that is not numeric stops collecting numbers */
    ODD_ONES = 50      /* one value in so many may lack the form */
};

ops_slots *ops_slots_new(void)
{
    return ops_calloc(1, sizeof(ops_slots));
}

static void slot_done(slot *x)
{
    ops_hll_done(&x->distinct);
    ops_topk_done(&x->top);
    ops_quant_done(&x->numbers);
}

void ops_slots_free(ops_slots *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n; i++)
        slot_done(&s->v[i]);
    ops_free(s->v);
    ops_free(s);
}

ops_status ops_slots_reserve(ops_slots *s, size_t n)
{
    if (n > s->cap) {
        size_t cap = s->cap == 0 ? 1 : s->cap;
        while (cap < n)
            cap *= 2;
        slot *v = ops_realloc(s->v, cap * sizeof *v);
        if (v == NULL)
            return OPS_ENOMEM;
        s->v = v;
        s->cap = (uint8_t)cap;
    }
    for (; s->n < n; s->n++)
        s->v[s->n] = (slot){0};
    return OPS_OK;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static void count_kind(slot *x, ops_value_kind kind, uint64_t weight)
{
    while (weight > UINT32_MAX - x->kinds[kind]) {
        for (size_t k = 0; k < OPS_VALUE_KINDS; k++)
            x->kinds[k] -= x->kinds[k] / 2;
        weight -= weight / 2;
    }
    x->kinds[kind] += (uint32_t)weight;
}

static uint64_t kinds_total(const slot *x)
{
    uint64_t sum = 0;
    for (size_t k = 0; k < OPS_VALUE_KINDS; k++)
        sum += x->kinds[k];
    return sum;
}

static bool nearly_all(uint64_t part, uint64_t total)
{
    return part > 0 && total - part <= total / ODD_ONES;
}

static ops_slot_type type_of(const slot *x)
{
    static const ops_slot_type alone[OPS_VALUE_KINDS] = {
        [OPS_VALUE_UUID] = OPS_SLOT_UUID, [OPS_VALUE_HEX] = OPS_SLOT_HEX,
        [OPS_VALUE_IP] = OPS_SLOT_IP,     [OPS_VALUE_HOST] = OPS_SLOT_HOST,
        [OPS_VALUE_PATH] = OPS_SLOT_PATH, [OPS_VALUE_DURATION] = OPS_SLOT_DURATION,
        [OPS_VALUE_TIME] = OPS_SLOT_TIME, [OPS_VALUE_DATE] = OPS_SLOT_DATE,
        [OPS_VALUE_URL] = OPS_SLOT_URL,   [OPS_VALUE_EMAIL] = OPS_SLOT_EMAIL,
    };
    uint64_t total = kinds_total(x), digits = x->kinds[OPS_VALUE_DIGITS];
    if (nearly_all(digits + x->kinds[OPS_VALUE_NUM], total))
        return OPS_SLOT_NUM;
    for (size_t k = 0; k < OPS_VALUE_KINDS; k++)
        if (alone[k] != OPS_SLOT_ANY && nearly_all(x->kinds[k], total))
            return alone[k];
    if (x->kinds[OPS_VALUE_HEX] > 0 && nearly_all(digits + x->kinds[OPS_VALUE_HEX], total))
        return OPS_SLOT_HEX;
    if (x->kinds[OPS_VALUE_HOST] > 0 &&
        nearly_all((uint64_t)x->kinds[OPS_VALUE_HOST] + x->kinds[OPS_VALUE_IP], total))
        return OPS_SLOT_HOST;
    return OPS_SLOT_ANY;
}

/* Numbers of a slot that has shown itself to be none are not worth their bins. */
static bool collects_numbers(const slot *x)
{
    if (x->seen < SURE_WEIGHT)
        return true;
    uint64_t total = kinds_total(x);
    return (uint64_t)x->kinds[OPS_VALUE_NUM] + x->kinds[OPS_VALUE_DIGITS] + x->kinds[OPS_VALUE_DURATION] >=
           total - total / 8;
}

void ops_slots_note(ops_slots *s, size_t ordinal, ops_slice value, uint64_t weight)
{
    if (weight == 0)
        return;
    if (ordinal >= OPS_SLOTS_MAX) {
        s->further = plus(s->further, weight);
        return;
    }
    if (ordinal >= s->n && ops_slots_reserve(s, ordinal + 1) != OPS_OK) {
        s->lost = plus(s->lost, weight);
        return;
    }
    slot *x = &s->v[ordinal];
    double number = 0;
    ops_value_kind kind = ops_value_kind_of(value, &number);
    uint64_t hash = ops_hash64(value.p, value.n, 0);
    x->seen = plus(x->seen, weight);
    count_kind(x, kind, weight);
    bool whole = ops_hll_add(&x->distinct, hash) == OPS_OK;
    whole &= ops_topk_add(&x->top, value, hash, weight) == OPS_OK;
    if (kind == OPS_VALUE_NUM || kind == OPS_VALUE_DIGITS || kind == OPS_VALUE_DURATION) {
        if (collects_numbers(x))
            whole &= ops_quant_add(&x->numbers, number, weight) != OPS_ENOMEM;
    } else if (x->numbers.mem != NULL && !collects_numbers(x)) {
        ops_quant_done(&x->numbers);
    }
    if (!whole)
        s->lost = plus(s->lost, weight);
}

ops_status ops_slots_insert(ops_slots *s, size_t ordinal)
{
    if (ordinal >= s->n)
        return OPS_OK; /* nothing is there yet that would have to move */
    if (s->n == OPS_SLOTS_MAX) {
        slot *last = &s->v[OPS_SLOTS_MAX - 1];
        s->further = plus(s->further, last->seen);
        slot_done(last);
        s->n--;
    }
    if (ops_slots_reserve(s, (size_t)s->n + 1) != OPS_OK)
        return OPS_ENOMEM;
    memmove(s->v + ordinal + 1, s->v + ordinal, (s->n - 1 - ordinal) * sizeof *s->v);
    s->v[ordinal] = (slot){0};
    return OPS_OK;
}

static ops_status slot_merge(slot *x, const slot *from)
{
    x->seen = plus(x->seen, from->seen);
    for (size_t k = 0; k < OPS_VALUE_KINDS; k++)
        count_kind(x, (ops_value_kind)k, from->kinds[k]);
    ops_status a = ops_hll_merge(&x->distinct, &from->distinct);
    ops_status b = ops_topk_merge(&x->top, &from->top);
    ops_status c = ops_quant_merge(&x->numbers, &from->numbers);
    return a != OPS_OK ? a : b != OPS_OK ? b : c;
}

ops_status ops_slots_merge(ops_slots *into, const ops_slots *from, const size_t *map)
{
    ops_status st = OPS_OK;
    for (size_t i = 0; i < from->n; i++) {
        size_t to = map == NULL ? i : map[i];
        if (to == OPS_SLOTS_NONE)
            continue;
        if (to >= OPS_SLOTS_MAX) {
            into->further = plus(into->further, from->v[i].seen);
            continue;
        }
        ops_status one = to < into->n ? OPS_OK : ops_slots_reserve(into, to + 1);
        if (one == OPS_OK)
            one = slot_merge(&into->v[to], &from->v[i]);
        if (one != OPS_OK)
            st = one;
    }
    into->further = plus(into->further, from->further);
    into->lost = plus(into->lost, from->lost);
    return st;
}

size_t ops_slots_count(const ops_slots *s)
{
    return s == NULL ? 0 : s->n;
}

uint64_t ops_slots_further(const ops_slots *s)
{
    return s == NULL ? 0 : s->further;
}

uint64_t ops_slots_lost(const ops_slots *s)
{
    return s == NULL ? 0 : s->lost;
}

size_t ops_slots_bytes(const ops_slots *s)
{
    if (s == NULL)
        return 0;
    size_t bytes = sizeof *s + s->cap * sizeof *s->v;
    for (size_t i = 0; i < s->n; i++)
        bytes += ops_hll_bytes(&s->v[i].distinct) + ops_topk_bytes(&s->v[i].top) +
                 ops_quant_bytes(&s->v[i].numbers);
    return bytes;
}

bool ops_slots_info(const ops_slots *s, size_t ordinal, ops_slot_info *ret)
{
    if (s == NULL || ordinal >= s->n)
        return false;
    const slot *x = &s->v[ordinal];
    *ret = (ops_slot_info){.type = type_of(x), .seen = x->seen, .distinct = ops_hll_count(&x->distinct)};
    ret->top_n = ops_topk_get(&x->top, ret->top);
    if ((ret->type == OPS_SLOT_NUM || ret->type == OPS_SLOT_DURATION) && x->numbers.total > 0) {
        const ops_quant *q = &x->numbers;
        ret->numeric = true;
        ret->min = q->min;
        ret->p50 = ops_quant_at(q, 0.5);
        ret->p90 = ops_quant_at(q, 0.9);
        ret->p99 = ops_quant_at(q, 0.99);
        ret->max = q->max;
        ret->error = ops_quant_error(q);
    }
    return true;
}

const char *ops_slot_type_name(ops_slot_type t)
{
    static const char *const names[OPS_SLOT_TYPES] = {
        [OPS_SLOT_ANY] = "*",     [OPS_SLOT_NUM] = "num",
        [OPS_SLOT_HEX] = "hex",   [OPS_SLOT_UUID] = "uuid",
        [OPS_SLOT_IP] = "ip",     [OPS_SLOT_HOST] = "host",
        [OPS_SLOT_PATH] = "path", [OPS_SLOT_DURATION] = "duration",
        [OPS_SLOT_TIME] = "time", [OPS_SLOT_DATE] = "date",
        [OPS_SLOT_URL] = "url",   [OPS_SLOT_EMAIL] = "email",
    };
    return t < OPS_SLOT_TYPES ? names[t] : "*";
}

/* One value so far that reads like a word: without a digit or a control character, whole. */
static bool constant_so_far(const slot *x, ops_slice *ret)
{
    ops_topk_entry e[OPS_TOPK_ENTRIES_MAX];
    if (ops_hll_count(&x->distinct) != 1 || ops_topk_get(&x->top, e) != 1 || e[0].value.n == 0 ||
        e[0].value.n == OPS_TOPK_VALUE_BYTES_MAX)
        return false;
    for (size_t i = 0; i < e[0].value.n; i++)
        if ((e[0].value.p[i] >= '0' && e[0].value.p[i] <= '9') || (uint8_t)e[0].value.p[i] < ' ')
            return false;
    *ret = e[0].value;
    return ops_utf8_valid(*ret);
}

void ops_slots_render(ops_slice text, const ops_slots *s, ops_strbuf *out)
{
    for (size_t ordinal = 0;; ordinal++) {
        ptrdiff_t at = ops_slice_find(text, OPS_SLICE("<*>"));
        if (at < 0)
            break;
        const slot *x = s != NULL && ordinal < s->n ? &s->v[ordinal] : NULL;
        ops_slot_type type = x != NULL ? type_of(x) : OPS_SLOT_ANY;
        ops_slice only;
        ops_strbuf_put(out, text.p, (size_t)at);
        if (x != NULL && type == OPS_SLOT_ANY && constant_so_far(x, &only)) {
            ops_strbuf_slice(out, only);
        } else {
            ops_strbuf_char(out, '<');
            ops_strbuf_str(out, ops_slot_type_name(type));
            ops_strbuf_char(out, '>');
        }
        text = ops_slice_sub(text, (size_t)at + 3, text.n - (size_t)at - 3);
    }
    ops_strbuf_slice(out, text);
}
