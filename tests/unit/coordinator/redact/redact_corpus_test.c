/* A seeded corpus: recall over lines that carry one made-up secret, and false alarms over clean lines of the kinds
 * services write (access logs, kernel, systemd, SQL, JSON, stack traces, ids, clocks, versions). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "coordinator/redact/redact.h"

#define LINES 20000

static uint64_t rng;

static uint32_t rnd(uint32_t below)
{
    rng = rng * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(rng >> 33) % below;
}

static const char *fill(const char *set, uint32_t least, uint32_t most)
{
    static char ring[8][256];
    static unsigned next;
    char *p = ring[next++ % 8];
    uint32_t n = least + rnd(most - least + 1), m = (uint32_t)strlen(set);
    for (uint32_t i = 0; i < n; i++)
        p[i] = set[rnd(m)];
    p[n] = '\0';
    return p;
}

#define LOW   "abcdefghijklmnopqrstuvwxyz"
#define UP    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIG   "0123456789"
#define HEX   DIG "abcdef"
#define ALNUM LOW UP DIG
#define URLB  ALNUM "_-"

static const char *password(void)
{
    return fill(ALNUM "!@#$%^*_+~?", 8, 24);
}

static const char *card(void)
{
    static char text[32];
    int d[16] = {rnd(2) ? 4 : 5}, sum = 0;
    d[1] = 1 + (int)rnd(5);
    for (int i = 2; i < 15; i++)
        d[i] = (int)rnd(10);
    for (int i = 0; i < 15; i++)
        sum += i % 2 == 0 ? (d[i] * 2 > 9 ? d[i] * 2 - 9 : d[i] * 2) : d[i];
    d[15] = (10 - sum % 10) % 10;
    const char *sep = rnd(2) ? "" : rnd(2) ? " " : "-";
    int n = 0;
    for (int i = 0; i < 16; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%d", i > 0 && i % 4 == 0 ? sep : "", d[i]);
    return text;
}

static const char *iban(void)
{
    static char text[32];
    char bban[19];
    snprintf(bban, sizeof bban, "%s", fill(DIG, 18, 18));
    unsigned rest = 0;
    char whole[40];
    snprintf(whole, sizeof whole, "%s131400", bban); /* D = 13, E = 14, check digits 00 */
    for (const char *c = whole; *c != '\0'; c++)
        rest = (rest * 10 + (unsigned)(*c - '0')) % 97;
    snprintf(text, sizeof text, "DE%02u%s", 98 - rest, bban);
    return text;
}

