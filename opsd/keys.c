#include "opsd/keys.h"

#define MINUTE_MS 60000ull
#define DAY_MS    (24 * 60 * MINUTE_MS)
#define MIB       (1ull << 20)
#define GIB       (1ull << 30)

const ops_conf_row opsd_rows[OPSD_KEYS] = {
    [KEY_ROLE] = {"role", OPS_CONF_CHOICE, "all", .choices = "all|coordinator|worker",
                  .help = "What this process is: a coordinator with a worker inside, a coordinator alone, or "
                          "a worker alone.",
                  .help_zh = "本进程的角色：协调器加内置工作进程、仅协调器，或仅工作进程。"},
    [KEY_DATA] = {"data", OPS_CONF_STR, "",
                  .help = "Data folder; empty: /var/lib/opsd for root, else $XDG_DATA_HOME/opsd.",
                  .help_zh = "数据目录；留空时 root 用 /var/lib/opsd，其他用户用 $XDG_DATA_HOME/opsd。"},
    [KEY_LOG_LEVEL] = {"log.level", OPS_CONF_CHOICE, "info", .choices = "debug|info|warn|error|off",
                       .traits = OPS_CONF_RELOAD,
                       .help = "Least level of opsd's own log, which goes to standard error.",
                       .help_zh = "opsd 自身日志（标准错误）的最低级别。"},
    [KEY_LOG_FORMAT] = {"log.format", OPS_CONF_CHOICE, "logfmt", .choices = "logfmt|json",
                        .traits = OPS_CONF_RELOAD, .help = "Format of opsd's own log.",
                        .help_zh = "opsd 自身日志的格式。"},
    [KEY_OTLP_GRPC] = {"otlp.grpc", OPS_CONF_STR, "127.0.0.1:4317",
                       .help = "Address of OTLP over gRPC; off: none.",
                       .help_zh = "OTLP/gRPC 的监听地址；off 表示关闭。"},
    [KEY_API] = {"api.address", OPS_CONF_STR, "127.0.0.1:7443",
                 .help = "Address of the gRPC API that opsctl and workers use; off: none.",
                 .help_zh = "opsctl 与工作进程所用 gRPC API 的监听地址；off 表示关闭。"},
    [KEY_OTLP_HTTP] = {"otlp.http", OPS_CONF_STR, "127.0.0.1:4318",
                       .help = "Address of OTLP over HTTP; off: none.",
                       .help_zh = "OTLP/HTTP 的监听地址；off 表示关闭。"},
    [KEY_WEB] = {"web.address", OPS_CONF_STR, "127.0.0.1:7480",
                 .help = "Address of /metrics, /healthz, /readyz and the Alertmanager webhook; off: none.",
                 .help_zh = "/metrics、/healthz、/readyz 与 Alertmanager webhook 的监听地址；off 表示关闭。"},
    [KEY_RPC_THREADS] = {"rpc.threads", OPS_CONF_UINT, "2", .min = 1, .max = 64,
                         .help = "Threads of each gRPC server.", .help_zh = "每个 gRPC 服务的线程数。"},
    [KEY_HTTP_THREADS] = {"http.threads", OPS_CONF_UINT, "2", .min = 1, .max = 64,
                          .help = "Threads of each HTTP server.", .help_zh = "每个 HTTP 服务的线程数。"},
    [KEY_HTTP_CONNECTIONS] = {"http.connections_max", OPS_CONF_UINT, "1024", .min = 1, .max = 65536,
                              .help = "Connections of each HTTP server; one more is closed.",
                              .help_zh = "每个 HTTP 服务的最大连接数，超出即关闭。"},
    [KEY_HTTP_IDLE] = {"http.idle_timeout", OPS_CONF_DURATION, "30s", .min = 1000,
                       .help = "An idle connection is closed after this.", .help_zh = "空闲连接的关闭时限。"},
    [KEY_ACCESS_TOKENS] =
        {"access.tokens", OPS_CONF_STR, "",
         .help = "Token file: who may do what, and for which tenant; read again on SIGHUP. Without one "
                 "everybody is admin, and only loopback addresses are bound.",
         .help_zh = "令牌文件：谁、以何角色、属于哪个租户；收到 SIGHUP 时重读。未设置时人人都是管理员，"
                    "且只允许监听回环地址。"},
    [KEY_TLS_CERT] = {"tls.cert", OPS_CONF_STR, "",
                      .help = "PEM certificate chain of the servers; read again on SIGHUP.",
                      .help_zh = "服务端 PEM 证书链；收到 SIGHUP 时重读。"},
    [KEY_TLS_KEY] = {"tls.key", OPS_CONF_STR, "",
                     .help = "PEM private key of the certificate; read again on SIGHUP.",
                     .help_zh = "证书的 PEM 私钥；收到 SIGHUP 时重读。"},
    [KEY_TLS_CLIENT_CA] =
        {"tls.client_ca", OPS_CONF_STR, "",
         .help = "PEM authority: clients must show a certificate that it signed; read again on SIGHUP.",
         .help_zh = "客户端证书的签发 CA（PEM）：客户端必须出示其签发的证书；收到 SIGHUP 时重读。"},
    [KEY_INGEST_REQUEST_MAX] = {"ingest.request_max", OPS_CONF_BYTES, "64MiB", .min = 1024, .max = GIB,
                                .help = "A request's size after decompression.",
                                .help_zh = "单个请求解压后的最大字节数。"},
    [KEY_INGEST_RECORDS_MAX] = {"ingest.records_max", OPS_CONF_UINT, "1000000", .min = 1,
                                .help = "Records in one request.", .help_zh = "单个请求的最大记录数。"},
    [KEY_INGEST_LINE_MAX] = {"ingest.line_max", OPS_CONF_BYTES, "256KiB", .min = 256, .max = MIB,
                             .help = "A longer message is cut there and flagged.",
                             .help_zh = "超过此长度的消息将被截断并标记。"},
    [KEY_INGEST_PAST_MAX] = {"ingest.past_max", OPS_CONF_DURATION, "24h", .min = 1000, .max = 3650 * DAY_MS,
                             .help = "Event times older than this are moved to this age and flagged.",
                             .help_zh = "早于此时限的事件时间将被移到该时限并标记。"},
    [KEY_INGEST_FUTURE_MAX] = {"ingest.future_max", OPS_CONF_DURATION, "10m", .max = 3650 * DAY_MS,
                               .help = "Event times further ahead than this are moved back and flagged.",
                               .help_zh = "超前于此时限的事件时间将被移回并标记。"},
    [KEY_INGEST_ZONE] = {"ingest.zone", OPS_CONF_STR, "+00:00",
                         .help = "Time zone of raw lines that name none, as +08:00.",
                         .help_zh = "未标明时区的原始日志行所用时区，例如 +08:00。"},
    [KEY_INGEST_THREADS] = {"ingest.threads", OPS_CONF_UINT, "2", .min = 1, .max = 64,
                            .help = "Threads that decode large requests.", .help_zh = "解码大请求的线程数。"},
    [KEY_INGEST_QUEUE] = {"ingest.queue_max", OPS_CONF_UINT, "256", .min = 1, .max = 65536,
                          .help =
                              "Large requests that may wait for a thread; beyond, clients are told to retry.",
                          .help_zh = "等待解码的大请求上限，超出则让客户端重试。"},
    [KEY_INGEST_INFLIGHT] =
        {"ingest.inflight_max", OPS_CONF_BYTES, "128MiB", .min = MIB,
         .help = "Bytes of bodies being received or handled; beyond, clients are told to retry.",
         .help_zh = "正在接收或处理的请求体总字节上限，超出则让客户端重试。"},
    [KEY_INGEST_DEADLETTERS] = {"ingest.deadletters_max", OPS_CONF_UINT, "1024", .min = 1, .max = 1000000,
                                .help = "Dead letters kept; the oldest makes room.",
                                .help_zh = "保留的死信条数，满则淘汰最旧的。"},
    [KEY_INGEST_FAILED_SPANS] = {"ingest.failed_spans", OPS_CONF_BOOL, "true",
                                 .help =
                                     "Read each failed span of a trace as a log record of its service too.",
                                 .help_zh = "将链路追踪中每个失败的 span 同时作为其服务的一条日志记录。"},
    [KEY_METRICS_SERIES] =
        {"metrics.series_max", OPS_CONF_UINT, "20000", .min = 1, .max = 10000000,
         .help = "Series a tenant may have; samples of further ones are refused until others were "
                 "silent for one to two hours.",
         .help_zh = "每租户的时间序列上限；超出的样本被拒收，直至其他序列静默一至两小时。"},
    [KEY_METRICS_COMPONENTS] =
        {"metrics.components_max", OPS_CONF_UINT, "256", .min = 0, .max = 100000,
         .help = "Services of a tenant, in each partition, whose series are also seen together; 0: none.",
         .help_zh = "每租户、每分区中其时间序列还被合并观察的服务数上限；0 表示不合并观察。"},
    [KEY_METRICS_LABELS] = {"metrics.labels_max", OPS_CONF_UINT, "64", .min = 1, .max = 64,
                            .help = "Labels a series may have.", .help_zh = "每个序列的标签数上限。"},
    [KEY_METRICS_LABEL_BYTES] = {"metrics.label_bytes_max", OPS_CONF_BYTES, "1024", .min = 16,
                                 .max = 64 << 10, .help = "Bytes of a label's value.",
                                 .help_zh = "标签值的字节上限。"},
    [KEY_SCRAPE_TARGETS] =
        {"scrape.targets", OPS_CONF_LIST, "",
         .help = "Metric pages to fetch, each as \"URL NAME=VALUE ...\" with the labels its series get; job "
                 "and instance are the URL's when not given.",
         .help_zh = "要抓取的指标页面，每项为“URL 标签=值 …”；未给出 job 与 instance 时取自 URL。"},
    [KEY_SCRAPE_INTERVAL] = {"scrape.interval", OPS_CONF_DURATION, "15s", .min = 100, .max = DAY_MS,
                             .help = "How often each page is fetched.", .help_zh = "每个页面的抓取间隔。"},
    [KEY_SCRAPE_TIMEOUT] = {"scrape.timeout", OPS_CONF_DURATION, "10s", .min = 10, .max = 10 * MINUTE_MS,
                            .help = "How long a fetch may take.", .help_zh = "单次抓取的时限。"},
    [KEY_SCRAPE_TENANT] = {"scrape.tenant", OPS_CONF_STR, "default", .help = "Tenant of the fetched metrics.",
                           .help_zh = "所抓取指标所属租户。"},
    [KEY_SCRAPE_TOKEN_FILE] = {"scrape.token_file", OPS_CONF_STR, "",
                               .help =
                                   "File of a bearer token that every target is shown; read at each fetch.",
                               .help_zh = "向每个抓取目标出示的 Bearer 令牌文件；每次抓取时重读。"},
    [KEY_SCRAPE_CA] = {"scrape.ca", OPS_CONF_STR, "",
                       .help = "PEM authority of the targets' certificates; empty: the system's.",
                       .help_zh = "抓取目标证书的签发 CA（PEM）；留空则用系统的。"},
    [KEY_SCRAPE_BODY_MAX] = {"scrape.body_max", OPS_CONF_BYTES, "16MiB", .min = 1024, .max = GIB,
                             .help = "Bytes of a page; a larger one counts as down.",
                             .help_zh = "页面字节上限；超出则视为不可用。"},
    [KEY_SCRAPE_SAMPLES_MAX] = {"scrape.samples_max", OPS_CONF_UINT, "50000", .min = 1, .max = 10000000,
                                .help = "Samples of a page; one with more counts as down.",
                                .help_zh = "页面样本数上限；超出则视为不可用。"},
    [KEY_REDACT_ENABLED] = {"redact.enabled", OPS_CONF_BOOL, "true", .traits = OPS_CONF_RELOAD,
                            .help = "Take secrets and personal data out of every record before it is stored.",
                            .help_zh = "存储前去除每条记录中的机密与个人数据。"},
    [KEY_REDACT_NATIONAL_ID] = {"redact.national_id", OPS_CONF_BOOL, "false", .traits = OPS_CONF_RELOAD,
                                .help =
                                    "Also national identity numbers (US SSN, PRC resident identity number).",
                                .help_zh = "同时去除身份证号码（中国居民身份证、美国 SSN）。"},
    [KEY_REDACT_KEY_FILE] = {"redact.key_file", OPS_CONF_STR, "", .traits = OPS_CONF_RELOAD,
                             .help =
                                 "File of 16 to 64 secret bytes: equal secrets then get equal placeholders.",
                             .help_zh = "含 16 至 64 字节密钥的文件：相同机密得到相同占位符。"},
    [KEY_FILES_GLOBS] = {"files.globs", OPS_CONF_LIST, "",
                         .help = "Log files to follow, as absolute glob patterns.",
                         .help_zh = "要跟踪的日志文件（绝对路径通配符）。"},
    [KEY_FILES_FROM_START] = {"files.from_start", OPS_CONF_BOOL, "false",
                              .help = "Read files that are there at the first start from their beginning.",
                              .help_zh = "首次启动时从头读取已有文件。"},
    [KEY_FILES_TENANT] = {"files.tenant", OPS_CONF_STR, "default", .help = "Tenant of the followed files.",
                          .help_zh = "所跟踪文件所属租户。"},
    [KEY_SYSLOG_TCP] = {"syslog.tcp", OPS_CONF_STR, "off",
                        .help = "Address of syslog over TCP, as 127.0.0.1:5514.",
                        .help_zh = "syslog TCP 监听地址，例如 127.0.0.1:5514。"},
    [KEY_SYSLOG_UDP] = {"syslog.udp", OPS_CONF_STR, "off",
                        .help = "Address of syslog over UDP, as 127.0.0.1:5514.",
                        .help_zh = "syslog UDP 监听地址，例如 127.0.0.1:5514。"},
    [KEY_SYSLOG_TENANT] = {"syslog.tenant", OPS_CONF_STR, "default", .help = "Tenant of syslog messages.",
                           .help_zh = "syslog 消息所属租户。"},
    [KEY_STORAGE_PARTITIONS] = {"storage.partitions", OPS_CONF_UINT, "16", .min = 1, .max = 256,
                                .help = "Partitions of the stream log; fixed once the data folder exists.",
                                .help_zh = "流日志分区数；数据目录建立后不可更改。"},
    [KEY_STORAGE_PENDING] = {"storage.pending_max", OPS_CONF_BYTES, "32MiB", .min = MIB, .max = GIB,
                             .help =
                                 "Bytes that may wait to become durable; beyond, clients are told to retry.",
                             .help_zh = "等待落盘的字节上限，超出则让客户端重试。"},
    [KEY_STORAGE_DEDUPE] = {"storage.dedupe_window", OPS_CONF_DURATION, "15m", .min = 1000, .max = DAY_MS,
                            .help = "How long a request sent again is recognised.",
                            .help_zh = "重复请求的识别时限。"},
    [KEY_STORAGE_KEEP_AGE] = {"storage.keep_age", OPS_CONF_DURATION, "7d", .max = 3650 * DAY_MS,
                              .traits = OPS_CONF_RELOAD,
                              .help = "Records older than this leave the stream log; 0: age does not count.",
                              .help_zh = "早于此时限的记录从流日志删除；0 表示不按时间。"},
    [KEY_STORAGE_KEEP_SIZE] =
        {"storage.keep_size", OPS_CONF_BYTES, "20GiB", .traits = OPS_CONF_RELOAD,
         .help = "Bytes of the stream log that are kept, as stored; 0: size does not count.",
         .help_zh = "流日志保留的字节数（压缩后）；0 表示不按大小。"},
    [KEY_STORAGE_REFUSE_PERCENT] = {"storage.refuse_percent", OPS_CONF_UINT, "5", .max = 99,
                                    .help = "Records are refused below this share of free disk.",
                                    .help_zh = "磁盘剩余比例低于此值时拒收。"},
    [KEY_STORAGE_REFUSE_FREE] = {"storage.refuse_free", OPS_CONF_BYTES, "256MiB",
                                 .help = "Records are refused below this much free disk.",
                                 .help_zh = "磁盘剩余空间低于此值时拒收。"},
    [KEY_ANALYSIS_THREADS] = {"analysis.threads", OPS_CONF_UINT, "0", .max = 256,
                              .help = "Threads that own partitions; 0: one a core.",
                              .help_zh = "分区属主线程数；0 表示每核一个。"},
    [KEY_ANALYSIS_COMMIT] = {"analysis.commit_interval", OPS_CONF_DURATION, "1s", .min = 10, .max = MINUTE_MS,
                             .help = "How often a partition's state is written.",
                             .help_zh = "分区状态的写入间隔。"},
    [KEY_ANALYSIS_STREAMS] = {"analysis.streams_max", OPS_CONF_UINT, "4096", .min = 1, .max = 1000000,
                              .help = "Streams of a partition; further ones count as one.",
                              .help_zh = "每个分区的流数量上限，超出的合并计数。"},
    [KEY_ANALYSIS_TEMPLATES] = {"analysis.templates_max", OPS_CONF_UINT, "16384", .min = 256, .max = 1048576,
                                .help = "Templates of a tenant in a partition.",
                                .help_zh = "每个分区内单个租户的模板上限。"},
    [KEY_ANALYSIS_LATENESS] = {"analysis.lateness", OPS_CONF_DURATION, "3s", .max = 10 * MINUTE_MS,
                               .help = "How long a window waits for records that come late.",
                               .help_zh = "窗口等待迟到记录的时长。"},
    [KEY_ANALYSIS_SESSIONS] =
        {"analysis.session_streams", OPS_CONF_UINT, "32", .max = 4096,
         .help = "Streams of a partition whose sessions (the lines of one request) are learnt and watched; "
                 "up to 5 MiB each; 0: none.",
         .help_zh =
             "每个分区中学习并监视会话（同一请求的日志行）的流数量上限，每个最多占 5 MiB；0 表示不启用。"},
    [KEY_ANALYSIS_TRAINED] =
        {"analysis.session_models", OPS_CONF_BOOL, "true",
         .help =
             "Whether workers train a small model of each such stream's sessions, and score later ones by "
             "it; without a worker the detectors judge alone.",
         .help_zh =
             "是否由工作进程为每个此类流的会话训练小模型并对后续会话评分；没有工作进程时仅由检测器判断。"},
    [KEY_ANALYSIS_PINS] =
        {"analysis.template_pins", OPS_CONF_STR, "", .traits = OPS_CONF_RELOAD,
         .help = "YAML file of what operators say about templates: one, apart, slots; read again when "
                 "it changes; empty: none.",
         .help_zh = "模板标注文件（YAML：one、apart、slots），变更后自动重读；留空则不用。"},
    [KEY_RULES_FILES] =
        {"rules.files", OPS_CONF_LIST, "", .traits = OPS_CONF_RELOAD,
         .help =
             "Prometheus rule files that are evaluated live, one a line: PATH or GLOB, then tenant=NAME as "
             "wanted (default: default).",
         .help_zh =
             "实时求值的 Prometheus 规则文件，每行一个：路径或通配模式，可加 tenant=名称（默认 default）。"},
    [KEY_RULES_INTERVAL] = {"rules.interval", OPS_CONF_DURATION, "1m", .min = 1000, .max = DAY_MS,
                            .traits = OPS_CONF_RELOAD,
                            .help = "How often groups of rules are evaluated that say no interval.",
                            .help_zh = "未写明间隔的规则组的求值间隔。"},
    [KEY_RULES_KEEP] = {"rules.keep_max", OPS_CONF_DURATION, "1d", .min = MINUTE_MS, .max = 31 * DAY_MS,
                        .traits = OPS_CONF_RELOAD,
                        .help =
                            "How far back a rule may look; samples are kept in memory as far as the rules "
                            "do, and rules that look further are refused.",
                        .help_zh =
                            "规则可回看的最长时间；样本在内存中按规则所需保留，回看更久的规则被拒绝。"},
    [KEY_RULES_SERIES] = {"rules.series_max", OPS_CONF_UINT, "100000", .min = 1, .max = 10000000,
                          .help = "Series of a tenant that are kept for its rules; samples of further ones "
                                  "are refused and counted.",
                          .help_zh = "每租户为规则保留的序列数上限；超出的样本拒收并计数。"},
    [KEY_RULES_BYTES] = {"rules.bytes_max", OPS_CONF_BYTES, "256MiB", .min = MIB, .max = 64 * GIB,
                         .help = "Memory for samples that a tenant's rules look at.",
                         .help_zh = "每租户规则所用样本的内存上限。"},
    [KEY_FINDINGS_QUIET] =
        {"findings.quiet_per_day", OPS_CONF_UINT, "6", .min = 1, .max = 10000,
         .help = "Findings a tenant may get in a day on moderate evidence; stronger ones are exempt.",
         .help_zh = "每租户每天允许的中等强度发现数；更强的不受限。"},
    [KEY_FINDINGS_CLOSE] = {"findings.close_after", OPS_CONF_DURATION, "5m", .min = 1000, .max = DAY_MS,
                            .help = "A finding closes when nothing joined it for this long (event time).",
                            .help_zh = "发现在此（事件）时长内无新证据即关闭。"},
    [KEY_INCIDENTS_SEVERITY] =
        {"incidents.severity_min", OPS_CONF_CHOICE, "warning", .choices = "info|warning|error|critical",
         .help = "What a finding must be at least to open an incident; lesser ones may belong to one.",
         .help_zh = "可开启事件的发现的最低级别；更低的发现只可归入已有事件。"},
    [KEY_INCIDENTS_OPEN] =
        {"incidents.open_max", OPS_CONF_UINT, "64", .min = 1, .max = 200,
         .help = "Incidents a tenant may have open; beyond, the one longest untouched is resolved.",
         .help_zh = "每租户可同时打开的事件数；超出则将最久未变化的事件标记为已解决。"},
    [KEY_INCIDENTS_RESOLVE] =
        {"incidents.resolve_after", OPS_CONF_DURATION, "5m", .min = 1000, .max = DAY_MS,
         .help = "An incident resolves when all of its findings have closed and nothing came for this long "
                 "(event time).",
         .help_zh = "所有发现均已关闭且在此（事件）时长内无新发现时，事件自动解决。"},
    [KEY_INCIDENTS_REOPEN] =
        {"incidents.reopen_within", OPS_CONF_DURATION, "30m", .min = 1000, .max = DAY_MS,
         .help = "A finding that belongs to an incident resolved for no longer than this opens it again.",
         .help_zh = "事件解决后在此时长内出现相关发现则重新打开该事件。"},
    [KEY_ALERTS_STALE] =
        {"alerts.stale_after", OPS_CONF_DURATION, "1d", .max = 365 * DAY_MS,
         .help = "An alert that came in and is not heard of for this long is closed; above the sender's "
                 "repeat_interval; 0: never.",
         .help_zh = "接入的告警超过此时长未再收到即关闭；应大于发送方的 repeat_interval；0 表示从不。"},
    [KEY_ALERTS_OPEN] =
        {"alerts.open_max", OPS_CONF_UINT, "1000", .min = 1, .max = 100000,
         .help = "Alerts from elsewhere that a tenant may have open; beyond, senders are told to retry.",
         .help_zh = "每租户可同时打开的外来告警数，超出则让发送方重试。"},
    [KEY_NOTIFY_RECEIVERS] = {"notify.receivers", OPS_CONF_LIST, "",
                              .help =
                                  "Who is told of incidents and findings, one a line: NAME "
                                  "alertmanager|webhook|slack URL, then secret_file=, "
                                  "token_file=, url_file=, ca_file=, tenant=NAME, severity>=LEVEL as wanted.",
                              .help_zh = "事件与发现的接收方，每行一个：名称 alertmanager|webhook|slack "
                                         "URL，可加 secret_file=、token_file=、"
                                         "url_file=、ca_file=、tenant=名称、severity>=级别。"},
    [KEY_NOTIFY_TELL] = {"notify.tell", OPS_CONF_CHOICE, "incidents", .choices = "incidents|findings|both",
                         .help = "What receivers are told of: incidents, so that one fault is one message; "
                                 "each finding; both. An "
                                 "Alertmanager gets what rules fire in any case, and groups it itself.",
                         .help_zh = "通知接收方的内容：事件（一次故障一条消息）、逐个发现，或两者。规则触发的"
                                    "告警总会发往 Alertmanager，由其自行分组。"},
    [KEY_NOTIFY_WINDOWS] =
        {"notify.windows", OPS_CONF_LIST, "",
         .help = "Maintenance windows that come back every week, one a line: NAME DAYS HH:MM-HH:MM ZONE "
                 "MATCHER..., as backup sat,sun 02:00-04:30 Asia/Shanghai service=db.",
         .help_zh =
             "每周重复的维护窗口，每行一个：名称 星期 HH:MM-HH:MM 时区 匹配条件...，例如 backup sat,sun "
             "02:00-04:30 Asia/Shanghai service=db。"},
    [KEY_NOTIFY_LINK] =
        {"notify.link", OPS_CONF_STR, "",
         .help =
             "What comes before /incidents/ID and /findings/ID in links that receivers get; empty: no links.",
         .help_zh = "发给接收方的链接中 /incidents/ID 与 /findings/ID 之前的部分；留空则不带链接。"},
    [KEY_NOTIFY_RESEND] = {"notify.resend", OPS_CONF_DURATION, "1m", .min = 1000, .max = DAY_MS,
                           .help = "How often an open finding is sent to an Alertmanager again; it takes one "
                                   "for ended after four times this.",
                           .help_zh = "未关闭的发现重发给 Alertmanager 的间隔；超过四倍间隔即视为结束。"},
    [KEY_NOTIFY_TIMEOUT] = {"notify.timeout", OPS_CONF_DURATION, "10s", .min = 100, .max = 10 * MINUTE_MS,
                            .help = "How long a receiver may take to answer.",
                            .help_zh = "接收方应答的时限。"},
    [KEY_NOTIFY_QUEUE] =
        {"notify.queue_max", OPS_CONF_UINT, "10000", .min = 1, .max = 1000000,
         .help = "Changes of findings kept for receivers; beyond, the oldest go, and are counted.",
         .help_zh = "为接收方保留的发现变化数；超出则丢弃最旧的并计数。"},
    [KEY_NOTIFY_AGE] = {"notify.age_max", OPS_CONF_DURATION, "24h", .min = 1000, .max = 30 * DAY_MS,
                        .help = "A change older than this is not told any more, and counted.",
                        .help_zh = "早于此时限的变化不再通知，并计数。"},
    [KEY_WORKER_MODEL] =
        {"worker.model", OPS_CONF_STR, "",
         .help = "Folder of the embedding model; empty: all-MiniLM-L6-v2 where scripts/models.sh puts "
                 "it, if it is there; off: none.",
         .help_zh =
             "嵌入模型目录；留空则使用 scripts/models.sh 放置的 all-MiniLM-L6-v2（若存在）；off 表示不用。"},
    [KEY_WORKER_PRECISION] =
        {"worker.precision", OPS_CONF_CHOICE, "f32", .choices = "f32|f16|bf16|int8",
         .help =
             "How the matrices of the embedding model are kept. int8 computes faster and is held to a cosine "
             "of 0.995 to the vectors of f32; it counts as another model.",
         .help_zh = "嵌入模型矩阵的精度。int8 计算更快，其向量与 f32 的余弦不低于 0.995；视为不同的模型。"},
    [KEY_WORKER_GENERATOR] =
        {"worker.generator", OPS_CONF_STR, "",
         .help = "Model that writes: a GGUF file, a folder with one or of Hugging Face's, or a name below "
                 "the models' folder; empty: "
                 "SmolLM2-135M-Instruct where scripts/models.sh puts it, if it is there; off: none.",
         .help_zh =
             "生成模型：GGUF 文件、含一个 GGUF 的目录、Hugging Face 目录，或模型目录下的名称；留空则使用 "
             "scripts/models.sh 放置的 "
             "SmolLM2-135M-Instruct（若存在）；off 表示不用。"},
    [KEY_WORKER_CACHE] =
        {"worker.generator_cache", OPS_CONF_BYTES, "256MiB", .min = MIB, .max = 1024 * GIB,
         .help =
             "Memory for keys and values of answers under way and of prompts that begin the same; one whole "
             "context at least. It bounds how many answers are written at once.",
         .help_zh =
             "进行中的回答及相同前缀提示的键值缓存内存，至少容纳一个完整上下文；它限制同时生成的回答数。"},
    [KEY_WORKER_SEQS] = {"worker.generator_sequences", OPS_CONF_UINT, "64", .min = 1, .max = 1024,
                         .help = "Answers that are written at once; others wait.",
                         .help_zh = "同时生成的回答数，其余等待。"},
    [KEY_WORKER_CONTEXT] = {"worker.generator_context", OPS_CONF_UINT, "8192", .min = 64, .max = 1048576,
                            .help = "Tokens of a prompt and its answer, at most what the model was made for.",
                            .help_zh = "单个提示及其回答的词元数上限，不超过模型自身的上限。"},
    [KEY_WORKER_THREADS] = {"worker.threads", OPS_CONF_UINT, "0", .max = 64,
                            .help = "Threads that compute a model together; 0: one per processor.",
                            .help_zh = "共同计算一个模型的线程数；0 表示每处理器一个。"},
    [KEY_WORKER_NICE] =
        {"worker.nice", OPS_CONF_UINT, "5", .max = 19,
         .help = "How much the worker inside the daemon yields the processor to ingest, as nice(1) "
                 "counts; 0: not at all, 15: nearly always.",
         .help_zh = "守护进程内的工作进程对摄取让出处理器的程度，单位同 nice(1)；0 为不让，15 为几乎总让。"},
    [KEY_WORKER_COORDINATORS] = {"worker.coordinators", OPS_CONF_LIST, "127.0.0.1:7443",
                                 .help = "Coordinators that a worker alone attaches to.",
                                 .help_zh = "独立工作进程所连接的协调器。"},
    [KEY_WORKER_HTTP] = {"worker.http", OPS_CONF_STR, "off",
                         .help =
                             "Address of a lone worker's own HTTP port: its model through the OpenAI API.",
                         .help_zh = "独立工作进程自身的 HTTP 地址：以 OpenAI API 提供其模型。"},
    [KEY_WORKER_TOKEN_FILE] = {"worker.token_file", OPS_CONF_STR, "",
                               .help = "File of the token that a worker alone shows.",
                               .help_zh = "独立工作进程出示的令牌文件。"},
    [KEY_WORKER_CA] =
        {"worker.ca", OPS_CONF_STR, "",
         .help = "PEM authority of the coordinators' certificates: turns TLS on for a worker alone.",
         .help_zh = "协调器证书的签发 CA（PEM）；设置后独立工作进程启用 TLS。"},
    [KEY_WORKER_CERT] = {"worker.cert", OPS_CONF_STR, "",
                         .help = "PEM certificate that a worker alone shows.",
                         .help_zh = "独立工作进程出示的 PEM 证书。"},
    [KEY_WORKER_KEY] = {"worker.key", OPS_CONF_STR, "", .help = "PEM private key of worker.cert.",
                        .help_zh = "worker.cert 的 PEM 私钥。"},
    [KEY_DRAIN] = {"drain_timeout", OPS_CONF_DURATION, "10s", .max = 10 * MINUTE_MS,
                   .help = "How long a stop waits for requests under way.",
                   .help_zh = "停止时等待在途请求的时长。"},
};
