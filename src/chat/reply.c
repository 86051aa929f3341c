/* The streaming parser: an automaton over bytes.
 *
 * Everything is decided byte by byte from the bytes before, so that no cut can matter. `held` is
 * what has not been told: [white space, parts of a call that were read][item: the piece that is
 * being read]. Outside of calls the piece may become one of the markers that the phase allows; in a
 * call it is the call's next part. Where a piece turns out to be something else, what is certain to
 * be text is told and the rest read again from the phase's beginning; that rest is never longer
 * than a marker, so that the work is linear in the text. */
#include "base/mem.h"
#include "base/rng.h"
#include "chat/reply_int.h"
#include <stdlib.h>

enum { HELD_MAX = 16 << 20, OUT_MAX = 64 << 20, SPACE_MAX = 4096, NAME_MAX_BYTES = 256 };

enum phase {
    PHASE_START, /* nothing but white space yet: thinking may begin */
    PHASE_THINK,
    PHASE_ANSWER, /* behind thinking, no word of the answer yet */
    PHASE_TEXT,
    PHASE_AFTER, /* behind a call, no text yet */
};

enum part { PART_NONE, PART_OPEN, PART_LEAD, PART_NAME, PART_SEP, PART_ID, PART_BODY };

enum act { ACT_THINK, ACT_THINK_END, ACT_BEGIN, ACT_OPEN, ACT_CLOSE };

struct marker {
    struct str text;
    enum act act;
    unsigned phases; /* bits */
};

#define IN(phase) (1u << (phase))

struct reply_parser {
    struct reply_options o;
    struct reply_format format;
    struct reply_tools tools;
    struct marker marker[10];
    int n_markers;
    unsigned silent; /* phases in which every byte is told at once */
    enum phase phase;
    enum part part;
    bool fresh;  /* PHASE_THINK: nothing told yet */
    bool in_tag; /* PHASE_AFTER: the call's closing marker has not come */
    struct buf held;
    size_t item; /* where the piece in held begins */
    size_t name_at, name_n, body_at;
    struct json_scan scan;
    bool bare, settled; /* PART_BODY: without a marker, and its beginning has been looked at */
    bool escaped;       /* BODY_GEMMA: inside of <escape> */
    int depth;
    struct buf out; /* text of out_kind to tell at the end of the feed */
    enum chat_event_kind out_kind;
    struct buf arguments;
    struct rng ids;
    int n_calls;
    bool stopped;
    enum status failed;
    struct err err;
};

static void step(struct reply_parser *p, char c);

static const struct call_format *row(const struct reply_parser *p)
{
    return p->format.calls;
}

static struct str held_from(const struct reply_parser *p, size_t from)
{
    return str_slice(buf_str(&p->held), from, p->held.n);
}

/* --- telling --- */

static void flush(struct reply_parser *p)
{
    if (p->out.n && !p->stopped && p->failed == OK)
        p->stopped = p->o.tell(p->o.ctx, p->out_kind, buf_str(&p->out), NULL) != 0;
    if (p->out.failed && p->failed == OK)
        p->failed = err_set(&p->err, ENOMEMORY, "reply: no memory for its text");
    buf_clear(&p->out);
}

static void tell(struct reply_parser *p, enum chat_event_kind kind, struct str text)
{
    if (kind != p->out_kind)
        flush(p);
    p->out_kind = kind;
    buf_addstr(&p->out, text);
}

static void tell_call(struct reply_parser *p, const struct reply_tool *tool)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    char id[] = "call_xxxxxxxxxxxx";
    flush(p);
    for (char *at = id + 5; *at; at++)
        *at = digits[rng_next(&p->ids) % 36];
    struct chat_call call = {str_from(id), tool->name, buf_str(&p->arguments)};
    if (!p->stopped && p->failed == OK)
        p->stopped = p->o.tell(p->o.ctx, CHAT_CALL, STR(""), &call) != 0;
    p->n_calls++;
}

/* --- what is text after all --- */

