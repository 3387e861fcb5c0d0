/* Rules written state by state: JSON strings with counted code points, keys that are none of some, choices between texts. */
#include <stdlib.h>

#include "base/mem/alloc.h"
#include "worker/grammar/build_internal.h"

/* Places inside one code point of a string. Escapes of surrogates are not offered: code points past U+FFFF come as UTF-8. */
enum {
    START,
    CONT1,
    CONT2,
    CONT3,
    AFTER_E0,
    AFTER_ED,
    AFTER_F0,
    AFTER_F4,
    SLASH,
    HEX4,
    HEX3,
    HEX2,
    HEX1,
    HEX_D,
    PLACES
};
enum { UTF8_PLACES = SLASH };

typedef struct move {
    uint8_t at, lo, hi, to; /* to START: the code point is whole */
} move;
static const move moves[] = {
    /* by place, then byte; RFC 3629, section 4, and RFC 8259, section 7. No U+007F as it is */
    {START, 0x20, 0x21, START},    {START, 0x23, 0x5b, START},    {START, 0x5c, 0x5c, SLASH},
    {START, 0x5d, 0x7e, START},    {START, 0xc2, 0xdf, CONT1},    {START, 0xe0, 0xe0, AFTER_E0},
    {START, 0xe1, 0xec, CONT2},    {START, 0xed, 0xed, AFTER_ED}, {START, 0xee, 0xef, CONT2},
    {START, 0xf0, 0xf0, AFTER_F0}, {START, 0xf1, 0xf3, CONT3},    {START, 0xf4, 0xf4, AFTER_F4},
    {CONT1, 0x80, 0xbf, START},    {CONT2, 0x80, 0xbf, CONT1},    {CONT3, 0x80, 0xbf, CONT2},
    {AFTER_E0, 0xa0, 0xbf, CONT1}, {AFTER_ED, 0x80, 0x9f, CONT1}, {AFTER_F0, 0x90, 0xbf, CONT2},
    {AFTER_F4, 0x80, 0x8f, CONT2}, {SLASH, '"', '"', START},      {SLASH, '/', '/', START},
    {SLASH, '\\', '\\', START},    {SLASH, 'b', 'b', START},      {SLASH, 'f', 'f', START},
    {SLASH, 'n', 'n', START},      {SLASH, 'r', 'r', START},      {SLASH, 't', 't', START},
    {SLASH, 'u', 'u', HEX4},       {HEX4, '0', '9', HEX3},        {HEX4, 'A', 'C', HEX3},
    {HEX4, 'D', 'D', HEX_D},       {HEX4, 'E', 'F', HEX3},        {HEX4, 'a', 'c', HEX3},
    {HEX4, 'd', 'd', HEX_D},       {HEX4, 'e', 'f', HEX3},        {HEX3, '0', '9', HEX2},
    {HEX3, 'A', 'F', HEX2},        {HEX3, 'a', 'f', HEX2},        {HEX2, '0', '9', HEX1},
    {HEX2, 'A', 'F', HEX1},        {HEX2, 'a', 'f', HEX1},        {HEX1, '0', '9', START},
    {HEX1, 'A', 'F', START},       {HEX1, 'a', 'f', START},       {HEX_D, '0', '7', HEX2},
};
enum { MOVES = sizeof moves / sizeof *moves };

static uint32_t closed(ops_gb *b)
{
    const uint32_t s = ops_gb_state(b);
    if (ops_gb_ok(b))
        b->g->states.v[s].accept = true;
    return s;
}

static void set_room(ops_gb *b, uint32_t state, uint32_t room)
{
    if (ops_gb_ok(b))
        b->g->states.v[state].room = (uint16_t)(room < OPS_GR_ROOM_ALL ? room : OPS_GR_ROOM_ALL);
}

/* The places of one code point at `copy`; whole ones go to `next`. */
static void put_code_point(ops_gb *b, uint32_t copy, uint32_t next, uint32_t quote_to, bool quote)
{
    bool quoted = !quote;
    for (size_t i = 0; i < MOVES && ops_gb_ok(b); i++) {
        const move *m = &moves[i];
        if (!quoted && m->lo > '"') {
            ops_gb_edge(b, copy + START, '"', '"', quote_to);
            quoted = true;
        }
        ops_gb_edge(b, copy + m->at, m->lo, m->hi, m->to == START ? next : copy + m->to);
    }
}

void ops_gb_make_string(ops_gb *b, uint32_t rule, uint32_t min, uint32_t max)
{
    const uint32_t open = ops_gb_state(b), end = closed(b);
    const uint32_t first = (uint32_t)b->g->states.n, last = max == OPS_GB_NO_MAX ? min : max;
    for (uint64_t i = 0; i < ((uint64_t)last + 1) * PLACES && ops_gb_ok(b); i++)
        (void)ops_gb_state(b);
    ops_gb_edge(b, open, '"', '"', first);
    for (uint32_t k = 0; k <= last && ops_gb_ok(b); k++) {
        const uint32_t copy = first + k * PLACES;
        if (k == max) { /* full */
            ops_gb_edge(b, copy, '"', '"', end);
            break;
        }
        set_room(b, copy, max == OPS_GB_NO_MAX ? OPS_GR_ROOM_ALL : max - k);
        put_code_point(b, copy, k == last ? copy : copy + PLACES, end, k >= min);
    }
    if (ops_gb_ok(b))
        b->g->starts.v[rule] = open;
}

