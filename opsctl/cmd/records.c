#include "opsctl/cmd/records.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/coll/vec.h"
#include "base/mem/alloc.h"
#include "base/mem/arena.h"
#include "base/time/clock.h"
#include "coordinator/ingest/line.h"
#include "coordinator/ingest/multiline.h"
#include "coordinator/ingest/otlp_logs.h"
#include "coordinator/redact/redact.h"

enum { FILES_MAX = 256, UNTIMED_MAX = 1000, PATH_BYTES_MAX = 4096 };
#define LINE_BYTES_MAX  ((size_t)64 << 20)
#define ARENA_BYTES_MAX ((size_t)16 << 20)

typedef struct pending {
    int64_t time_ns;
    char *text; /* the service, then the message */
    uint32_t service_n, message_n;
    uint8_t severity;
    bool timed;
} pending;

typedef struct file {
    ops_records *r;
    FILE *f;
    char *name, *service;
    char *line; /* getline's own buffer: from the C heap */
    size_t cap;
    ops_multiline *joiner;
    OPS_VEC(pending) queue;
    size_t head;
    int64_t recv_ns, last_ns;
    uint64_t lines;
    bool has_time, is_case, named, ended;
    ops_status failed; /* of an event on its way through the joiner */
} file;

struct ops_records {
    ops_records_format format;
    FILE *in;
    OPS_VEC(file *) files;
    ops_ingest_limits limits;
    ops_redactor *redactor;
    ops_redact_scratch *scratch;
    ops_arena arena, clean;
    char *row_text;
    ops_records_stats stats;
};

ops_status ops_records_new(ops_records_format format, FILE *in, ops_records **ret, ops_err *reterr)
{
    const ops_redact_conf conf = {.kinds = OPS_REDACT_DEFAULT};
    OPS_AUTO(ops_records_free) ops_records *r = ops_calloc(1, sizeof *r);
    if (r == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "reading records");
    r->format = format;
    r->in = in;
    ops_ingest_limits_default(&r->limits);
    r->limits.past_ns_max = r->limits.future_ns_max = -1; /* a file may be of any age */
    ops_arena_init(&r->arena, ARENA_BYTES_MAX);
    ops_arena_init(&r->clean, ARENA_BYTES_MAX);
    ops_status st = ops_redactor_new(&conf, &r->redactor, reterr);
    if (st == OPS_OK)
        st = ops_redact_scratch_new(&r->scratch, reterr);
    if (st == OPS_OK)
        *ret = OPS_STEAL(r);
    return st;
}

static void file_free(file *f)
{
    if (f == NULL)
        return;
    for (size_t i = f->head; i < f->queue.n; i++)
        ops_free(f->queue.v[i].text);
    ops_vec_done(&f->queue);
    ops_multiline_free(f->joiner);
    if (f->f != NULL && f->f != f->r->in)
        (void)fclose(f->f);
    (free)(f->line);
    ops_free(f->name);
    ops_free(f->service);
    ops_free(f);
}

void ops_records_free(ops_records *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < r->files.n; i++)
        file_free(r->files.v[i]);
    ops_vec_done(&r->files);
    ops_redact_scratch_free(r->scratch);
    ops_redactor_unref(r->redactor);
    ops_arena_done(&r->arena);
    ops_arena_done(&r->clean);
    ops_free(r->row_text);
    ops_free(r);
}

