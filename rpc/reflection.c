/* gRPC server reflection, v1 and v1alpha (one wire format under two names):
 * https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
 *
 * The protoset's files are indexed by name and by every symbol they define. A request asks for a file by name, for the file of
 * a symbol, or for the list of services; the answer to a file is that file alone: clients ask for its imports by name. */
#include <stdio.h>

#include "base/mem/alloc.h"
#include "rpc/internal.h"
#include "rpc/wire.h"

enum { NESTING_MAX = 16, REPLY_BYTES_MAX = 4 << 20, NOT_FOUND = 5, UNIMPLEMENTED = 12 };

typedef struct file {
    ops_slice name, bytes;
} file;

struct rpc_reflection {
    rpc_table *table;
    OPS_VEC(file) files;
    ops_map *symbols; /* full name -> index of its file, plus one */
};

static ops_status add_symbol(struct rpc_reflection *r, const char *full, size_t index)
{
    return ops_map_put(r->symbols, ops_slice_str(full), (void *)(index + 1), NULL);
}

static void join(char *out, size_t max, const char *scope, ops_slice name)
{
    (void)snprintf(out, max, "%s%s" OPS_SLICE_FMT, scope, scope[0] != '\0' ? "." : "", OPS_SLICE_ARG(name));
}

/* `kind`: which sub-fields name further symbols. Descriptor numbers: google/protobuf/descriptor.proto. */
enum kind { FILE_LEVEL, MESSAGE, SERVICE, LEAF };

static ops_slice name_of(ops_slice bytes)
{
    wire_field f;
    bool bad = false;
    while (wire_next(&bytes, &f, &bad))
        if (f.number == 1 && f.type == 2)
            return f.bytes;
    return OPS_SLICE("");
}

static ops_status index_symbols(struct rpc_reflection *r, ops_slice bytes, enum kind kind, const char *scope,
                                size_t index, int depth)
{
    wire_field f;
    bool bad = false;
    ops_status st = OPS_OK;
    if (depth > NESTING_MAX)
        return OPS_ERANGE;
    while (st == OPS_OK && wire_next(&bytes, &f, &bad)) {
        enum kind child = LEAF;
        char full[256];
        if (f.type != 2)
            continue;
        if (kind == FILE_LEVEL && f.number == 4)
            child = MESSAGE;
        else if (kind == FILE_LEVEL && f.number == 6)
            child = SERVICE;
        else if (kind == MESSAGE && f.number == 3)
            child = MESSAGE;
        else if (!(kind == FILE_LEVEL && (f.number == 5 || f.number == 7)) &&
                 !(kind == MESSAGE && (f.number == 2 || f.number == 4)) &&
                 !(kind == SERVICE && f.number == 2))
            continue;
        join(full, sizeof full, scope, name_of(f.bytes));
        st = add_symbol(r, full, index);
        if (st == OPS_OK && child != LEAF)
            st = index_symbols(r, f.bytes, child, full, index, depth + 1);
    }
    return bad ? OPS_EINVAL : st;
}

static ops_status index_file(struct rpc_reflection *r, ops_slice bytes)
{
    wire_field f;
    bool bad = false;
    char package[256] = "";
    ops_slice rest = bytes;
    while (wire_next(&rest, &f, &bad))
        if (f.number == 2 && f.type == 2)
            (void)snprintf(package, sizeof package, OPS_SLICE_FMT, OPS_SLICE_ARG(f.bytes));
    const file one = {name_of(bytes), bytes};
    if (bad || !ops_vec_push(&r->files, one))
        return bad ? OPS_EINVAL : OPS_ENOMEM;
    return index_symbols(r, bytes, FILE_LEVEL, package, r->files.n - 1, 0);
}

static void put_error(ops_strbuf *out, int code, const char *message)
{
    ops_strbuf e;
    ops_strbuf_init(&e, 1024);
    wire_uint(&e, 1, (uint64_t)code);
    wire_bytes(&e, 2, ops_slice_str(message));
    wire_bytes(out, 7, ops_strbuf_get(&e));
    ops_strbuf_done(&e);
}

static void put_file(ops_strbuf *out, const file *f)
{
    ops_strbuf one;
    ops_strbuf_init(&one, REPLY_BYTES_MAX);
    wire_bytes(&one, 1, f->bytes);
    wire_bytes(out, 4, ops_strbuf_get(&one));
    out->failed = out->failed || one.failed;
    ops_strbuf_done(&one);
}

