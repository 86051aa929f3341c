/* POST /v1/messages and /v1/messages/count_tokens.
 *
 * A stream is a row of content blocks, one open at a time: thinking, text, and one per function
 * call. Counts are exact from the first event on. */
#include "server/anthropic.h"
#include "base/jsonw.h"
#include "server/anthropic_int.h"
#include "server/app.h"
#include "server/dialect.h"
#include "server/models.h"
#include <stdio.h>

enum { BODY_MAX = 64 << 20 };

/* ---- the answer ---- */

enum block { NO_BLOCK, TEXT_BLOCK, THINKING_BLOCK, CALL_BLOCK };

struct stream {
    struct ask *a;
    struct reply *reply;
    bool stream;
    char id[40];
    int64_t prompt_tokens;
    enum block open;
    int index; /* of the open block, or the next */
    struct buf out;
    struct gathered an;
};

static void write_usage(struct jsonw *w, const struct stream *st, const struct chat_usage *u)
{
    int64_t cached = u ? u->cached_tokens : 0;
    jsonw_key(w, "usage");
    jsonw_obj(w);
    jsonw_kint(w, "input_tokens", (u ? u->prompt_tokens : st->prompt_tokens) - cached);
    jsonw_kint(w, "cache_creation_input_tokens", 0);
    jsonw_kint(w, "cache_read_input_tokens", cached);
    jsonw_kint(w, "output_tokens", u ? u->answer_tokens : 0);
    jsonw_end(w);
}

static void write_stop(struct jsonw *w, const struct stream *st)
{
    const struct chat_usage *u = &st->an.usage;
    bool cut = u->end == GEN_LENGTH || u->end == GEN_CONTEXT || u->end == GEN_CANCELLED;
    const char *reason = cut                         ? "max_tokens"
                         : st->an.n_calls            ? "tool_use"
                         : u->end == GEN_STOP_STRING ? "stop_sequence"
                                                     : "end_turn";
    jsonw_kstr(w, "stop_reason", str_from(reason));
    jsonw_key(w, "stop_sequence");
    if (u->end == GEN_STOP_STRING && u->stop_index >= 0)
        jsonw_str(w, st->a->r.params.stop[u->stop_index]);
    else
        jsonw_null(w);
    if (u->end == GEN_CANCELLED)
        jsonw_kbool(w, "cancelled", true);
}

static void begin(struct stream *st, struct jsonw *w, const char *type)
{
    buf_clear(&st->out);
    jsonw_init(w, &st->out, 0);
    jsonw_obj(w);
    jsonw_kstr(w, "type", str_from(type));
}

static int send(struct stream *st, struct jsonw *w, const char *type)
{
    while (w->depth > 0)
        jsonw_end(w);
    return st->out.failed || reply_sse(st->reply, type, buf_str(&st->out));
}

static void write_head(struct stream *st, struct jsonw *w)
{
    jsonw_kstr(w, "id", str_from(st->id));
    jsonw_kstr(w, "type", STR("message"));
    jsonw_kstr(w, "role", STR("assistant"));
    jsonw_kstr(w, "model", st->a->model);
}

static int start_message(struct stream *st)
{
    struct jsonw w;
    begin(st, &w, "message_start");
    jsonw_key(&w, "message");
    jsonw_obj(&w);
    write_head(st, &w);
    jsonw_key(&w, "content");
    jsonw_arr(&w);
    jsonw_end(&w);
    jsonw_key(&w, "stop_reason");
    jsonw_null(&w);
    jsonw_key(&w, "stop_sequence");
    jsonw_null(&w);
    write_usage(&w, st, NULL);
    if (send(st, &w, "message_start"))
        return 1;
    begin(st, &w, "ping");
    return send(st, &w, "ping");
}

static void write_call_head(struct jsonw *w, const struct chat_call *call)
{
    jsonw_kstr(w, "type", STR("tool_use"));
    jsonw_kstr(w, "id", call->id);
    jsonw_kstr(w, "name", call->name);
    jsonw_key(w, "input");
}

static int close_block(struct stream *st)
{
    struct jsonw w;
    if (st->open == NO_BLOCK)
        return 0;
    st->open = NO_BLOCK;
    begin(st, &w, "content_block_stop");
    jsonw_kint(&w, "index", st->index++);
    return send(st, &w, "content_block_stop");
}