/* Redacts and queues one record of the file. */
static ops_status keep(file *f, const ops_record *rec, ops_slice service, ops_err *reterr)
{
    ops_records *r = f->r;
    uint32_t counts[OPS_REDACT_KIND_COUNT] = {0};
    ops_slice clean = {NULL, 0};
    ops_arena_clear(&r->clean);
    ops_status st = ops_redact(r->redactor, r->scratch, rec->message, &r->clean, &clean, counts);
    if (st != OPS_OK)
        return ops_fail(reterr, st, "'%s', line %llu: redaction", f->name, (unsigned long long)f->lines);
    for (size_t i = 0; i < OPS_REDACT_KIND_COUNT; i++)
        r->stats.redactions += counts[i];
    pending p = {.timed = (rec->flags & OPS_RECORD_NO_TIME) == 0,
                 .time_ns = rec->time_ns,
                 .severity = rec->severity,
                 .service_n = (uint32_t)service.n,
                 .message_n = (uint32_t)clean.n};
    p.text = ops_malloc(service.n + clean.n + 1);
    if (p.text == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "'%s', line %llu", f->name, (unsigned long long)f->lines);
    if (service.n > 0)
        memcpy(p.text, service.p, service.n);
    if (clean.n > 0)
        memcpy(p.text + service.n, clean.p, clean.n);
    if (p.timed) {
        for (size_t i = f->head; !f->has_time && i < f->queue.n; i++)
            f->queue.v[i].time_ns = p.time_ns; /* what stood before the first time stamp */
        f->has_time = true;
        f->last_ns = p.time_ns;
    }
    p.time_ns = f->last_ns;
    if (!ops_vec_push(&f->queue, p)) {
        ops_free(p.text);
        return ops_fail(reterr, OPS_ENOMEM, "'%s', line %llu", f->name, (unsigned long long)f->lines);
    }
    return OPS_OK;
}

/* A body of which nothing is known may be a raw line of its own: its level, and its time when it has none. */
static void open_body(const file *f, ops_record *rec, ops_slice service)
{
    ops_record line;
    const ops_line_ctx ctx = {.limits = &f->r->limits, .recv_ns = f->recv_ns, .service = service};
    ops_arena_clear(&f->r->arena);
    if (ops_line_parse(&ctx, rec->message, &f->r->arena, &line, NULL, NULL) == OPS_LINE_PLAIN)
        return;
    rec->message = line.message;
    rec->severity = line.severity;
    if ((rec->flags & OPS_RECORD_NO_TIME) != 0 && (line.flags & OPS_RECORD_NO_TIME) == 0) {
        rec->time_ns = line.time_ns;
        rec->flags &= ~(uint32_t)OPS_RECORD_NO_TIME;
    }
}

static ops_status on_otlp(void *u, const ops_record *given, ops_err *reterr)
{
    file *f = u;
    ops_record rec = *given;
    if (rec.severity == 0)
        open_body(f, &rec, rec.service);
    return keep(f, &rec, rec.service, reterr);
}

static ops_status take_otlp(file *f, ops_slice line, ops_err *reterr)
{
    ops_ingest_counters counters = {0};
    const void *p = line.p;
    ops_status st =
        ops_otlp_logs_decode_json(p, line.n, &f->r->limits, f->recv_ns, on_otlp, NULL, f, &counters, reterr);
    f->r->stats.rejected += counters.rejected;
    if (st != OPS_OK)
        ops_err_prefix(reterr, "'%s', line %llu", f->name, (unsigned long long)f->lines);
    return st;
}

static void on_event(void *u, const ops_multiline_event *e)
{
    file *f = u;
    ops_record rec;
    ops_slice service = ops_slice_str(f->service);
    const ops_line_ctx ctx = {.limits = &f->r->limits, .recv_ns = f->recv_ns, .service = service};
    if (f->failed != OPS_OK)
        return;
    ops_arena_clear(&f->r->arena);
    (void)ops_line_parse(&ctx, e->text, &f->r->arena, &rec, NULL, NULL);
    char buf[256];
    if (!f->named) {
        service = rec.service;
        for (uint32_t i = 0; f->is_case && i < rec.attr_count; i++)
            if (ops_slice_eq(rec.attrs[i].key, OPS_SLICE("component")))
                service = rec.attrs[i].val;
        service = ops_slice_sub(service, 0, sizeof buf); /* it may lie in the arena that open_body clears */
        memcpy(buf, service.p, service.n);
        service.p = buf;
    }
    char *copy = NULL;
    if (f->is_case && rec.severity == 0 && (copy = ops_strndup(rec.message.p, rec.message.n)) != NULL) {
        rec.message.p = copy;
        open_body(f, &rec, service);
    }
    f->failed = keep(f, &rec, service, NULL);
    ops_free(copy);
}

static bool is_otlp(const file *f, ops_slice line)
{
    if (f->r->format != OPS_RECORDS_AUTO)
        return f->r->format == OPS_RECORDS_OTLP;
    return ops_slice_starts(line, OPS_SLICE("{\"resourceLogs\"")) ||
           ops_slice_starts(line, OPS_SLICE("{ \"resourceLogs\""));
}

