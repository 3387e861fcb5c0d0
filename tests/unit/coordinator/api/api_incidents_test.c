/* IncidentService over the in-memory twin: lists, look-ups, watches, what is asked of the port by each act, what is refused; and that
 * its messages have the fields of FindingService's, which are read and written in their place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/api/api.h"
#include "proto/ops/v1/protoset.h"
#include "rpc/twin.h"

enum { INCIDENTS = 5 };

static struct world {
    ops_rpc_server *server;
    ops_rpc_channel *channel;
    ops_api *api;
    ops_api_incident_act asked; /* slices are not looked at */
    char words[512];
} w;

/* Number i is of acme and open, but the last, which is beta's. */
static bool hand_out(ops_api_finding_fn fn, void *fu, uint64_t i)
{
    Ops__V1__Incident m = OPS__V1__INCIDENT__INIT;
    char id[32];
    uint8_t body[512];
    (void)snprintf(id, sizeof id, "i-%llu", (unsigned long long)i);
    m.id = id;
    m.state = i % 2 == 0 ? OPS__V1__INCIDENT_STATE__INCIDENT_STATE_RESOLVED
                         : OPS__V1__INCIDENT_STATE__INCIDENT_STATE_OPEN;
    m.severity = OPS__V1__LEVEL__LEVEL_ERROR;
    return fn(fu, ops_slice_str(i == INCIDENTS ? "beta" : "acme"), i,
              ops_slice_of(body, ops__v1__incident__pack(&m, body)));
}

static ops_status incidents_since(void *u, uint64_t after, ops_api_finding_fn fn, void *fu, ops_err *reterr)
{
    (void)u;
    (void)reterr;
    for (uint64_t i = after + 1; i <= INCIDENTS; i++)
        if (!hand_out(fn, fu, i))
            break;
    return OPS_OK;
}

static ops_status incident_get(void *u, ops_slice tenant, ops_slice id, ops_api_finding_fn fn, void *fu,
                               ops_err *reterr)
{
    (void)u;
    if (!ops_slice_eq(tenant, OPS_SLICE("acme")) || !ops_slice_eq(id, OPS_SLICE("i-3")))
        return ops_fail(reterr, OPS_ENOTFOUND, "no incident '" OPS_SLICE_FMT "'", OPS_SLICE_ARG(id));
    (void)hand_out(fn, fu, 3);
    return OPS_OK;
}

static uint64_t incident_revision(void *u)
{
    (void)u;
    return INCIDENTS;
}

static ops_status incident_act(void *u, const ops_api_incident_act *act, ops_strbuf *ret_id, ops_err *reterr)
{
    (void)u;
    w.asked = *act;
    (void)snprintf(w.words, sizeof w.words,
                   OPS_SLICE_FMT "/" OPS_SLICE_FMT "/" OPS_SLICE_FMT "/" OPS_SLICE_FMT "/" OPS_SLICE_FMT
                                 "/" OPS_SLICE_FMT "/" OPS_SLICE_FMT,
                   OPS_SLICE_ARG(act->tenant), OPS_SLICE_ARG(act->who), OPS_SLICE_ARG(act->id),
                   OPS_SLICE_ARG(act->comment), OPS_SLICE_ARG(act->request_id), OPS_SLICE_ARG(act->other),
                   OPS_SLICE_ARG(act->component));
    if (ops_slice_eq(act->id, OPS_SLICE("i-2")))
        return ops_fail(reterr, OPS_ECONFLICT, "incident i-2 is resolved, not open");
    if (ops_slice_eq(act->other, OPS_SLICE("i-3")))
        return ops_fail(reterr, OPS_EINVAL, "other: an incident can not be merged into itself");
    ops_strbuf_str(ret_id, "i-3");
    return OPS_OK;
}

static ops_status incident_acts(void *u, ops_slice tenant, uint64_t before,
                                bool (*fn)(void *fu, const Ops__V1__IncidentAct *m), void *fu,
                                ops_err *reterr)
{
    (void)u;
    (void)tenant;
    (void)reterr;
    for (uint64_t i = before > 0 ? before - 1 : 4; i > 0; i--) {
        Ops__V1__IncidentAct m = OPS__V1__INCIDENT_ACT__INIT;
        m.number = i;
        if (!fn(fu, &m))
            break;
    }
    return OPS_OK;
}

static ops_status no_findings(void *u, uint64_t after, ops_api_finding_fn fn, void *fu, ops_err *reterr)
{
    (void)u;
    (void)after;
    (void)fn;
    (void)fu;
    (void)reterr;
    return OPS_OK;
}