/* Writes a line with a secret in it, and the secret. */
static void secret_line(char *line, size_t cap, char *secret, size_t secret_cap)
{
    static const char *const names[] = {"password",      "passwd",   "db_password", "secret",
                                        "client_secret", "api_key",  "apiKey",      "access_token",
                                        "auth-token",    "Password", "SECRET_KEY",  "pwd"};
    const char *name = names[rnd(sizeof names / sizeof names[0])];
#define SECRET(...) snprintf(secret, secret_cap, __VA_ARGS__)
#define LINE(...)   snprintf(line, cap, __VA_ARGS__)
    switch (rnd(24)) {
    case 0:
        SECRET("%s", password());
        LINE("level=info user=%s %s=%s took=%ums", fill(LOW, 3, 8), name, secret, rnd(999));
        break;
    case 1:
        SECRET("%s", password());
        LINE("{\"ts\":%u,\"%s\":\"%s\",\"ok\":true}", rnd(99999), name, secret);
        break;
    case 2:
        SECRET("%s", fill(URLB, 12, 40));
        LINE("GET /v1/x?%s=%s&page=%u HTTP/1.1", name, secret, rnd(99));
        break;
    case 3:
        SECRET("%s", password());
        LINE("exec: app --%s %s --port %u", rnd(2) ? "password" : "api-key", secret, rnd(9999));
        break;
    case 4:
        SECRET("%s", fill(ALNUM "!_*~", 6, 20));
        LINE("dial postgres://%s:%s@db-%u.internal:5432/shop failed", fill(LOW, 3, 8), secret, rnd(9));
        break;
    case 5:
        SECRET("%s.%s@%s.%s", fill(LOW, 2, 8), fill(LOW DIG, 2, 8), fill(LOW, 3, 9), rnd(2) ? "com" : "de");
        LINE("mail queued for <%s> size=%u", secret, rnd(9999));
        break;
    case 6:
        SECRET("%s", card());
        LINE("payment with card %s declined code=%u", secret, rnd(99));
        break;
    case 7:
        SECRET("%s", iban());
        LINE("transfer to %s of %u EUR", secret, rnd(9999));
        break;
    case 8:
        SECRET("eyJ%s.eyJ%s.%s", fill(URLB, 20, 40), fill(URLB, 20, 80), fill(URLB, 43, 43));
        LINE("auth: rejected %s (expired)", secret);
        break;
    case 9:
        SECRET("AK"
               "IA%s",
               fill(UP DIG, 16, 16));
        LINE("aws: signing with %s in eu-west-1", secret);
        break;
    case 10:
        SECRET("gh"
               "%c_%s",
               "pousr"[rnd(5)], fill(ALNUM, 36, 36));
        LINE("git: using %s for origin", secret);
        break;
    case 11:
        SECRET("xox"
               "b-%s-%s",
               fill(DIG, 12, 12), fill(ALNUM, 24, 24));
        LINE("slack client %s connected", secret);
        break;
    case 12:
        SECRET("sk_"
               "live_%s",
               fill(ALNUM, 24, 24));
        LINE("stripe key %s rate limited", secret);
        break;
    case 13:
        SECRET("AI"
               "za%s",
               fill(URLB, 35, 35));
        LINE("maps request key=%s status=403", secret);
        break;
    case 14:
        SECRET("%s==", fill(ALNUM "+/", 86, 86));
        LINE("DefaultEndpointsProtocol=https;AccountName=%s;Account"
             "Key=%s;",
             fill(LOW, 5, 9), secret);
        break;
    case 15:
        SECRET("%s", fill(ALNUM "-._~", 20, 60));
        LINE("> Authorization: Bearer %s", secret);
        break;
    case 16:
        SECRET("%s", fill(ALNUM, 24, 24));
        LINE("{\"headers\":{\"Authorization\":\"Basic %s\"}}", secret);
        break;
    case 17:
        SECRET("MII%s", fill(ALNUM "+/", 60, 60));
        LINE("-----BEGIN %sPRIVATE KEY-----\n%s\n-----END %sPRIVATE KEY-----", rnd(2) ? "RSA " : "", secret,
             "");
        break;
    case 18:
        SECRET("%s", password());
        LINE("{\"msg\":\"{\\\"%s\\\":\\\"%s\\\"}\"}", name, secret);
        break;
    case 19:
        SECRET("%s", password());
        LINE("用户 %s 登录, 密码: %s", fill(LOW, 3, 8), secret);
        break;
    case 20:
        SECRET("%s", fill(ALNUM, 10, 20));
        LINE("Server=db;Database=x;User Id=sa;Password=%s;Encrypt=yes", secret);
        break;
    case 21:
        SECRET("%s", fill(HEX, 32, 40));
        LINE("x-api-key: %s", secret);
        break;
    case 22:
        SECRET("%s%s%s", fill(ALNUM, 8, 12), fill(DIG, 2, 4), fill(ALNUM, 8, 12));
        LINE("upstream refused bearer %s", secret);
        break;
    default:
        SECRET("%s", fill(LOW DIG, 8, 16));
        LINE("  %s: %s", name, secret);
        break;
    }
}