static void put_by_name(struct rpc_reflection *r, ops_slice name, ops_strbuf *out)
{
    for (size_t i = 0; i < r->files.n; i++)
        if (ops_slice_eq(r->files.v[i].name, name)) {
            put_file(out, &r->files.v[i]);
            return;
        }
    put_error(out, NOT_FOUND, "no such file");
}

static void put_by_symbol(struct rpc_reflection *r, ops_slice symbol, ops_strbuf *out)
{
    size_t index = (size_t)ops_map_get(r->symbols, symbol);
    if (index == 0)
        put_error(out, NOT_FOUND, "no such symbol");
    else
        put_file(out, &r->files.v[index - 1]);
}

static void put_services(struct rpc_reflection *r, ops_strbuf *out)
{
    ops_strbuf list, one;
    size_t iter = 0;
    ops_slice name;
    void *value;
    rpc_table *t = r->table;
    ops_strbuf_init(&list, REPLY_BYTES_MAX);
    ops_strbuf_init(&one, 1024);
    (void)pthread_mutex_lock(&t->health_lock);
    while (ops_map_next(t->serving, &iter, &name, &value)) {
        if (name.n == 0)
            continue;
        ops_strbuf_clear(&one);
        wire_bytes(&one, 1, name);
        wire_bytes(&list, 1, ops_strbuf_get(&one));
    }
    (void)pthread_mutex_unlock(&t->health_lock);
    wire_bytes(out, 6, ops_strbuf_get(&list));
    ops_strbuf_done(&list);
    ops_strbuf_done(&one);
}

static bool on_ask(ops_rpc_call *c, ops_slice msg, void *svc)
{
    struct rpc_reflection *r = c->table->reflection;
    wire_field f, asked = {0};
    bool bad = false;
    ops_slice rest = msg, host = {0};
    (void)svc;
    while (wire_next(&rest, &f, &bad)) {
        if (f.number == 1 && f.type == 2)
            host = f.bytes;
        else if (f.number >= 3 && f.number <= 7 && f.type == 2)
            asked = f;
    }
    if (bad || asked.number == 0) {
        ops_rpc_finish(c, OPS_EINVAL, "ServerReflectionRequest does not read", NULL);
        return false;
    }
    ops_strbuf out;
    ops_strbuf_init(&out, REPLY_BYTES_MAX);
    wire_bytes(&out, 1, host);
    wire_bytes(&out, 2, msg);
    if (asked.number == 3)
        put_by_name(r, asked.bytes, &out);
    else if (asked.number == 4)
        put_by_symbol(r, asked.bytes, &out);
    else if (asked.number == 7)
        put_services(r, &out);
    else
        put_error(&out, UNIMPLEMENTED, "ops.v1 is proto3: it has no extensions");
    ops_status st = out.failed ? OPS_ENOMEM : ops_rpc_send(c, ops_strbuf_get(&out));
    ops_strbuf_done(&out);
    /* Whoever asks faster than it reads the answers is shown the door. */
    if (st != OPS_OK)
        ops_rpc_finish(c, st, "answers are not read", NULL);
    return st == OPS_OK;
}

static const ops_rpc_method methods[] = {
    {.path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
     .kind = OPS_RPC_BIDI,
     .open = true,
     .message = on_ask},
    {.path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
     .kind = OPS_RPC_BIDI,
     .open = true,
     .message = on_ask},
};

ops_status rpc_reflection_add(rpc_table *t, ops_err *reterr)
{
    wire_field f;
    bool bad = false;
    ops_slice rest = t->conf.protoset;
    struct rpc_reflection *r = ops_calloc(1, sizeof *r);
    t->reflection = r;
    if (r == NULL || (r->symbols = ops_map_new()) == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "reflection");
    r->table = t;
    ops_status st = OPS_OK;
    while (st == OPS_OK && wire_next(&rest, &f, &bad))
        if (f.number == 1 && f.type == 2)
            st = index_file(r, f.bytes);
    if (bad || st != OPS_OK)
        return ops_fail(reterr, bad ? OPS_EINVAL : st, "reflection: the protoset does not read");
    for (size_t i = 0; st == OPS_OK && i < sizeof methods / sizeof *methods; i++)
        st = rpc_table_add(t, &methods[i], reterr);
    return st;
}

void rpc_reflection_free(struct rpc_reflection *r)
{
    if (r == NULL)
        return;
    ops_vec_done(&r->files);
    ops_map_free(r->symbols);
    ops_free(r);
}
