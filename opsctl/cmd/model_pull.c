/* model pull SOURCE: brings a model into the folder of models, whole and checked, or not at all. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem/alloc.h"
#include "base/time/clock.h"
#include "base/time/rfc3339.h"
#include "opsctl/model/store.h"
#include "opsctl/verb.h"

#define HUB "https://huggingface.co"
enum { TOKEN_BYTES_MAX = 400 };

typedef struct pull {
    ops_verb_ctx *ctx;
    const char *text, *name, *sha256, *models, *hub, *token_file, *ca; /* as given; NULL when not */
    uint64_t bytes_max;
    bool force, bar;
    ops_source source;
    ops_hub_files files;
    ops_store_model model;
    char folder[OPS_STORE_PATH_MAX], work[OPS_STORE_PATH_MAX], token[TOKEN_BYTES_MAX];
    const char *shown; /* the file that comes in now */
    unsigned shown_percent;
} pull;

static ops_status bytes_of(const char *text, uint64_t *ret, ops_err *reterr)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    unsigned shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    end += shift > 0;
    if (text[0] < '0' || text[0] > '9' || errno != 0 || *end != '\0' || v == 0 || v > UINT64_MAX >> shift)
        return ops_fail(reterr, OPS_EINVAL,
                        "--max-bytes takes a number, or one with K, M or G behind it, got '%s'", text);
    *ret = (uint64_t)v << shift;
    return OPS_OK;
}

static ops_status options(pull *p, ops_err *reterr)
{
    const struct {
        const char *flag;
        const char **to;
    } flags[] = {{"--name", &p->name}, {"--sha256", &p->sha256}, {"--models", &p->models},
                 {"--hub", &p->hub},   {"--ca", &p->ca},         {"--token-file", &p->token_file}};
    p->bytes_max = (uint64_t)1 << 40;
    for (int i = 0; i < p->ctx->argc; i++) {
        const char *a = p->ctx->argv[i], *value = i + 1 < p->ctx->argc ? p->ctx->argv[i + 1] : NULL;
        const char **to = NULL;
        for (size_t k = 0; k < sizeof flags / sizeof *flags; k++)
            if (strcmp(a, flags[k].flag) == 0)
                to = flags[k].to;
        bool sized = strcmp(a, "--max-bytes") == 0;
        if ((to != NULL || sized) && value == NULL)
            return ops_fail(reterr, OPS_EINVAL, "%s needs a value", a);
        if (to != NULL)
            *to = value;
        else if (sized && bytes_of(value, &p->bytes_max, reterr) != OPS_OK)
            return OPS_EINVAL;
        else if (strcmp(a, "--force") == 0)
            p->force = true;
        else if (!sized && (a[0] == '-' || p->text != NULL))
            return ops_fail(reterr, OPS_EINVAL, "takes one SOURCE and flags, got '%s'", a);
        else if (!sized)
            p->text = a;
        i += to != NULL || sized;
    }
    return p->text != NULL ? OPS_OK
                           : ops_fail(reterr, OPS_EINVAL, "takes a SOURCE: hf:OWNER/NAME[:FILE] or a URL");
}

/* From --token-file, else HF_TOKEN; a token is for the hub alone. */
static ops_status read_token(pull *p, ops_err *reterr)
{
    const char *env = getenv("HF_TOKEN");
    if (!p->source.hub)
        return OPS_OK;
    if (p->token_file != NULL) {
        FILE *in = fopen(p->token_file, "re");
        size_t n = in != NULL ? fread(p->token, 1, sizeof p->token - 1, in) : 0;
        if (in == NULL || ferror(in) || !feof(in)) {
            if (in != NULL)
                (void)fclose(in);
            return ops_fail(reterr, OPS_EINVAL, "--token-file %s: not read, or longer than %d bytes",
                            p->token_file, TOKEN_BYTES_MAX - 1);
        }
        (void)fclose(in);
        p->token[n] = '\0';
        p->token[strcspn(p->token, "\r\n")] = '\0';
    } else if (env != NULL && snprintf(p->token, sizeof p->token, "%s", env) >= (int)sizeof p->token)
        return ops_fail(reterr, OPS_EINVAL, "HF_TOKEN is longer than %d bytes", TOKEN_BYTES_MAX - 1);
    for (const char *c = p->token; *c != '\0'; c++)
        if ((unsigned char)*c <= 32 || (unsigned char)*c >= 127)
            return ops_fail(reterr, OPS_EINVAL, "the token has a byte %#x at %td", (unsigned char)*c,
                            c - p->token);
    return OPS_OK;
}

