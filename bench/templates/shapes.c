/* Cost per line and memory with N live templates of lines that no rule can join: 6 to 13 words each, drawn by a hash
 * of (template, place) from 10,007 words of three syllables, and one number at the end that never comes twice. Two
 * templates of one length agree in a word or two at most.
 *
 * `ns`: every template has the same chance, which is the worst for caches. `skewed_ns`: the chance of the k-th falls
 * as 1/k, as streams do. `touch_ns`: what one dependent read costs in N blocks of 1 KiB, the machine's part in it. */
#include "bench/templates/measure.h"

#include <inttypes.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem/alloc.h"

enum { VOCABULARY = 10007, PIECE = 20000, PIECES = 50, LINE_BYTES_MAX = 128 };
#define TEMPLATES_MAX ((size_t)1 << 18) /* one configuration for all N */

static uint64_t mixed(uint64_t x) /* splitmix64 */
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* The first letter is none that a hexadecimal number has. */
static char *put_word(char *p, uint64_t word)
{
    static const char first[] = "ghklmnprst", later[] = "bcdfghklmnprstvz", vowel[] = "aeiou";
    uint64_t h = mixed(word % VOCABULARY);
    for (int i = 0; i < 3; i++) {
        *p++ = i == 0 ? first[h % 10] : later[h % 16];
        h /= 16;
        *p++ = vowel[h % 5];
        h /= 5;
    }
    return p;
}

typedef enum visit { VISIT_IN_ORDER, VISIT_EVEN, VISIT_SKEWED } visit;

static uint64_t pick(visit how, uint64_t n, size_t shapes)
{
    if (how == VISIT_IN_ORDER)
        return n % shapes;
    if (how == VISIT_EVEN)
        return mixed(n) % shapes;
    const double u = (double)(mixed(n) >> 11) * 0x1p-53;
    return (uint64_t)pow((double)shapes, u) - 1;
}

static size_t put_line(char *p, uint64_t shape, uint64_t number)
{
    const char *begin = p;
    const uint64_t h = mixed(shape * 64);
    const unsigned words = 6 + (unsigned)(h % 8);
    for (unsigned i = 0; i < words; i++) {
        p = put_word(p, mixed(shape * 64 + 1 + i));
        *p++ = ' ';
    }
    char digits[24];
    const int n = snprintf(digits, sizeof digits, "%" PRIu64, 1000000 + number);
    for (int i = 0; i < n; i++)
        *p++ = digits[i];
    return (size_t)(p - begin);
}

/* A letter and a newline as in every mix. */
static void fill(mix *m, size_t lines, size_t shapes, visit how, uint64_t *number)
{
    size_t at = 0;
    for (size_t i = 0; i < lines; i++) {
        const uint64_t n = (*number)++;
        m->text[at++] = 'a';
        at += put_line(m->text + at, pick(how, n, shapes), n);
        m->text[at++] = '\n';
        m->ends[i] = (uint32_t)at;
    }
    m->n = lines;
    m->bytes = at;
}

static size_t rss_bytes(void)
{
    unsigned long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL || fscanf(f, "%lu %lu", &size, &resident) != 2)
        measure_die("/proc/self/statm");
    (void)fclose(f);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static size_t heap_bytes(void)
{
    const struct mallinfo2 i = mallinfo2();
    return i.uordblks + i.hblkhd;
}

/* Walks one cycle through all blocks in an order without pattern. */
static double touch_ns(size_t blocks)
{
    enum { STEPS = 2000000, WORDS = 1024 / sizeof(uint64_t) };
    uint64_t *next = ops_calloc(blocks * WORDS, sizeof *next);
    if (next == NULL)
        measure_die("no memory");
    for (size_t i = 0; i < blocks; i++)
        next[i * WORDS] = i;
    for (size_t i = blocks - 1; i > 0; i--) { /* Sattolo's: one cycle */
        const size_t k = mixed(i) % i;
        const uint64_t was = next[i * WORDS];
        next[i * WORDS] = next[k * WORDS];
        next[k * WORDS] = was;
    }
    uint64_t at = 0;
    const double begun = measure_cpu_s();
    for (size_t i = 0; i < STEPS; i++)
        at = next[at * WORDS];
    const double spent = measure_cpu_s() - begun;
    ops_free(next);
    if (at >= blocks)
        measure_die("the walk left its blocks");
    return spent / STEPS * 1e9;
}

