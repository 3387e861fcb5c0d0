#include "opsctl/remote/remote.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem/alloc.h"

enum { MESSAGE_BYTES_MAX = 64 << 20, TOKEN_BYTES_MAX = 1024 };

extern char **environ;

static const ops_conf_row common[REMOTE_OPTIONS] = {
    [REMOTE_SERVER] = {"server", OPS_CONF_STR, "127.0.0.1:7443", .help = "Address of the daemon's gRPC API.",
                       .help_zh = "守护进程 gRPC API 的地址。"},
    [REMOTE_TOKEN] = {"token", OPS_CONF_STR, "", .traits = OPS_CONF_SECRET, .help = "Access token.",
                      .help_zh = "访问令牌。"},
    [REMOTE_TOKEN_FILE] = {"token_file", OPS_CONF_STR, "", .help = "File that holds the access token.",
                           .help_zh = "存放访问令牌的文件。"},
    [REMOTE_CA] = {"ca", OPS_CONF_STR, "",
                   .help = "PEM file of who signed the daemon's certificate: turns TLS on.",
                   .help_zh = "签发服务端证书的 CA（PEM 文件），设置后启用 TLS。"},
    [REMOTE_CERT] = {"cert", OPS_CONF_STR, "",
                     .help = "PEM certificate to show to a daemon that asks for one.",
                     .help_zh = "守护进程要求客户端证书时出示的 PEM 证书。"},
    [REMOTE_KEY] = {"key", OPS_CONF_STR, "", .help = "PEM private key of that certificate.",
                    .help_zh = "该证书的 PEM 私钥。"},
    [REMOTE_TLS_NAME] = {"tls_name", OPS_CONF_STR, "",
                         .help = "Name expected in the daemon's certificate; empty: the server's address.",
                         .help_zh = "期望的服务端证书名称；留空则为服务端地址。"},
    [REMOTE_TIMEOUT] = {"timeout", OPS_CONF_DURATION, "30s", .min = 1, .help = "How long a request may take.",
                        .help_zh = "单次请求的时限。"},
    [REMOTE_OUTPUT] = {"output", OPS_CONF_CHOICE, "table", .choices = "table|wide|json|yaml|name",
                       .help = "How answers are printed.", .help_zh = "输出格式。"},
    [REMOTE_LANG] = {"lang", OPS_CONF_STR, "",
                     .help = "Language of words: en or zh; empty: as the locale says.",
                     .help_zh = "语言：en 或 zh；留空则按系统区域设置。"},
};

void ops_remote_config_path(char *buf, size_t max)
{
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME"), *own = getenv("OPSCTL_CONFIG");
    buf[0] = '\0';
    if (own != NULL)
        (void)snprintf(buf, max, "%s", own);
    else if (xdg != NULL && xdg[0] == '/')
        (void)snprintf(buf, max, "%s/opsctl/config.yaml", xdg);
    else if (home != NULL && home[0] == '/')
        (void)snprintf(buf, max, "%s/.config/opsctl/config.yaml", home);
}

/* -o and -f are short for --output and --follow. */
static void spell_out(ops_verb_ctx *ctx)
{
    static char output[] = "--output", follow[] = "--follow";
    for (int i = 0; i < ctx->argc; i++) {
        if (strcmp(ctx->argv[i], "-o") == 0)
            ctx->argv[i] = output;
        else if (strcmp(ctx->argv[i], "-f") == 0)
            ctx->argv[i] = follow;
    }
}

static ops_status read_options(ops_remote *r, ops_err *reterr)
{
    char path[1024];
    ops_verb_ctx *ctx = r->ctx;
    ops_remote_config_path(path, sizeof path);
    ops_status st = OPS_OK;
    if (path[0] != '\0' && access(path, F_OK) == 0)
        st = ops_conf_read_file(r->conf, path, reterr);
    if (st == OPS_OK)
        st = ops_conf_read_env(r->conf, (const char *const *)environ, "OPSCTL_", reterr);
    /* ops_conf_read_args leaves the program's name alone: the verb's last word stands there. */
    int argc = ctx->argc + 1;
    spell_out(ctx);
    if (st == OPS_OK)
        st = ops_conf_read_args(r->conf, &argc, ctx->argv - 1, reterr);
    ctx->argc = argc - 1;
    return st;
}

