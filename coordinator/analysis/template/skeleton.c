/* Skeletons: templates that share most of their words, in one order and with the same glue, and differ in between. What
 * differs becomes a variable where it is one word in all of them, else a gap. Candidates are found by pairs of
 * neighbouring words, so no place of the line has to be constant; the common order is a longest common subsequence. */
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/template/miner_state.h"

enum { ATOMS_MAX = 40, CANDIDATES_MAX = 64, TRIED_MAX = 16, MEMBERS_MAX = 32, VISIT_CELLS = 8 };

typedef struct candidate {
    tmpl *t;
    uint32_t shared; /* pairs of words it has in common */
} candidate;

/* at[k]: the place of the skeleton's k-th atom in a template. */
typedef struct skeleton {
    size_t n, words; /* atoms, constant words among them */
    uint8_t at[ATOMS_MAX];
} skeleton;

static bool same(const tmpl_atom *a, const tmpl_atom *b)
{
    return a->hash == b->hash && a->glue == b->glue && a->kind != OPS_ATOM_GAP;
}

/* Has the miner the means for so much work now? A flood of new shapes is grouped by single words alone. */
static bool afford(ops_miner *m, uint64_t cells)
{
    if (m->effort < cells)
        return false;
    m->effort -= cells;
    return true;
}

static uint64_t cells(const tmpl *a, const tmpl *b)
{
    return (uint64_t)(a->n + 1) * (b->n + 1);
}

static size_t gather(ops_miner *m, const tmpl *t, candidate c[static CANDIDATES_MAX])
{
    const tmpl_atom *last = NULL;
    size_t n = 0, pairs = 0;
    for (size_t i = 0; i < t->n && pairs < MINER_BIGRAMS_MAX; i++) {
        if (!ops_atom_constant(t->atoms[i].kind))
            continue;
        const tmpl_atom *a = &t->atoms[i];
        size_t seen = 0;
        const tmpl_link *l =
            last == NULL
                ? NULL
                : ops_miner_chain(m, ops_tmpl_key(KEY_BIGRAM, ops_miner_bigram(last->hash, a->hash)));
        pairs += last != NULL;
        last = a;
        for (; l != NULL && seen < MINER_WALK_MAX && afford(m, n + VISIT_CELLS); l = l->next, seen++) {
            size_t k = 0;
            while (k < n && c[k].t != l->t)
                k++;
            if (l->t == t || l->t->n > ATOMS_MAX || (k == n && n == CANDIDATES_MAX))
                continue;
            if (k == n)
                c[n++] = (candidate){.t = l->t};
            c[k].shared++;
        }
    }
    return n;
}

/* The longest common subsequence of a and b, as places in each. */
static void align(const tmpl *a, const tmpl *b, skeleton *ra, skeleton *rb)
{
    static const size_t w = ATOMS_MAX + 1;
    uint8_t best[(ATOMS_MAX + 1) * (ATOMS_MAX + 1)];
    memset(best, 0, (size_t)(a->n + 1) * w);
    for (size_t i = a->n; i-- > 0;) {
        best[i * w + b->n] = 0;
        for (size_t j = b->n; j-- > 0;) {
            uint8_t skip = best[(i + 1) * w + j], other = best[i * w + j + 1];
            uint8_t v = skip > other ? skip : other;
            if (same(&a->atoms[i], &b->atoms[j]) && best[(i + 1) * w + j + 1] + 1 > v)
                v = (uint8_t)(best[(i + 1) * w + j + 1] + 1);
            best[i * w + j] = v;
        }
    }
    ra->n = rb->n = ra->words = 0;
    for (size_t i = 0, j = 0; i < a->n && j < b->n;) {
        if (same(&a->atoms[i], &b->atoms[j]) && best[i * w + j] == best[(i + 1) * w + j + 1] + 1) {
            ra->words += ops_atom_constant(a->atoms[i].kind);
            ra->at[ra->n++] = (uint8_t)i++;
            rb->at[rb->n++] = (uint8_t)j++;
        } else if (best[(i + 1) * w + j] >= best[i * w + j + 1]) {
            i++;
        } else {
            j++;
        }
    }
}

static size_t words_of(const tmpl *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++)
        n += ops_atom_constant(t->atoms[i].kind);
    return n;
}

/* Where the part before the k-th atom of the skeleton begins in t; k may be s->n: the part at the end. */
static size_t part(const tmpl *t, const skeleton *s, size_t k, size_t *ret_n)
{
    size_t from = k == 0 ? 0 : s->at[k - 1] + 1u, to = k == s->n ? t->n : s->at[k];
    *ret_n = to - from;
    return from;
}

