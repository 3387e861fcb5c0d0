/* Joining traces. Each stream has one open event and a state that says which unindented lines still belong to it;
 * indented lines always do. Streams sit in a list by last use, so tick() looks at its old end only. */
#include "coordinator/ingest/multiline.h"

#include "base/coll/map.h"
#include "base/mem/alloc.h"
#include "base/text/strbuf.h"

#include <inttypes.h>

/* What the open event has shown so far. */
enum state {
    ST_TEXT,    /* an ordinary line */
    ST_TROUBLE, /* an ordinary line that reports an error: a trace may follow */
    ST_JAVA,    /* exception header or frames */
    ST_PYTHON,  /* inside "Traceback": ends with one unindented line */
    ST_PYTHON_ENDED,
    ST_GO,     /* panic or goroutine dump */
    ST_NATIVE, /* terminate called, #0 0x... */
    ST_JS,
};

typedef struct stream {
    struct stream *prev, *next; /* by last use, oldest first */
    char *key;
    size_t key_n;
    ops_strbuf text;
    uint32_t lines, blanks; /* blanks: empty lines held back until the next line says whether they belong */
    enum state state;
    bool partial;
    int64_t first_ns, last_ns;
} stream;

struct ops_multiline {
    ops_multiline_conf conf;
    ops_multiline_emit emit;
    void *u;
    ops_map *streams;
    stream *oldest, *newest;
};

void ops_multiline_conf_default(ops_multiline_conf *ret)
{
    *ret = (ops_multiline_conf){
        .lines_max = 512,
        .event_bytes_max = (size_t)256 << 10,
        .hold_ns_max = 2 * INT64_C(1000000000),
        .streams_max = 1024,
    };
}

ops_status ops_multiline_new(const ops_multiline_conf *conf, ops_multiline_emit emit, void *u,
                             ops_multiline **ret, ops_err *reterr)
{
    if (conf->lines_max == 0 || conf->streams_max == 0 || conf->event_bytes_max == 0)
        return ops_fail(reterr, OPS_ERANGE,
                        "multiline: lines_max, streams_max and event_bytes_max must be at least 1");
    ops_multiline *m = ops_calloc(1, sizeof *m);
    if (m == NULL || (m->streams = ops_map_new()) == NULL) {
        ops_free(m);
        return ops_fail(reterr, OPS_ENOMEM, "multiline");
    }
    m->conf = *conf;
    m->emit = emit;
    m->u = u;
    *ret = m;
    return OPS_OK;
}

static void unlink_stream(ops_multiline *m, stream *s)
{
    *(s->prev != NULL ? &s->prev->next : &m->oldest) = s->next;
    *(s->next != NULL ? &s->next->prev : &m->newest) = s->prev;
    s->prev = s->next = NULL;
}

static void append_stream(ops_multiline *m, stream *s)
{
    s->prev = m->newest;
    s->next = NULL;
    *(m->newest != NULL ? &m->newest->next : &m->oldest) = s;
    m->newest = s;
}

static void stream_free(stream *s)
{
    if (s == NULL)
        return;
    ops_strbuf_done(&s->text);
    ops_free(s->key);
    ops_free(s);
}

void ops_multiline_free(ops_multiline *m)
{
    if (m == NULL)
        return;
    for (stream *s = m->oldest, *next; s != NULL; s = next) {
        next = s->next;
        stream_free(s);
    }
    ops_map_free(m->streams);
    ops_free(m);
}

size_t ops_multiline_open(const ops_multiline *m)
{
    return ops_map_count(m->streams);
}

static void emit(ops_multiline *m, stream *s, bool truncated)
{
    const ops_multiline_event event = {
        .key = {s->key, s->key_n},
        .text = ops_strbuf_get(&s->text),
        .lines = s->lines,
        .truncated = truncated,
        .first_ns = s->first_ns,
    };

    if (s->lines > 0)
        m->emit(m->u, &event);
    ops_strbuf_clear(&s->text);
    s->lines = s->blanks = 0;
    s->partial = false;
    s->state = ST_TEXT;
}

static void retire(ops_multiline *m, stream *s)
{
    emit(m, s, false);
    unlink_stream(m, s);
    (void)ops_map_del(m->streams, ops_slice_of(s->key, s->key_n));
    stream_free(s);
}

void ops_multiline_flush(ops_multiline *m)
{
    while (m->oldest != NULL)
        retire(m, m->oldest);
}

void ops_multiline_tick(ops_multiline *m, int64_t now_ns)
{
    while (m->oldest != NULL && now_ns - m->oldest->last_ns > m->conf.hold_ns_max)
        retire(m, m->oldest);
}

#define STARTS(s, lit) ops_slice_starts((s), OPS_SLICE(lit))

