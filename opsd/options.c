#include "opsd/options.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem/alloc.h"

#define DEFAULT_FILE "/etc/opsd/opsd.yaml"
#define ENV_PREFIX   "OPSD_"

extern char **environ;

bool opsd_is_off(const char *address)
{
    return address[0] == '\0' || strcmp(address, "off") == 0;
}

bool opsd_is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]:", 6) == 0 ||
           strncmp(address, "localhost:", 10) == 0;
}

/* "+08:00" to seconds east of UTC. */
static bool parse_zone(const char *s, int32_t *ret)
{
    unsigned h, m;
    char sign, end;
    if (strcmp(s, "Z") == 0 || strcmp(s, "UTC") == 0) {
        *ret = 0;
        return true;
    }
    if (sscanf(s, "%c%2u:%2u%c", &sign, &h, &m, &end) != 3 || (sign != '+' && sign != '-') || h > 14 ||
        m > 59 || strlen(s) != 6)
        return false;
    *ret = (int32_t)(h * 3600 + m * 60) * (sign == '-' ? -1 : 1);
    return true;
}

static ops_status check_address(const ops_conf *c, size_t row, ops_err *reterr)
{
    const char *a = ops_conf_str(c, row), *colon = strrchr(a, ':');
    uint64_t port;
    if (opsd_is_off(a))
        return OPS_OK;
    if (colon == NULL || colon == a || !ops_slice_to_u64(ops_slice_str(colon + 1), &port) || port > 65535)
        return ops_fail(reterr, OPS_EINVAL,
                        "%s: %s: \"%s\" is no address such as 127.0.0.1:4318, and not off",
                        ops_conf_origin(c, row), opsd_rows[row].key, a);
    if (!opsd_is_loopback(a) && ops_conf_str(c, KEY_ACCESS_TOKENS)[0] == '\0')
        return ops_fail(
            reterr, OPS_EINVAL,
            "%s: %s: %s is reachable from outside, and without access.tokens everybody would be admin",
            ops_conf_origin(c, row), opsd_rows[row].key, a);
    return OPS_OK;
}

ops_status opsd_options_check(const ops_conf *c, ops_err *reterr)
{
    static const size_t addresses[] = {KEY_OTLP_GRPC,  KEY_OTLP_HTTP,  KEY_API,        KEY_WEB,
                                       KEY_SYSLOG_TCP, KEY_SYSLOG_UDP, KEY_WORKER_HTTP};
    static const size_t files[] = {KEY_ACCESS_TOKENS, KEY_TLS_CERT,        KEY_TLS_KEY,
                                   KEY_TLS_CLIENT_CA, KEY_REDACT_KEY_FILE, KEY_WORKER_CA,
                                   KEY_WORKER_CERT,   KEY_WORKER_KEY,      KEY_ANALYSIS_PINS};
    int32_t zone;
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        ops_status st = check_address(c, addresses[i], reterr);
        if (st != OPS_OK)
            return st;
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *path = ops_conf_str(c, files[i]);
        if (path[0] != '\0' && access(path, R_OK) != 0)
            return ops_fail(reterr, OPS_EINVAL, "%s: %s: %s cannot be read", ops_conf_origin(c, files[i]),
                            opsd_rows[files[i]].key, path);
    }
    if ((ops_conf_str(c, KEY_TLS_CERT)[0] == '\0') != (ops_conf_str(c, KEY_TLS_KEY)[0] == '\0'))
        return ops_fail(reterr, OPS_EINVAL, "tls.cert and tls.key are needed both or not at all");
    if (ops_conf_str(c, KEY_TLS_CLIENT_CA)[0] != '\0' && ops_conf_str(c, KEY_TLS_CERT)[0] == '\0')
        return ops_fail(reterr, OPS_EINVAL, "tls.client_ca needs tls.cert and tls.key");
    if ((ops_conf_str(c, KEY_WORKER_CERT)[0] == '\0') != (ops_conf_str(c, KEY_WORKER_KEY)[0] == '\0'))
        return ops_fail(reterr, OPS_EINVAL, "worker.cert and worker.key are needed both or not at all");
    if (!parse_zone(ops_conf_str(c, KEY_INGEST_ZONE), &zone))
        return ops_fail(reterr, OPS_EINVAL, "%s: ingest.zone: \"%s\" is no offset such as +08:00",
                        ops_conf_origin(c, KEY_INGEST_ZONE), ops_conf_str(c, KEY_INGEST_ZONE));
    size_t n;
    const char *const *globs = ops_conf_list(c, KEY_FILES_GLOBS, &n);
    for (size_t i = 0; i < n; i++)
        if (globs[i][0] != '/')
            return ops_fail(reterr, OPS_EINVAL, "%s: files.globs: %s is no absolute path",
                            ops_conf_origin(c, KEY_FILES_GLOBS), globs[i]);
    return OPS_OK;
}

