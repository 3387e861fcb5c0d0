/* Templates and pins over the API: paging, what is asked of the ports, what is refused; over the in-memory twin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "coordinator/api/api.h"
#include "proto/ops/v1/protoset.h"
#include "rpc/twin.h"

enum { TEMPLATES = 7, CHANGES = 5 };

static struct world {
    ops_rpc_server *server;
    ops_rpc_channel *channel;
    ops_api *api;
    ops_api_template_query asked; /* slices are not looked at */
    char tenant[32], contains[32];
} w;

static ops_status templates(void *u, const ops_api_template_query *q,
                            bool (*fn)(void *fu, const Ops__V1__Template *m), void *fu, uint64_t *ret_lines,
                            uint64_t *ret_all, ops_err *reterr)
{
    (void)u;
    w.asked = *q;
    (void)snprintf(w.tenant, sizeof w.tenant, OPS_SLICE_FMT, OPS_SLICE_ARG(q->tenant));
    (void)snprintf(w.contains, sizeof w.contains, OPS_SLICE_FMT, OPS_SLICE_ARG(q->contains));
    if (ops_slice_eq(q->contains, OPS_SLICE("broken")))
        return ops_fail(reterr, OPS_ENOMEM, "the heap is out");
    *ret_lines = 700;
    *ret_all = TEMPLATES;
    for (uint64_t i = q->skip; i < TEMPLATES; i++) {
        char id[17], text[] = "a <*>";
        Ops__V1__Template m = OPS__V1__TEMPLATE__INIT;
        (void)snprintf(id, sizeof id, "%016llx", (unsigned long long)i);
        m.id = id;
        m.text = text;
        m.count = 100;
        if (!fn(fu, &m))
            break;
    }
    return OPS_OK;
}

static ops_status template_get(void *u, ops_slice tenant, uint64_t id,
                               void (*fn)(void *fu, const Ops__V1__TemplateDetail *m), void *fu,
                               ops_err *reterr)
{
    Ops__V1__TemplateDetail m = OPS__V1__TEMPLATE_DETAIL__INIT;
    Ops__V1__Template t = OPS__V1__TEMPLATE__INIT;
    Ops__V1__TemplateSlot slot = OPS__V1__TEMPLATE_SLOT__INIT, *slots[] = {&slot};
    char now[] = "00000000000000b7", asked[] = "00000000000000a1", type[] = "ip";
    (void)u;
    (void)tenant;
    if (id != 0xa1)
        return ops_fail(reterr, OPS_ENOTFOUND, "no template %016llx", (unsigned long long)id);
    slot.type = type;
    t.id = now;
    t.slots = slots;
    t.n_slots = 1;
    m.template_ = &t;
    m.asked_id = asked;
    fn(fu, &m);
    return OPS_OK;
}

static ops_status pin_changes(void *u, uint64_t before, bool (*fn)(void *fu, const Ops__V1__PinChange *m),
                              void *fu, ops_err *reterr)
{
    (void)u;
    (void)reterr;
    for (uint64_t i = before > 0 ? before - 1 : CHANGES; i > 0; i--) {
        Ops__V1__PinChange m = OPS__V1__PIN_CHANGE__INIT;
        m.number = i;
        if (!fn(fu, &m))
            break;
    }
    return OPS_OK;
}

static ops_status authenticate(void *u, ops_slice token, int role, ops_rpc_identity *ret, ops_err *reterr)
{
    (void)u;
    if (token.n == 0)
        return ops_fail(reterr, OPS_EAUTH, "who are you?");
    *ret = (ops_rpc_identity){.name = "ann", .tenant = "acme", .role = 1};
    return role <= 1 ? OPS_OK : ops_fail(reterr, OPS_EPERM, "ann may not");
}