static uint64_t no_revision(void *u)
{
    (void)u;
    return 0;
}

static ops_status authenticate(void *u, ops_slice token, int role, ops_rpc_identity *ret, ops_err *reterr)
{
    (void)u;
    const int mine = ops_slice_eq(token, OPS_SLICE("operator")) ? 2 : 1;
    *ret = (ops_rpc_identity){.name = "ann", .tenant = "acme", .role = mine};
    return role <= mine ? OPS_OK : ops_fail(reterr, OPS_EPERM, "ann may not");
}

static int set_up(void **state)
{
    ops_err err = {0};
    (void)state;
    const ops_api_ports ports = {.findings_since = no_findings,
                                 .revision = no_revision,
                                 .incidents_since = incidents_since,
                                 .incident_get = incident_get,
                                 .incident_revision = incident_revision,
                                 .incident_act = incident_act,
                                 .incident_acts = incident_acts};
    const ops_api_conf ac = {.ports = &ports, .role_view = 1, .role_operate = 2, .role_admin = 3};
    const ops_rpc_server_conf sc = {
        .message_bytes_max = 1 << 20, .authenticate = authenticate, .protoset = ops_v1_protoset()};
    const ops_rpc_channel_conf cc = {.bearer = "operator"};
    if (ops_rpc_twin_new(&sc, &w.server, &err) != OPS_OK || ops_api_new(&ac, &w.api, &err) != OPS_OK ||
        ops_api_register(w.api, w.server, &err) != OPS_OK || ops_rpc_server_start(w.server, &err) != OPS_OK ||
        ops_rpc_twin_channel_new(w.server, &cc, &w.channel, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ops_api_stop(w.api);
    ops_rpc_channel_free(w.channel);
    ops_rpc_server_stop(w.server, 1000);
    ops_api_free(w.api);
    ops_rpc_server_free(w.server);
    return 0;
}

static void pack(const ProtobufCMessage *q, ops_strbuf *in)
{
    ops_strbuf_init(in, 1 << 16);
    char *to = ops_strbuf_room(in, protobuf_c_message_get_packed_size(q));
    assert_non_null(to);
    in->n += protobuf_c_message_pack(q, (uint8_t *)to);
}

static ops_status call(const char *method, const ProtobufCMessage *q, const ProtobufCMessageDescriptor *type,
                       void *ret, ops_rpc_details *d)
{
    char path[128];
    ops_strbuf in, out;
    ops_err err = {0};
    (void)snprintf(path, sizeof path, "/ops.v1.IncidentService/%s", method);
    pack(q, &in);
    ops_strbuf_init(&out, 1 << 20);
    ops_status st = ops_rpc_unary(w.channel, path, ops_strbuf_get(&in), 10000, &out, d, &err);
    if (st == OPS_OK)
        assert_non_null(*(ProtobufCMessage **)ret =
                            protobuf_c_message_unpack(type, NULL, out.n, (const uint8_t *)out.p));
    ops_strbuf_done(&in);
    ops_strbuf_done(&out);
    return st;
}

static void lists_are_newest_first_in_pages_of_ones_own(void **state)
{
    char token[32] = "", seen[64] = "", filter[] = "state=open";
    (void)state;
    do {
        Ops__V1__ListIncidentsRequest q = OPS__V1__LIST_INCIDENTS_REQUEST__INIT;
        Ops__V1__ListIncidentsResponse *a = NULL;
        q.page_size = 1;
        q.page_token = token;
        q.filter = filter;
        assert_int_equal(
            call("ListIncidents", &q.base, &ops__v1__list_incidents_response__descriptor, &a, NULL), OPS_OK);
        assert_int_equal(a->revision, INCIDENTS);
        assert_int_equal(a->n_incidents, 1);
        assert_true(a->incidents[0]->revision > 0);
        (void)strncat(seen, a->incidents[0]->id, 8);
        (void)snprintf(token, sizeof token, "%s", a->next_page_token);
        ops__v1__list_incidents_response__free_unpacked(a, NULL);
    } while (token[0] != '\0');
    assert_string_equal(seen, "i-3i-1");
}

static void what_is_wrong_with_a_request_is_named(void **state)
{
    static const struct {
        const char *filter, *problem;
    } rows[] = {{"state=closed", "open, acknowledged, resolved or merged"},
                {"kind=silent", "state, severity, service"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Ops__V1__ListIncidentsRequest q = OPS__V1__LIST_INCIDENTS_REQUEST__INIT;
        ops_rpc_details d = {0};
        void *none = NULL;
        q.filter = (char *)(uintptr_t)rows[i].filter;
        assert_int_equal(
            call("ListIncidents", &q.base, &ops__v1__list_incidents_response__descriptor, &none, &d),
            OPS_EINVAL);
        assert_string_equal(d.field, "filter");
        assert_non_null(strstr(d.problem, rows[i].problem));
    }
    Ops__V1__MergeIncidentsRequest q = OPS__V1__MERGE_INCIDENTS_REQUEST__INIT;
    char id[] = "i-3";
    ops_rpc_details d = {0};
    void *none = NULL;
    q.id = id;
    assert_int_equal(call("MergeIncidents", &q.base, &ops__v1__incident__descriptor, &none, &d), OPS_EINVAL);
    assert_string_equal(d.field, "other");
    q.other = id; /* the port says so, field first */
    assert_int_equal(call("MergeIncidents", &q.base, &ops__v1__incident__descriptor, &none, &d), OPS_EINVAL);
    assert_string_equal(d.field, "other");
    assert_non_null(strstr(d.problem, "into itself"));
    Ops__V1__GiveIncidentFeedbackRequest f = OPS__V1__GIVE_INCIDENT_FEEDBACK_REQUEST__INIT;
    f.id = id;
    assert_int_equal(call("GiveIncidentFeedback", &f.base, &ops__v1__incident__descriptor, &none, &d),
                     OPS_EINVAL);
    assert_string_equal(d.field, "verdict");
    Ops__V1__SplitIncidentRequest s = OPS__V1__SPLIT_INCIDENT_REQUEST__INIT;
    s.id = id;
    assert_int_equal(call("SplitIncident", &s.base, &ops__v1__incident__descriptor, &none, &d), OPS_EINVAL);
    assert_string_equal(d.field, "finding_ids");
}

static void each_act_is_the_ports(void **state)
{
    static const struct {
        const char *method;
        ops_api_incident_act_kind kind;
    } rows[] = {{"AcknowledgeIncident", OPS_API_ACKNOWLEDGE},
                {"ResolveIncident", OPS_API_RESOLVE},
                {"ReopenIncident", OPS_API_REOPEN}};
    char id[] = "i-3", bad[] = "i-2", comment[] = "on it", request[] = "r-1", other[] = "i-4", f1[] = "f-1",
         f2[] = "f-2", *findings[] = {f1, f2}, cause[] = "redis";
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Ops__V1__ActOnIncidentRequest q = OPS__V1__ACT_ON_INCIDENT_REQUEST__INIT;
        Ops__V1__Incident *m = NULL;
        q.id = id;
        q.comment = comment;
        q.request_id = request;
        assert_int_equal(call(rows[i].method, &q.base, &ops__v1__incident__descriptor, &m, NULL), OPS_OK);
        assert_string_equal(m->id, "i-3");
        assert_int_equal(w.asked.kind, rows[i].kind);
        assert_string_equal(w.words, "acme/ann/i-3/on it/r-1//");
        ops__v1__incident__free_unpacked(m, NULL);
        q.id = bad;
        assert_int_equal(call(rows[i].method, &q.base, &ops__v1__incident__descriptor, &m, NULL),
                         OPS_ECONFLICT);
    }
    Ops__V1__Incident *m = NULL;
    Ops__V1__MergeIncidentsRequest merge = OPS__V1__MERGE_INCIDENTS_REQUEST__INIT;
    merge.id = id;
    merge.other = other;
    assert_int_equal(call("MergeIncidents", &merge.base, &ops__v1__incident__descriptor, &m, NULL), OPS_OK);
    assert_string_equal(w.words, "acme/ann/i-3///i-4/");
    ops__v1__incident__free_unpacked(m, NULL);
    Ops__V1__SplitIncidentRequest split = OPS__V1__SPLIT_INCIDENT_REQUEST__INIT;
    split.id = id;
    split.finding_ids = findings;
    split.n_finding_ids = 2;
    assert_int_equal(call("SplitIncident", &split.base, &ops__v1__incident__descriptor, &m, NULL), OPS_OK);
    assert_true(w.asked.kind == OPS_API_SPLIT && w.asked.finding_count == 2);
    ops__v1__incident__free_unpacked(m, NULL);
    Ops__V1__GiveIncidentFeedbackRequest say = OPS__V1__GIVE_INCIDENT_FEEDBACK_REQUEST__INIT;
    say.id = id;
    say.verdict = OPS__V1__INCIDENT_VERDICT__INCIDENT_VERDICT_WRONG_CAUSE;
    say.component = cause;
    assert_int_equal(call("GiveIncidentFeedback", &say.base, &ops__v1__incident__descriptor, &m, NULL),
                     OPS_OK);
    assert_int_equal(w.asked.verdict, OPS__V1__INCIDENT_VERDICT__INCIDENT_VERDICT_WRONG_CAUSE);
    assert_string_equal(w.words, "acme/ann/i-3////redis");
    ops__v1__incident__free_unpacked(m, NULL);
}

static void acts_come_in_pages(void **state)
{
    char token[32] = "";
    uint64_t want = 4;
    (void)state;
    do {
        Ops__V1__ListIncidentActsRequest q = OPS__V1__LIST_INCIDENT_ACTS_REQUEST__INIT;
        Ops__V1__ListIncidentActsResponse *a = NULL;
        q.page_size = 3;
        q.page_token = token;
        assert_int_equal(
            call("ListIncidentActs", &q.base, &ops__v1__list_incident_acts_response__descriptor, &a, NULL),
            OPS_OK);
        for (size_t i = 0; i < a->n_acts; i++)
            assert_int_equal(a->acts[i]->number, want--);
        (void)snprintf(token, sizeof token, "%s", a->next_page_token);
        ops__v1__list_incident_acts_response__free_unpacked(a, NULL);
    } while (token[0] != '\0');
    assert_int_equal(want, 0);
}

static void a_watch_begins_after_a_revision(void **state)
{
    Ops__V1__WatchIncidentsRequest q = OPS__V1__WATCH_INCIDENTS_REQUEST__INIT;
    ops_rpc_stream *s = NULL;
    ops_strbuf in, out;
    bool ended = false;
    (void)state;
    q.from_revision = 2;
    pack(&q.base, &in);
    assert_int_equal(
        ops_rpc_stream_open(w.channel, "/ops.v1.IncidentService/WatchIncidents", 10000, &s, NULL), OPS_OK);
    assert_int_equal(ops_rpc_stream_send(s, ops_strbuf_get(&in), NULL), OPS_OK);
    assert_int_equal(ops_rpc_stream_close_send(s, NULL), OPS_OK);
    for (uint64_t want = 3; want <= 4; want++) { /* the fifth is another tenant's */
        ops_strbuf_init(&out, 1 << 16);
        assert_int_equal(ops_rpc_stream_recv(s, 10000, &out, &ended, NULL), OPS_OK);
        Ops__V1__WatchIncidentsResponse *m =
            ops__v1__watch_incidents_response__unpack(NULL, out.n, (const uint8_t *)out.p);
        assert_non_null(m);
        assert_int_equal(m->revision, want);
        assert_int_equal(m->incident->revision, want);
        ops__v1__watch_incidents_response__free_unpacked(m, NULL);
        ops_strbuf_done(&out);
    }
    ops_rpc_stream_cancel(s);
    ops_rpc_stream_free(s);
    ops_strbuf_done(&in);
}

static void same_fields(const ProtobufCMessageDescriptor *a, const ProtobufCMessageDescriptor *b)
{
    assert_int_equal(a->n_fields, b->n_fields);
    for (unsigned i = 0; i < a->n_fields; i++)
        assert_true(a->fields[i].id == b->fields[i].id && a->fields[i].type == b->fields[i].type &&
                    a->fields[i].label == b->fields[i].label);
}

static void the_messages_of_both_services_have_one_shape(void **state)
{
    (void)state;
    same_fields(&ops__v1__list_findings_request__descriptor, &ops__v1__list_incidents_request__descriptor);
    same_fields(&ops__v1__list_findings_response__descriptor, &ops__v1__list_incidents_response__descriptor);
    same_fields(&ops__v1__get_finding_request__descriptor, &ops__v1__get_incident_request__descriptor);
    same_fields(&ops__v1__watch_findings_request__descriptor, &ops__v1__watch_incidents_request__descriptor);
    same_fields(&ops__v1__watch_findings_response__descriptor,
                &ops__v1__watch_incidents_response__descriptor);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(lists_are_newest_first_in_pages_of_ones_own),
        TEST(what_is_wrong_with_a_request_is_named),
        TEST(each_act_is_the_ports),
        TEST(acts_come_in_pages),
        TEST(a_watch_begins_after_a_revision),
        cmocka_unit_test(the_messages_of_both_services_have_one_shape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
