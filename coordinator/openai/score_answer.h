/* What is answered to a rerank or a classify. Pure. @thread any */
#ifndef OPS_COORDINATOR_SCORE_ANSWER_H
#define OPS_COORDINATOR_SCORE_ANSWER_H

#include "base/text/strbuf.h"
#include "coordinator/openai/score_ask.h"
#include "proto/ops/v1/score.pb-c.h"

/* {"object":"list","model":...,"results":[{"index","relevance_score","document"?}],"usage":...}: the top_n best, best first,
 * equal ones in the order of the documents. False: the worker's answer does not fit what was asked; nothing is written. */
bool ops_score_answer_rerank(const ops_score_ask *a, const Ops__V1__ScoreEnd *end, ops_slice model,
                             ops_strbuf *out);
/* {"object":"list","model":...,"data":[{"index","label","probs","num_classes"}],"usage":...}, `probs` in the order of
 * "labels"; of a model that labels words {"index","spans":[{"label","start","end","text","score"}],"num_classes"}, where start
 * and end count code points. */
bool ops_score_answer_classify(const ops_score_ask *a, const Ops__V1__ScoreEnd *end, ops_slice model,
                               ops_strbuf *out);

#endif