int ops_gb_by_bytes(const void *a, const void *b)
{
    return ops_slice_cmp(*(const ops_slice *)a, *(const ops_slice *)b);
}

typedef struct span { /* texts that share their first `depth` bytes, and the state after these */
    size_t from, to, depth;
    uint32_t state;
    uint8_t place;
} span;
typedef OPS_VEC(span) spans;

static void push(ops_gb *b, spans *q, span s)
{
    if (ops_gb_ok(b) && !ops_vec_push(q, s))
        b->st = OPS_ENOMEM;
}

/* The texts from s->from on that go on by the same byte: one past them. */
static size_t same_byte(const ops_slice *t, const span *s, size_t i)
{
    const char c = t[i].p[s->depth];
    while (i < s->to && t[i].p[s->depth] == c)
        i++;
    return i;
}

void ops_gb_make_texts(ops_gb *b, uint32_t rule, const ops_slice *sorted, size_t n)
{
    spans q = {0};
    const uint32_t start = ops_gb_state(b);
    push(b, &q, (span){.to = n, .state = start});
    while (q.n > 0 && ops_gb_ok(b)) {
        span s = q.v[--q.n];
        for (; s.from < s.to && sorted[s.from].n == s.depth; s.from++)
            b->g->states.v[s.state].accept = true;
        for (size_t i = s.from, end; i < s.to && ops_gb_ok(b); i = end) {
            end = same_byte(sorted, &s, i);
            const uint32_t to = ops_gb_state(b);
            const uint8_t c = (uint8_t)sorted[i].p[s.depth];
            ops_gb_edge(b, s.state, c, c, to);
            push(b, &q, (span){i, end, s.depth + 1, to, 0});
        }
    }
    if (ops_gb_ok(b))
        b->g->starts.v[rule] = start;
    ops_vec_done(&q);
}

static void put_key_edges(ops_gb *b, uint32_t state, uint8_t place, const uint32_t *free_at, uint32_t end,
                          bool quote, const ops_slice *t, span *s, spans *q)
{
    bool quoted = place != START || !quote;
    size_t i = s->from;
    for (size_t k = 0; k < MOVES && ops_gb_ok(b); k++) {
        const move *m = &moves[k];
        if (m->at != place || m->to >= UTF8_PLACES)
            continue;
        if (!quoted && m->lo > '"') {
            ops_gb_edge(b, state, '"', '"', end);
            quoted = true;
        }
        unsigned lo = m->lo;
        while (i < s->to && (uint8_t)t[i].p[s->depth] < lo)
            i = same_byte(t, s, i);
        while (i < s->to && (uint8_t)t[i].p[s->depth] <= m->hi && ops_gb_ok(b)) {
            const uint8_t c = (uint8_t)t[i].p[s->depth];
            const size_t after = same_byte(t, s, i);
            const uint32_t to = ops_gb_state(b);
            if (lo < c)
                ops_gb_edge(b, state, (uint8_t)lo, (uint8_t)(c - 1), free_at[m->to]);
            ops_gb_edge(b, state, c, c, to);
            push(b, q, (span){i, after, s->depth + 1, to, m->to});
            lo = c + 1U;
            i = after;
        }
        if (lo <= m->hi)
            ops_gb_edge(b, state, (uint8_t)lo, m->hi, free_at[m->to]);
    }
}

/* Beside the places where no text is possible any more there is one for each beginning of a text; where one of them is
 * whole the closing quote is missing. Texts that hold what would need an escape can not be written without one: their
 * beginnings lead nowhere but into the free places. */
void ops_gb_make_other_key(ops_gb *b, uint32_t rule, const ops_slice *sorted, size_t n)
{
    spans q = {0};
    uint32_t free_at[UTF8_PLACES];
    const uint32_t open = ops_gb_state(b), end = closed(b);
    for (int p = 0; p < UTF8_PLACES; p++)
        free_at[p] = ops_gb_state(b);
    const uint32_t start = ops_gb_state(b);
    span nothing = {0};
    for (int p = 0; p < UTF8_PLACES; p++)
        put_key_edges(b, free_at[p], (uint8_t)p, free_at, end, true, sorted, &nothing, &q);
    set_room(b, free_at[START], OPS_GR_ROOM_ALL);
    ops_gb_edge(b, open, '"', '"', start);
    push(b, &q, (span){.to = n, .state = start});
    while (q.n > 0 && ops_gb_ok(b)) {
        span s = q.v[--q.n];
        bool whole = false;
        for (; s.from < s.to && sorted[s.from].n == s.depth; s.from++)
            whole = true;
        put_key_edges(b, s.state, s.place, free_at, end, !whole, sorted, &s, &q);
    }
    if (ops_gb_ok(b))
        b->g->starts.v[rule] = open;
    ops_vec_done(&q);
}