/* Takes --config, --help and --version, which are no keys, out of argv. */
static ops_status take_own_flags(opsd_options *o, ops_err *reterr)
{
    int kept = 1;
    const char *path = getenv(ENV_PREFIX "CONFIG");
    for (int i = 1; i < o->argc; i++) {
        char *a = o->argv[i];
        if (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0)
            o->help = true;
        else if (strcmp(a, "--version") == 0)
            o->version = true;
        else if (strncmp(a, "--config=", 9) == 0)
            path = a + 9;
        else if (strcmp(a, "--config") == 0 && i + 1 < o->argc)
            path = o->argv[++i];
        else if (strcmp(a, "--config") == 0)
            return ops_fail(reterr, OPS_EINVAL, "--config: a value is missing");
        else
            o->argv[kept++] = a;
    }
    o->argc = kept;
    if (path == NULL && access(DEFAULT_FILE, F_OK) == 0)
        path = DEFAULT_FILE;
    if (path != NULL && (o->config_path = ops_strdup(path)) == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "options");
    return OPS_OK;
}

static ops_status default_data(const ops_conf *c, char **ret, ops_err *reterr)
{
    const char *given = ops_conf_str(c, KEY_DATA), *xdg = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    char path[1024];
    int n;
    if (given[0] != '\0')
        n = snprintf(path, sizeof path, "%s", given);
    else if (geteuid() == 0)
        n = snprintf(path, sizeof path, "/var/lib/opsd");
    else if (xdg != NULL && xdg[0] == '/')
        n = snprintf(path, sizeof path, "%s/opsd", xdg);
    else if (home != NULL && home[0] == '/')
        n = snprintf(path, sizeof path, "%s/.local/share/opsd", home);
    else
        return ops_fail(reterr, OPS_EINVAL, "no data folder: set --data, XDG_DATA_HOME or HOME");
    if (n >= (int)sizeof path)
        return ops_fail(reterr, OPS_EINVAL, "the data folder's path is longer than %zu bytes",
                        sizeof path - 1);
    *ret = ops_strdup(path);
    return *ret != NULL ? OPS_OK : ops_fail(reterr, OPS_ENOMEM, "options");
}

static ops_status read_sources(const char *path, int *argc, char **argv, ops_conf **ret, ops_err *reterr)
{
    OPS_AUTO(ops_conf_free) ops_conf *c = NULL;
    ops_status st = ops_conf_new(opsd_rows, OPSD_KEYS, &c, reterr);
    if (st == OPS_OK && path != NULL)
        st = ops_conf_read_file(c, path, reterr);
    if (st == OPS_OK)
        st = ops_conf_read_env(c, (const char *const *)environ, ENV_PREFIX, reterr);
    if (st == OPS_OK)
        st = ops_conf_read_args(c, argc, argv, reterr);
    if (st == OPS_OK)
        *ret = OPS_STEAL(c);
    return st;
}

ops_status opsd_options_again(const opsd_options *o, ops_conf **ret, ops_err *reterr)
{
    int argc = o->words_count;
    char **argv = ops_memdup(o->words_again, ((size_t)argc + 1) * sizeof *argv);
    if (argv == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "options");
    ops_status st = read_sources(o->config_path, &argc, argv, ret, reterr);
    ops_free(argv);
    return st;
}

static bool wants_chinese(void)
{
    const char *lang = getenv("LC_ALL");
    if (lang == NULL || lang[0] == '\0')
        lang = getenv("LC_MESSAGES");
    if (lang == NULL || lang[0] == '\0')
        lang = getenv("LANG");
    return lang != NULL && strncmp(lang, "zh", 2) == 0;
}

ops_status opsd_options_read(int argc, char **argv, opsd_options *ret, ops_err *reterr)
{
    *ret = (opsd_options){.argc = argc, .argv = argv, .zh = wants_chinese()};
    ops_status st = take_own_flags(ret, reterr);
    if (st != OPS_OK)
        return st;
    ret->words_count = ret->argc;
    ret->words_again = ops_calloc((size_t)ret->argc + 1, sizeof *argv);
    if (ret->words_again == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "options");
    memcpy(ret->words_again, argv, (size_t)ret->argc * sizeof *argv);
    st = read_sources(ret->config_path, &ret->argc, argv, &ret->conf, reterr);
    if (st == OPS_OK)
        st = default_data(ret->conf, &ret->data, reterr);
    if (st == OPS_OK && !parse_zone(ops_conf_str(ret->conf, KEY_INGEST_ZONE), &ret->zone_offset_s))
        ret->zone_offset_s = 0; /* opsd_options_check says so */
    return st;
}

void opsd_options_done(opsd_options *o)
{
    ops_conf_free(o->conf);
    ops_free(o->config_path);
    ops_free(o->data);
    ops_free(o->words_again);
}