ops_status ops_remote_options(ops_verb_ctx *ctx, const ops_conf_row *own, size_t own_count, ops_remote *ret,
                              ops_err *reterr)
{
    *ret = (ops_remote){.ctx = ctx};
    if (own_count > REMOTE_OWN_MAX)
        return ops_fail(reterr, OPS_EINTERNAL, "%zu options", own_count);
    memcpy(ret->rows, common, sizeof common);
    if (own_count > 0)
        memcpy(ret->rows + REMOTE_OPTIONS, own, own_count * sizeof *own);
    ops_status st = ops_conf_new(ret->rows, REMOTE_OPTIONS + own_count, &ret->conf, reterr);
    if (st == OPS_OK)
        st = read_options(ret, reterr);
    if (st != OPS_OK) {
        ops_remote_close(ret);
        return st;
    }
    ret->mode = (ops_print_mode)ops_conf_uint(ret->conf, REMOTE_OUTPUT);
    ret->zh = ops_print_chinese(ops_conf_str(ret->conf, REMOTE_LANG));
    ret->colour = isatty(fileno(ctx->out)) && getenv("NO_COLOR") == NULL;
    return OPS_OK;
}

static ops_status read_text(const char *path, char **ret, ops_err *reterr)
{
    FILE *f = fopen(path, "re");
    char *buf = ops_calloc(1, MESSAGE_BYTES_MAX / 64);
    if (f == NULL || buf == NULL) {
        ops_free(buf);
        if (f != NULL)
            (void)fclose(f);
        return ops_fail(reterr, f == NULL ? OPS_EIO : OPS_ENOMEM, "%s: %s", path, strerror(errno));
    }
    size_t n = fread(buf, 1, MESSAGE_BYTES_MAX / 64 - 1, f);
    (void)fclose(f);
    while (n > 0 && (buf[n - 1] == '\n' || buf[n - 1] == ' '))
        buf[--n] = '\0';
    *ret = buf;
    return OPS_OK;
}

/* The file that an option names; *ret stays NULL when it names none. */
static ops_status read_named(const ops_remote *r, size_t option, char **ret, ops_err *reterr)
{
    const char *path = ops_conf_str(r->conf, option);
    return path[0] != '\0' ? read_text(path, ret, reterr) : OPS_OK;
}

ops_status ops_remote_dial(const ops_remote *r, const char *target, ops_rpc_channel **ret, ops_err *reterr)
{
    static const size_t options[] = {REMOTE_TOKEN_FILE, REMOTE_CA, REMOTE_CERT, REMOTE_KEY};
    char *texts[sizeof options / sizeof *options] = {NULL};
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < sizeof options / sizeof *options; i++)
        st = read_named(r, options[i], &texts[i], reterr);
    const char *token = ops_conf_str(r->conf, REMOTE_TOKEN), *name = ops_conf_str(r->conf, REMOTE_TLS_NAME);
    const ops_rpc_tls tls = {.client_ca = texts[1], .cert = texts[2], .key = texts[3]};
    const ops_rpc_channel_conf cc = {.target = target,
                                     .bearer = token[0] != '\0' ? token : texts[0],
                                     .tls = texts[1] != NULL ? &tls : NULL,
                                     .server_name = name[0] != '\0' ? name : NULL,
                                     .message_bytes_max = MESSAGE_BYTES_MAX};
    if (st == OPS_OK && texts[1] == NULL && (texts[2] != NULL || texts[3] != NULL))
        st = ops_fail(reterr, OPS_EINVAL, "--cert and --key need --ca, which turns TLS on");
    if (st == OPS_OK)
        st = ops_rpc_channel_new(&cc, ret, reterr);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        ops_free(texts[i]);
    return st;
}

