/* Inside of the redact room: a rule is a trigger for Hyperscan and a checker that decides the exact span. */
#ifndef OPS_COORDINATOR_REDACT_RULES_H
#define OPS_COORDINATOR_REDACT_RULES_H

#include "base/text/slice.h"
#include "coordinator/redact/redact.h"

typedef struct ops_redact_rule ops_redact_rule;

/* The trigger of `rule` matched and ended at byte `at` (exclusive) of `in`. Fills start and end and returns true when
 * this is one. Looks only a bounded way to the left, and to the right at most to the end of the span it returns or a
 * constant, so that a hostile record costs linear time. */
typedef bool (*ops_redact_check)(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret);

struct ops_redact_rule {
    const char *name;
    const char *trigger; /* Hyperscan pattern; NULL: numbers.c looks for it */
    ops_redact_kind kind;
    bool caseless;
    ops_redact_check check;
    /* of check_prefix: the literal the trigger stands for, and the run of key characters that must follow */
    const char *prefix;
    const char *extra; /* key characters besides letters and digits */
    uint16_t run_min, run_max;
    bool upper_only; /* letters are A-Z only */
    bool keep_prefix;
};

extern const ops_redact_rule ops_redact_rules[];
extern const size_t ops_redact_rule_count;

bool ops_redact_check_prefix(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret);
bool ops_redact_check_pem(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret);
bool ops_redact_check_jwt(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret);
bool ops_redact_check_azure_ad(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret);
bool ops_redact_check_assign(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret);
bool ops_redact_check_flag(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret);
bool ops_redact_check_auth(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret);
bool ops_redact_check_scheme(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret);
bool ops_redact_check_url(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret);
bool ops_redact_check_dsn(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret);
bool ops_redact_check_userpass(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret);
bool ops_redact_check_email(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret);
bool ops_redact_check_card(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret);
bool ops_redact_check_iban(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret);
bool ops_redact_check_ssn(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret);
bool ops_redact_check_prc_id(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret);

/* The next card or IBAN at or after `from` (rules NULL: not wanted). Returns its end, 0 when there is none. */
size_t ops_redact_next_number(const ops_redact_rule *card, const ops_redact_rule *iban, ops_slice in,
                              size_t from, ops_redact_span *ret, const ops_redact_rule **ret_rule);

/* True when a key of this name holds a secret: "db.password", "X-Api-Key", "accessToken". */
bool ops_redact_key_is_secret(ops_slice key);
/* True when the text stands for no secret: empty, a mask, a variable, a word such as null or expired. */
bool ops_redact_value_is_blank(ops_slice v);

static inline bool ops_redact_digit(char c)
{
    return c >= '0' && c <= '9';
}
static inline bool ops_redact_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}
static inline bool ops_redact_alnum(char c)
{
    return ops_redact_digit(c) || ops_redact_upper(c) || (c >= 'a' && c <= 'z');
}
static inline bool ops_redact_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
static inline bool ops_redact_word(char c)
{
    return ops_redact_alnum(c) || c == '_';
}

#endif
