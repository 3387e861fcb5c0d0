/* Who is told, and of what: one line of configuration a receiver, parts separated by blanks:
 *
 *     NAME KIND TARGET [OPTION=VALUE | severity>=LEVEL]...
 *
 *     am      alertmanager http://127.0.0.1:9093
 *     pager   webhook      https://pager.example/hook  secret_file=/etc/opsd/pager.key severity>=error tenant=payments
 *     chat    slack        url_file=/etc/opsd/slack.url
 *
 * NAME: [A-Za-z0-9._-], 1..63 bytes; a receiver's place in the outbox goes by it. KIND: alertmanager, webhook, slack. TARGET:
 * an http or https URL without user information, or url_file=PATH where the URL itself is a secret. Options: url_file,
 * secret_file (webhook: signs bodies), token_file (sent as a bearer token), ca_file, tenant=NAME[,NAME...], severity>=LEVEL.
 * Secrets come from files alone and are trimmed. */
#ifndef OPS_NOTIFY_RECEIVER_H
#define OPS_NOTIFY_RECEIVER_H

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"

typedef enum ops_notify_kind {
    OPS_NOTIFY_ALERTMANAGER,
    OPS_NOTIFY_WEBHOOK,
    OPS_NOTIFY_SLACK
} ops_notify_kind;

enum {
    OPS_NOTIFY_NAME_MAX = 64,
    OPS_NOTIFY_URL_MAX = 2048,
    OPS_NOTIFY_SECRET_MAX = 4096,
    OPS_NOTIFY_TENANTS_MAX = 16,
    OPS_NOTIFY_RECEIVERS_MAX = 16
};

typedef struct ops_notify_receiver {
    char name[OPS_NOTIFY_NAME_MAX];
    ops_notify_kind kind;
    int severity_min; /* ops.v1.Level; 0: any */
    char tenants[OPS_NOTIFY_TENANTS_MAX][OPS_NOTIFY_NAME_MAX];
    size_t tenant_count; /* 0: all */
    char url[OPS_NOTIFY_URL_MAX];
    char secret[OPS_NOTIFY_SECRET_MAX]; /* "" without one, as the next two */
    char token[OPS_NOTIFY_SECRET_MAX];
    char ca_file[1024];
} ops_notify_receiver;

/* Reads the files too. OPS_EINVAL names the receiver and the part that is wrong; *ret holds secrets. */
OPS_MUST_USE ops_status ops_notify_receiver_parse(ops_slice line, ops_notify_receiver *ret, ops_err *reterr);
bool ops_notify_receiver_wants(const ops_notify_receiver *r, ops_slice tenant, int severity);
const char *ops_notify_kind_name(ops_notify_kind kind);

#endif