static bool word_char(char ch)
{
    return ((ch | 32) >= 'a' && (ch | 32) <= 'z') || (ch >= '0' && ch <= '9') || ch == '_' || ch == '$';
}

/* `java.lang.IllegalStateException: text`, `com.x.FooError`, `TypeError: text`: a name that ends like a thrown thing,
 * then nothing or a colon. *ret_dotted tells Java's from Python's and JavaScript's. */
static bool thrown(ops_slice line, bool *ret_dotted)
{
    static const ops_slice tails[] = {{"Exception", 9}, {"Error", 5}, {"Throwable", 9}, {"Failure", 7}};
    size_t n = 0;

    *ret_dotted = false;
    while (n < line.n && n < 200 && (word_char(line.p[n]) || (line.p[n] == '.' && n > 0))) {
        *ret_dotted |= line.p[n] == '.';
        n++;
    }
    if (n < line.n && line.p[n] != ':')
        return false;
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        if (ops_slice_ends(ops_slice_sub(line, 0, n), tails[i]))
            return true;
    }
    return false;
}

/* An ordinary line that speaks of an error somewhere in its first 300 bytes. */
static bool troubled(ops_slice line)
{
    static const ops_slice words[] = {{"ERROR", 5}, {"FATAL", 5},     {"SEVERE", 6}, {"WARN", 4},
                                      {"CRIT", 4},  {"\"error\"", 7}, {"error", 5},  {"Exception", 9},
                                      {"panic", 5}, {"Error", 5}};
    const ops_slice head = ops_slice_sub(line, 0, 300);

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (ops_slice_find(head, words[i]) >= 0)
            return true;
    }
    return false;
}

/* `#0  0x00007f` or `#12 main (`, and `/lib/x.so(+0x1f) [0x7f..]` of backtrace_symbols. */
static bool native_frame(ops_slice line)
{
    size_t n = 1;

    if (line.n > 3 && line.p[0] == '#' && line.p[1] >= '0' && line.p[1] <= '9') {
        while (n < line.n && line.p[n] >= '0' && line.p[n] <= '9')
            n++;
        return n < line.n && line.p[n] == ' ';
    }
    return line.n > 8 && line.p[line.n - 1] == ']' && ops_slice_find(line, OPS_SLICE(") [0x")) > 0;
}

/* The state a line that begins an event starts in. */
static enum state begin(ops_slice line)
{
    bool dotted;

    if (STARTS(line, "Traceback (most recent call last):"))
        return ST_PYTHON;
    if (STARTS(line, "panic: ") || STARTS(line, "fatal error: ") || STARTS(line, "goroutine "))
        return ST_GO;
    if (STARTS(line, "terminate called ") || native_frame(line))
        return ST_NATIVE;
    if (STARTS(line, "Exception in thread ") || STARTS(line, "Caused by: "))
        return ST_JAVA;
    if (thrown(line, &dotted))
        return dotted ? ST_JAVA : ST_JS;
    if (STARTS(line, "Uncaught ") || STARTS(line, "UnhandledPromiseRejection"))
        return ST_JS;
    return troubled(line) ? ST_TROUBLE : ST_TEXT;
}

static bool indented(ops_slice line)
{
    return line.n > 1 && (line.p[0] == ' ' || line.p[0] == '\t');
}

/* main.(*T).f(0xc000, ...): a dotted name without blanks, then arguments. */
static bool go_frame(ops_slice line)
{
    const ptrdiff_t open = ops_slice_find_char(line, '(');
    const ops_slice name = ops_slice_sub(line, 0, open > 0 ? (size_t)open : 0);

    return name.n > 1 && line.p[line.n - 1] == ')' && ops_slice_find_char(name, '.') > 0 &&
           ops_slice_find_char(name, ' ') < 0;
}

static bool go_line(ops_slice line)
{
    return STARTS(line, "goroutine ") || STARTS(line, "created by ") || STARTS(line, "[signal ") ||
           STARTS(line, "exit status ") || STARTS(line, "panic(") || STARTS(line, "panic: ") ||
           STARTS(line, "runtime: ") || go_frame(line);
}

static bool python_chain(ops_slice line)
{
    return STARTS(line, "Traceback (most recent call last):") ||
           STARTS(line, "During handling of the above exception") ||
           STARTS(line, "The above exception was the direct cause");
}

