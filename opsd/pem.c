#include "opsd/pem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"

ops_status opsd_file_read(const char *path, char **ret, size_t *ret_n, ops_err *reterr)
{
    FILE *f = fopen(path, "rbe");
    if (f == NULL)
        return ops_fail(reterr, OPS_EIO, "%s: %s", path, strerror(errno));
    char *buf = ops_malloc(OPSD_FILE_BYTES_MAX + 1);
    size_t n = buf != NULL ? fread(buf, 1, OPSD_FILE_BYTES_MAX + 1, f) : 0;
    (void)fclose(f);
    if (buf == NULL || n > OPSD_FILE_BYTES_MAX) {
        ops_free(buf);
        return ops_fail(reterr, buf == NULL ? OPS_ENOMEM : OPS_ETOOBIG, "%s", path);
    }
    buf[n] = '\0';
    *ret = buf;
    *ret_n = n;
    return OPS_OK;
}

static ops_status read_one(const ops_conf *c, size_t key, char **ret, ops_err *reterr)
{
    const char *path = ops_conf_str(c, key);
    size_t n;
    return path[0] != '\0' ? opsd_file_read(path, ret, &n, reterr) : OPS_OK;
}

ops_status opsd_pem_read(const ops_conf *c, size_t cert_key, size_t key_key, size_t ca_key, opsd_pem *ret,
                         ops_err *reterr)
{
    *ret = (opsd_pem){0};
    ops_status st = read_one(c, cert_key, &ret->cert, reterr);
    if (st == OPS_OK)
        st = read_one(c, key_key, &ret->key, reterr);
    if (st == OPS_OK)
        st = read_one(c, ca_key, &ret->ca, reterr);
    if (st != OPS_OK)
        opsd_pem_done(ret);
    return st;
}

void opsd_pem_done(opsd_pem *p)
{
    ops_free(p->cert);
    ops_free(p->key);
    ops_free(p->ca);
    *p = (opsd_pem){0};
}
