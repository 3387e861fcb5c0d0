/* Guesses behind the token that a sequence writes: computed in the same step, and kept as far as the model would have
 * chosen them itself. The weights are read once for all of them, so they are cheap while few sequences share a step. A sequence
 * that is guessed well gets more at once; one that is not is left alone for longer and longer. */
#include "worker/engine/generator_internal.h"

enum { WRITERS_MAX = 4, GUESSES_FIRST = 2, REST_MAX = 64 };

void generator_guess(ops_generator *g)
{
    const int writers = ops_schedule_running(g->schedule);
    for (ops_generation *r = g->under_way.first; r != NULL; r = r->next) {
        r->seq.drafts = 0;
        if (r->lookup == NULL || writers > WRITERS_MAX || r->seq.n - r->seq.done != 1 || r->rest-- > 0)
            continue;
        const int room = r->last - r->seq.n - 1;
        if (r->guesses == 0)
            r->guesses = GUESSES_FIRST;
        r->seq.drafts = ops_lookup_guess(r->lookup, r->ids, r->seq.n, r->ids + r->seq.n,
                                         r->guesses < room ? r->guesses
                                         : room > 0        ? room
                                                           : 0);
        r->rest = 0;
    }
}

void generation_guessed(ops_generator *g, ops_generation *r, int guessed, int right)
{
    if (guessed <= 0)
        return;
    g->now.guessed += (uint64_t)guessed;
    g->now.confirmed += (uint64_t)right;
    if (right == guessed)
        r->guesses = r->guesses * 2 < g->guesses_max ? r->guesses * 2 : g->guesses_max;
    else if (right == 0) {
        r->missed = r->missed * 2 < REST_MAX ? r->missed * 2 + 1 : REST_MAX;
        r->rest = r->missed;
        r->guesses = GUESSES_FIRST;
    }
    if (right > 0)
        r->missed = 0;
}
