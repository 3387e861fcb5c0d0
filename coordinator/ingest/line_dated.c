/* Lines that begin with a full date: PostgreSQL, nginx error, rsyslog with ISO stamps, and everything of the family
 * `time [thread] LEVEL logger: text` (log4j, logback, Spring Boot, Python, Go, Rust, Spark, Apache error). */
#include "coordinator/ingest/line_internal.h"

static bool any_stamp(const ops_line_ctx *ctx, ops_slice *s, int64_t *ret_ns)
{
    if (s->n < 17)
        return false;
    if (line_digit(s->p[0]))
        return line_stamp_iso(ctx, s, ret_ns) || line_stamp_short(ctx, s, ret_ns);
    return line_stamp_ctime(ctx, s, ret_ns);
}

static bool number(ops_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!line_digit(s.p[i]))
            return false;
    }
    return s.n > 0 && s.n < 20;
}

/* Takes "[...]" at the head of *s. */
static bool bracket(ops_slice *s, ops_slice *ret)
{
    if (s->n < 2 || s->p[0] != '[')
        return false;
    const ops_slice look = ops_slice_sub(*s, 0, 128);
    const ptrdiff_t end = ops_slice_find_char(look, ']');
    if (end < 0)
        return false;
    *ret = ops_slice_of(s->p + 1, (size_t)end - 1);
    line_skip(s, (size_t)end + 1);
    return true;
}

/* `[pid] [user@db] LEVEL:  text`, the default log_line_prefix and its usual extension. The zone name, if it is not
 * UTC or GMT, is stepped over: such a stamp is in the configured zone. */
static bool postgres(line_out *o, ops_slice s)
{
    static const ops_slice words[] = {{"DETAIL", 6},  {"HINT", 4},  {"STATEMENT", 9},
                                      {"CONTEXT", 7}, {"QUERY", 5}, {"LOCATION", 8}};
    ops_slice pid, who = {0};
    uint8_t severity;

    line_blanks(&s);
    if (s.n > 0 && s.p[0] >= 'A' && s.p[0] <= 'Z') {
        if (line_word(&s).n > 5)
            return false;
        line_blanks(&s);
    }
    if (!bracket(&s, &pid) || !number(pid))
        return false;
    line_blanks(&s);
    ops_slice level = line_word(&s);
    if (level.n > 0 && ops_slice_find_char(level, '@') > 0 && level.p[level.n - 1] != ':') {
        who = level;
        line_blanks(&s);
        level = line_word(&s);
    }
    if (level.n < 3 || level.p[level.n - 1] != ':' || s.n < 2 || s.p[0] != ' ' || s.p[1] != ' ')
        return false;
    level.n--;
    if (level.n == 6 && memcmp(level.p, "DEBUG", 5) == 0)
        level.n--; /* DEBUG1..5 */
    severity = ops_ingest_severity(level);
    for (size_t i = 0; severity == 0 && i < sizeof words / sizeof words[0]; i++)
        severity = ops_slice_eq(level, words[i]) ? 9 : 0;
    if (severity == 0)
        return false;
    line_blanks(&s);
    o->severity = severity;
    o->message = s;
    line_attr(o, OPS_SLICE("process.pid"), pid);
    if (who.n > 0) {
        const size_t at = (size_t)ops_slice_find_char(who, '@');
        line_attr(o, OPS_SLICE("db.user"), ops_slice_of(who.p, at));
        line_attr(o, OPS_SLICE("db.namespace"), ops_slice_sub(who, at + 1, SIZE_MAX));
    }
    return true;
}

/* `[level] pid#tid: *connection text` */
static bool nginx(line_out *o, ops_slice s)
{
    ops_slice level;

    line_blanks(&s);
    if (!bracket(&s, &level) || s.n < 5 || s.p[0] != ' ')
        return false;
    const uint8_t severity = ops_ingest_severity(level);
    line_skip(&s, 1);
    const ops_slice ids = line_word(&s);
    const ptrdiff_t hash = ops_slice_find_char(ids, '#');
    if (severity == 0 || hash <= 0 || ids.p[ids.n - 1] != ':' || !number(ops_slice_sub(ids, 0, (size_t)hash)))
        return false;
    line_blanks(&s);
    line_attr(o, OPS_SLICE("process.pid"), ops_slice_sub(ids, 0, (size_t)hash));
    if (s.n > 1 && s.p[0] == '*' && line_digit(s.p[1])) {
        const ops_slice connection = line_word(&s);
        line_attr(o, OPS_SLICE("connection"), ops_slice_sub(connection, 1, SIZE_MAX));
        line_blanks(&s);
    }
    o->severity = severity;
    o->message = s;
    return true;
}

