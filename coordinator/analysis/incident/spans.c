#include "coordinator/analysis/incident/board.h"
#include "coordinator/analysis/incident/traces.h"

ops_status ops_judge_spans(ops_board *d)
{
    ops_traces t = {0};
    if (d->b->spans.n == 0)
        return OPS_OK;
    ops_status st = ops_traces_init(&t, d->b, d->at_s);
    if (st == OPS_OK)
        st = ops_judge_times(d, &t);
    if (st == OPS_OK)
        st = ops_judge_answers(d, &t);
    if (st == OPS_OK)
        st = ops_judge_calls(d, &t);
    ops_traces_done(&t);
    return st;
}
