/* The PEM files that the configuration names, as text. */
#ifndef OPSD_PEM_H
#define OPSD_PEM_H

#include "base/conf/conf.h"
#include "base/status/status.h"

enum { OPSD_FILE_BYTES_MAX = 1 << 16 };

/* NULL each where the key is empty. */
typedef struct opsd_pem {
    char *cert, *key, *ca;
} opsd_pem;

/* A file of at most OPSD_FILE_BYTES_MAX bytes, with a NUL behind it; the caller's. */
OPS_MUST_USE ops_status opsd_file_read(const char *path, char **ret, size_t *ret_n, ops_err *reterr);
/* The files of three configuration keys. */
OPS_MUST_USE ops_status opsd_pem_read(const ops_conf *c, size_t cert_key, size_t key_key, size_t ca_key,
                                      opsd_pem *ret, ops_err *reterr);
void opsd_pem_done(opsd_pem *p);

#endif