/* RUNNING, SIGTERM: a word all in capitals names a state or a kind. */
static bool capitals(const tmpl *t, const tmpl_atom *a)
{
    size_t n = 0;
    for (size_t i = 0; i < a->len; i++) {
        char c = t->text[a->off + i];
        if (c >= 'a' && c <= 'z')
            return false;
        n += c >= 'A' && c <= 'Z';
    }
    return n >= 2 && a->kind == OPS_ATOM_WORD;
}

/* May what stands in t between the skeleton's atoms vary? Not what tells how something went, nor punctuation alone. */
static bool may_vary(const tmpl *t, const skeleton *s)
{
    for (size_t k = 0; k <= s->n; k++) {
        size_t n, from = part(t, s, k, &n);
        for (size_t i = 0; i < n; i++)
            if (t->atoms[from + i].kind == OPS_ATOM_HELD || t->atoms[from + i].kind == OPS_ATOM_FIXED ||
                capitals(t, &t->atoms[from + i]))
                return false;
    }
    return true;
}

/* Do a and b differ in the same parts, and somewhere? */
static bool parts_agree(const tmpl *a, const skeleton *sa, const tmpl *b, const skeleton *sb)
{
    size_t parts = 0;
    for (size_t k = 0; k <= sa->n; k++) {
        size_t na, nb;
        (void)part(a, sa, k, &na);
        (void)part(b, sb, k, &nb);
        if ((na == 0) != (nb == 0))
            return false;
        parts += na > 0;
    }
    return parts > 0 && a->tail_glue == b->tail_glue;
}

/* How many templates of one skeleton make it one template; 0: never. */
static size_t needed(size_t skeleton_words, size_t most_words)
{
    if (skeleton_words < 3 || 10 * skeleton_words < 6 * most_words)
        return 0;
    return skeleton_words >= 5 ? 3 : skeleton_words == 4 ? 4 : 5;
}

typedef struct group {
    size_t n, words_max;
    tmpl *t[MEMBERS_MAX];
    skeleton s[MEMBERS_MAX];
} group;

static bool equal_skeletons(const skeleton *a, const skeleton *b)
{
    return a->n == b->n && memcmp(a->at, b->at, a->n) == 0;
}

/* All candidates that share with t exactly the skeleton s. */
static void members(ops_miner *m, tmpl *t, const skeleton *s, const candidate *c, size_t n, group *g)
{
    g->n = 1;
    g->t[0] = t;
    g->s[0] = *s;
    g->words_max = words_of(t);
    for (size_t i = 0; i < n && g->n < MEMBERS_MAX && afford(m, cells(t, c[i].t)); i++) {
        skeleton st, su;
        align(t, c[i].t, &st, &su);
        size_t words = words_of(c[i].t);
        if (!equal_skeletons(&st, s) || !parts_agree(t, &st, c[i].t, &su) || !may_vary(c[i].t, &su) ||
            needed(s->words, words) == 0)
            continue;
        g->t[g->n] = c[i].t;
        g->s[g->n++] = su;
        g->words_max = words > g->words_max ? words : g->words_max;
    }
}

/* Does each part that varies show nearly as many texts as there are members? A part of two texts is a choice. */
static bool parts_vary(const group *g)
{
    for (size_t k = 0; k <= g->s[0].n; k++) {
        uint64_t seen[MEMBERS_MAX];
        size_t distinct = 0, n;
        (void)part(g->t[0], &g->s[0], k, &n);
        for (size_t i = 0; i < g->n && n > 0; i++) {
            size_t len, from = part(g->t[i], &g->s[i], k, &len), j = 0;
            const tmpl_atom *a = &g->t[i]->atoms[from], *z = a + len - 1;
            uint64_t h = ops_hash64(g->t[i]->text + a->off, z->off + z->len - a->off, 5);
            while (j < distinct && seen[j] != h)
                j++;
            if (j == distinct)
                seen[distinct++] = h;
        }
        if (n > 0 && distinct < 3)
            return false;
    }
    return true;
}

/* Is part k one atom with the same glue before it in every member? */
static bool single(const group *g, size_t k)
{
    uint32_t glue = 0;
    for (size_t i = 0; i < g->n; i++) {
        size_t n, from = part(g->t[i], &g->s[i], k, &n);
        const tmpl_atom *a = &g->t[i]->atoms[from];
        if (n != 1 || a->kind == OPS_ATOM_GAP || (i > 0 && a->glue != glue))
            return false;
        glue = a->glue;
    }
    return true;
}

typedef struct maker {
    ops_strbuf *b;
    const tmpl *t;
    tmpl_atom atoms[ATOMS_MAX + 1];
    size_t n;
    uint32_t end; /* of what was copied of t's text */
    bool gaps;
} maker;