/* The first n held bytes were no marker and no call. */
static void give_up(struct reply_parser *p, size_t n)
{
    struct str text = {buf_str(&p->held).p, n};
    if (p->o.forced && p->n_calls == 0 && p->phase != PHASE_THINK && p->failed == OK)
        p->failed =
            err_set(&p->err, EFAIL, "tool_choice: a call is required, but the model wrote '%.*s'",
                    (int)(text.n < 300 ? text.n : 300), text.p);
    if (p->phase == PHASE_THINK) {
        while (p->fresh && text.n && json_is_space(text.p[0]))
            text = str_slice(text, 1, text.n);
        p->fresh = p->fresh && text.n == 0;
        tell(p, CHAT_THINKING, text);
    } else {
        while (p->phase == PHASE_ANSWER && text.n && json_is_space(text.p[0]))
            text = str_slice(text, 1, text.n);
        if (text.n)
            p->phase = PHASE_TEXT;
        tell(p, CHAT_TEXT, text);
    }
    p->part = PART_NONE;
}

/* Gives up the first n held bytes and reads the others, a marker's worth at most, again. */
static void restart(struct reply_parser *p, size_t n)
{
    char again[MARKER_MAX + 1];
    struct str rest = held_from(p, n);
    size_t left = rest.n < sizeof again ? rest.n : sizeof again;
    memcpy(again, rest.p, left);
    give_up(p, n);
    buf_clear(&p->held);
    p->item = 0;
    for (size_t i = 0; i < left; i++)
        step(p, again[i]);
}

/* The call broke at its last byte, which may begin something else. */
static void broken(struct reply_parser *p)
{
    restart(p, p->held.n - 1);
}

static void drop_held(struct reply_parser *p)
{
    buf_clear(&p->held);
    p->item = 0;
}

/* --- calls --- */

static void after_call(struct reply_parser *p)
{
    p->in_tag = !p->bare && (row(p)->close || p->format.close[0]);
    p->phase = PHASE_AFTER;
    p->part = PART_NONE;
    drop_held(p);
}

/* Of an array the elements that are no calls are text, if any other is one. */
static bool tell_calls(struct reply_parser *p, struct str body)
{
    struct json_walk w;
    struct str key, v;
    const struct reply_tool *tool;
    int before = p->n_calls;
    if (body.p[0] == '{') {
        tool = call_from_json(&p->tools, body, p->bare, &p->arguments);
        if (tool)
            tell_call(p, tool);
        return tool != NULL;
    }
    bool any = false;
    for (bool ok = json_walk_begin(&w, body); ok && !any && json_walk_next(&w, &key, &v);)
        any = call_from_json(&p->tools, v, p->bare, &p->arguments) != NULL;
    for (bool ok = any && json_walk_begin(&w, body); ok && json_walk_next(&w, &key, &v);) {
        tool = call_from_json(&p->tools, v, p->bare, &p->arguments);
        if (tool)
            tell_call(p, tool);
        else
            tell(p, CHAT_TEXT, v);
    }
    return p->n_calls > before;
}

static bool tell_named(struct reply_parser *p, struct str body)
{
    struct str name = str_slice(buf_str(&p->held), p->name_at, p->name_at + p->name_n);
    const struct reply_tool *tool = reply_tools_find(&p->tools, name);
    bool ok = true;
    if (row(p)->body == BODY_MARKUP) {
        body.n -= strlen(row(p)->body_close);
        ok = call_from_markup(row(p), tool, body, &p->arguments);
    } else if (row(p)->body == BODY_GEMMA) {
        ok = call_from_gemma(body, &p->arguments);
    } else {
        buf_clear(&p->arguments);
        buf_addstr(&p->arguments, body);
    }
    if (!ok || !call_arguments_ok(buf_str(&p->arguments)))
        return false;
    tell_call(p, tool);
    return true;
}

/* The call's last byte has come. */
static void whole(struct reply_parser *p)
{
    struct str body = held_from(p, p->body_at);
    bool ok = row(p)->body == BODY_CALLS ? tell_calls(p, body) : tell_named(p, body);
    if (ok) {
        after_call(p);
        return;
    }
    give_up(p, p->held.n);
    drop_held(p);
}

static void begin_body(struct reply_parser *p, bool bare)
{
    p->part = PART_BODY;
    p->body_at = p->held.n;
    p->bare = bare;
    p->settled = p->escaped = false;
    p->depth = 0;
    p->scan = (struct json_scan){0};
}

