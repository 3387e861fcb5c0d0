/* `opsctl offline sequences --train TRAIN --test TEST`: the model over two files of sessions, no daemon.
 *
 * A line is `session<TAB>event event ...`; events are any words without blanks. One row per session of TEST, in order:
 * `session<TAB>score<TAB>flag`, and with `explain` a fourth column with what is odd. Events are told apart by a 64-bit hash of their bytes.
 * Bounds: those of the model; names of OPS_SEQUENCE_KINDS_MAX events for the words. @thread: any, one at a time. */
#ifndef OPS_ANALYSIS_SEQUENCE_OFFLINE_H
#define OPS_ANALYSIS_SEQUENCE_OFFLINE_H

#include <stdbool.h>

#include "base/status/status.h"
#include "base/text/slice.h"

/* Sets *ret to the next line without its line feed and returns OPS_OK; OPS_ENOTFOUND at the end. The slice is used until
 * the next call only. */
typedef ops_status (*ops_sequences_read)(void *u, ops_slice *ret, ops_err *reterr);
/* Takes a piece of output, whole rows. */
typedef ops_status (*ops_sequences_write)(void *u, ops_slice rows, ops_err *reterr);

/* OPS_ECORRUPT: a line without a tab, by file and line; a training file without sessions. OPS_ENOMEM.
 * `note` (may be NULL): one line for people about what met a bound; NUL-terminated. */
typedef void (*ops_sequences_note)(void *u, const char *text);

typedef struct ops_sequences_io {
    ops_sequences_read read;
    void *train, *test; /* for read */
    ops_sequences_write write;
    void *out;
    ops_sequences_note note;
    void *note_u;
    bool explain;
} ops_sequences_io;

OPS_MUST_USE ops_status ops_sequences_offline(const ops_sequences_io *io, ops_err *reterr);

#endif
