#include "coordinator/analysis/incident/relate.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text/hash.h"

/* What is one and the same has no finer grain than the detectors' windows. */
static const double grain_s = 10, day_s = 86400, per_day_min = 6, time_bits_max = 8;
static const double service_bits = 3, near_bits = 2, template_bits = 3, words_bits = 2, said_bits = 3;
/* So much of the words of both is the same thing said. */
static const double same_words = 0.4;
enum { TEXT_BYTES_MAX = 300, WORDS_MAX = 96, WORD_BYTES_MIN = 3 };

const char *ops_relate_kind_name(ops_relate_kind kind)
{
    static const char *const names[OPS_RELATE_KINDS] = {[OPS_RELATE_TIME] = "time",
                                                        [OPS_RELATE_SERVICE] = "service",
                                                        [OPS_RELATE_TOPOLOGY] = "topology",
                                                        [OPS_RELATE_MEANING] = "meaning",
                                                        [OPS_RELATE_SAID] = "said"};
    return kind < OPS_RELATE_KINDS ? names[kind] : "?";
}

static ops_status say(ops_arena *a, ops_relate_term *t, double bits, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static ops_status say(ops_arena *a, ops_relate_term *t, double bits, const char *fmt, ...)
{
    char text[TEXT_BYTES_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    t->bits = bits;
    t->text = ops_arena_dup(a, ops_slice_str(text));
    return t->text.p != NULL ? OPS_OK : OPS_ENOMEM;
}

/* The words of a sign as sorted hashes: letters alone, so that numbers and ids do not count. */
typedef struct words {
    uint64_t v[WORDS_MAX];
    size_t n;
} words;

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

static int by_hash(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void words_of(ops_slice text, words *ret)
{
    ret->n = 0;
    for (size_t i = 0; i < text.n && ret->n < WORDS_MAX;) {
        size_t from = i;
        uint64_t h = 1;
        for (; i < text.n && is_letter(text.p[i]); i++)
            h = ops_hash_mix(h ^ (unsigned char)(text.p[i] | 0x20));
        if (i - from >= WORD_BYTES_MIN)
            ret->v[ret->n++] = h;
        i += i == from;
    }
    qsort(ret->v, ret->n, sizeof *ret->v, by_hash);
    size_t kept = 0;
    for (size_t i = 0; i < ret->n; i++)
        if (i == 0 || ret->v[i] != ret->v[i - 1])
            ret->v[kept++] = ret->v[i];
    ret->n = kept;
}

/* Words in both over words in either. */
static double alike(const words *a, const words *b)
{
    size_t i = 0, k = 0, both = 0;
    while (i < a->n && k < b->n) {
        both += a->v[i] == b->v[k];
        if (a->v[i] <= b->v[k]) {
            k += a->v[i] == b->v[k];
            i++;
        } else {
            k++;
        }
    }
    const size_t all = a->n + b->n - both;
    return all > 0 ? (double)both / (double)all : 0;
}

static ops_status time_term(const ops_relate_case *c, const ops_sign *s, ops_arena *a, ops_relate_term *t)
{
    double gap_s = HUGE_VAL;
    for (size_t i = 0; i < c->member_count; i++)
        gap_s = fmin(gap_s, fabs((double)c->members[i].start_ns - (double)s->start_ns) / 1e9);
    const double rate = fmax(c->incidents_per_day, per_day_min);
    /* -expm1(-x): what is left of a Poisson process having none. */
    const double chance = -expm1(-rate * (gap_s + grain_s) / day_s);
    const double bits = fmin(time_bits_max, -log2(fmax(chance, 1e-9)));
    if (bits < 0.05)
        return OPS_OK;
    return say(a, t, bits, "began %.0f s from another of it; by chance %.2g of incidents do", gap_s, chance);
}

static bool shares(const ops_slice *a, size_t an, const ops_slice *b, size_t bn, ops_slice *ret)
{
    for (size_t i = 0; i < an; i++)
        for (size_t k = 0; k < bn; k++)
            if (ops_slice_eq(a[i], b[k])) {
                *ret = a[i];
                return true;
            }
    return false;
}

static ops_status service_term(const ops_relate_case *c, const ops_sign *s, ops_arena *a, ops_relate_term *t)
{
    ops_slice same;
    for (size_t i = 0; i < c->member_count; i++)
        if (shares(s->services, s->service_count, c->members[i].services, c->members[i].service_count, &same))
            return say(a, t, service_bits, "it is of " OPS_SLICE_FMT, OPS_SLICE_ARG(same));
    return OPS_OK;
}

static bool near(const ops_topology *t, const ops_sign *x, const ops_sign *y, ops_slice *ret_a,
                 ops_slice *ret_b)
{
    for (size_t i = 0; i < x->service_count; i++)
        for (size_t k = 0; k < y->service_count; k++) {
            const uint32_t a = ops_topology_find(t, x->services[i]), b = ops_topology_find(t, y->services[k]);
            if (a != OPS_TOPOLOGY_NONE && b != OPS_TOPOLOGY_NONE && ops_topology_near(t, a, b)) {
                *ret_a = x->services[i];
                *ret_b = y->services[k];
                return true;
            }
        }
    return false;
}

static ops_status near_term(const ops_relate_case *c, const ops_sign *s, ops_arena *a, ops_relate_term *t)
{
    ops_slice x, y;
    for (size_t i = 0; i < c->member_count; i++)
        if (near(c->topology, s, &c->members[i], &x, &y))
            return say(a, t, near_bits, OPS_SLICE_FMT " and " OPS_SLICE_FMT " call each other",
                       OPS_SLICE_ARG(x), OPS_SLICE_ARG(y));
    return OPS_OK;
}

static ops_status meaning_term(const ops_relate_case *c, const ops_sign *s, ops_arena *a, ops_relate_term *t)
{
    ops_slice same;
    double most = 0;
    words mine, theirs;
    words_of(s->text, &mine);
    for (size_t i = 0; i < c->member_count; i++) {
        const ops_sign *m = &c->members[i];
        if (shares(s->templates, s->template_count, m->templates, m->template_count, &same))
            return say(a, t, template_bits, "they have the messages of template " OPS_SLICE_FMT " in common",
                       OPS_SLICE_ARG(same));
        words_of(m->text, &theirs);
        most = fmax(most, alike(&mine, &theirs));
    }
    if (most < same_words)
        return OPS_OK;
    return say(a, t, words_bits * most, "%.0f %% of the words are the same", 100 * most);
}

static bool of_service(const ops_sign *s, ops_slice service)
{
    return s->service_count > 0 && ops_slice_eq(s->services[0], service);
}

/* The newest lesson about the sign's service and one of the members' counts, until members of its own service are there. */
static ops_status said_term(const ops_relate_case *c, const ops_sign *s, ops_arena *a, ops_relate_term *t)
{
    for (size_t i = 0; i < c->member_count; i++)
        if (s->service_count > 0 && of_service(&c->members[i], s->services[0]))
            return OPS_OK;
    for (size_t l = c->lesson_count; l-- > 0;) {
        const ops_lesson *x = &c->lessons[l];
        if (x->kind != OPS_LESSON_TOGETHER && x->kind != OPS_LESSON_APART)
            continue;
        for (size_t i = 0; i < c->member_count; i++) {
            const ops_sign *m = &c->members[i];
            if (!(of_service(s, x->first) && of_service(m, x->second)) &&
                !(of_service(s, x->second) && of_service(m, x->first)))
                continue;
            const bool apart = x->kind == OPS_LESSON_APART;
            return say(a, t, apart ? -said_bits : said_bits,
                       OPS_SLICE_FMT " %s " OPS_SLICE_FMT " and " OPS_SLICE_FMT, OPS_SLICE_ARG(x->who),
                       apart ? "split" : "merged", OPS_SLICE_ARG(x->first), OPS_SLICE_ARG(x->second));
        }
    }
    return OPS_OK;
}

ops_status ops_relate(const ops_relate_case *c, const ops_sign *s, ops_arena *text,
                      ops_relate_term ret_terms[OPS_RELATE_KINDS], double *ret_bits)
{
    static ops_status (*const terms[OPS_RELATE_KINDS])(const ops_relate_case *c, const ops_sign *s,
                                                       ops_arena *a, ops_relate_term *t) = {
        [OPS_RELATE_TIME] = time_term,
        [OPS_RELATE_SERVICE] = service_term,
        [OPS_RELATE_TOPOLOGY] = near_term,
        [OPS_RELATE_MEANING] = meaning_term,
        [OPS_RELATE_SAID] = said_term};
    double bits = 0;
    for (size_t k = 0; k < OPS_RELATE_KINDS; k++) {
        ret_terms[k] = (ops_relate_term){0};
        ops_status st = c->member_count > 0 ? terms[k](c, s, text, &ret_terms[k]) : OPS_OK;
        if (st != OPS_OK)
            return st;
        bits += ret_terms[k].bits;
    }
    *ret_bits = bits;
    return OPS_OK;
}