/* Reads one line; sets f->ended at the end. */
static ops_status read_line(file *f, ops_err *reterr)
{
    errno = 0;
    ssize_t n = getline(&f->line, &f->cap, f->f);
    if (n < 0) {
        if (ferror(f->f) || errno == ENOMEM)
            return ops_fail(reterr, OPS_EIO, "reading '%s': %s", f->name, strerror(errno));
        f->ended = true;
        ops_multiline_flush(f->joiner);
    } else {
        f->lines++;
        f->r->stats.lines++;
        if ((size_t)n > LINE_BYTES_MAX)
            return ops_fail(reterr, OPS_ETOOBIG, "'%s', line %llu: longer than 64 MiB", f->name,
                            (unsigned long long)f->lines);
        ops_slice line = {f->line, (size_t)n};
        while (line.n > 0 && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
            line.n--;
        if (line.n == 0)
            return OPS_OK;
        if (is_otlp(f, line))
            return take_otlp(f, line, reterr);
        ops_status st = ops_multiline_push(f->joiner, OPS_SLICE("file"), line, false, f->recv_ns, reterr);
        if (st != OPS_OK)
            return st;
    }
    return f->failed == OPS_OK ? OPS_OK
                               : ops_fail(reterr, f->failed, "'%s', line %llu: %s", f->name,
                                          (unsigned long long)f->lines, ops_status_text(f->failed));
}

static void drop_queue(file *f)
{
    for (size_t i = f->head; i < f->queue.n; i++)
        ops_free(f->queue.v[i].text);
    f->r->stats.untimed += f->queue.n - f->head;
    f->queue.n = f->head = 0;
}

/* Reads until the file's next record and its time are known, or its end. */
static ops_status fill(file *f, ops_err *reterr)
{
    f->head = f->queue.n = 0;
    while (!f->ended && (f->queue.n == 0 || !f->has_time)) {
        if (f->queue.n >= UNTIMED_MAX)
            drop_queue(f);
        ops_status st = read_line(f, reterr);
        if (st != OPS_OK)
            return st;
    }
    if (!f->has_time)
        drop_queue(f);
    return OPS_OK;
}

ops_status ops_records_next(ops_records *r, ops_records_row *ret, ops_err *reterr)
{
    file *best = NULL;
    for (size_t i = 0; i < r->files.n; i++) {
        file *f = r->files.v[i];
        if (f->head == f->queue.n && !f->ended) {
            ops_status st = fill(f, reterr);
            if (st != OPS_OK)
                return st;
        }
        if (f->head < f->queue.n &&
            (best == NULL || f->queue.v[f->head].time_ns < best->queue.v[best->head].time_ns))
            best = f;
    }
    if (best == NULL)
        return OPS_ENOTFOUND;
    pending *p = &best->queue.v[best->head++];
    ops_free(r->row_text);
    r->row_text = p->text;
    r->stats.records++;
    *ret = (ops_records_row){.time_ns = p->time_ns,
                             .severity = p->severity,
                             .service = {p->text, p->service_n},
                             .message = {p->text + p->service_n, p->message_n}};
    return OPS_OK;
}

/* "shop.log" is shop's, "api.log.1" api's. */
static char *service_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    const char *dot = strchr(name + (*name == '.'), '.');
    return ops_strndup(name, dot != NULL ? (size_t)(dot - name) : strlen(name));
}

