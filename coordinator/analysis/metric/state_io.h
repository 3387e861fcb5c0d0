/* One walk over a state both writes and reads it, so that the two can not drift apart. Little-endian, fixed widths.
 * Inside the room. */
#ifndef OPS_METRIC_STATE_IO_H
#define OPS_METRIC_STATE_IO_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/text/strbuf.h"

typedef struct ops_state_io {
    ops_strbuf *out; /* NULL: reading */
    const char *p, *end;
    bool bad;
} ops_state_io;

static inline void ops_io_bytes(ops_state_io *io, void *at, size_t n)
{
    if (io->out != NULL) {
        ops_strbuf_put(io->out, at, n);
        return;
    }
    if (io->bad || (size_t)(io->end - io->p) < n) {
        io->bad = true;
        memset(at, 0, n);
        return;
    }
    memcpy(at, io->p, n);
    io->p += n;
}

/* Numbers of any width, as they lie in memory (base/text/codec.h: the machine is little-endian). */
#define OPS_IO(io, lvalue) ops_io_bytes(io, &(lvalue), sizeof(lvalue))

/* A number that must be finite, and a float likewise. */
static inline void ops_io_f64(ops_state_io *io, double *at)
{
    ops_io_bytes(io, at, sizeof *at);
    io->bad |= !isfinite(*at);
}
static inline void ops_io_f32(ops_state_io *io, float *at)
{
    ops_io_bytes(io, at, sizeof *at);
    io->bad |= !isfinite(*at);
}

/* What was written must be what is expected here. */
static inline void ops_io_expect(ops_state_io *io, bool holds)
{
    io->bad |= !holds;
}

#endif