static uint64_t revision(void *u)
{
    (void)u;
    return 0;
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

static int set_up(void **state)
{
    ops_err err = {0};
    (void)state;
    const ops_api_ports ports = {.templates = templates,
                                 .template_get = template_get,
                                 .pin_changes = pin_changes,
                                 .revision = revision,
                                 .findings_since = no_findings};
    const ops_api_conf ac = {.ports = &ports, .role_view = 1, .role_operate = 2, .role_admin = 3};
    const ops_rpc_server_conf sc = {
        .message_bytes_max = 1 << 20, .authenticate = authenticate, .protoset = ops_v1_protoset()};
    const ops_rpc_channel_conf cc = {.bearer = "good"};
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

static ops_status call(const char *path, const ProtobufCMessage *q, const ProtobufCMessageDescriptor *type,
                       ProtobufCMessage **ret, ops_rpc_details *d)
{
    ops_strbuf in, out;
    ops_err err = {0};
    ops_strbuf_init(&in, 1 << 16);
    ops_strbuf_init(&out, 1 << 20);
    size_t n = protobuf_c_message_get_packed_size(q);
    char *to = ops_strbuf_room(&in, n);
    assert_non_null(to);
    in.n += protobuf_c_message_pack(q, (uint8_t *)to);
    ops_status st = ops_rpc_unary(w.channel, path, ops_strbuf_get(&in), 10000, &out, d, &err);
    if (st == OPS_OK) {
        *ret = protobuf_c_message_unpack(type, NULL, out.n, (const uint8_t *)out.p);
        assert_non_null(*ret);
    }
    ops_strbuf_done(&in);
    ops_strbuf_done(&out);
    return st;
}

static ops_status list(Ops__V1__ListTemplatesRequest *q, Ops__V1__ListTemplatesResponse **ret,
                       ops_rpc_details *d)
{
    return call("/ops.v1.ClusterService/ListTemplates", &q->base,
                &ops__v1__list_templates_response__descriptor, (ProtobufCMessage **)ret, d);
}

static void templates_come_in_pages(void **state)
{
    char token[32] = "", contains[] = "a";
    size_t seen = 0;
    (void)state;
    do {
        Ops__V1__ListTemplatesRequest q = OPS__V1__LIST_TEMPLATES_REQUEST__INIT;
        Ops__V1__ListTemplatesResponse *a = NULL;
        q.page_size = 3;
        q.page_token = token;
        q.contains = contains;
        q.count_min = 5;
        assert_int_equal(list(&q, &a, NULL), OPS_OK);
        assert_true(a->lines == 700 && a->templates_all == TEMPLATES);
        for (size_t i = 0; i < a->n_templates; i++, seen++) {
            char id[17];
            (void)snprintf(id, sizeof id, "%016zx", seen);
            assert_string_equal(a->templates[i]->id, id);
        }
        (void)snprintf(token, sizeof token, "%s", a->next_page_token);
        ops__v1__list_templates_response__free_unpacked(a, NULL);
    } while (token[0] != '\0');
    assert_int_equal(seen, TEMPLATES);
    assert_int_equal(w.asked.skip, 6);
    assert_int_equal(w.asked.count_min, 5);
    assert_string_equal(w.tenant, "acme"); /* of who asks */
    assert_string_equal(w.contains, "a");
}

static void orders_are_named(void **state)
{
    static const struct {
        const char *name;
        ops_api_template_order order;
    } cases[] = {{"", OPS_API_TEMPLATES_BY_COUNT},
                 {"count", OPS_API_TEMPLATES_BY_COUNT},
                 {"first", OPS_API_TEMPLATES_BY_FIRST},
                 {"last", OPS_API_TEMPLATES_BY_LAST},
                 {"id", OPS_API_TEMPLATES_BY_ID}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Ops__V1__ListTemplatesRequest q = OPS__V1__LIST_TEMPLATES_REQUEST__INIT;
        Ops__V1__ListTemplatesResponse *a = NULL;
        char name[16];
        (void)snprintf(name, sizeof name, "%s", cases[i].name);
        q.order_by = name;
        assert_int_equal(list(&q, &a, NULL), OPS_OK);
        assert_int_equal(w.asked.order, cases[i].order);
        ops__v1__list_templates_response__free_unpacked(a, NULL);
    }
}

static void bad_requests_name_the_field(void **state)
{
    static const struct {
        const char *order, *token, *field;
        int32_t size;
    } cases[] = {{"mood", "", "order_by", 0}, {"", "x", "page_token", 0}, {"", "", "page_size", -1}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Ops__V1__ListTemplatesRequest q = OPS__V1__LIST_TEMPLATES_REQUEST__INIT;
        Ops__V1__ListTemplatesResponse *a = NULL;
        ops_rpc_details d = {0};
        char order[8], token[8];
        (void)snprintf(order, sizeof order, "%s", cases[i].order);
        (void)snprintf(token, sizeof token, "%s", cases[i].token);
        q.order_by = order;
        q.page_token = token;
        q.page_size = cases[i].size;
        assert_int_equal(list(&q, &a, &d), OPS_EINVAL);
        assert_string_equal(d.field, cases[i].field);
    }
    Ops__V1__ListTemplatesRequest q = OPS__V1__LIST_TEMPLATES_REQUEST__INIT;
    Ops__V1__ListTemplatesResponse *a = NULL;
    char broken[] = "broken";
    q.contains = broken;
    assert_int_equal(list(&q, &a, NULL), ops_status_from_grpc(ops_status_grpc_code(OPS_ENOMEM)));
}

static ops_status get(const char *id, Ops__V1__TemplateDetail **ret, ops_rpc_details *d)
{
    Ops__V1__GetTemplateRequest q = OPS__V1__GET_TEMPLATE_REQUEST__INIT;
    char buf[64];
    (void)snprintf(buf, sizeof buf, "%s", id);
    q.id = buf;
    return call("/ops.v1.ClusterService/GetTemplate", &q.base, &ops__v1__template_detail__descriptor,
                (ProtobufCMessage **)ret, d);
}

static void an_old_id_says_what_it_became(void **state)
{
    Ops__V1__TemplateDetail *m = NULL;
    ops_rpc_details d = {0};
    (void)state;
    assert_int_equal(get("00000000000000a1", &m, NULL), OPS_OK);
    assert_string_equal(m->asked_id, "00000000000000a1");
    assert_string_equal(m->template_->id, "00000000000000b7");
    assert_string_equal(m->template_->slots[0]->type, "ip");
    ops__v1__template_detail__free_unpacked(m, NULL);
    assert_int_equal(get("00000000000000a2", &m, NULL), OPS_ENOTFOUND);
    static const char *const bad[] = {"", "a1", "00000000000000g1", "00000000000000a1 "};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(get(bad[i], &m, &d), OPS_EINVAL);
        assert_string_equal(d.field, "id");
    }
}

static void changes_of_pins_come_newest_first(void **state)
{
    char token[32] = "";
    uint64_t expected = CHANGES;
    (void)state;
    do {
        Ops__V1__ListPinChangesRequest q = OPS__V1__LIST_PIN_CHANGES_REQUEST__INIT;
        ProtobufCMessage *m = NULL;
        q.page_size = 2;
        q.page_token = token;
        assert_int_equal(call("/ops.v1.ClusterService/ListPinChanges", &q.base,
                              &ops__v1__list_pin_changes_response__descriptor, &m, NULL),
                         OPS_OK);
        const Ops__V1__ListPinChangesResponse *a = (const Ops__V1__ListPinChangesResponse *)m;
        for (size_t i = 0; i < a->n_changes; i++)
            assert_int_equal(a->changes[i]->number, expected--);
        (void)snprintf(token, sizeof token, "%s", a->next_page_token);
        protobuf_c_message_free_unpacked(m, NULL);
    } while (token[0] != '\0');
    assert_int_equal(expected, 0);
}

static void bytes_that_are_no_request_are_refused(void **state)
{
    static const char *const paths[] = {"/ops.v1.ClusterService/ListTemplates",
                                        "/ops.v1.ClusterService/GetTemplate",
                                        "/ops.v1.ClusterService/ListPinChanges"};
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        ops_strbuf out;
        ops_strbuf_init(&out, 1 << 16);
        assert_int_equal(
            ops_rpc_unary(w.channel, paths[i], OPS_SLICE("\xff\xff\xff"), 10000, &out, NULL, NULL),
            OPS_EINVAL);
        ops_strbuf_done(&out);
    }
}

static void without_a_token_nothing_is_told(void **state)
{
    ops_rpc_channel *ch = NULL;
    ops_strbuf out;
    const ops_rpc_channel_conf cc = {0};
    (void)state;
    ops_strbuf_init(&out, 1 << 16);
    assert_int_equal(ops_rpc_twin_channel_new(w.server, &cc, &ch, NULL), OPS_OK);
    assert_int_equal(
        ops_rpc_unary(ch, "/ops.v1.ClusterService/ListPinChanges", (ops_slice){0}, 10000, &out, NULL, NULL),
        OPS_EAUTH);
    ops_rpc_channel_free(ch);
    ops_strbuf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(templates_come_in_pages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(orders_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_requests_name_the_field, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_old_id_says_what_it_became, set_up, tear_down),
        cmocka_unit_test_setup_teardown(changes_of_pins_come_newest_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_that_are_no_request_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_token_nothing_is_told, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