typedef struct bench_shapes {
    ops_miner *m;
    mix lines;
    size_t shapes;
    uint64_t number;
} bench_shapes;

/* Nanoseconds a line over a million lines: work done now and then is in it. */
static double timed(bench_shapes *b, visit how)
{
    double spent = 0;
    for (int p = 0; p < PIECES; p++) {
        fill(&b->lines, PIECE, b->shapes, how, &b->number);
        spent += measure_add(b->m, &b->lines, 0, PIECE);
    }
    return spent / (PIECES * (double)PIECE) * 1e9;
}

/* Nanoseconds a birth, each template once; then five lines a template, so that examples are kept and tables have
 * their size. */
static double warm_up(bench_shapes *b)
{
    double born_s = 0;
    b->number = 0;
    for (size_t left = b->shapes; left > 0;) {
        const size_t n = left < PIECE ? left : PIECE;
        fill(&b->lines, n, b->shapes, VISIT_IN_ORDER, &b->number);
        born_s += measure_add(b->m, &b->lines, 0, n);
        left -= n;
    }
    for (size_t n = 0; n < 5 * b->shapes; n += PIECE) {
        fill(&b->lines, PIECE, b->shapes, VISIT_EVEN, &b->number);
        (void)measure_add(b->m, &b->lines, 0, PIECE);
    }
    return born_s / (double)b->shapes * 1e9;
}

int shapes_main(size_t shapes)
{
    if (shapes == 0 || shapes > TEMPLATES_MAX / 2)
        measure_die("1 to 131072 templates");
    bench_shapes b = {.shapes = shapes};
    b.lines.text = ops_calloc(PIECE, LINE_BYTES_MAX);
    b.lines.ends = ops_calloc(PIECE, sizeof *b.lines.ends);
    if (b.lines.text == NULL || b.lines.ends == NULL)
        measure_die("no memory");
    fill(&b.lines, PIECE, shapes, VISIT_EVEN, &b.number); /* resident before the miner is */
    const double line_bytes = (double)b.lines.bytes / PIECE - 2;
    const size_t heap = heap_bytes(), rss = rss_bytes();
    b.m = measure_miner(TEMPLATES_MAX);
    const double birth_ns = warm_up(&b), ns = timed(&b, VISIT_EVEN);
    const size_t heap_now = heap_bytes(), rss_now = rss_bytes();
    const double skewed_ns = timed(&b, VISIT_SKEWED);
    ops_miner_stats st;
    ops_miner_stats_get(b.m, &st);
    if (st.lines != b.number) /* warm_up began at 0 */
        measure_die("the miner did not count every line");
    ops_miner_free(b.m);
    mix_done(&b.lines);
    const double live = st.templates > 0 ? (double)st.templates : 1;
    printf("{\"shapes\": %zu, \"templates\": %zu, \"lines\": %" PRIu64
           ", \"line_bytes\": %.1f, \"ns\": %.1f, "
           "\"skewed_ns\": %.1f, \"birth_ns\": %.1f, \"touch_ns\": %.1f, \"heap_bytes_per_template\": %.1f, "
           "\"rss_bytes_per_template\": %.1f}\n",
           shapes, st.templates, st.lines, line_bytes, ns, skewed_ns, birth_ns, touch_ns(shapes),
           (double)(heap_now - heap) / live, (double)(rss_now - rss) / live);
    return 0;
}