static void begin_part(struct reply_parser *p, enum part part)
{
    const struct call_format *f = row(p);
    p->item = p->held.n;
    if (part == PART_LEAD && !f->lead)
        part = PART_NAME;
    if (part == PART_SEP && !f->sep)
        part = PART_BODY;
    p->part = part;
    p->name_at = part == PART_NAME ? p->held.n : p->name_at;
    p->name_n = part == PART_NAME ? 0 : p->name_n;
    if (part == PART_BODY)
        begin_body(p, false);
}

static void json_body(struct reply_parser *p, char c)
{
    bool calls = row(p)->body == BODY_CALLS, first = p->held.n == p->body_at + 1;
    if (first && c != '{' && !(calls && c == '[')) {
        broken(p);
        return;
    }
    enum json_scanned r = json_scan_byte(&p->scan, c);
    if (p->bare && !p->settled && r != JSON_BROKEN) {
        struct str text = held_from(p, p->body_at);
        enum bare_guess g = call_bare_guess(&p->tools, text);
        p->settled = g == BARE_YES;
        if (g == BARE_NO || (!p->settled && text.n > NAME_MAX_BYTES))
            r = JSON_BROKEN;
    }
    if (r == JSON_BROKEN)
        broken(p);
    else if (r == JSON_WHOLE)
        whole(p);
}

static void gemma_body(struct reply_parser *p, char c)
{
    struct str text = held_from(p, p->body_at);
    if (text.n == 1 && c != '{') {
        broken(p);
        return;
    }
    if (c == '>' && str_ends(text, STR("<escape>")))
        p->escaped = !p->escaped;
    else if (!p->escaped)
        p->depth += c == '{' ? 1 : c == '}' ? -1 : 0;
    if (p->depth == 0)
        whole(p);
}

static void body(struct reply_parser *p, char c)
{
    /* white space before it */
    if (p->held.n == p->body_at + 1 && json_is_space(c)) {
        p->body_at = p->item = p->held.n;
        return;
    }
    if (row(p)->body == BODY_GEMMA)
        gemma_body(p, c);
    else if (row(p)->body != BODY_MARKUP)
        json_body(p, c);
    else if (str_ends(held_from(p, p->body_at), str_from(row(p)->body_close)))
        whole(p);
}

/* The byte that was just held, as part of a literal. 1: it is complete; -1: it is something else.
 */
static int literal(struct reply_parser *p, const char *z)
{
    struct str piece = held_from(p, p->item), want = str_from(z);
    if (!str_starts(want, piece))
        return -1;
    return piece.n == want.n;
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("_-./:", c));
}

static void part_literal(struct reply_parser *p, const char *z, enum part next)
{
    int found = literal(p, z);
    if (found < 0)
        restart(p, p->item ? p->item : 1);
    else if (found > 0)
        begin_part(p, next);
}

static bool opens_json(char c)
{
    return c == '{' || c == '[';
}

static void part_open(struct reply_parser *p)
{
    int best = -1;
    for (int i = 0; i < CALL_OPENS && row(p)->open[i]; i++) {
        int found = literal(p, row(p)->open[i]);
        best = found > best ? found : best;
    }
    /* behind a code fence there may be JSON alone */
    if (best < 0 && row(p)->bare == BARE_ANYWHERE && p->held.n == p->item + 1 &&
        opens_json(p->held.p[p->item])) {
        char c = p->held.p[--p->held.n];
        begin_body(p, true);
        step(p, c);
    } else if (best < 0) {
        restart(p, p->item);
    } else if (best > 0) {
        begin_part(p, row(p)->body == BODY_CALLS ? PART_BODY : PART_LEAD);
    }
}

static void part_name(struct reply_parser *p, char c)
{
    if (is_name_byte(c) && p->name_n < NAME_MAX_BYTES) {
        p->name_n++;
        return;
    }
    struct str name = str_slice(buf_str(&p->held), p->name_at, p->name_at + p->name_n);
    if (!reply_tools_find(&p->tools, name)) {
        broken(p);
        return;
    }
    p->held.n--;
    begin_part(p, PART_SEP);
    step(p, c);
}

