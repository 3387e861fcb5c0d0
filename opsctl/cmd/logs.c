/* logs: records read back. fsck: the stream log checked, through the daemon or, with --data, in its folder. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "base/time/clock.h"
#include "base/time/rfc3339.h"
#include "opsctl/remote/remote.h"
#include "proto/ops/v1/cluster.pb-c.h"
#include "storage/streamlog/streamlog.h"

enum {
    OWN_SERVICE = REMOTE_OPTIONS,
    OWN_SINCE,
    OWN_UNTIL,
    OWN_SEVERITY,
    OWN_TEMPLATE,
    OWN_GREP,
    OWN_FOLLOW,
    OWN_LIMIT
};
enum { OWN_DATA = REMOTE_OPTIONS };

static const ops_conf_row logs_own[] = {
    {"service", OPS_CONF_STR, "", .help = "Of this service only."},
    {"since", OPS_CONF_STR, "",
     .help = "From this time on: 2026-11-24T01:02:03Z, or 15m for 15 minutes ago."},
    {"until", OPS_CONF_STR, "", .help = "Before this time."},
    {"severity", OPS_CONF_CHOICE, "any", .choices = "any|trace|debug|info|warn|error|fatal",
     .help = "At least this severe."},
    {"template", OPS_CONF_STR, "", .help = "Of this template only, by id."},
    {"grep", OPS_CONF_STR, "", .help = "Messages that hold this text."},
    {"follow", OPS_CONF_BOOL, "false", .help = "Go on with new records (-f)."},
    {"limit", OPS_CONF_UINT, "0", .help = "At most so many records; 0: all."},
};
static const ops_conf_row fsck_own[] = {
    {"data", OPS_CONF_STR, "", .help = "Check this data folder, without a daemon."},
};

/* "15m" ago, or a date. */
static ops_status parse_time(const char *text, const char *name, int64_t *ret, ops_err *reterr)
{
    static const ops_conf_row row = {"ago", OPS_CONF_DURATION, "0s", .help = ""};
    ops_conf *c = NULL;
    *ret = 0;
    if (text[0] == '\0' || ops_rfc3339_parse(ops_slice_str(text), ret))
        return OPS_OK;
    ops_status st = ops_conf_new(&row, 1, &c, reterr);
    if (st == OPS_OK && (st = ops_conf_set(c, "ago", ops_slice_str(text), NULL)) != OPS_OK)
        st = ops_fail(reterr, OPS_EINVAL,
                      "--%s: '%s' is no time such as 2026-11-24T01:02:03Z and no duration such as 15m", name,
                      text);
    if (st == OPS_OK)
        *ret = ops_clock_wall_ns(ops_clock_system()) - (int64_t)ops_conf_uint(c, 0) * 1000000;
    ops_conf_free(c);
    return st;
}

