/* opsd: reads its options, starts the daemon, waits for signals. */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log/log.h"
#include "opsd/daemon.h"

enum { LOOK_S = 1, UPKEEP_LOOKS = 30 };

/* sd_notify(3): one datagram to the socket that systemd named; silence when there is none. */
static void tell_systemd(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (path == NULL || path[0] == '\0' || strlen(path) >= sizeof to.sun_path)
        return;
    memcpy(to.sun_path, path, strlen(path));
    if (to.sun_path[0] == '@')
        to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to, n);
    (void)close(fd);
}

static int say(const opsd_options *o,
               void (*write)(const ops_conf *c, const char *prefix, bool zh, ops_strbuf *out))
{
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 20);
    write(o->conf, "OPSD_", o->zh, &b);
    bool ok = !b.failed && fwrite(b.p, 1, b.n, stdout) == b.n;
    ops_strbuf_done(&b);
    return ok ? 0 : 1;
}

static void sample(const ops_conf *c, const char *prefix, bool zh, ops_strbuf *out)
{
    (void)prefix;
    (void)zh;
    ops_conf_sample(c, out);
}

static void effective(const ops_conf *c, const char *prefix, bool zh, ops_strbuf *out)
{
    (void)prefix;
    (void)zh;
    ops_conf_effective(c, out);
}

/* opsd(8) and opsd.yaml(5) in one page: the keys are both its flags and its file. */
static void man(const ops_conf *c, const char *prefix, bool zh, ops_strbuf *out)
{
    (void)zh;
    ops_strbuf_str(
        out,
        ".TH OPSD 8 \"\" \"opsd " OPS_VERSION
        "\"\n.SH NAME\nopsd \\- operations assistant: takes in logs, finds "
        "what is abnormal\n.SH SYNOPSIS\n.B opsd\n[\\-\\-config FILE] [\\-\\-KEY VALUE]...\n.br\n.B opsd "
        "config\n"
        "validate|show|sample|reference|man\n.SH DESCRIPTION\nReads its configuration from a YAML file "
        "(\\-\\-config, OPSD_CONFIG or /etc/opsd/opsd.yaml), the environment and its flags; a flag wins over "
        "a "
        "variable, a variable over the file. SIGHUP reads the file and the token file again; SIGTERM stops: "
        "requests under way are answered first.\n.SH CONFIGURATION\n");
    ops_conf_man(c, prefix, out);
    ops_strbuf_str(out, ".SH EXIT STATUS\n0 after a stop that was asked for, 1 when something failed, 2 when "
                        "the configuration "
                        "is not valid.\n.SH SEE ALSO\n.BR opsctl (1)\n");
}

static int help(const opsd_options *o)
{
    if (o->zh)
        (void)puts("用法：opsd [--config 文件] [--键 值]...\n"
                   "      opsd config validate|show|sample|reference|man\n\n"
                   "每个键也可写在 YAML 文件中，或用环境变量 OPSD_键 设置。\n");
    else
        (void)puts("usage: opsd [--config FILE] [--KEY VALUE]...\n"
                   "       opsd config validate|show|sample|reference|man\n\n"
                   "Every key can also stand in the YAML file, or in the variable OPSD_KEY.\n");
    return say(o, ops_conf_help);
}

static int config_verb(const opsd_options *o)
{
    const char *verb = o->argc == 3 ? o->argv[2] : "";
    if (strcmp(verb, "show") == 0)
        return say(o, effective);
    if (strcmp(verb, "sample") == 0)
        return say(o, sample);
    if (strcmp(verb, "reference") == 0)
        return say(o, ops_conf_markdown);
    if (strcmp(verb, "man") == 0)
        return say(o, man);
    if (strcmp(verb, "validate") != 0) {
        (void)fputs("opsd config: one of validate, show, sample, reference, man\n", stderr);
        return 2;
    }
    ops_err err = {0};
    ops_access *access = NULL;
    ops_status st = opsd_options_check(o->conf, &err);
    if (st == OPS_OK)
        st = opsd_pins_check(o->conf, &err);
    if (st == OPS_OK)
        st = opsd_notify_check(o->conf, &err);
    if (st == OPS_OK)
        st = opsd_rules_check(o->conf, &err);
    const char *tokens = ops_conf_str(o->conf, KEY_ACCESS_TOKENS);
    if (st == OPS_OK)
        st = ops_access_new(tokens[0] != '\0' ? tokens : NULL, &access, &err);
    ops_access_free(access);
    if (st != OPS_OK) {
        (void)fprintf(stderr, "opsd: %s\n", err.msg);
        return 1;
    }
    (void)printf(o->zh ? "%s：有效\n" : "%s: valid\n",
                 o->config_path != NULL ? o->config_path : "configuration");
    return 0;
}

