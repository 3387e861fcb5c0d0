/* What the two processes say to each other over a stream of bytes: a call, its payload; an answer, its payload. */
#ifndef OPS_KERNELS_FAKE_FAR_WIRE_H
#define OPS_KERNELS_FAKE_FAR_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/include/kern.h"

typedef enum far_what {
    FAR_BUF_NEW,
    FAR_BUF_FREE,
    FAR_UPLOAD,
    FAR_DOWNLOAD,
    FAR_PLAN_NEW,
    FAR_PLAN_FREE,
    FAR_SUBMIT,
    FAR_WAIT,
    FAR_PACK,
    FAR_PACK_QUANT
} far_what;

typedef struct far_call {
    far_what what;
    int type, n, k;
    uint64_t thing;                   /* a buffer or plan: the other process' name for it */
    uint64_t at, bytes;               /* of a transfer; bytes that follow, or are wanted */
    uint64_t args[OPS_KERN_ARGS_MAX]; /* of a run; n of them */
    ops_kern_shape shape;
} far_call;

typedef struct far_answer {
    ops_kern_status status;
    uint64_t thing; /* made, or a fence */
} far_answer;

int far_write(int fd, const void *from, size_t bytes); /* 1: all of it */
int far_read(int fd, void *to, size_t bytes);          /* 1: all of it */
void far_serve(int fd, int threads);                   /* the other process: until the stream ends */

#endif