static int open_block(struct stream *st, enum block kind, const struct chat_call *call)
{
    struct jsonw w;
    if (st->open == kind && kind != CALL_BLOCK)
        return 0;
    if (close_block(st))
        return 1;
    st->open = kind;
    begin(st, &w, "content_block_start");
    jsonw_kint(&w, "index", st->index);
    jsonw_key(&w, "content_block");
    jsonw_obj(&w);
    if (kind == CALL_BLOCK) {
        write_call_head(&w, call);
        jsonw_obj(&w);
        jsonw_end(&w);
    } else if (kind == THINKING_BLOCK) {
        jsonw_kstr(&w, "type", STR("thinking"));
        jsonw_kstr(&w, "thinking", STR(""));
        jsonw_kstr(&w, "signature", STR(""));
    } else {
        jsonw_kstr(&w, "type", STR("text"));
        jsonw_kstr(&w, "text", STR(""));
    }
    return send(st, &w, "content_block_start");
}

static int delta(struct stream *st, const char *type, const char *key, struct str text)
{
    struct jsonw w;
    begin(st, &w, "content_block_delta");
    jsonw_kint(&w, "index", st->index);
    jsonw_key(&w, "delta");
    jsonw_obj(&w);
    jsonw_kstr(&w, "type", str_from(type));
    jsonw_kstr(&w, key, text);
    return send(st, &w, "content_block_delta");
}

static int end_message(struct stream *st)
{
    struct jsonw w;
    if (close_block(st))
        return 1;
    begin(st, &w, "message_delta");
    jsonw_key(&w, "delta");
    jsonw_obj(&w);
    write_stop(&w, st);
    jsonw_end(&w);
    write_usage(&w, st, &st->an.usage);
    if (send(st, &w, "message_delta"))
        return 1;
    begin(st, &w, "message_stop");
    return send(st, &w, "message_stop");
}

static int stream_event(struct stream *st, const struct chat_event *ev)
{
    if (!reply_started(st->reply) && start_message(st))
        return 1;
    switch (ev->kind) {
    case CHAT_TEXT:
        return ev->text.n == 0
                   ? 0
                   : open_block(st, TEXT_BLOCK, NULL) || delta(st, "text_delta", "text", ev->text);
    case CHAT_THINKING:
        return ev->text.n == 0 ? 0
                               : open_block(st, THINKING_BLOCK, NULL) ||
                                     delta(st, "thinking_delta", "thinking", ev->text);
    case CHAT_CALL:
        return open_block(st, CALL_BLOCK, ev->call) ||
               delta(st, "input_json_delta", "partial_json", ev->call->arguments);
    case CHAT_DONE: return end_message(st);
    case CHAT_READING:
    case CHAT_ERROR: break;
    }
    return 0;
}

static int on_event(void *ctx, const struct chat_event *ev)
{
    struct stream *st = ctx;
    bool whole = !st->stream || ev->kind == CHAT_CALL || ev->kind == CHAT_DONE;
    if (ev->kind == CHAT_READING && ev->done == 0)
        st->prompt_tokens = (int64_t)ev->total;
    if (whole && !gathered_take(&st->an, st->a, ev))
        return 1;
    if (ev->kind == CHAT_READING || ev->kind == CHAT_ERROR)
        return 0;
    if (ev->kind == CHAT_DONE && ev->usage->end == GEN_CANCELLED && !http_cancelled(st->a->q))
        return 1;
    return st->stream ? stream_event(st, ev) : 0;
}