/* Does `line` (empty only when partial) go on with the event that is in *st? Moves the state on. */
static bool continues(enum state *st, ops_slice line, uint32_t blanks)
{
    bool dotted;

    if (python_chain(line) && *st != ST_TEXT) {
        *st = ST_PYTHON;
        return true;
    }
    if (*st == ST_GO)
        return indented(line) || go_line(line);
    if (*st == ST_PYTHON_ENDED)
        return indented(line) && blanks == 0;
    if (*st == ST_PYTHON) {
        if (!indented(line))
            *st = ST_PYTHON_ENDED;
        return true;
    }
    if (*st == ST_JS &&
        (indented(line) || STARTS(line, "Node.js v") || thrown(line, &dotted) || STARTS(line, "}")))
        return true;
    if (blanks > 0)
        return false;
    if (indented(line) || STARTS(line, "Caused by: ") || STARTS(line, "Suppressed: ") ||
        STARTS(line, "... ")) {
        if (*st == ST_TROUBLE && (STARTS(ops_slice_trim(line), "at ")))
            *st = ST_JAVA;
        return true;
    }
    if (*st == ST_NATIVE)
        return native_frame(line) || STARTS(line, "Aborted") || STARTS(line, "Backtrace:");
    if (*st == ST_TROUBLE && native_frame(line)) {
        *st = ST_NATIVE;
        return true;
    }
    if (*st == ST_TROUBLE &&
        (thrown(line, &dotted) || STARTS(line, "goroutine ") || STARTS(line, "panic: "))) {
        *st = line.p[0] == 'g' || line.p[0] == 'p' ? ST_GO : dotted ? ST_JAVA : ST_JS;
        return true;
    }
    return false;
}

static ops_status stream_of(ops_multiline *m, ops_slice key, stream **ret, ops_err *reterr)
{
    stream *s = ops_map_get(m->streams, key);

    if (s != NULL) {
        unlink_stream(m, s);
        append_stream(m, s);
        *ret = s;
        return OPS_OK;
    }
    if (ops_map_count(m->streams) >= m->conf.streams_max)
        retire(m, m->oldest);
    s = ops_calloc(1, sizeof *s);
    if (s == NULL || (s->key = ops_strndup(key.p != NULL ? key.p : "", key.n)) == NULL) {
        ops_free(s);
        return ops_fail(reterr, OPS_ENOMEM, "multiline stream '" OPS_SLICE_FMT "'", OPS_SLICE_ARG(key));
    }
    s->key_n = key.n;
    ops_strbuf_init(&s->text, m->conf.event_bytes_max + 1);
    if (ops_map_put(m->streams, key, s, NULL) != OPS_OK) {
        stream_free(s);
        return ops_fail(reterr, OPS_ENOMEM, "multiline stream '" OPS_SLICE_FMT "'", OPS_SLICE_ARG(key));
    }
    append_stream(m, s);
    *ret = s;
    return OPS_OK;
}

/* Room is made before anything changes, so that a failure leaves the event as it was. */
static ops_status append(ops_multiline *m, stream *s, ops_slice line, ops_err *reterr)
{
    const bool joined = s->lines > 0;
    const size_t breaks = joined && !s->partial ? 1 + (size_t)s->blanks : 0;
    const size_t left = m->conf.event_bytes_max - s->text.n;
    const size_t n = breaks >= left ? 0 : line.n < left - breaks ? line.n : left - breaks;

    if (ops_strbuf_room(&s->text, breaks + n + 1) == NULL) {
        s->text.failed = false;
        return ops_fail(reterr, OPS_ENOMEM, "multiline: joining a line of %zu bytes", line.n);
    }
    for (size_t i = 0; i < breaks && s->text.n < m->conf.event_bytes_max; i++)
        ops_strbuf_char(&s->text, '\n');
    ops_strbuf_put(&s->text, line.p, n);
    s->lines += s->partial ? 0 : 1 + (joined ? s->blanks : 0);
    s->blanks = 0;
    return OPS_OK;
}

ops_status ops_multiline_push(ops_multiline *m, ops_slice key, ops_slice line, bool partial, int64_t recv_ns,
                              ops_err *reterr)
{
    stream *s = NULL;

    while (line.n > 0 && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
        line.n--;
    ops_status st = stream_of(m, key, &s, reterr);
    if (st != OPS_OK)
        return st;
    s->last_ns = recv_ns;
    if (line.n == 0 && !s->partial && !partial) {
        if (s->lines > 0 && s->lines + s->blanks < m->conf.lines_max)
            s->blanks++;
        return OPS_OK;
    }
    enum state next = s->state;
    const bool full = s->lines + s->blanks >= m->conf.lines_max || s->text.n >= m->conf.event_bytes_max;
    if (s->lines > 0 && !s->partial && (full || !continues(&next, line, s->blanks)))
        emit(m, s, full);
    const bool fresh = s->lines == 0;
    st = append(m, s, line, reterr);
    if (st != OPS_OK)
        return st;
    if (fresh)
        s->first_ns = recv_ns;
    s->state = fresh ? begin(line) : next;
    s->partial = partial;
    if (s->text.n >= m->conf.event_bytes_max)
        emit(m, s, true);
    return OPS_OK;
}
