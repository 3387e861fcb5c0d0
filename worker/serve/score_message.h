/* What a head said, as a message of the attach stream. */
#ifndef OPS_WORKER_SCORE_MESSAGE_H
#define OPS_WORKER_SCORE_MESSAGE_H

#include "proto/ops/v1/worker.pb-c.h"
#include "worker/serve/runner.h"

typedef struct ops_score_message {
    Ops__V1__WorkerMessage message; /* a Result; the caller sets its task_id */
    Ops__V1__Result result;
    Ops__V1__ScoreEnd end;
    void *block;
} ops_score_message;

/* Of a job that is done, with OPS_OK; `r` must outlive *ret, which is not to be moved. False: the heap is out. */
bool ops_score_message_make(const ops_runner_result *r, ops_score_message *ret);
void ops_score_message_done(ops_score_message *m);

#endif
