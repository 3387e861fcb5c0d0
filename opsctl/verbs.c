/* The rows. A new verb is a file in cmd/ and a row here. */
#include "opsctl/verb.h"

const ops_verb ops_verbs[] = {
    {"offline templates", "[--online] FILE|-", "Log templates of a file, one answer per line",
     "从文件提取日志模板,逐行输出", "--online", ops_cmd_offline_templates},
    {"offline findings",
     "[--format auto|lines|otlp|case] [--service NAME] [--changes] [-o table|json] [--fail-on findings] "
     "PATH...",
     "What is abnormal in log files: what, where, since when, how unusual, with evidence",
     "日志文件中的异常:是什么、在哪里、何时开始、多罕见及证据", "--format --service --changes -o --fail-on",
     ops_cmd_offline_findings},
    {"offline sequences", "--train FILE --test FILE", "Anomalous event sequences (not built yet)",
     "异常事件序列(尚未实现)", "--train --test", ops_cmd_offline_absent},
    {"offline metrics", "[--train N] -", "Anomalies in a metric (not built yet)", "指标异常(尚未实现)",
     "--train", ops_cmd_offline_absent},
    {"offline rca", "--dir CASE", "Rank root causes of a recorded incident (not built yet)",
     "对已记录的事件排序根因(尚未实现)", "--dir", ops_cmd_offline_absent},
    {"offline incident", "--dir CASE [--html FILE]", "Find incidents in a recording (not built yet)",
     "在记录中发现事件(尚未实现)", "--dir --html", ops_cmd_offline_absent},
    {"offline search", "--docs DIR", "Search runbooks (not built yet)", "检索运维手册(尚未实现)", "--docs",
     ops_cmd_offline_absent},
    {"offline answer", "--docs DIR", "Answer questions from documents (not built yet)",
     "根据文档回答问题(尚未实现)", "--docs", ops_cmd_offline_absent},
    {"redact test", "[-]", "Show what redaction makes of lines on standard input",
     "显示脱敏对标准输入各行的结果", "-", ops_cmd_redact_test},
    {"completion", "bash|zsh|fish", "Print a shell completion script", "输出命令行补全脚本", "bash zsh fish",
     ops_cmd_completion},
    {"version", "", "Print the version", "显示版本", "", ops_cmd_version},
    {"help", "[VERB...]", "Explain opsctl or one verb", "显示帮助", "", ops_cmd_help},
};
const size_t ops_verb_count = sizeof ops_verbs / sizeof ops_verbs[0];