static void put_atom(maker *k, const tmpl_atom *a)
{
    ops_strbuf_put(k->b, k->t->text + k->end, a->off - k->end);
    k->atoms[k->n] = *a;
    k->atoms[k->n++].off = (uint32_t)k->b->n;
    ops_strbuf_put(k->b, k->t->text + a->off, a->len);
    k->end = a->off + a->len;
}

static void put_part(maker *k, const tmpl_atom *a, size_t n, bool one)
{
    const tmpl_atom *last = a + n - 1;
    ops_strbuf_put(k->b, k->t->text + k->end, a->off - k->end);
    k->atoms[k->n++] = (tmpl_atom){.hash = one ? OPS_SHAPE_VAR_HASH : OPS_SHAPE_GAP_HASH,
                                   .off = (uint32_t)k->b->n,
                                   .len = 3,
                                   .glue = a->glue,
                                   .kind = one ? OPS_ATOM_VAR : OPS_ATOM_GAP,
                                   .folded = one};
    k->gaps |= !one;
    ops_strbuf_str(k->b, "<*>");
    k->end = last->off + last->len;
}

static tmpl *template_of(ops_miner *m, const group *g)
{
    const tmpl *t = g->t[0];
    const skeleton *s = &g->s[0];
    maker k = {.b = &m->text, .t = t};
    ops_strbuf_clear(k.b);
    for (size_t i = 0; i <= s->n; i++) {
        size_t n, from = part(t, s, i, &n);
        if (n > 0)
            put_part(&k, &t->atoms[from], n, single(g, i));
        if (i < s->n)
            put_atom(&k, &t->atoms[s->at[i]]);
    }
    ops_strbuf_put(k.b, t->text + k.end, t->text_n - k.end);
    tmpl *f = k.b->failed ? NULL : ops_tmpl_new(k.n, k.b->p, k.b->n);
    if (f == NULL)
        return NULL;
    memcpy(f->atoms, k.atoms, k.n * sizeof k.atoms[0]);
    f->gaps = k.gaps;
    f->tail_glue = t->tail_glue;
    f->hash = ops_tmpl_hash(f);
    if (!f->gaps && (!ops_miner_fold_room(m, f) || ops_tmpl_plain_copy(f, t) != OPS_OK)) {
        ops_tmpl_free(f);
        return NULL;
    }
    return f;
}

/* A gap needs company: two words of the skeleton before it, and after it two or the end. */
static bool anchored(const group *g)
{
    const skeleton *s = &g->s[0];
    size_t before = 0;
    for (size_t k = 0; k <= s->n; k++) {
        size_t n;
        (void)part(g->t[0], s, k, &n);
        if (n > 0 && !single(g, k) && (before < 2 || (k < s->n && s->words - before < 2)))
            return false;
        if (k < s->n)
            before += ops_atom_constant(g->t[0]->atoms[s->at[k]].kind);
    }
    return true;
}

/* Is what varies at the end a text after a colon, so a reason or a message? gap.c says when these are one. */
static bool tells_reason(const group *g)
{
    size_t n, from = part(g->t[0], &g->s[0], g->s[0].n, &n);
    if (n == 0 || from == 0 || single(g, g->s[0].n))
        return false;
    const tmpl_atom *a = &g->t[0]->atoms[from];
    uint32_t end = a[-1].off + a[-1].len;
    return memchr(g->t[0]->text + end, ':', a->off - end) != NULL;
}

tmpl *ops_miner_skeleton_try(ops_miner *m, tmpl *t)
{
    candidate c[CANDIDATES_MAX];
    skeleton best = {0}, st, su;
    if (t->n > ATOMS_MAX || t->n < 4)
        return t;
    size_t n = gather(m, t, c), tried = 0;
    for (size_t i = 0; i < n && tried < TRIED_MAX; i++) {
        if (c[i].shared < 2)
            continue;
        if (!afford(m, cells(t, c[i].t)))
            return t;
        tried++;
        align(t, c[i].t, &st, &su);
        if (st.words > best.words && parts_agree(t, &st, c[i].t, &su) && may_vary(t, &st))
            best = st;
    }
    if (needed(best.words, words_of(t)) == 0)
        return t;
    group g;
    members(m, t, &best, c, n, &g);
    size_t need = tells_reason(&g) ? MINER_TAILS_NEEDED : needed(best.words, g.words_max);
    if (g.n < need || !parts_vary(&g) || !anchored(&g))
        return t;
    tmpl *f = template_of(m, &g);
    f = f == NULL ? NULL : ops_miner_fold_into(m, f, g.t, g.n);
    return f != NULL ? f : t;
}