static ops_status set_up(pull *p, ops_err *reterr)
{
    ops_status st = options(p, reterr);
    if (st == OPS_OK)
        st = ops_source_parse(p->text, &p->source, reterr);
    if (st == OPS_OK)
        st = read_token(p, reterr);
    if (st == OPS_OK)
        st = ops_store_folder(p->models, p->folder, reterr);
    if (st != OPS_OK)
        return st;
    const char *hub = p->hub != NULL ? p->hub : getenv("HF_ENDPOINT");
    p->hub = hub != NULL && hub[0] != '\0' ? hub : HUB;
    if (strncmp(p->hub, "https://", 8) != 0 && strncmp(p->hub, "http://", 7) != 0)
        return ops_fail(reterr, OPS_EINVAL, "the hub '%s' is no http(s) URL", p->hub);
    if (p->token[0] != '\0' && p->hub[4] == ':' && strncmp(p->hub, "http://127.0.0.1", 16) != 0)
        return ops_fail(reterr, OPS_EINVAL, "a token would go to %s in the clear: use https", p->hub);
    ops_source_model_name(&p->source, p->model.name);
    if (p->name != NULL &&
        snprintf(p->model.name, sizeof p->model.name, "%s", p->name) >= (int)sizeof p->model.name)
        return ops_fail(reterr, OPS_EINVAL, "--name: at most %d bytes", OPS_SOURCE_PART_MAX - 1);
    if (!ops_source_name_ok(p->model.name) || p->model.name[0] == '.')
        return ops_fail(reterr, OPS_EINVAL,
                        "'%s' is no name of a model (letters, digits, '.', '-', '_'); give --name",
                        p->model.name);
    if (p->sha256 != NULL && (strlen(p->sha256) != 64 || strspn(p->sha256, "0123456789abcdef") != 64))
        return ops_fail(reterr, OPS_EINVAL, "--sha256 takes 64 lower-case hexadecimal digits");
    (void)snprintf(p->model.source, sizeof p->model.source, "%s", p->text);
    p->bar = isatty(fileno(p->ctx->err)) != 0;
    return OPS_OK;
}

static void progress(void *u, uint64_t have, uint64_t total)
{
    pull *p = u;
    unsigned percent = total > 0 && total != UINT64_MAX ? (unsigned)(have * 100 / total) : 0;
    if (!p->bar || (percent == p->shown_percent && total > 0 && have < total))
        return;
    p->shown_percent = percent;
    (void)fprintf(p->ctx->err, "\r%s: %" PRIu64 " MiB", p->shown, have >> 20);
    if (total > 0 && total != UINT64_MAX)
        (void)fprintf(p->ctx->err, " of %" PRIu64 " (%u %%)", total >> 20, percent);
    (void)fflush(p->ctx->err);
}

/* Is the file at `path` what was promised? proved_by says by whom. */
static ops_status prove(const pull *p, const ops_hub_file *f, const char *path, ops_store_file *ret,
                        ops_err *reterr)
{
    char git[OPS_HUB_HASH_MAX] = "";
    const char *sha256 = p->sha256 != NULL ? p->sha256 : f->sha256;
    ops_status st =
        ops_store_hash(path, ret->sha256, f->git_sha1[0] != '\0' ? git : NULL, &ret->bytes, reterr);
    if (st != OPS_OK)
        return st;
    (void)snprintf(ret->path, sizeof ret->path, "%s", f->path);
    if (f->bytes > 0 && ret->bytes != f->bytes)
        return ops_fail(reterr, OPS_ECORRUPT, "%s has %" PRIu64 " bytes, the hub says %" PRIu64, f->path,
                        ret->bytes, f->bytes);
    if (sha256[0] != '\0' && strcmp(ret->sha256, sha256) != 0)
        return ops_fail(reterr, OPS_ECORRUPT, "%s has SHA-256 %s, expected was %s", f->path, ret->sha256,
                        sha256);
    if (f->git_sha1[0] != '\0' && strcmp(git, f->git_sha1) != 0)
        return ops_fail(reterr, OPS_ECORRUPT, "%s has git's id %s, the hub says %s", f->path, git,
                        f->git_sha1);
    (void)snprintf(ret->proved_by, sizeof ret->proved_by, "%s",
                   sha256[0] != '\0'        ? "sha256"
                   : f->git_sha1[0] != '\0' ? "git-sha1"
                                            : "");
    return ops_store_check(path, reterr);
}

static void make_parents(const char *work, const char *file)
{
    char at[OPS_STORE_PATH_MAX];
    if (snprintf(at, sizeof at, "%s/%s", work, file) >= (int)sizeof at)
        return;
    for (char *c = at + strlen(work) + 1; *c != '\0'; c++)
        if (*c == '/') {
            *c = '\0';
            (void)mkdir(at, 0755); /* opening the file says why when this fails */
            *c = '/';
        }
}