ops_status ops_remote_open(ops_verb_ctx *ctx, const ops_conf_row *own, size_t own_count, ops_remote *ret,
                           ops_err *reterr)
{
    ops_status st = ops_remote_options(ctx, own, own_count, ret, reterr);
    if (st != OPS_OK)
        return st;
    st = ops_remote_dial(ret, ops_conf_str(ret->conf, REMOTE_SERVER), &ret->channel, reterr);
    if (st != OPS_OK)
        ops_remote_close(ret);
    return st;
}

void ops_remote_close(ops_remote *r)
{
    ops_rpc_channel_free(r->channel);
    ops_conf_free(r->conf);
    r->channel = NULL;
    r->conf = NULL;
}

static ops_status name_server(const ops_remote *r, ops_status st, ops_err *reterr)
{
    if (st == OPS_EUNAVAILABLE)
        ops_err_prefix(reterr, "%s", ops_conf_str(r->conf, REMOTE_SERVER));
    return st;
}

static ops_status pack(const ProtobufCMessage *req, ops_strbuf *out, ops_err *reterr)
{
    size_t n = protobuf_c_message_get_packed_size(req);
    char *to = ops_strbuf_room(out, n);
    if (to == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a request of %zu bytes", n);
    out->n += protobuf_c_message_pack(req, (uint8_t *)to);
    return OPS_OK;
}

ops_status ops_remote_call(ops_remote *r, const char *path, const ProtobufCMessage *req,
                           const ProtobufCMessageDescriptor *type, ProtobufCMessage **ret, ops_err *reterr)
{
    ops_strbuf out, in;
    ops_strbuf_init(&out, MESSAGE_BYTES_MAX);
    ops_strbuf_init(&in, MESSAGE_BYTES_MAX);
    ops_status st = pack(req, &out, reterr);
    if (st == OPS_OK)
        st = name_server(r,
                         ops_rpc_unary(r->channel, path, ops_strbuf_get(&out),
                                       (int64_t)ops_conf_uint(r->conf, REMOTE_TIMEOUT), &in, NULL, reterr),
                         reterr);
    if (st == OPS_OK) {
        *ret = protobuf_c_message_unpack(type, NULL, in.n, (const uint8_t *)(in.p != NULL ? in.p : ""));
        if (*ret == NULL)
            st = ops_fail(reterr, OPS_EINTERNAL,
                          "the answer does not read: is the daemon of another version?");
    }
    ops_strbuf_done(&out);
    ops_strbuf_done(&in);
    return st;
}

ops_status ops_remote_stream(ops_remote *r, const char *path, const ProtobufCMessage *req,
                             ops_rpc_stream **ret, ops_err *reterr)
{
    ops_strbuf out;
    ops_rpc_stream *s = NULL;
    ops_strbuf_init(&out, MESSAGE_BYTES_MAX);
    ops_status st = pack(req, &out, reterr);
    if (st == OPS_OK)
        st = ops_rpc_stream_open(r->channel, path, -1, &s, reterr);
    if (st == OPS_OK) {
        /* When sending fails the stream is over, and the first receive says why. */
        ops_err ignored;
        if (ops_rpc_stream_send(s, ops_strbuf_get(&out), &ignored) == OPS_OK)
            (void)!ops_rpc_stream_close_send(s, &ignored);
        *ret = s;
    }
    ops_strbuf_done(&out);
    return st;
}

ops_status ops_remote_next(ops_rpc_stream *s, const ProtobufCMessageDescriptor *type, ProtobufCMessage **ret,
                           ops_err *reterr)
{
    ops_strbuf in;
    bool end = false;
    *ret = NULL;
    ops_strbuf_init(&in, MESSAGE_BYTES_MAX);
    ops_status st = ops_rpc_stream_recv(s, -1, &in, &end, reterr);
    if (st == OPS_OK && !end) {
        *ret = protobuf_c_message_unpack(type, NULL, in.n, (const uint8_t *)(in.p != NULL ? in.p : ""));
        if (*ret == NULL)
            st = ops_fail(reterr, OPS_EINTERNAL,
                          "the answer does not read: is the daemon of another version?");
    }
    ops_strbuf_done(&in);
    return st;
}
