#include "server/access.h"
#include "base/jsonw.h"
#include "base/show.h"
#include <stdio.h>
#include <time.h>

static void utc(int64_t unix_ns, char out[32])
{
    time_t t = (time_t)(unix_ns / 1000000000);
    struct tm tm;
    char day[24];
    gmtime_r(&t, &tm);
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, 32, "%s.%03dZ", day, (int)(unix_ns / 1000000 % 1000));
}

static void line_json(const struct access_record *a, struct buf *out)
{
    char when[32];
    struct jsonw w;
    const struct http_request *q = a->request;
    utc(a->start_unix_ns, when);
    jsonw_init(&w, out, 0);
    jsonw_obj(&w);
    jsonw_kstr(&w, "time", str_from(when));
    jsonw_kstr(&w, "id", q->id);
    jsonw_kstr(&w, "peer", q->peer);
    if (q->key_name.n)
        jsonw_kstr(&w, "key", q->key_name);
    jsonw_kstr(&w, "method", q->method);
    jsonw_kstr(&w, "path", q->path);
    if (a->route)
        jsonw_kstr(&w, "route", str_from(a->route->path));
    jsonw_kint(&w, "status", a->status);
    jsonw_knum(&w, "seconds", (double)((a->end_ns - a->start_ns) / 1000) * 1e-6);
    if (a->first_ns)
        jsonw_knum(&w, "first_byte_seconds", (double)((a->first_ns - a->start_ns) / 1000) * 1e-6);
    jsonw_kint(&w, "bytes_in", (int64_t)a->bytes_in);
    jsonw_kint(&w, "bytes_out", (int64_t)a->bytes_out);
    if (a->model.n)
        jsonw_kstr(&w, "model", a->model);
    if (a->prompt_tokens >= 0)
        jsonw_kint(&w, "prompt_tokens", a->prompt_tokens);
    if (a->answer_tokens >= 0)
        jsonw_kint(&w, "answer_tokens", a->answer_tokens);
    if (a->trace)
        jsonw_kstr(&w, "trace", str_from(a->trace->trace_id));
    if (a->gone)
        jsonw_kbool(&w, "client_gone", true);
    jsonw_end(&w);
    buf_addc(out, '\n');
}

static void line_text(const struct access_record *a, struct buf *out)
{
    char when[32];
    const struct http_request *q = a->request;
    utc(a->start_unix_ns, when);
    buf_printf(out, "%s %3d %9.3fs %s%s%s \"%s %s\" %s", when, a->status,
               (double)(a->end_ns - a->start_ns) * 1e-9, show(q->peer).s, q->key_name.n ? " " : "",
               q->key_name.n ? show(q->key_name).s : "", show(q->method).s, show(q->path).s,
               show(q->id).s);
    if (a->model.n)
        buf_printf(out, " %s", show(a->model).s);
    if (a->prompt_tokens >= 0 || a->answer_tokens >= 0)
        buf_printf(out, " %lld+%lld", (long long)(a->prompt_tokens < 0 ? 0 : a->prompt_tokens),
                   (long long)(a->answer_tokens < 0 ? 0 : a->answer_tokens));
    if (a->gone)
        buf_adds(out, " client gone");
    buf_addc(out, '\n');
}

void access_line(const struct access_record *a, enum access_form form, struct buf *out)
{
    if (form == ACCESS_JSON)
        line_json(a, out);
    else if (form == ACCESS_TEXT)
        line_text(a, out);
}

void access_log(const struct access_record *a, enum access_form form)
{
    struct buf line;
    buf_init(&line, 1 << 20);
    access_line(a, form, &line);
    if (line.n && !line.failed)
        fwrite(line.p, 1, line.n, stderr);
    buf_release(&line);
}
