/* Who may do what: the token file.
 *
 * One client a line, fields parted by blanks, '#' starts a comment:
 *     NAME  ROLE  TENANT  sha256:HEX64 | token:TEXT
 * NAME and TENANT: [A-Za-z0-9._-], 1..63 bytes. ROLE: ingest, viewer, operator, admin.
 *
 * No file: open (every caller is "anonymous", tenant "default", role admin); meant for loopback only.
 * Once the file exists nobody without a listed token gets in, and a file that vanishes or breaks later leaves the last
 * good table in force. Tokens are kept and compared as SHA-256 only, in time independent of content. */
#pragma once
#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include <stdbool.h>
#include <stddef.h>

typedef enum ops_role {
    OPS_ROLE_NONE,
    OPS_ROLE_INGEST,
    OPS_ROLE_VIEWER,
    OPS_ROLE_OPERATOR, /* implies viewer */
    OPS_ROLE_ADMIN,    /* implies all */
    OPS_ROLE_COUNT
} ops_role;

#define OPS_ACCESS_NAME_MAX        64
#define OPS_ACCESS_TOKENS_MAX      10000
#define OPS_ACCESS_TOKEN_BYTES_MAX 512

typedef struct ops_identity {
    char name[OPS_ACCESS_NAME_MAX];
    char tenant[OPS_ACCESS_NAME_MAX];
    ops_role role;
} ops_identity;

typedef struct ops_access ops_access;

/* path NULL: always open. A file that exists but does not parse is OPS_EINVAL naming file and line (the daemon must not
 * start open by a typo); one that others may write is OPS_EPERM. */
OPS_MUST_USE ops_status ops_access_new(const char *path, ops_access **ret, ops_err *reterr);
void ops_access_free(ops_access *a);
OPS_AUTO_DEFINE(ops_access, ops_access_free)

/* Reads the file again. On failure the table in force stays and reterr says why. @thread any */
OPS_MUST_USE ops_status ops_access_reload(ops_access *a, ops_err *reterr);

/* Whom the token names. OPS_EAUTH: missing or unknown token. @thread any */
OPS_MUST_USE ops_status ops_access_check(ops_access *a, ops_slice token, ops_identity *ret);

/* Check and role in one: OPS_EAUTH as above; OPS_EPERM names the client, its role and the role needed.
 * need OPS_ROLE_NONE admits any known client. @thread any */
OPS_MUST_USE ops_status ops_access_require(ops_access *a, ops_slice token, ops_role need, ops_identity *ret,
                                           ops_err *reterr);

/* True while no token file has been read: everybody is admin. @thread any */
bool ops_access_is_open(ops_access *a);
size_t ops_access_count(ops_access *a);

bool ops_role_implies(ops_role have, ops_role need);
const char *ops_role_name(ops_role role);
ops_role ops_role_parse(ops_slice name); /* OPS_ROLE_NONE when unknown */

/* The token inside an Authorization value ("Bearer abc" in any case); empty when it is none. */
ops_slice ops_access_bearer(ops_slice authorization);