static void part_sep(struct reply_parser *p)
{
    if (row(p)->id_open && literal(p, row(p)->id_open) >= 0) {
        if (literal(p, row(p)->id_open) > 0)
            begin_part(p, PART_ID);
        return;
    }
    part_literal(p, row(p)->sep, PART_BODY);
}

static void part_id(struct reply_parser *p, char c)
{
    if (is_name_byte(c) && p->held.n - p->item <= NAME_MAX_BYTES)
        return;
    p->held.n--;
    begin_part(p, PART_SEP);
    step(p, c);
}

static void call_byte(struct reply_parser *p, char c)
{
    bool first = p->held.n - 1 == p->item;
    if (first && json_is_space(c) && p->part != PART_ID && p->part != PART_BODY) {
        p->item = p->held.n;
        p->name_at = p->part == PART_NAME ? p->held.n : p->name_at;
        return;
    }
    switch (p->part) {
    case PART_OPEN: part_open(p); break;
    case PART_LEAD: part_literal(p, row(p)->lead, PART_NAME); break;
    case PART_NAME: part_name(p, c); break;
    case PART_SEP: part_sep(p); break;
    case PART_ID: part_id(p, c); break;
    default: body(p, c); break;
    }
}

/* --- outside of calls --- */

static bool bare_allowed(const struct reply_parser *p)
{
    if (p->tools.n == 0 || p->phase == PHASE_THINK || row(p)->body != BODY_CALLS)
        return false;
    if (p->phase == PHASE_AFTER && p->in_tag)
        return true;
    return row(p)->bare == BARE_ANYWHERE ||
           (row(p)->bare == BARE_START && (p->phase == PHASE_START || p->phase == PHASE_ANSWER));
}

static void found(struct reply_parser *p, enum act act)
{
    switch (act) {
    case ACT_THINK:
    case ACT_THINK_END:
        p->phase = act == ACT_THINK ? PHASE_THINK : PHASE_ANSWER;
        p->fresh = true;
        drop_held(p);
        break;
    case ACT_BEGIN: begin_part(p, PART_OPEN); break;
    case ACT_OPEN: begin_part(p, row(p)->body == BODY_CALLS ? PART_BODY : PART_LEAD); break;
    case ACT_CLOSE:
        p->in_tag = false;
        drop_held(p);
        break;
    }
}

/* Looks at the piece that begins outside of a call and has just got a byte. */
static void outside_piece(struct reply_parser *p)
{
    struct str piece = held_from(p, p->item);
    bool wait = false;
    for (int i = 0; i < p->n_markers; i++) {
        const struct marker *m = &p->marker[i];
        if (!(m->phases & IN(p->phase)) || !str_starts(m->text, piece))
            continue;
        if (m->act == ACT_THINK && p->phase == PHASE_THINK && !p->fresh)
            continue;
        if (m->text.n == piece.n) {
            found(p, m->act);
            return;
        }
        wait = true;
    }
    if (wait)
        return;
    if (!opens_json(piece.p[0]) || !bare_allowed(p)) {
        restart(p, p->item + 1);
        return;
    }
    char again[MARKER_MAX + 1];
    size_t n = piece.n < sizeof again ? piece.n : sizeof again;
    memcpy(again, piece.p, n);
    p->held.n = p->item;
    begin_body(p, !(p->phase == PHASE_AFTER && p->in_tag));
    for (size_t i = 0; i < n; i++)
        step(p, again[i]);
}

static bool is_space_here(const struct reply_parser *p, char c)
{
    /* Llama parts calls so */
    return json_is_space(c) ||
           (p->phase == PHASE_AFTER && row(p)->bare == BARE_ANYWHERE && (c == ';' || c == ','));
}

static void outside_byte(struct reply_parser *p, char c)
{
    if (p->held.n - 1 == p->item && is_space_here(p, c)) {
        p->item = p->held.n;
        if (p->item < SPACE_MAX)
            return;
        give_up(p, p->held.n);
        drop_held(p);
        return;
    }
    outside_piece(p);
}