static ops_status bring(pull *p, ops_fetch *fetch, const ops_hub_file *f, ops_store_file *ret,
                        ops_err *reterr)
{
    char path[OPS_STORE_PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", p->work, f->path) >= (int)sizeof path - 8)
        return ops_fail(reterr, OPS_ETOOBIG, "a path of more than %d bytes", OPS_STORE_PATH_MAX);
    make_parents(p->work, f->path);
    p->shown = f->path;
    p->shown_percent = UINT32_MAX;
    ops_status st = ops_fetch_file(fetch, f->url, path, p->bytes_max, reterr);
    if (p->bar)
        (void)fputc('\n', p->ctx->err);
    if (st != OPS_OK)
        return st;
    st = prove(p, f, path, ret, reterr);
    if (st == OPS_ECORRUPT) /* it would not get better by what is missing */
        (void)unlink(path);
    return st;
}

/* Is what stands under the name the same already? */
static ops_status standing(const pull *p, bool *ret_same, ops_err *reterr)
{
    OPS_AUTO(ops_free) void *block = ops_calloc(1, sizeof(ops_store_model));
    ops_store_model *m = block;
    *ret_same = false;
    if (m == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "%s", p->model.name);
    ops_err why;
    ops_status st = ops_store_read(p->folder, p->model.name, m, &why);
    if (st == OPS_ENOTFOUND || p->force)
        return OPS_OK;
    if (st == OPS_OK && m->manifest && strcmp(m->source, p->model.source) == 0 &&
        strcmp(m->commit, p->files.commit) == 0 && m->n == p->files.n) {
        *ret_same = p->sha256 == NULL || strcmp(m->v[0].sha256, p->sha256) == 0;
        if (*ret_same)
            return OPS_OK;
    }
    return ops_fail(
        reterr, OPS_EEXIST,
        "%s/%s is there already and not from the same source: --force replaces it, --name keeps both",
        p->folder, p->model.name);
}

static ops_status bring_all(pull *p, ops_fetch *fetch, ops_err *reterr)
{
    int lock = -1;
    (void)snprintf(p->model.commit, sizeof p->model.commit, "%s", p->files.commit);
    ops_status st = ops_store_begin(p->folder, &p->model, p->work, &lock, reterr);
    for (size_t i = 0; st == OPS_OK && i < p->files.n; i++) {
        st = bring(p, fetch, &p->files.v[i], &p->model.v[i], reterr);
        if (st == OPS_OK && !p->bar)
            (void)fprintf(p->ctx->err, "%s: %" PRIu64 " bytes\n", p->model.v[i].path, p->model.v[i].bytes);
    }
    p->model.n = p->files.n;
    (void)ops_rfc3339_format(ops_clock_wall_ns(ops_clock_system()), 0, p->model.pulled_at);
    if (st == OPS_OK)
        st = ops_store_finish(p->folder, p->work, &p->model, reterr);
    if (lock >= 0)
        (void)close(lock);
    return st;
}

static void tell(const pull *p)
{
    for (size_t i = 0; i < p->model.n; i++) {
        const ops_store_file *f = &p->model.v[i];
        (void)fprintf(p->ctx->out, "%s  %s/%s/%s  %s\n", f->sha256, p->folder, p->model.name, f->path,
                      f->proved_by[0] != '\0' ? f->proved_by : "unproved: nobody said what its hash is");
    }
}

static ops_status run(pull *p, ops_err *reterr)
{
    OPS_AUTO(ops_fetch_free) ops_fetch *fetch = NULL;
    bool same = false;
    ops_status st = set_up(p, reterr);
    if (st != OPS_OK)
        return st;
    ops_fetch_options o = {
        .token = p->token[0] != '\0' ? p->token : NULL, .ca = p->ca, .seen = progress, .u = p};
    st = ops_fetch_new(&o, &fetch, reterr);
    if (st == OPS_OK)
        st = ops_hub_list(fetch, p->hub, &p->source, &p->files, reterr);
    if (st == OPS_OK && p->sha256 != NULL && p->files.n != 1)
        st = ops_fail(reterr, OPS_EINVAL, "--sha256 is of one file, %s is %zu", p->text, p->files.n);
    if (st == OPS_OK)
        st = standing(p, &same, reterr);
    if (st != OPS_OK)
        return st;
    if (same) {
        (void)fprintf(p->ctx->err, "%s/%s is there already\n", p->folder, p->model.name);
        return OPS_OK;
    }
    st = bring_all(p, fetch, reterr);
    if (st == OPS_OK)
        tell(p);
    return st;
}

ops_status ops_cmd_model_pull(ops_verb_ctx *ctx, ops_err *reterr)
{
    OPS_AUTO(ops_free) void *block = ops_calloc(1, sizeof(pull));
    pull *p = block;
    if (p == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "model pull");
    p->ctx = ctx;
    return run(p, reterr);
}