static void log_ready(const opsd_daemon *d)
{
    OPS_LOG(OPS_LOG_INFO, "ready", OPS_KV_STR("version", OPS_VERSION), OPS_KV_STR("data", d->options->data),
            OPS_KV_STR("config", d->options->config_path != NULL ? d->options->config_path : "none"),
            OPS_KV_INT("otlp_grpc", d->otlp_rpc != NULL ? ops_rpc_server_port(d->otlp_rpc) : 0),
            OPS_KV_INT("otlp_http", d->otlp != NULL ? ops_http_port(d->otlp) : 0),
            OPS_KV_INT("api", d->api_rpc != NULL ? ops_rpc_server_port(d->api_rpc) : 0),
            OPS_KV_INT("web", d->web != NULL ? ops_http_port(d->web) : 0));
}

static void serve(opsd_daemon *d, const sigset_t *signals)
{
    for (unsigned looks = 1;; looks++) {
        const struct timespec look_every = {LOOK_S, 0};
        int signal_number = sigtimedwait(signals, NULL, &look_every);
        if (signal_number < 0) {
            opsd_pins_look(d, false);
            if (looks % UPKEEP_LOOKS == 0)
                opsd_upkeep(d);
            continue;
        }
        if (signal_number != SIGHUP) {
            OPS_LOG(OPS_LOG_INFO, "stopping", OPS_KV_INT("signal", signal_number));
            return;
        }
        ops_err err = {0};
        tell_systemd("RELOADING=1");
        if (opsd_daemon_reload(d, &err) == OPS_OK)
            OPS_LOG(OPS_LOG_INFO, "reloaded");
        else
            OPS_LOG(OPS_LOG_ERROR, "reload_refused", OPS_KV_STR("why", err.msg));
        tell_systemd("READY=1");
    }
}

static int run(const opsd_options *o)
{
    ops_err err = {0};
    opsd_daemon *d = NULL;
    sigset_t signals;
    /* Before any thread: all of them inherit the mask, and only sigwait() sees these. */
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGHUP);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    ops_status st = opsd_options_check(o->conf, &err);
    if (st == OPS_OK && ops_conf_uint(o->conf, KEY_ROLE) == ROLE_WORKER) {
        st = opsd_worker_run(o, &signals, &err);
        if (st == OPS_OK)
            return 0;
    }
    if (st == OPS_OK)
        st = opsd_daemon_start(o, &d, &err);
    if (st != OPS_OK) {
        (void)fprintf(stderr, "opsd: %s\n", err.msg);
        return st == OPS_EINVAL ? 2 : 1;
    }
    log_ready(d);
    tell_systemd("READY=1");
    serve(d, &signals);
    tell_systemd("STOPPING=1");
    opsd_daemon_stop(d);
    OPS_LOG(OPS_LOG_INFO, "stopped");
    return 0;
}

int main(int argc, char **argv)
{
    opsd_options o;
    ops_err err = {0};
    int code;
    if (opsd_options_read(argc, argv, &o, &err) != OPS_OK) {
        (void)fprintf(stderr, "opsd: %s\n", err.msg);
        code = 2;
    } else if (o.version)
        code = printf("opsd %s\n", OPS_VERSION) > 0 ? 0 : 1;
    else if (o.help)
        code = help(&o);
    else if (o.argc > 1 && strcmp(o.argv[1], "config") == 0)
        code = config_verb(&o);
    else if (o.argc > 1) {
        (void)fprintf(stderr, "opsd: %s: not a command; see opsd --help\n", o.argv[1]);
        code = 2;
    } else
        code = run(&o);
    opsd_options_done(&o);
    return code;
}