static void step(struct reply_parser *p, char c)
{
    if (reply_finished(p))
        return;
    if (p->part == PART_NONE && (p->silent & IN(p->phase))) {
        tell(p, CHAT_TEXT, (struct str){&c, 1});
        return;
    }
    if (p->held.n >= HELD_MAX) {
        give_up(p, p->held.n);
        drop_held(p);
    }
    buf_addc(&p->held, c);
    if (p->held.failed) {
        p->failed = err_set(&p->err, ENOMEMORY, "reply: no memory");
        drop_held(p);
    } else if (p->part == PART_NONE) {
        outside_byte(p, c);
    } else {
        call_byte(p, c);
    }
}

/* --- the outside --- */

static void add_marker(struct reply_parser *p, const char *z, enum act act, unsigned phases)
{
    if (z && *z)
        p->marker[p->n_markers++] = (struct marker){str_from(z), act, phases};
}

static void set_markers(struct reply_parser *p)
{
    const struct call_format *f = row(p);
    const struct think_format *t = p->format.think;
    unsigned answer = IN(PHASE_START) | IN(PHASE_ANSWER) | IN(PHASE_TEXT) | IN(PHASE_AFTER);
    p->silent = IN(PHASE_TEXT);
    if (t) {
        /* models repeat what the prompt opened already */
        add_marker(p, t->open, ACT_THINK, IN(PHASE_START) | IN(PHASE_THINK));
        add_marker(p, t->close, ACT_THINK_END, IN(PHASE_THINK));
    } else {
        p->silent |= IN(PHASE_START);
    }
    if (!f || p->tools.n == 0)
        return;
    p->silent = 0;
    add_marker(p, f->begin, ACT_BEGIN, answer);
    for (int i = 0; i < CALL_OPENS; i++)
        add_marker(p, f->open[i], ACT_OPEN, answer);
    add_marker(p, p->format.open, ACT_OPEN, answer);
    add_marker(p, p->format.close, ACT_CLOSE, IN(PHASE_AFTER));
    add_marker(p, f->close, ACT_CLOSE, IN(PHASE_AFTER));
    add_marker(p, f->end, ACT_CLOSE, IN(PHASE_AFTER));
}

enum status reply_new(struct reply_parser **out, const struct reply_options *o, struct err *err)
{
    struct reply_parser *p = mem_array(1, sizeof *p);
    if (!p)
        return err_set(err, ENOMEMORY, "reply: no memory");
    p->o = *o;
    p->format = *o->format;
    buf_init(&p->held, HELD_MAX + 1);
    buf_init(&p->out, OUT_MAX);
    buf_init(&p->arguments, OUT_MAX);
    p->out_kind = CHAT_TEXT;
    rng_seed(&p->ids, o->id_seed);
    enum status s = OK;
    if (p->format.calls)
        s = reply_tools_read(&p->tools, o->tools, err);
    if (s != OK) {
        reply_free(p);
        return s;
    }
    set_markers(p);
    if (o->thinking && p->format.think)
        found(p, ACT_THINK);
    *out = p;
    return OK;
}

void reply_free(struct reply_parser *p)
{
    if (!p)
        return;
    reply_tools_release(&p->tools);
    buf_release(&p->held);
    buf_release(&p->out);
    buf_release(&p->arguments);
    free(p);
}

static enum status result(struct reply_parser *p, struct err *err)
{
    flush(p);
    return p->failed == OK ? OK : err_set(err, p->failed, "%s", p->err.msg);
}

enum status reply_feed(struct reply_parser *p, struct str text, struct err *err)
{
    for (size_t i = 0; i < text.n && p->failed == OK; i++)
        step(p, text.p[i]);
    return result(p, err);
}

/* Is the piece behind a call a closing marker that was cut off? */
static bool is_cut_close(const struct reply_parser *p)
{
    for (int i = 0; i < p->n_markers; i++)
        if (p->marker[i].act == ACT_CLOSE && str_starts(p->marker[i].text, held_from(p, p->item)))
            return true;
    return false;
}

enum status reply_end(struct reply_parser *p, struct err *err)
{
    bool drop = p->part == PART_NONE && p->phase == PHASE_AFTER && is_cut_close(p);
    if (p->failed == OK && !drop)
        give_up(p, p->held.n);
    drop_held(p);
    return result(p, err);
}

bool reply_is_thinking(const struct reply_parser *p)
{
    return p->phase == PHASE_THINK;
}

bool reply_finished(const struct reply_parser *p)
{
    return p->o.forced && p->o.one && p->n_calls > 0;
}
