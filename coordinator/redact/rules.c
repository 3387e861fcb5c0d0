/* The table of everything that is redacted by default. Key shapes are the vendors' published ones. A trigger should
 * hold a literal of three or more bytes: that is what keeps clean records cheap. */
#include "coordinator/redact/rules.h"

#define KEY(name_, pattern_, prefix_, extra_, min_, max_)                                                    \
    {                                                                                                        \
        .name = name_, .trigger = pattern_, .kind = OPS_REDACT_API_KEY, .check = ops_redact_check_prefix,    \
        .prefix = prefix_, .extra = extra_, .run_min = min_, .run_max = max_                                 \
    }
#define KEY_UPPER(name_, prefix_, min_, max_)                                                                \
    {                                                                                                        \
        .name = name_, .trigger = prefix_, .kind = OPS_REDACT_API_KEY, .check = ops_redact_check_prefix,     \
        .prefix = prefix_, .extra = "", .run_min = min_, .run_max = max_, .upper_only = true                 \
    }
#define KEY_AFTER(name_, pattern_, prefix_, extra_, min_, max_)                                              \
    {                                                                                                        \
        .name = name_, .trigger = pattern_, .kind = OPS_REDACT_API_KEY, .check = ops_redact_check_prefix,    \
        .prefix = prefix_, .extra = extra_, .run_min = min_, .run_max = max_, .keep_prefix = true,           \
        .caseless = true                                                                                     \
    }
#define RULE(name_, kind_, caseless_, check_, pattern_)                                                      \
    {                                                                                                        \
        .name = name_, .kind = kind_, .caseless = caseless_, .check = check_, .trigger = pattern_            \
    }

/* What may stand between a key's name and its value: closing quotes (escaped or not), blanks, the separator. */
#define SEPARATOR "[\"'\\\\`]{0,4}[ \\t]{0,3}[:=]"

