/* Lines of several streams, from any bytes: no byte of a line is lost while no bound is met. The first byte of each
 * line picks its stream and whether it is partial. */
#include <stdlib.h>

#include "coordinator/ingest/multiline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    size_t bytes, events;
};

static void on_event(void *u, const ops_multiline_event *e)
{
    struct seen *s = u;

    if (e->lines == 0 || e->lines > 8 || e->text.n > 200)
        abort();
    s->events++;
    s->bytes += e->text.n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const ops_multiline_conf conf = {
        .lines_max = 8, .event_bytes_max = 200, .hold_ns_max = 10, .streams_max = 3};
    struct seen s = {0};
    ops_slice rest = ops_slice_of(data, size), line;
    ops_multiline *m;
    int64_t now = 0;

    if (ops_multiline_new(&conf, on_event, &s, &m, NULL) != OPS_OK)
        return 0;
    while (rest.p != NULL && ops_slice_split(&rest, '\n', &line)) {
        if (line.n == 0)
            continue;
        const char key = (char)('a' + (line.p[0] & 3));
        if (ops_multiline_push(m, ops_slice_of(&key, 1), ops_slice_sub(line, 1, SIZE_MAX),
                               (line.p[0] & 64) != 0, now, NULL) != OPS_OK)
            abort();
        if (ops_multiline_open(m) > conf.streams_max)
            abort();
        ops_multiline_tick(m, now += line.p[0] & 4);
    }
    ops_multiline_flush(m);
    if (ops_multiline_open(m) != 0)
        abort();
    ops_multiline_free(m);
    return 0;
}
