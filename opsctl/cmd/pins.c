/* get pins, templates pins check: what operators said of templates. */
#include "opsctl/cmd/pins.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "base/time/clock.h"
#include "opsctl/remote/remote.h"
#include "proto/ops/v1/cluster.pb-c.h"

enum { OWN_LIMIT = REMOTE_OPTIONS };
enum { PAGE = 500, SUMMARY_COLUMNS = 90, HASH_SHOWN = 12 };

static const ops_conf_row own[] = {
    {"limit", OPS_CONF_UINT, "100", .help = "At most so many rows; 0: all.",
     .help_zh = "最多显示的行数，0 为全部。"},
};

ops_status ops_pins_read(const char *path, ops_pinset **ret, ops_err *reterr)
{
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return ops_fail(reterr, errno == ENOENT ? OPS_ENOTFOUND : OPS_EIO, "%s: %s", path, strerror(errno));
    OPS_AUTO(ops_free_str) char *buf = ops_malloc(OPS_PINSET_FILE_BYTES_MAX + 1);
    size_t n = buf != NULL ? fread(buf, 1, OPS_PINSET_FILE_BYTES_MAX + 1, f) : 0;
    bool bad = ferror(f) != 0;
    (void)fclose(f);
    if (buf == NULL || bad)
        return ops_fail(reterr, bad ? OPS_EIO : OPS_ENOMEM, "%s: cannot be read", path);
    return ops_pinset_parse(ops_slice_of(buf, n), path, ret, reterr);
}

ops_status ops_cmd_pins_check(ops_verb_ctx *ctx, ops_err *reterr)
{
    OPS_AUTO(ops_pinset_unref) ops_pinset *s = NULL;
    ops_pinset_counts n;
    if (ctx->argc != 1 || ctx->argv[0][0] == '-')
        return ops_fail(reterr, OPS_EINVAL, "name one file of pins");
    ops_status st = ops_pins_read(ctx->argv[0], &s, reterr);
    if (st != OPS_OK)
        return st == OPS_EINVAL ? OPS_ECORRUPT
                                : st; /* the file is wrong, the call is not: no word on usage */
    ops_pinset_counts_get(s, &n);
    (void)fprintf(ctx->out,
                  ops_print_chinese("") ? "%s：有效，one %zu，apart %zu，slots %zu\n"
                                        : "%s: valid, %zu one, %zu apart, %zu slots\n",
                  ctx->argv[0], n.one, n.apart, n.slots);
    return OPS_OK;
}

static void row(const ops_remote *r, ops_table *table, const Ops__V1__PinChange *m, int64_t now_ns)
{
    char number[24], age[16], counts[64], hash[HASH_SHOWN + 1], summary[512];
    ops_strbuf b;
    (void)snprintf(number, sizeof number, "%" PRIu64, m->number);
    if (r->mode > OPS_PRINT_WIDE) {
        ops_strbuf_init(&b, 1 << 20);
        if (r->mode == OPS_PRINT_JSON)
            ops_print_json(&m->base, &b);
        else if (r->mode == OPS_PRINT_YAML)
            ops_print_yaml(&m->base, &b);
        else
            ops_strbuf_printf(&b, "pins/%s\n", number);
        (void)fwrite(b.p != NULL ? b.p : "", 1, b.n, r->ctx->out);
        ops_strbuf_done(&b);
        return;
    }
    (void)snprintf(counts, sizeof counts, "%u/%u/%u", m->one, m->apart, m->slots);
    (void)snprintf(hash, sizeof hash, "%.*s", HASH_SHOWN, m->hash[0] != '\0' ? m->hash : "-");
    const char *cells[] = {number,
                           ops_text_age(m->time_unix_nano, now_ns, age, sizeof age),
                           m->outcome,
                           counts,
                           hash,
                           r->mode == OPS_PRINT_WIDE
                               ? m->summary
                               : ops_text_fit(m->summary, SUMMARY_COLUMNS, summary, sizeof summary)};
    ops_table_row(table, cells);
}

static ops_status list(ops_remote *r, ops_err *reterr)
{
    static const char *const en[] = {"NUMBER", "AGE", "OUTCOME", "ONE/APART/SLOTS", "SHA256", "CHANGE"};
    static const char *const zh[] = {"编号", "时间", "结果", "ONE/APART/SLOTS", "SHA256", "变更"};
    uint64_t shown = 0, limit = ops_conf_uint(r->conf, OWN_LIMIT);
    int64_t now_ns = ops_clock_wall_ns(ops_clock_system());
    char token[32] = "";
    ops_table table;
    ops_status st = OPS_OK;
    ops_table_begin(&table, r->ctx->out, r->zh ? zh : en, 6);
    do {
        Ops__V1__ListPinChangesRequest q = OPS__V1__LIST_PIN_CHANGES_REQUEST__INIT;
        ProtobufCMessage *m = NULL;
        q.page_size = PAGE;
        q.page_token = token;
        st = ops_remote_call(r, "/ops.v1.ClusterService/ListPinChanges", &q.base,
                             &ops__v1__list_pin_changes_response__descriptor, &m, reterr);
        if (st != OPS_OK)
            break;
        const Ops__V1__ListPinChangesResponse *a = (const Ops__V1__ListPinChangesResponse *)m;
        for (size_t i = 0; i < a->n_changes && (limit == 0 || shown < limit); i++, shown++)
            row(r, &table, a->changes[i], now_ns);
        (void)snprintf(token, sizeof token, "%s", a->next_page_token);
        protobuf_c_message_free_unpacked(m, NULL);
    } while (token[0] != '\0' && (limit == 0 || shown < limit));
    table.headed |= r->mode > OPS_PRINT_WIDE || (st != OPS_OK && table.cell_count == 0);
    ops_table_end(&table);
    return st;
}

ops_status ops_cmd_get_pins(ops_verb_ctx *ctx, ops_err *reterr)
{
    ops_remote r;
    ops_status st = ops_remote_open(ctx, own, sizeof own / sizeof *own, &r, reterr);
    if (st != OPS_OK)
        return st;
    st = ctx->argc > 0 ? ops_fail(reterr, OPS_EINVAL, "'%s' is one word too many", ctx->argv[0])
                       : list(&r, reterr);
    ops_remote_close(&r);
    return st;
}
