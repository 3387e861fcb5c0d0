/* Lines per CPU-second of the template miner alone, over synthetic lines of 60 forms. Prints one JSON object. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "coordinator/analysis/template/miner.h"

enum { LINES = 20000, TURNS = 50 };

static const char *const verbs[] = {"opened",  "closed", "refused", "accepted", "queued",
                                    "dropped", "parsed", "stored",  "moved",    "checked"};
static const char *const nouns[] = {"connection", "request", "segment", "session", "block", "message"};

int main(void)
{
    static char text[LINES][200];
    static ops_slice line[LINES];
    unsigned x = 1;
    for (int i = 0; i < LINES; i++) {
        x = x * 1664525u + 1013904223u;
        unsigned form = (x >> 8) % 60;
        int n = snprintf(
            text[i], sizeof text[i],
            "%s %s %u from 10.%u.%u.%u:%u for user=%u in %u ms (trace %08x%08x, shard /data/part-%05u)",
            verbs[form % 10], nouns[form / 10], x % 99991, x % 13, x % 251, x % 239, x % 60000, x % 700,
            x % 977, x, x * 7, x % 4096);
        line[i] = ops_slice_of(text[i], (size_t)n);
    }
    ops_miner *m = NULL;
    ops_err err;
    if (ops_miner_new(NULL, &m, &err) != OPS_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    clock_t from = clock();
    for (int turn = 0; turn < TURNS; turn++)
        for (int i = 0; i < LINES; i++) {
            ops_template_hit hit;
            if (ops_miner_add(m, line[i], turn, &hit) != OPS_OK)
                return 1;
        }
    double cpu_s = (double)(clock() - from) / CLOCKS_PER_SEC;
    ops_miner_stats st;
    ops_miner_stats_get(m, &st);
    printf("{\"part\": \"miner\", \"lines\": %llu, \"cpu_s\": %.3f, \"lines_per_cpu_s\": %.0f, "
           "\"templates\": %zu}\n",
           (unsigned long long)st.lines, cpu_s, (double)st.lines / cpu_s, st.templates);
    ops_miner_free(m);
    return 0;
}