static enum status send_whole(struct stream *st, struct err *err)
{
    struct jsonw w;
    const struct gathered *an = &st->an;
    buf_clear(&st->out);
    jsonw_init(&w, &st->out, 0);
    jsonw_obj(&w);
    write_head(st, &w);
    jsonw_key(&w, "content");
    jsonw_arr(&w);
    if (an->thinking.n) {
        jsonw_obj(&w);
        jsonw_kstr(&w, "type", STR("thinking"));
        jsonw_kstr(&w, "thinking", buf_str(&an->thinking));
        jsonw_kstr(&w, "signature", STR(""));
        jsonw_end(&w);
    }
    if (an->text.n || an->n_calls == 0) {
        jsonw_obj(&w);
        jsonw_kstr(&w, "type", STR("text"));
        jsonw_kstr(&w, "text", buf_str(&an->text));
        jsonw_end(&w);
    }
    for (size_t i = 0; i < an->n_calls; i++) {
        jsonw_obj(&w);
        write_call_head(&w, &an->calls[i]);
        jsonw_raw(&w, an->calls[i].arguments);
        jsonw_end(&w);
    }
    jsonw_end(&w);
    write_stop(&w, st);
    write_usage(&w, st, &an->usage);
    jsonw_end(&w);
    enum status s = buf_check(&st->out, "answer", err);
    if (s == OK)
        reply_json(st->reply, 200, &st->out);
    return s;
}

static void stream_error(struct stream *st, const struct err *e)
{
    buf_clear(&st->out);
    dialects[DIALECT_ANTHROPIC].error(&st->out, status_http(e->code), e, st->a->q);
    reply_sse(st->reply, "error", buf_str(&st->out));
}

static enum status count(struct ask *a, int64_t *n, struct err *err)
{
    struct tokens ids = {0};
    enum status s = provider_prompt(a->lease.provider, &a->r, NULL, &ids, err);
    *n = (int64_t)ids.n;
    tokens_free(&ids);
    return s;
}

static enum status answer(struct stream *st, struct err *err)
{
    struct chat_sink sink = {on_event, st};
    buf_init(&st->out, BODY_MAX);
    gathered_init(&st->an);
    enum status s = provider_chat(st->a->lease.provider, &st->a->r, &sink, err);
    if (s == OK && !st->stream)
        s = send_whole(st, err);
    else if (s != OK && reply_started(st->reply))
        stream_error(st, err);
    gathered_release(&st->an);
    buf_release(&st->out);
    return reply_started(st->reply) ? OK : s;
}

enum status anthropic_messages(struct http_request *q, struct reply *reply, struct err *err)
{
    struct ask a;
    char hex[25];
    struct stream st = {.a = &a, .reply = reply};
    random_hex(hex, 12);
    snprintf(st.id, sizeof st.id, "msg_%s", hex);
    enum status s = ask_init(&a, q, err);
    if (s == OK)
        s = json_get_bool(a.body, "stream", &st.stream, false, err);
    if (s == OK)
        s = anthropic_read(&a, false, err);
    if (s == OK)
        s = answer(&st, err);
    ask_close(&a);
    return s;
}

enum status anthropic_count_tokens(struct http_request *q, struct reply *reply, struct err *err)
{
    struct ask a;
    struct buf out;
    int64_t n = 0;
    buf_init(&out, 4096);
    enum status s = ask_init(&a, q, err);
    if (s == OK)
        s = anthropic_read(&a, true, err);
    if (s == OK)
        s = count(&a, &n, err);
    if (s == OK) {
        buf_printf(&out, "{\"input_tokens\":%lld}", (long long)n);
        reply_json(reply, 200, &out);
    }
    ask_close(&a);
    buf_release(&out);
    return s;
}

/* ---- models ---- */

static void write_model(struct jsonw *w, const struct store_model *m, struct str id)
{
    char created[40];
    time_rfc3339(created, m->modified_unix_ns);
    jsonw_obj(w);
    jsonw_kstr(w, "type", STR("model"));
    jsonw_kstr(w, "id", id);
    jsonw_kstr(w, "display_name", id);
    jsonw_kstr(w, "created_at", str_from(created));
    jsonw_end(w);
}

static void write_id(struct jsonw *w, const char *key, struct str id)
{
    jsonw_key(w, key);
    if (id.n)
        jsonw_str(w, id);
    else
        jsonw_null(w);
}

static void write_list_end(struct jsonw *w, struct str first, struct str last)
{
    jsonw_kbool(w, "has_more", false);
    write_id(w, "first_id", first);
    write_id(w, "last_id", last);
}

enum status anthropic_models(struct http_request *q, struct reply *reply, struct err *err)
{
    return models_list(q, reply, write_model, write_list_end, err);
}

enum status anthropic_model(struct http_request *q, struct reply *reply, struct err *err)
{
    return models_one(q, reply, write_model, err);
}