/* `host tag[pid]: text` after an ISO stamp, as current rsyslog writes files. */
static bool rsyslog(line_out *o, ops_slice s)
{
    ops_slice at = s;

    line_blanks(&at);
    const ops_slice host = line_word(&at);
    line_blanks(&at);
    const ops_slice tag = line_word(&at);
    if (host.n == 0 || tag.n < 5 || tag.p[tag.n - 1] != ':' || host.p[host.n - 1] == ':' || host.p[0] == '[')
        return false;
    const ptrdiff_t open = ops_slice_find_char(tag, '[');
    const bool kernel = ops_slice_eq(tag, OPS_SLICE("kernel:"));
    if (!kernel && (open <= 0 || tag.p[tag.n - 2] != ']' ||
                    !number(ops_slice_sub(tag, (size_t)open + 1, tag.n - (size_t)open - 3))))
        return false;
    line_blanks(&at);
    line_attr(o, OPS_SLICE("host.name"), host);
    o->service = kernel ? OPS_SLICE("kernel") : ops_slice_of(tag.p, (size_t)open);
    if (!kernel)
        line_attr(o, OPS_SLICE("process.pid"),
                  ops_slice_sub(tag, (size_t)open + 1, tag.n - (size_t)open - 3));
    o->message = at;
    return true;
}

static void separators(ops_slice *s)
{
    for (;;) {
        line_blanks(s);
        if (s->n > 1 && (s->p[0] == '|' || (s->p[0] == '-' && (s->p[1] == ' ' || s->p[1] == '-'))))
            line_skip(s, 1);
        else
            return;
    }
}

typedef struct token {
    ops_slice text;
    bool bracketed, bounded; /* bounded: by brackets, a colon, a tab or a bar */
} token;

static bool next_token(ops_slice *s, token *ret)
{
    separators(s);
    if (s->n == 0)
        return false;
    ret->bracketed = bracket(s, &ret->text);
    if (!ret->bracketed) {
        size_t n = 0;
        while (n < s->n && s->p[n] != ' ' && s->p[n] != '\t' && s->p[n] != '|' && s->p[n] != '\n')
            n++;
        ret->text = ops_slice_of(s->p, n);
        line_skip(s, n);
    } else if (s->n > 0 && s->p[0] == ':') {
        line_skip(s, 1);
    }
    ret->bounded = ret->bracketed || (s->n > 0 && (s->p[0] == '\t' || s->p[0] == '|'));
    if (!ret->bracketed && ret->text.n > 1 && ret->text.p[ret->text.n - 1] == ':') {
        ret->text.n--;
        ret->bounded = true;
    }
    return ret->text.n > 0 && ret->text.n <= 120;
}

/* Lower-case words are levels only when something bounds them: `error opening file` is text. */
static uint8_t level_of(const token *t)
{
    ops_slice word = ops_slice_trim(t->text);
    const ptrdiff_t colon = t->bracketed ? ops_slice_find_char(word, ':') : -1;

    if (colon >= 0) /* Apache: [core:error] */
        word = ops_slice_sub(word, (size_t)colon + 1, SIZE_MAX);
    if (word.n == 0 || (word.n == 1 && !t->bounded))
        return 0;
    for (size_t i = 0; i < word.n && !t->bounded; i++) {
        if (word.p[i] >= 'a' && word.p[i] <= 'z')
            return 0;
    }
    return ops_ingest_severity(word);
}

static bool name_char(char ch)
{
    return ((ch | 32) >= 'a' && (ch | 32) <= 'z') || line_digit(ch) || strchr("._$/:-", ch) != NULL;
}

