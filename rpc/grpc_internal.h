/* gRPC core behind the transport port. Private to rpc/grpc_*.c, the only files that include grpc headers. */
#ifndef OPS_RPC_GRPC_INTERNAL_H
#define OPS_RPC_GRPC_INTERNAL_H

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>

#include "base/sched/thread.h"
#include "rpc/internal.h"

/* What a completion queue hands back: `ok` as core means it. */
typedef struct grpc_tag_fn {
    void (*fn)(struct grpc_tag_fn *t, bool ok);
} grpc_tag_fn;
#define TAG_OWNER(tag, type, field) ((type *)(void *)((char *)(tag)-offsetof(type, field)))

/* What was written before a batch started is seen by whoever gets its tag: the order goes through core, which the thread
 * sanitizer does not see. */
#if defined(__SANITIZE_THREAD__)
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#define TAG_GIVE(tag) __tsan_release(tag)
#define TAG_TAKE(tag) __tsan_acquire(tag)
#else
#define TAG_GIVE(tag) ((void)(tag))
#define TAG_TAKE(tag) ((void)(tag))
#endif

typedef struct grpc_queue {
    struct grpc_host *host;
    grpc_completion_queue *cq;
    ops_thread *thread;
} grpc_queue;

typedef struct grpc_host {
    ops_rpc_server base;
    grpc_server *core;
    grpc_queue *queues;
    unsigned queue_count;
    atomic_uint live; /* call objects that still have batches or references */
    grpc_tag_fn shutdown_tag;
    pthread_mutex_t lock; /* down, tls */
    pthread_cond_t changed;
    bool down;
    char *cert, *key, *client_ca; /* PEM in force */
    uint64_t tls_generation;
} grpc_host;

/* A message waiting to be sent. */
typedef struct grpc_out {
    struct grpc_out *next;
    grpc_byte_buffer *bytes;
    size_t n;
} grpc_out;

typedef struct grpc_server_call {
    ops_rpc_call base;
    grpc_host *host;
    grpc_queue *queue;
    grpc_tag_fn new_tag, close_tag, read_tag, write_tag;
    grpc_call *core;
    grpc_call_details details;
    grpc_metadata_array metadata;
    gpr_timespec deadline;
    int cancelled_by_client; /* written by core when the close tag comes */
    grpc_byte_buffer *in;
    grpc_slice in_slice;     /* the request, until the call is over */
    bool in_held, streaming; /* streaming: bidi */

    pthread_mutex_t lock; /* everything below */
    bool headers_sent, writing, reading, finishing, status_sent, closed, want_writable;
    grpc_out *head, **tail;
    size_t queued, queued_bytes;
    int code;
    grpc_slice message;
    grpc_slice status_bytes; /* grpc-status-details-bin */
    bool has_status_bytes;
    grpc_byte_buffer *out;
} grpc_server_call;

extern const rpc_transport grpc_call_transport;
/* Asks core for the next call on this queue. */
void grpc_call_arm(grpc_host *h, grpc_queue *q);

/* grpc_init() once for each user of core; shut down with the last. */
void rpc_core_ref(void);
void rpc_core_unref(void);
grpc_byte_buffer *rpc_bytes_of(ops_slice s);
/* The message as one slice, to be unref'd. */
grpc_slice rpc_slice_of(grpc_byte_buffer *b);
static inline ops_slice rpc_view(const grpc_slice *s)
{
    return ops_slice_of(GRPC_SLICE_START_PTR(*s), GRPC_SLICE_LENGTH(*s));
}
ops_slice rpc_metadata_find(const grpc_metadata_array *md, const char *key);
gpr_timespec rpc_deadline(int64_t timeout_ms);

#endif
