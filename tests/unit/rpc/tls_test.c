/* TLS and mTLS of servers and channels, and their certificates changed while they run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rpc/client.h"
#include "rpc/server.h"
#include "tests/support/certs.h"

static struct certs ours, theirs; /* of two authorities */

static bool on_echo(ops_rpc_call *c, ops_slice msg, void *svc)
{
    (void)svc;
    ops_rpc_reply(c, msg);
    return false;
}
static const ops_rpc_method echo = {
    .path = "/t.T/Echo", .kind = OPS_RPC_UNARY, .open = true, .message = on_echo};

static ops_rpc_server *serve(const ops_rpc_tls *tls)
{
    ops_rpc_server *s = NULL;
    ops_err err = {0};
    const ops_rpc_server_conf conf = {.address = "127.0.0.1:0", .tls = tls};
    if (ops_rpc_server_new(&conf, &s, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(ops_rpc_server_add(s, &echo, 1, &err), OPS_OK);
    assert_int_equal(ops_rpc_server_start(s, &err), OPS_OK);
    return s;
}

static ops_rpc_channel *dial(const ops_rpc_server *s, const ops_rpc_tls *tls)
{
    ops_rpc_channel *ch = NULL;
    ops_err err = {0};
    char target[32];
    (void)snprintf(target, sizeof target, "127.0.0.1:%u", ops_rpc_server_port(s));
    const ops_rpc_channel_conf conf = {.target = target, .tls = tls, .server_name = "localhost"};
    if (ops_rpc_channel_new(&conf, &ch, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    return ch;
}

static ops_status call(ops_rpc_channel *ch)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 1024);
    const ops_status st = ops_rpc_unary(ch, "/t.T/Echo", OPS_SLICE("x"), 10000, &b, NULL, NULL);
    ops_strbuf_done(&b);
    return st;
}

static ops_status call_once(const ops_rpc_server *s, const ops_rpc_tls *tls)
{
    ops_rpc_channel *ch = dial(s, tls);
    const ops_status st = call(ch);
    ops_rpc_channel_free(ch);
    return st;
}

static void the_server_shows_who_it_is(void **state)
{
    (void)state;
    const ops_rpc_tls tls = {.cert = ours.cert, .key = ours.key}, trusts = {.client_ca = ours.ca},
                      trusts_others = {.client_ca = theirs.ca};
    OPS_AUTO(ops_rpc_server_free) ops_rpc_server *s = serve(&tls);
    assert_int_equal(call_once(s, &trusts), OPS_OK);
    assert_int_equal(call_once(s, &trusts_others), OPS_EUNAVAILABLE);
    assert_int_equal(call_once(s, NULL), OPS_EUNAVAILABLE);
}

static void clients_show_who_they_are(void **state)
{
    (void)state;
    const ops_rpc_tls tls = {.cert = ours.cert, .key = ours.key, .client_ca = theirs.ca};
    const ops_rpc_tls known = {.cert = theirs.cert, .key = theirs.key, .client_ca = ours.ca},
                      unknown = {.cert = ours.cert, .key = ours.key, .client_ca = ours.ca},
                      silent = {.client_ca = ours.ca};
    OPS_AUTO(ops_rpc_server_free) ops_rpc_server *s = serve(&tls);
    assert_int_equal(call_once(s, &known), OPS_OK);
    assert_int_equal(call_once(s, &unknown), OPS_EUNAVAILABLE);
    assert_int_equal(call_once(s, &silent), OPS_EUNAVAILABLE);
}

static void certificates_change_while_it_runs(void **state)
{
    (void)state;
    const ops_rpc_tls before = {.cert = ours.cert, .key = ours.key, .client_ca = ours.ca};
    const ops_rpc_tls after = {.cert = theirs.cert, .key = theirs.key, .client_ca = theirs.ca};
    ops_err err = {0};
    OPS_AUTO(ops_rpc_server_free) ops_rpc_server *s = serve(&before);
    OPS_AUTO(ops_rpc_channel_free) ops_rpc_channel *old = dial(s, &before);
    assert_int_equal(call(old), OPS_OK);
    assert_int_equal(ops_rpc_server_reload_tls(s, &after, &err), OPS_OK);
    assert_int_equal(call(old), OPS_OK); /* a connection that stands goes on */
    assert_int_equal(call_once(s, &after), OPS_OK);
    assert_int_equal(call_once(s, &before), OPS_EUNAVAILABLE);
}

static void what_does_not_read_changes_nothing(void **state)
{
    (void)state;
    const ops_rpc_tls good = {.cert = ours.cert, .key = ours.key}, trusts = {.client_ca = ours.ca};
    char cut[256] = {0};
    memcpy(cut, ours.cert, sizeof cut - 1);
    const struct {
        ops_rpc_tls tls;
        const char *words;
    } bad[] = {
        {{.cert = "-----BEGIN CERTIFICATE-----\nnonsense\n", .key = ours.key},
         "the certificate is not good PEM"},
        {{.cert = cut, .key = ours.key}, "the certificate is not good PEM"},
        {{.cert = "", .key = ours.key}, "the certificate is not good PEM"},
        {{.cert = ours.cert, .key = "-----BEGIN PRIVATE KEY-----\n"}, "the private key is not good PEM"},
        {{.cert = ours.cert, .key = theirs.key}, "the private key is not the certificate's"},
        {{.cert = ours.cert}, "go together"},
        {{0}, "go together"},
        {{.cert = ours.cert, .key = ours.key, .client_ca = ours.ca}, "to begin asking clients"},
    };
    OPS_AUTO(ops_rpc_server_free) ops_rpc_server *s = serve(&good);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ops_err err = {0};
        assert_int_equal(ops_rpc_server_reload_tls(s, &bad[i].tls, &err), OPS_EINVAL);
        if (strstr(err.msg, bad[i].words) == NULL)
            fail_msg("'%s' has no '%s'", err.msg, bad[i].words);
        assert_int_equal(call_once(s, &trusts), OPS_OK);
    }
    const ops_rpc_tls asks = {.cert = ours.cert, .key = ours.key, .client_ca = ours.ca};
    OPS_AUTO(ops_rpc_server_free) ops_rpc_server *asking = serve(&asks);
    ops_err err = {0};
    assert_int_equal(ops_rpc_server_reload_tls(asking, &good, &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "to stop asking clients"));
    assert_int_equal(call_once(asking, &trusts), OPS_EUNAVAILABLE);
}

static void a_server_or_channel_does_not_begin_with_bad_ones(void **state)
{
    (void)state;
    const ops_rpc_tls no_key = {.cert = ours.cert, .client_ca = ours.ca}, bad_ca = {.client_ca = "nonsense"},
                      mixed = {.cert = ours.cert, .key = theirs.key};
    ops_rpc_server *s = NULL;
    ops_rpc_channel *ch = NULL;
    ops_err err = {0};
    ops_rpc_channel_conf cc = {.target = "127.0.0.1:1", .tls = &no_key};
    const ops_rpc_server_conf sc = {.address = "127.0.0.1:0", .tls = &mixed};
    assert_int_equal(ops_rpc_channel_new(&cc, &ch, &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "127.0.0.1:1: tls: a certificate and its private key go together"));
    cc.tls = &bad_ca;
    assert_int_equal(ops_rpc_channel_new(&cc, &ch, &err), OPS_EINVAL);
    cc.tls = NULL;
    cc.message_bytes_max = (size_t)INT32_MAX + 1;
    assert_int_equal(ops_rpc_channel_new(&cc, &ch, &err), OPS_EINVAL);
    assert_int_equal(ops_rpc_server_new(&sc, &s, &err), OPS_EINVAL);
}

static int set_up(void **state)
{
    (void)state;
    ours = certs_new("authority one");
    theirs = certs_new("authority two");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    certs_free(&ours);
    certs_free(&theirs);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_server_shows_who_it_is),
        cmocka_unit_test(clients_show_who_they_are),
        cmocka_unit_test(certificates_change_while_it_runs),
        cmocka_unit_test(what_does_not_read_changes_nothing),
        cmocka_unit_test(a_server_or_channel_does_not_begin_with_bad_ones),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