static const char *severity_word(uint32_t number)
{
    static const char *const words[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"};
    return number >= 1 && number <= 24 ? words[(number - 1) / 4] : "-";
}

static void show_record(ops_remote *r, const Ops__V1__Record *m)
{
    char when[OPS_RFC3339_BYTES];
    ops_strbuf b;
    ops_strbuf_init(&b, 64 << 20);
    if (r->mode == OPS_PRINT_JSON)
        ops_print_json(&m->base, &b);
    else if (r->mode == OPS_PRINT_YAML)
        ops_print_yaml(&m->base, &b);
    else if (r->mode == OPS_PRINT_NAME)
        ops_strbuf_printf(&b, "record/%u/%" PRIu64 "/%u\n", m->partition, m->log_offset, m->log_index);
    if (b.n > 0)
        (void)fwrite(b.p, 1, b.n, r->ctx->out);
    else {
        bool bad = r->colour && m->severity_number >= 17;
        (void)fprintf(r->ctx->out, "%s%s  %-5s  ", bad ? "\033[31m" : "",
                      ops_rfc3339_format(m->time_unix_nano, 3, when), severity_word(m->severity_number));
        ops_print_safe(r->ctx->out, m->service, false);
        (void)fputs("  ", r->ctx->out);
        ops_print_safe(r->ctx->out, m->message, true);
        for (size_t i = 0; r->mode == OPS_PRINT_WIDE && i < m->n_attributes; i++) {
            (void)fputs("  ", r->ctx->out);
            ops_print_safe(r->ctx->out, m->attributes[i]->key, false);
            (void)fputc('=', r->ctx->out);
            ops_print_safe(r->ctx->out, m->attributes[i]->value, false);
        }
        (void)fprintf(r->ctx->out, "%s\n", bad ? "\033[0m" : "");
    }
    ops_strbuf_done(&b);
}

static ops_status read_back(ops_remote *r, Ops__V1__QueryRecordsRequest *q, ops_err *reterr)
{
    ops_rpc_stream *s = NULL;
    ProtobufCMessage *m = NULL;
    ops_status st = ops_remote_stream(r, "/ops.v1.ClusterService/QueryRecords", &q->base, &s, reterr);
    while (st == OPS_OK) {
        st = ops_remote_next(s, &ops__v1__query_records_response__descriptor, &m, reterr);
        if (m == NULL)
            break;
        const Ops__V1__QueryRecordsResponse *a = (const Ops__V1__QueryRecordsResponse *)m;
        for (size_t i = 0; i < a->n_records; i++)
            show_record(r, a->records[i]);
        protobuf_c_message_free_unpacked(m, NULL);
        if (q->follow)
            (void)fflush(r->ctx->out);
    }
    ops_rpc_stream_free(s);
    return st;
}

ops_status ops_cmd_logs(ops_verb_ctx *ctx, ops_err *reterr)
{
    Ops__V1__QueryRecordsRequest q = OPS__V1__QUERY_RECORDS_REQUEST__INIT;
    char service[512], template_id[32], grep[2048];
    ops_remote r;
    ops_status st = ops_remote_open(ctx, logs_own, sizeof logs_own / sizeof *logs_own, &r, reterr);
    if (st != OPS_OK)
        return st;
    (void)snprintf(service, sizeof service, "%s", ops_conf_str(r.conf, OWN_SERVICE));
    (void)snprintf(template_id, sizeof template_id, "%s", ops_conf_str(r.conf, OWN_TEMPLATE));
    (void)snprintf(grep, sizeof grep, "%s", ops_conf_str(r.conf, OWN_GREP));
    q.service = service;
    q.template_id = template_id;
    q.grep = grep;
    uint64_t level = ops_conf_uint(r.conf, OWN_SEVERITY);
    q.severity_min = level > 0 ? (uint32_t)(level - 1) * 4 + 1 : 0;
    q.follow = ops_conf_bool(r.conf, OWN_FOLLOW);
    q.limit = ops_conf_uint(r.conf, OWN_LIMIT);
    st = parse_time(ops_conf_str(r.conf, OWN_SINCE), "since", &q.since_unix_nano, reterr);
    if (st == OPS_OK)
        st = parse_time(ops_conf_str(r.conf, OWN_UNTIL), "until", &q.until_unix_nano, reterr);
    if (st == OPS_OK && ctx->argc > 0)
        st = ops_fail(reterr, OPS_EINVAL, "'%s' is one word too many", ctx->argv[0]);
    if (st == OPS_OK)
        st = read_back(&r, &q, reterr);
    ops_remote_close(&r);
    return st;
}

static ops_status check_folder(const char *data, Ops__V1__CheckStorageResponse *ret, char *damage, size_t max,
                               ops_err *reterr)
{
    char path[1100];
    OPS_AUTO(ops_kv_close) ops_kv *kv = NULL;
    ops_streamlog_report report;
    unsigned partitions = 0;
    (void)snprintf(path, sizeof path, "%s/layout", data);
    FILE *f = fopen(path, "re");
    if (f == NULL || fscanf(f, "partitions %u", &partitions) != 1)
        partitions = 0;
    if (f != NULL)
        (void)fclose(f);
    if (partitions == 0)
        return ops_fail(reterr, OPS_ENOTFOUND, "%s is no data folder of opsd: %s cannot be read", data, path);
    (void)snprintf(path, sizeof path, "%s/log", data);
    ops_status st = ops_kv_open_rocksdb(path, ops_streamlog_families, OPS_STREAMLOG_FAMILIES, &kv, reterr);
    if (st != OPS_OK)
        return st;
    OPS_AUTO(ops_streamlog_close) ops_streamlog *sl = NULL;
    const ops_streamlog_conf conf = {.partitions = partitions};
    st = ops_streamlog_open(kv, &conf, &sl, reterr);
    if (st == OPS_OK)
        st = ops_streamlog_fsck(sl, &report, reterr);
    if (st != OPS_OK)
        return st;
    ret->entries = report.entries;
    ret->records = report.records;
    ret->bytes = report.bytes;
    ret->damaged = report.damaged;
    (void)snprintf(damage, max, "%s", report.first_damage);
    ret->first_damage = damage;
    return OPS_OK;
}

static ops_status tell_check(ops_remote *r, const Ops__V1__CheckStorageResponse *m, ops_err *reterr)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 16);
    if (r->mode == OPS_PRINT_JSON)
        ops_print_json(&m->base, &b);
    else if (r->mode == OPS_PRINT_YAML)
        ops_print_yaml(&m->base, &b);
    else
        ops_strbuf_printf(&b,
                          r->zh ? "条目 %" PRIu64 "，记录 %" PRIu64 "，字节 %" PRIu64 "，损坏 %" PRIu64 "\n"
                                : "entries %" PRIu64 ", records %" PRIu64 ", bytes %" PRIu64
                                  ", damaged %" PRIu64 "\n",
                          m->entries, m->records, m->bytes, m->damaged);
    (void)fwrite(b.p != NULL ? b.p : "", 1, b.n, r->ctx->out);
    ops_strbuf_done(&b);
    return m->damaged == 0 ? OPS_OK : ops_fail(reterr, OPS_ECORRUPT, "%s", m->first_damage);
}

ops_status ops_cmd_fsck(ops_verb_ctx *ctx, ops_err *reterr)
{
    ops_remote r;
    ops_status st = ops_remote_open(ctx, fsck_own, 1, &r, reterr);
    if (st != OPS_OK)
        return st;
    const char *data = ops_conf_str(r.conf, OWN_DATA);
    if (data[0] != '\0') {
        Ops__V1__CheckStorageResponse m = OPS__V1__CHECK_STORAGE_RESPONSE__INIT;
        char damage[256];
        st = check_folder(data, &m, damage, sizeof damage, reterr);
        if (st == OPS_OK)
            st = tell_check(&r, &m, reterr);
    } else {
        Ops__V1__CheckStorageRequest q = OPS__V1__CHECK_STORAGE_REQUEST__INIT;
        ProtobufCMessage *m = NULL;
        st = ops_remote_call(&r, "/ops.v1.ClusterService/CheckStorage", &q.base,
                             &ops__v1__check_storage_response__descriptor, &m, reterr);
        if (st == OPS_OK) {
            st = tell_check(&r, (const Ops__V1__CheckStorageResponse *)m, reterr);
            protobuf_c_message_free_unpacked(m, NULL);
        }
    }
    ops_remote_close(&r);
    return st;
}