/* What stands between the level and the text: `1234 --- [main] c.e.App : `, `[main] com.x.Y - `, `com.x.Y: `. */
static ops_slice after_level(line_out *o, ops_slice s)
{
    ops_slice part;

    if (s.n > 0 && s.p[0] == ':')
        line_skip(&s, 1);
    separators(&s);
    ops_slice look = s;
    const ops_slice pid = line_word(&look);
    if (number(pid) && ops_slice_starts(look, OPS_SLICE(" --- "))) {
        line_attr(o, OPS_SLICE("process.pid"), pid);
        line_skip(&look, 5);
        s = look;
    }
    for (int i = 0; i < 3 && s.n > 0 && s.p[0] == '['; i++) {
        look = s;
        if (!bracket(&look, &part) || look.n == 0 ||
            (look.p[0] != ' ' && look.p[0] != ':' && look.p[0] != '\t'))
            break;
        line_attr(o, OPS_SLICE("thread.name"), ops_slice_trim(part));
        s = look;
        separators(&s);
    }

    size_t n = 0;
    bool dot = false;
    while (n < s.n && n < 120 && name_char(s.p[n]) &&
           !(s.p[n] == ':' && (n + 1 == s.n || s.p[n + 1] == ' '))) {
        dot |= s.p[n] == '.' || s.p[n] == '$' || (s.p[n] == ':' && n + 1 < s.n && s.p[n + 1] == ':');
        n++;
    }
    if (n < 2 || n + 2 >= s.n)
        return s;
    look = ops_slice_sub(s, n, SIZE_MAX);
    const bool colon = look.p[0] == ':';
    line_blanks(&look);
    if (look.n < 2 || (look.p[0] != ':' && look.p[0] != '-') || look.p[1] != ' ' || (colon && !dot))
        return s;
    line_attr(o, OPS_SLICE("log.logger"), ops_slice_of(s.p, n));
    line_skip(&look, 2);
    line_blanks(&look);
    return look;
}

/* Looks for the level among the first five tokens; what stands before it names thread, process or logger. */
static void timed(line_out *o, ops_slice s)
{
    enum { TOKENS_MAX = 5 };
    token seen[TOKENS_MAX];
    ops_slice at = s;

    for (int i = 0; i < TOKENS_MAX && next_token(&at, &seen[i]); i++) {
        const uint8_t severity = level_of(&seen[i]);
        if (severity == 0)
            continue;
        o->severity = severity;
        for (int k = 0; k < i; k++) {
            const ops_slice key = number(seen[k].text) ? OPS_SLICE("process.pid")
                                  : seen[k].bracketed  ? OPS_SLICE("thread.name")
                                                       : OPS_SLICE("log.logger");
            line_attr(o, key, ops_slice_trim(seen[k].text));
        }
        o->message = after_level(o, at);
        return;
    }
    separators(&s);
    o->message = s;
}

bool line_dated(line_out *o, ops_slice line, ops_line_shape *ret_shape)
{
    ops_slice s = line;
    int64_t ns;
    const bool open = s.p[0] == '[';
    ops_slice head = {0};

    if (open)
        line_skip(&s, 1);
    else if (s.n > 20 && s.p[0] >= 'A' && !line_stamp_ctime(o->ctx, &(ops_slice){s.p, s.n}, &ns)) {
        /* `LEVEL [stamp] text`, `LEVEL stamp text`; also `[stamp] ...` falls through above. */
        head = line_word(&s);
        if (head.n > 0 && head.p[head.n - 1] == ':')
            head.n--;
        if (head.n < 3 || level_of(&(token){.text = head}) == 0)
            return false;
        line_blanks(&s);
        if (s.n > 0 && s.p[0] == '[')
            line_skip(&s, 1);
    }
    if (!any_stamp(o->ctx, &s, &ns))
        return false;
    if (s.n > 0 && s.p[0] == ']')
        line_skip(&s, 1);
    else if (open)
        return false;
    o->time_ns = ns;
    *ret_shape = OPS_LINE_TIMED;
    if (head.n > 0) {
        o->severity = level_of(&(token){.text = head});
        o->message = after_level(o, s);
    } else if (!open && postgres(o, s)) {
        *ret_shape = OPS_LINE_POSTGRES;
    } else if (!open && nginx(o, s)) {
        *ret_shape = OPS_LINE_NGINX_ERROR;
    } else if (!open && rsyslog(o, s)) {
        *ret_shape = OPS_LINE_RFC3164;
    } else {
        timed(o, s);
    }
    return true;
}

bool line_levelled(line_out *o, ops_slice line)
{
    ops_slice s = line, word;
    size_t n = 0;

    if (!bracket(&s, &word)) {
        while (n < s.n && n < 12 && s.p[n] >= 'A' && s.p[n] <= 'Z')
            n++;
        if (n < 3 || n >= s.n || (s.p[n] != ':' && s.p[n] != ' '))
            return false;
        word = ops_slice_of(s.p, n);
        line_skip(&s, n);
    }
    const uint8_t severity = ops_ingest_severity(word);
    if (severity == 0 || s.n < 2)
        return false;
    o->severity = severity;
    o->message = after_level(o, s);
    return true;
}