static ops_status add_file(ops_records *r, const char *path, ops_slice service, bool is_case, ops_err *reterr)
{
    if (r->files.n == FILES_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "'%s': more than %d files at once", path, FILES_MAX);
    bool input = strcmp(path, "-") == 0;
    file *f = ops_calloc(1, sizeof *f);
    if (f == NULL || !ops_vec_push(&r->files, f)) {
        ops_free(f);
        return ops_fail(reterr, OPS_ENOMEM, "opening '%s'", path);
    }
    ops_multiline_conf mc;
    ops_multiline_conf_default(&mc);
    f->r = r;
    f->is_case = is_case;
    f->named = service.n > 0;
    f->name = ops_strdup(input ? "standard input" : path);
    f->service = f->named ? ops_strndup(service.p, service.n)
                 : input  ? ops_strdup("stdin")
                          : service_of(path);
    ops_status st = ops_multiline_new(&mc, on_event, f, &f->joiner, reterr);
    if (st != OPS_OK)
        return st;
    if (f->name == NULL || f->service == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "opening '%s'", path);
    f->f = input ? r->in : fopen(path, "re");
    if (f->f == NULL)
        return ops_fail(reterr, errno == ENOENT ? OPS_ENOTFOUND : OPS_EIO, "cannot open '%s': %s", path,
                        strerror(errno));
    struct stat sb;
    f->recv_ns = ops_clock_now_ns(ops_clock_system()); /* stamps without a year are of the file's last one */
    if (!input && fstat(fileno(f->f), &sb) == 0)
        f->recv_ns = (int64_t)sb.st_mtim.tv_sec * 1000000000 + sb.st_mtim.tv_nsec;
    r->stats.files++;
    return OPS_OK;
}

static int keep_logs(const struct dirent *e)
{
    static const char *const ends[] = {".log", ".json", ".jsonl", ".txt"};
    size_t n = strlen(e->d_name);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (n > strlen(ends[i]) && strcmp(e->d_name + n - strlen(ends[i]), ends[i]) == 0)
            return e->d_name[0] != '.';
    return 0;
}

/* Every log file right in the folder, in the order of their names. */
static ops_status add_folder(ops_records *r, const char *path, ops_slice service, size_t *ret_count,
                             ops_err *reterr)
{
    struct dirent **names = NULL; /* scandir's: from the C heap */
    int n = scandir(path, &names, keep_logs, alphasort);
    ops_status st = OPS_OK;
    *ret_count = 0;
    if (n < 0)
        return errno == ENOENT ? OPS_OK : ops_fail(reterr, OPS_EIO, "folder '%s': %s", path, strerror(errno));
    for (int i = 0; i < n; i++) {
        char full[PATH_BYTES_MAX];
        if (st == OPS_OK &&
            (size_t)snprintf(full, sizeof full, "%s/%s", path, names[i]->d_name) >= sizeof full)
            st = ops_fail(reterr, OPS_ETOOBIG, "'%s': the path is too long", path);
        if (st == OPS_OK)
            st = add_file(r, full, service, false, reterr);
        *ret_count += st == OPS_OK;
        (free)(names[i]);
    }
    (free)(names);
    return st;
}

ops_status ops_records_open(ops_records *r, const char *path, ops_slice service, ops_err *reterr)
{
    struct stat sb;
    char inner[PATH_BYTES_MAX];
    size_t count = 0;
    bool folder = strcmp(path, "-") != 0 && stat(path, &sb) == 0 && S_ISDIR(sb.st_mode);
    if (!folder && r->format == OPS_RECORDS_CASE)
        return ops_fail(reterr, OPS_EINVAL, "'%s' is not a CASE folder", path);
    if (!folder)
        return add_file(r, path, service, false, reterr);
    if (strlen(path) + 16 > sizeof inner)
        return ops_fail(reterr, OPS_ETOOBIG, "'%.64s...': the path is too long", path);
    snprintf(inner, sizeof inner, "%s/logs", path);
    ops_status st = add_folder(r, inner, service, &count, reterr);
    if (st != OPS_OK || count > 0)
        return st;
    snprintf(inner, sizeof inner, "%s/logs.jsonl", path);
    if (stat(inner, &sb) == 0)
        return add_file(r, inner, service, true, reterr);
    if (r->format == OPS_RECORDS_CASE)
        return ops_fail(reterr, OPS_ENOTFOUND, "'%s' has neither logs/ nor logs.jsonl", path);
    st = add_folder(r, path, service, &count, reterr);
    if (st == OPS_OK && count == 0)
        st = ops_fail(reterr, OPS_ENOTFOUND, "folder '%s' has no *.log, *.json, *.jsonl or *.txt", path);
    return st;
}

void ops_records_stats_get(const ops_records *r, ops_records_stats *ret)
{
    *ret = r->stats;
}