static void clean_line(char *line, size_t cap)
{
    const char *w = fill(LOW, 3, 10), *h = fill(HEX, 8, 32), *s = fill(LOW, 4, 9);
    uint32_t a = rnd(255), b = rnd(65536), c = rnd(1000000);
    switch (rnd(26)) {
    case 0:
        LINE("10.0.%u.%u - - [24/Nov/2026:02:11:%02u +0000] \"GET /%s/%s?id=%u HTTP/1.1\" 200 %u", a, a,
             a % 60, w, s, b, c);
        break;
    case 1:
        LINE("{\"ts\":\"2026-11-24T02:11:%02u.%06uZ\",\"level\":\"info\",\"trace_id\":\"%s\",\"n\":%u}",
             a % 60, c, fill(HEX, 32, 32), b);
        break;
    case 2:
        LINE("systemd[1]: Started user@%u.service - User Manager for UID %u.", b, b);
        break;
    case 3:
        LINE("kernel: [%5u.%06u] TCP: request_sock_TCP: Possible SYN flooding on port %u", b, c, b);
        break;
    case 4:
        LINE("unexpected token: %s at line %u column %u", w, a, b);
        break;
    case 5:
        LINE("max_tokens=%u prompt_tokens=%u token_count=%u", b, a, c);
        break;
    case 6:
        LINE("Failed password for invalid user %s from 192.0.2.%u port %u ssh2", w, a, b);
        break;
    case 7:
        LINE("id=%016llu start=17324136%011llu", (unsigned long long)c * 97, (unsigned long long)c * 7919);
        break;
    case 8:
        LINE("request %s-%s-4%s-a%s-%s done in %u us", fill(HEX, 8, 8), fill(HEX, 4, 4), fill(HEX, 3, 3),
             fill(HEX, 3, 3), fill(HEX, 12, 12), c);
        break;
    case 9:
        LINE("at com.%s.%s.Handler.run(Handler.java:%u)", w, s, a);
        break;
    case 10:
        LINE("pulling image registry.example.com/%s/%s@sha256:%s", w, s, fill(HEX, 64, 64));
        break;
    case 11:
        LINE("npm: added %s@%u.%u.%u in %us", w, a % 20, a % 50, a % 9, a);
        break;
    case 12:
        LINE("SELECT * FROM %s WHERE %s = $1 AND n > %u", w, s, b);
        break;
    case 13:
        LINE("GET http://%s.example.com:%u/%s/%s 302", w, b, s, h);
        break;
    case 14:
        LINE("tests pass: %u, fail: %u, skip: 0", b, a % 3);
        break;
    case 15:
        LINE("commit %s by %s, %u files changed", fill(HEX, 40, 40), w, a);
        break;
    case 16:
        LINE("password changed for user %s (uid %u)", w, b);
        break;
    case 17:
        LINE("basic %s check ok, bearer %s lost", fill(LOW, 8, 14), fill(LOW, 8, 14));
        break;
    case 18:
        LINE("[%u] redis: %u clients connected (%u replicas), %u bytes in use", a, b, a % 3, c * 31);
        break;
    case 19:
        LINE("token expired: refreshing session %s", h);
        break;
    case 20:
        LINE("com.%s.Bean@%s initialised", w, fill(HEX, 6, 8));
        break;
    case 21:
        LINE("mem=%uKiB cpu=%u.%02u%% io=%u/%u key=%s", c, a % 100, a % 100, a, b, w);
        break;
    case 22:
        LINE("用户 %s 登录成功, 耗时 %u 毫秒", w, a);
        break;
    case 23:
        LINE("span=%s parent=%s dur=%u", fill(HEX, 16, 16), fill(DIG, 18, 19), c);
        break;
    case 24:
        LINE("phone call %u to +49 30 %u %u ended", a, 1000 + b % 9000, 1000 + c % 9000);
        break;
    default:
        LINE("%s %s %s %u %s: connection to %s:%u refused, retry %u", w, s, h, a, w, s, b, a % 9);
        break;
    }
}

struct fixture {
    ops_redactor *r;
    ops_redact_scratch *s;
    ops_arena arena;
};

static int setup(void **state)
{
    static struct fixture f;
    const ops_redact_conf conf = {.kinds = OPS_REDACT_DEFAULT};
    *state = &f;
    ops_arena_init(&f.arena, 1 << 20);
    return ops_redactor_new(&conf, &f.r, NULL) == OPS_OK && ops_redact_scratch_new(&f.s, NULL) == OPS_OK ? 0
                                                                                                         : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    ops_redactor_unref(f->r);
    ops_redact_scratch_free(f->s);
    ops_arena_done(&f->arena);
    return 0;
}

static void recall(void **state)
{
    struct fixture *f = *state;
    char line[1024], secret[512];
    unsigned missed = 0;
    rng = 20261124;
    for (unsigned i = 0; i < LINES; i++) {
        secret_line(line, sizeof line, secret, sizeof secret);
        ops_slice got;
        ops_arena_clear(&f->arena);
        assert_int_equal(ops_redact(f->r, f->s, ops_slice_str(line), &f->arena, &got, NULL), OPS_OK);
        if (ops_slice_find(got, ops_slice_str(secret)) < 0)
            continue;
        if (missed++ < 10)
            print_message("missed: %s\n", line);
    }
    print_message("recall %.4f over %u lines\n", 1.0 - (double)missed / LINES, LINES);
    assert_true(missed * 100 <= LINES);
}

static void false_alarms(void **state)
{
    struct fixture *f = *state;
    char line[1024];
    unsigned wrong = 0;
    rng = 42;
    for (unsigned i = 0; i < LINES; i++) {
        clean_line(line, sizeof line);
        const ops_redact_span *spans = NULL;
        size_t n = 0;
        assert_int_equal(ops_redact_find(f->r, f->s, ops_slice_str(line), &spans, &n), OPS_OK);
        if (n == 0)
            continue;
        if (wrong++ < 10)
            print_message("false (%s/%s): %s\n", ops_redact_kind_name(spans[0].kind), spans[0].rule, line);
    }
    print_message("false %.4f over %u lines\n", (double)wrong / LINES, LINES);
    assert_true(wrong * 1000 <= LINES * 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(recall), cmocka_unit_test(false_alarms)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
