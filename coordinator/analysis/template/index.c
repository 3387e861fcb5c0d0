/* The keys under which templates are found by others that resemble them. Everything here follows from a template's text
 * and atoms, so a restart builds it anew. */
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/template/miner_state.h"

enum { LINKS_MAX = OPS_SHAPE_ATOMS_MAX + MINER_BIGRAMS_MAX + MINER_TAILS_MAX + 1 };

typedef struct key_list {
    uint64_t v[LINKS_MAX];
    size_t n;
} key_list;

uint64_t ops_miner_bigram(uint64_t a, uint64_t b)
{
    return ops_hash_mix(a) + b;
}

static void add_siblings(const tmpl *t, key_list *k)
{
    size_t constant = 0;
    for (size_t i = 0; i < t->n; i++)
        constant += ops_atom_constant(t->atoms[i].kind);
    for (size_t i = 0; i < t->n && constant > 1; i++)
        if (t->atoms[i].kind == OPS_ATOM_WORD)
            k->v[k->n++] = ops_tmpl_key(KEY_SIBLING, t->hash + ops_shape_delta(t->atoms[i].hash, i));
}

static void add_bigrams(const tmpl *t, key_list *k)
{
    const tmpl_atom *last = NULL;
    size_t made = 0;
    for (size_t i = 0; i < t->n && made < MINER_BIGRAMS_MAX; i++) {
        if (!ops_atom_constant(t->atoms[i].kind))
            continue;
        if (last != NULL) {
            k->v[k->n++] = ops_tmpl_key(KEY_BIGRAM, ops_miner_bigram(last->hash, t->atoms[i].hash));
            made++;
        }
        last = &t->atoms[i];
    }
}

/* The first two constant words that stand next to each other in every line of t, or else its first constant word. */
static void add_anchor(const tmpl *t, key_list *k)
{
    const tmpl_atom *last = NULL, *first = NULL;
    for (size_t i = 0; i < t->n; i++) {
        const tmpl_atom *a = &t->atoms[i];
        if (a->kind == OPS_ATOM_GAP || a->folded) {
            last = NULL;
        } else if (ops_atom_constant(a->kind)) {
            if (last != NULL) {
                k->v[k->n++] = ops_tmpl_key(KEY_ANCHOR, ops_miner_bigram(last->hash, a->hash));
                return;
            }
            first = first == NULL ? a : first;
            last = a;
        }
    }
    if (first != NULL)
        k->v[k->n++] = ops_tmpl_key(KEY_ANCHOR, first->hash);
}

/* The words from `from` on, up to `to`. */
static bool told(const tmpl *t, size_t from, size_t to)
{
    size_t words = 0, held = 0;
    for (size_t i = from; i < to; i++) {
        words += ops_atom_constant(t->atoms[i].kind);
        held += t->atoms[i].kind == OPS_ATOM_HELD;
    }
    return words >= 3 || (words >= 2 && held > 0);
}

size_t ops_tmpl_tails(const tmpl *t, uint8_t at[static MINER_TAILS_MAX],
                      uint64_t keys[static MINER_TAILS_MAX])
{
    size_t n = 0, from = 0;
    for (size_t i = 1; i < t->n; i++) {
        const tmpl_atom *a = &t->atoms[i];
        uint32_t end = a[-1].off + a[-1].len;
        const char *glue = t->text + end;
        const char *colon = memchr(glue, ':', a->off - end);
        if (colon == NULL || colon[1] != ' ' || a[-1].kind == OPS_ATOM_GAP)
            continue;
        if (told(t, from, i)) {
            if (n == MINER_TAILS_MAX) {
                memmove(at, at + 1, (n - 1) * sizeof *at);
                memmove(keys, keys + 1, (n - 1) * sizeof *keys);
                n--;
            }
            at[n] = (uint8_t)i;
            keys[n++] = ops_tmpl_key(KEY_TAIL, ops_hash64(t->text, (size_t)(colon + 1 - t->text), 3));
        }
        from = i;
    }
    return n;
}

static void keys_of(const tmpl *t, key_list *k)
{
    uint8_t at[MINER_TAILS_MAX];
    uint64_t tails[MINER_TAILS_MAX];
    k->n = 0;
    if (t->apart)
        return;
    add_siblings(t, k);
    add_bigrams(t, k);
    if (t->gaps)
        add_anchor(t, k);
    size_t n = ops_tmpl_tails(t, at, tails);
    for (size_t i = 0; i < n; i++)
        k->v[k->n++] = tails[i];
}

static void unlink_one(ops_miner *m, tmpl_link *l)
{
    if (l->next != NULL)
        l->next->prev = l->prev;
    if (l->prev != NULL)
        l->prev->next = l->next;
    else if (l->next != NULL)
        (void)!ops_map64_put(m->chains, l->key, l->next, NULL); /* replaces: needs no memory */
    else
        (void)ops_map64_del(m->chains, l->key);
}

ops_status ops_miner_index(ops_miner *m, tmpl *t)
{
    key_list k;
    keys_of(t, &k);
    t->links = ops_calloc(k.n + 1, sizeof *t->links);
    if (t->links == NULL)
        return OPS_ENOMEM;
    for (size_t i = 0; i < k.n; i++) {
        tmpl_link *l = &t->links[i];
        void *head = NULL;
        *l = (tmpl_link){.key = k.v[i], .t = t};
        if (ops_map64_put(m->chains, l->key, l, &head) != OPS_OK) {
            ops_miner_unindex(m, t);
            return OPS_ENOMEM;
        }
        l->next = head;
        if (head != NULL)
            l->next->prev = l;
        t->links_n++;
    }
    return OPS_OK;
}

void ops_miner_unindex(ops_miner *m, tmpl *t)
{
    while (t->links_n > 0)
        unlink_one(m, &t->links[--t->links_n]);
    ops_free(t->links);
    t->links = NULL;
}
