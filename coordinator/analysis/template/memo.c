/* The short way for lines: two that differ in nothing but digits, digit for digit, are cut alike, so the template of the
 * first is that of the second and its variables lie at the same places. A digit right after a letter that ends a word (ssh2)
 * counts as it is, for such a value may be shown. */
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/template/miner_state.h"

#define ONES  0x0101010101010101ull
#define HIGHS 0x8080808080808080ull

static uint64_t load(const char *p, size_t n)
{
    uint64_t x = 0;
    memcpy(&x, p, n);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    return x;
}

/* The high bit of each byte of x that lies in [low, high]; bytes past 127 do not. */
static uint64_t within(uint64_t x, uint8_t low, uint8_t high)
{
    uint64_t y = x & ~HIGHS;
    return (y + (0x80u - low) * ONES) & ~(y + (0x7fu - high) * ONES) & ~x & HIGHS;
}

static uint64_t letters(uint64_t x)
{
    return within(x | 0x20 * ONES, 'a', 'z');
}

static uint64_t fold(uint64_t a)
{
    __extension__ typedef unsigned __int128 wide;
    wide v = (wide)a * 0x9fb21c651e98df25ull;
    return (uint64_t)v ^ (uint64_t)(v >> 64);
}

/* Hash of a line with its digits hidden. */
static uint64_t key_of(ops_slice line)
{
    uint64_t h = fold(line.n + 0x2545f4914f6cdd1dull), carry = 0;
    for (size_t i = 0; i < line.n; i += 8) {
        size_t left = line.n - i;
        uint64_t x = left >= 8 ? load(line.p + i, 8) : load(line.p + i, left);
        uint64_t digits = within(x, '0', '9'), alpha = letters(x), after = (digits | alpha) >> 8;
        if (left > 8) {
            uint64_t next = (uint8_t)line.p[i + 8];
            after |= (within(next, '0', '9') | letters(next)) << 56;
        }
        uint64_t hide = digits & ~((alpha << 8 | carry) & ~after);
        carry = alpha >> 56;
        uint64_t full = (hide >> 7) * 0xff;
        h = fold(h ^ ((x & ~full) | (full & '0' * ONES)));
    }
    return h;
}

void ops_miner_memo_free(ops_miner *m)
{
    ops_free(m->memo);
    ops_free(m->memo_spans);
    ops_free(m->cache);
}

ops_status ops_miner_memo_size(ops_miner *m, size_t slots)
{
    ops_miner fresh = {.memo = ops_calloc(slots, sizeof *m->memo),
                       .memo_spans = m->lim.slots ? ops_calloc(slots, sizeof *m->memo_spans) : NULL,
                       .cache = ops_calloc(slots / 2, sizeof *m->cache)};
    m->missed = 0;
    if (fresh.memo == NULL || fresh.cache == NULL || (m->lim.slots && fresh.memo_spans == NULL)) {
        ops_miner_memo_free(&fresh);
        return OPS_ENOMEM;
    }
    ops_miner_memo_free(m);
    m->memo = fresh.memo;
    m->memo_spans = fresh.memo_spans;
    m->cache = fresh.cache;
    m->slots = slots;
    return OPS_OK;
}

/* Two slots for each template at least, and more so far as any number of templates may have while lines miss them. */
static void grow(ops_miner *m)
{
    bool few = m->slots < MINER_SLOTS_MOST && m->slots < 2 * m->live;
    if (few || (++m->missed > 4 * m->slots && m->slots < MINER_SLOTS_USUAL))
        (void)!ops_miner_memo_size(m, 2 * m->slots); /* without memory it stays as it is */
}

/* The slot of key, or the first of the two where it may stand. */
static bool find(ops_miner *m, uint64_t key, memo_look *ret)
{
    size_t at = key & (m->slots - 2);
    memo_slot *first = &m->memo[at];
    bool second = first->key != key && first[1].key == key;
    ret->slot = first + second;
    ret->spans = m->memo_spans != NULL ? &m->memo_spans[at + second] : NULL;
    if (ret->slot->key == key && ret->slot->epoch == m->epoch && ret->slot->t != NULL)
        return true;
    ret->slot = first;
    ret->spans = m->memo_spans != NULL ? &m->memo_spans[at] : NULL;
    return false;
}

bool ops_miner_memo_get(ops_miner *m, ops_slice line, memo_look *ret)
{
    ret->slot = NULL;
    if (line.n > MINER_MEMO_BYTES || m->find != NULL)
        return false;
    ret->key = key_of(line);
    if (find(m, ret->key, ret))
        return true;
    grow(m);
    (void)find(m, ret->key, ret);
    return false;
}

/* The elder of the two goes. */
void ops_miner_memo_put(ops_miner *m, const memo_look *look, tmpl *t, const line_spans *spans)
{
    if (look->slot == NULL || spans->n > OPS_SLOTS_MAX)
        return;
    look->slot[1] = look->slot[0];
    look->slot[0] = (memo_slot){.key = look->key, .epoch = m->epoch, .t = t};
    if (look->spans == NULL)
        return;
    look->spans[1] = look->spans[0];
    look->spans->n = (uint8_t)spans->n;
    for (size_t i = 0; i < spans->n; i++) {
        look->spans->off[i] = (uint8_t)spans->v[i].off;
        look->spans->len[i] = (uint8_t)spans->v[i].len;
    }
}
