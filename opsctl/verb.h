/* The verb table: dispatch, help and shell completion come from the same rows. */
#ifndef OPS_OPSCTL_VERB_H
#define OPS_OPSCTL_VERB_H

#include <stdio.h>

#include "base/status/status.h"

/* What a verb is run with. Answers go to `out`, words for people to `err`. */
typedef struct ops_verb_ctx {
    int argc; /* arguments after the verb's words */
    char **argv;
    FILE *in, *out, *err;
    int exit_code; /* of a verb that went well; 3 where --fail-on found something */
} ops_verb_ctx;

typedef struct ops_verb {
    const char *words;   /* "offline templates" */
    const char *usage;   /* what follows the words */
    const char *summary; /* one line, English */
    const char *summary_zh;
    const char *flags; /* blank-separated, for completion */
    ops_status (*run)(ops_verb_ctx *ctx, ops_err *reterr);
} ops_verb;

extern const ops_verb ops_verbs[];
extern const size_t ops_verb_count;

ops_status ops_cmd_offline_templates(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_offline_findings(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_offline_metrics(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_offline_incident(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_offline_rca(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_offline_sequences(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_offline_absent(ops_verb_ctx *ctx,
                                  ops_err *reterr); /* commands of the contract not built yet */
ops_status ops_cmd_get_findings(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_get_streams(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_get_series(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_get_rules(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_get_templates(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_get_workers(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_get_partitions(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_get_deadletters(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_get_status(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_describe_finding(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_describe_template(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_get_pins(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_get_silences(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_create_silence(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_expire_silence(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_pins_check(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_rules_check(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_rules_test(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_watch_findings(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_get_incidents(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_get_acts(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_describe_incident(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_watch_incidents(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_ack_incident(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_resolve_incident(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_reopen_incident(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_merge_incident(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_split_incident(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_feedback_incident(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_feedback(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_ingest(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_logs(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_fsck(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_config(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_redact_test(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_model_list(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_get_models(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_model_load(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_model_unload(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_model_rerank(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_model_classify(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_model_pull(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_model_bench(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_model_run(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_model_describe(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_completion(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_help(ops_verb_ctx *ctx, ops_err *reterr);
ops_status ops_cmd_version(ops_verb_ctx *ctx, ops_err *reterr);

#endif