const ops_redact_rule ops_redact_rules[] = {
    RULE("pem", OPS_REDACT_PRIVATE_KEY, false, ops_redact_check_pem, "PRIVATE KEY(?: BLOCK)?-----"),
    RULE("jwt", OPS_REDACT_JWT, false, ops_redact_check_jwt, "eyJ"),

    KEY_UPPER("aws", "AKIA", 16, 16),
    KEY_UPPER("aws", "ASIA", 16, 16),
    KEY_UPPER("aws", "ABIA", 16, 16),
    KEY_UPPER("aws", "ACCA", 16, 16),
    KEY("gcp", "AIza", "AIza", "_-", 35, 35),
    KEY("gcp", "ya29\\.", "ya29.", "_-.", 20, 2048),
    KEY("gcp", "GOCSPX-", "GOCSPX-", "_-", 28, 28),
    KEY_AFTER("azure", "AccountKey=", "AccountKey=", "+/=", 40, 100),
    KEY_AFTER("azure", "SharedAccessKey=", "SharedAccessKey=", "+/=", 40, 100),
    KEY_AFTER("azure", "[?&;]sig=", "sig=", "%+/=_-", 30, 200),
    RULE("azure", OPS_REDACT_API_KEY, false, ops_redact_check_azure_ad, "[0-9]Q~"),
    KEY("github", "ghp_", "ghp_", "", 36, 255),
    KEY("github", "gho_", "gho_", "", 36, 255),
    KEY("github", "ghu_", "ghu_", "", 36, 255),
    KEY("github", "ghs_", "ghs_", "", 36, 255),
    KEY("github", "ghr_", "ghr_", "", 36, 255),
    KEY("github", "github_pat_", "github_pat_", "_", 22, 255),
    KEY("gitlab", "glpat-", "glpat-", "_-.", 20, 255),
    KEY("slack", "xoxa-", "xoxa-", "-", 10, 255),
    KEY("slack", "xoxb-", "xoxb-", "-", 10, 255),
    KEY("slack", "xoxp-", "xoxp-", "-", 10, 255),
    KEY("slack", "xoxr-", "xoxr-", "-", 10, 255),
    KEY("slack", "xoxs-", "xoxs-", "-", 10, 255),
    KEY("slack", "xapp-", "xapp-", "-", 10, 255),
    KEY_AFTER("slack", "hooks\\.slack\\.com/services/", "hooks.slack.com/services/", "/", 20, 100),
    KEY("stripe", "sk_live_", "sk_live_", "", 16, 255),
    KEY("stripe", "sk_test_", "sk_test_", "", 16, 255),
    KEY("stripe", "rk_live_", "rk_live_", "", 16, 255),
    KEY("stripe", "rk_test_", "rk_test_", "", 16, 255),
    KEY("stripe", "whsec_", "whsec_", "+/=", 24, 255),
    KEY("openai", "sk-proj-", "sk-proj-", "_-", 20, 255),
    KEY("openai", "sk-[A-Za-z0-9]{20}", "sk-", "", 20, 255),
    KEY("anthropic", "sk-ant-", "sk-ant-", "_-", 20, 255),
    KEY("huggingface", "hf_[A-Za-z]{8}", "hf_", "", 30, 64),
    KEY("sendgrid", "SG\\.[A-Za-z0-9_-]{22}\\.", "SG.", "_-.", 60, 72),
    KEY("npm", "npm_[A-Za-z0-9]{8}", "npm_", "", 36, 36),
    KEY("pypi", "pypi-AgEI", "pypi-AgEI", "_-", 50, 1000),
    KEY("digitalocean", "dop_v1_", "dop_v1_", "", 64, 64),
    KEY("vault", "hvs\\.", "hvs.", "_-", 24, 255),
    KEY("shopify", "shpat_", "shpat_", "", 32, 32),
    KEY("aliyun", "LTAI", "LTAI", "", 12, 30),
    KEY("tencent", "AKID", "AKID", "", 13, 40),

    RULE("authorization", OPS_REDACT_AUTH, true, ops_redact_check_auth, "authorization" SEPARATOR),
    RULE("bearer", OPS_REDACT_AUTH, true, ops_redact_check_scheme, "bearer[ ]{1,3}[A-Za-z0-9+/_.~-]{8}"),
    RULE("basic", OPS_REDACT_AUTH, true, ops_redact_check_scheme, "basic[ ]{1,3}[A-Za-z0-9+/_=-]{8}"),

    RULE("password", OPS_REDACT_SECRET, true, ops_redact_check_assign,
         "(?:password|passwd|passphrase|passwort|pwd|pass)" SEPARATOR),
    RULE("secret", OPS_REDACT_SECRET, true, ops_redact_check_assign, "(?:secret|token|credential)" SEPARATOR),
    RULE("key", OPS_REDACT_SECRET, true, ops_redact_check_assign,
         "(?:api|access|secret|private|account|encryption|signing|master|auth)[_ -]?key" SEPARATOR),
    RULE("password", OPS_REDACT_SECRET, false, ops_redact_check_assign,
         "(?:密码|口令|令牌|密钥|私钥)[\"'\\\\`]{0,4}[ \\t]{0,3}(?:[:=]|：)"),
    RULE("flag", OPS_REDACT_SECRET, true, ops_redact_check_flag,
         "--[a-z0-9-]{0,24}(?:password|passwd|passphrase|token|secret|api-?key|access-key|secret-key)[ ]"),

    RULE("url", OPS_REDACT_CONNECTION, false, ops_redact_check_url, "://"),
    RULE("dsn", OPS_REDACT_CONNECTION, false, ops_redact_check_dsn, "@(?:tcp|unix)\\("),
    RULE("userpass", OPS_REDACT_CONNECTION, false, ops_redact_check_userpass, " (?:-u|--user)[ =]"),

    RULE("email", OPS_REDACT_EMAIL, false, ops_redact_check_email, "[A-Za-z0-9_+%-](?:@|%40)[A-Za-z0-9]"),
    RULE("card", OPS_REDACT_CARD, false, ops_redact_check_card, NULL),
    RULE("iban", OPS_REDACT_IBAN, false, ops_redact_check_iban, NULL),
    RULE("ssn", OPS_REDACT_NATIONAL_ID, false, ops_redact_check_ssn, "[0-9]{3}-[0-9]{2}-[0-9]{4}"),
    RULE("prc-id", OPS_REDACT_NATIONAL_ID, false, ops_redact_check_prc_id, "[1-9][0-9]{16}[0-9Xx]"),
};
const size_t ops_redact_rule_count = sizeof ops_redact_rules / sizeof ops_redact_rules[0];
