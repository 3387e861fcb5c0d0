/* Cost per line over the number of lines a miner has seen. For each N a fresh miner takes N lines; the second half is
 * timed, in pieces, and the median of the pieces of all rounds is the cost after N lines. The lines are spread so that each piece
 * has the mix of the whole, and their longer numbers turn when the mix has been used up. */
#include "bench/templates/measure.h"

#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"

enum { PIECES = 10, ROUNDS_MAX = 40, LINES_A_SIZE = 4000000 };

static size_t gcd(size_t a, size_t b)
{
    while (b != 0) {
        const size_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

void mix_spread(mix *m)
{
    size_t step = (size_t)((double)m->n * 0.618) | 1u;
    while (step > 1 && gcd(step, m->n) != 1)
        step += 2;
    char *text = ops_malloc(m->bytes);
    uint32_t *ends = ops_malloc(m->n * sizeof *ends);
    if (text == NULL || ends == NULL)
        measure_die("no memory");
    size_t to = 0;
    for (size_t i = 0, from = 0; i < m->n; i++, from = (from + step) % m->n) {
        const size_t begin = from > 0 ? m->ends[from - 1] : 0, bytes = m->ends[from] - begin;
        memcpy(text + to, m->text + begin, bytes);
        to += bytes;
        ends[i] = (uint32_t)to;
    }
    mix_done(m);
    m->text = text;
    m->ends = ends;
}

void mix_turn(mix *m)
{
    size_t run = 0;
    for (size_t i = 0; i < m->bytes; i++) {
        const char ch = m->text[i];
        if (ch >= '0' && ch <= '9') {
            run++;
            continue;
        }
        for (size_t k = run >= 3 ? i - run + 1 : i; k < i; k++)
            m->text[k] = m->text[k] == '9' ? '0' : (char)(m->text[k] + 1);
        run = 0;
    }
}

typedef struct tape {
    mix *lines;
    size_t at;
} tape;

/* Feeds n lines from the tape; the CPU seconds do not hold the turning. */
static double feed(ops_miner *m, tape *t, size_t n)
{
    double spent = 0;
    while (n > 0) {
        if (t->at == t->lines->n) {
            mix_turn(t->lines);
            t->at = 0;
        }
        const size_t left = t->lines->n - t->at, part = left < n ? left : n;
        spent += measure_add(m, t->lines, t->at, t->at + part);
        t->at += part;
        n -= part;
    }
    return spent;
}

static void measure_size(tape *t, size_t n)
{
    static double piece[PIECES * ROUNDS_MAX];
    const size_t half = n / 2, part = half / PIECES;
    size_t rounds = LINES_A_SIZE / n;
    rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
    size_t count = 0, templates = 0;
    double first_s = 0;
    for (size_t r = 0; r < rounds; r++) {
        ops_miner *m = measure_miner(0);
        first_s += feed(m, t, half);
        for (size_t p = 0; p < PIECES; p++)
            piece[count++] = feed(m, t, part) / (double)part;
        ops_miner_stats st;
        ops_miner_stats_get(m, &st);
        templates = st.templates;
        ops_miner_free(m);
    }
    const double first_lines = (double)rounds * (double)half;
    printf("{\"lines\": %zu, \"rounds\": %zu, \"first_half_ns\": %.1f, \"ns\": %.1f, \"templates\": %zu}", n,
           rounds, first_s / first_lines * 1e9, measure_median(piece, count) * 1e9, templates);
}

static mix spread_copy(const mix *m)
{
    mix own = *m;
    own.text = ops_memdup(m->text, m->bytes);
    own.ends = ops_memdup(m->ends, m->n * sizeof *m->ends);
    if (own.text == NULL || own.ends == NULL)
        measure_die("no memory");
    mix_spread(&own);
    return own;
}

int lines_main(const mix *m, size_t most)
{
    mix own = spread_copy(m);
    tape t = {.lines = &own};
    printf("{\"sizes\": [");
    for (size_t n = 10000; n <= most; n *= 10) {
        printf("%s", n > 10000 ? ", " : "");
        measure_size(&t, n);
    }
    printf("]}\n");
    mix_done(&own);
    return 0;
}

int show_main(const mix *m, size_t turns)
{
    mix own = spread_copy(m);
    for (size_t i = 0; i < turns; i++)
        mix_turn(&own);
    const bool written = fwrite(own.text, 1, own.bytes, stdout) == own.bytes;
    mix_done(&own);
    return written ? 0 : 1;
}
