#include "store/web.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/show.h"
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

enum {
    STALL_S = 30,
    PATIENCE_S = 600,
    CONNECT_S = 30,
    STEP_MS = 100,
    TRIES = 5,
    FIRST_PAUSE_MS = 500,
    LONGEST_PAUSE_MS = 30000,
    LONGEST_RETRY_AFTER_S = 300,
    HEAD_BYTES = 256 << 10,
    ANSWER_BYTES = 1 << 20,
    ERROR_BYTES = 16 << 10,
    MAX_REDIRECTS = 10
};

struct web {
    CURLM *multi;
    const atomic_int *cancel;
    bool plain;
    long stall_s;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready;

static void start_curl(void)
{
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

enum status web_new(struct web **out, const atomic_int *cancel, bool plain, struct err *err)
{
    struct web *w = mem_array(1, sizeof *w);
    const char *stall = getenv("HEARTH_STALL_SECONDS");
    *out = NULL;
    pthread_once(&once, start_curl);
    if (!w || curl_ready != CURLE_OK || !(w->multi = curl_multi_init())) {
        free(w);
        return err_set(err, ENOMEMORY, "no memory for an HTTP client");
    }
    w->cancel = cancel;
    w->plain = plain;
    w->stall_s = stall && atol(stall) > 0 && atol(stall) < 86400 ? atol(stall) : STALL_S;
    /* a connection each: parts of a file are faster side by side than on one */
    curl_multi_setopt(w->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    *out = w;
    return OK;
}

void web_free(struct web *w)
{
    if (!w)
        return;
    curl_multi_cleanup(w->multi);
    free(w);
}

static bool cancelled(const struct web *w)
{
    return w->cancel && atomic_load(w->cancel);
}

static enum status stopped(struct err *err)
{
    return err_set(err, ECANCEL, "stopped");
}

/* ---- what curl calls ---- */

static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
    struct web_call *c = ctx;
    n *= size;
    if (n >= 5 && memcmp(p, "HTTP/", 5) == 0)
        buf_clear(&c->head); /* of the answer before a redirect */
    buf_add(&c->head, p, n);
    return c->head.failed ? 0 : n;
}

static size_t on_data(char *p, size_t size, size_t n, void *ctx)
{
    struct web_call *c = ctx;
    long status = 0;
    n *= size;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    c->status = status;
    if (status != 200 && status != 206) { /* of an error, the beginning is enough */
        size_t room = c->answer.n < ERROR_BYTES ? ERROR_BYTES - c->answer.n : 0;
        buf_add(&c->answer, p, n < room ? n : room);
        return n;
    }
    if (c->take)
        return c->take(c, p, n, &c->err) == OK ? n : 0;
    buf_add(&c->answer, p, n);
    if (!c->answer.failed)
        return n;
    (void)err_set(&c->err, ELIMIT, "'%s': the answer has more than %zu bytes",
                  show(str_from(c->url)).s, c->answer.max);
    return 0;
}

static size_t on_send(char *p, size_t size, size_t n, void *ctx)
{
    struct web_call *c = ctx;
    uint64_t left = c->file_n - c->sent;
    n *= size;
    ssize_t got = pread(c->fd, p, left < n ? (size_t)left : n, (off_t)(c->file_at + c->sent));
    if (got < 0 || (got == 0 && left)) {
        (void)err_set(&c->err, EIO, "cannot read what is to be sent: %s",
                      got < 0 ? strerror(errno) : "the file has become shorter");
        return CURL_READFUNC_ABORT;
    }
    c->sent += (uint64_t)got;
    return (size_t)got;
}

static int on_seek(void *ctx, curl_off_t at, int origin)
{
    struct web_call *c = ctx;
    if (origin != SEEK_SET || at < 0 || (uint64_t)at > c->file_n)
        return CURL_SEEKFUNC_CANTSEEK;
    c->sent = (uint64_t)at;
    return CURL_SEEKFUNC_OK;
}

/* ---- one request ---- */

static bool add_header(struct web_call *c, const char *line)
{
    struct curl_slist *more = curl_slist_append(c->list, line);
    c->list = more ? more : c->list;
    return more != NULL;
}

static bool add_headers(struct web_call *c)
{
    bool ok = add_header(c, "Expect:");
    for (size_t i = 0; i < sizeof c->headers / sizeof *c->headers && c->headers[i]; i++)
        ok = ok && add_header(c, c->headers[i]);
    if (ok && c->authorization) {
        struct buf line;
        buf_init(&line, 1 << 20);
        buf_printf(&line, "Authorization: %s", c->authorization);
        ok = !line.failed && add_header(c, line.p);
        buf_release(&line);
    }
    return ok;
}

static void set_trust(CURL *e)
{
    const char *bundle = getenv("CURL_CA_BUNDLE"), *folder = getenv("SSL_CERT_DIR");
    if (!bundle || !*bundle)
        bundle = getenv("SSL_CERT_FILE");
    if (bundle && *bundle)
        curl_easy_setopt(e, CURLOPT_CAINFO, bundle);
    if (folder && *folder)
        curl_easy_setopt(e, CURLOPT_CAPATH, folder);
}

static void set_body(struct web_call *c)
{
    if (c->from_file) {
        curl_easy_setopt(c->easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(c->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)c->file_n);
        curl_easy_setopt(c->easy, CURLOPT_READFUNCTION, on_send);
        curl_easy_setopt(c->easy, CURLOPT_READDATA, c);
        curl_easy_setopt(c->easy, CURLOPT_SEEKFUNCTION, on_seek);
        curl_easy_setopt(c->easy, CURLOPT_SEEKDATA, c);
    } else if (c->body.p) {
        curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body.n);
        curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, c->body.p);
    }
    if (strcmp(c->method, "HEAD") == 0)
        curl_easy_setopt(c->easy, CURLOPT_NOBODY, 1L);
    else if (strcmp(c->method, "GET") != 0)
        curl_easy_setopt(c->easy, CURLOPT_CUSTOMREQUEST, c->method);
}

static void set_options(struct web *w, struct web_call *c)
{
    CURL *e = c->easy;
    const char *protocols = w->plain ? "http,https" : "https";
    char range[64];
    curl_easy_setopt(e, CURLOPT_PRIVATE, c);
    curl_easy_setopt(e, CURLOPT_URL, c->url);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, c->text);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "hearth/" HEARTH_VERSION);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, protocols);
    curl_easy_setopt(e, CURLOPT_REDIR_PROTOCOLS_STR, protocols);
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, c->stay ? 0L : 1L);
    curl_easy_setopt(e, CURLOPT_MAXREDIRS, (long)MAX_REDIRECTS);
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, c->patient ? (long)PATIENCE_S : w->stall_s);
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 256L << 10);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, c->list);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, c);
    set_trust(e);
    set_body(c);
    if (c->ranged) {
        snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)c->from,
                 (unsigned long long)c->to);
        curl_easy_setopt(e, CURLOPT_RANGE, range);
    }
}

enum status web_start(struct web *w, struct web_call *c, struct err *err)
{
    web_stop(c);
    c->web = w;
    c->status = 0;
    c->sent = 0;
    c->retry_after_s = 0;
    c->redirected = false;
    c->err = (struct err){0};
    *c->text = 0;
    buf_release(&c->head);
    buf_release(&c->answer);
    buf_init(&c->head, HEAD_BYTES);
    buf_init(&c->answer, c->answer_max ? c->answer_max : ANSWER_BYTES);
    c->easy = curl_easy_init();
    if (!c->easy || !add_headers(c)) {
        web_stop(c);
        return err_set(err, ENOMEMORY, "no memory for a request");
    }
    set_options(w, c);
    if (curl_multi_add_handle(w->multi, c->easy) != CURLM_OK) {
        curl_easy_cleanup(c->easy);
        c->easy = NULL;
        web_stop(c);
        return err_set(err, EFAIL, "a request cannot be started");
    }
    return OK;
}

void web_stop(struct web_call *c)
{
    if (c->easy) {
        curl_multi_remove_handle(c->web->multi, c->easy);
        curl_easy_cleanup(c->easy);
    }
    c->easy = NULL;
    curl_slist_free_all(c->list);
    c->list = NULL;
}

void web_call_release(struct web_call *c)
{
    web_stop(c);
    buf_release(&c->head);
    buf_release(&c->answer);
}

static enum web_result result_of(CURLcode code)
{
    switch (code) {
    case CURLE_OK: return WEB_ANSWER;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR: return WEB_UNREACHABLE;
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_UPLOAD_FAILED: return WEB_CUT;
    default: return WEB_BROKEN;
    }
}

static void finish(struct web_call *c, CURLcode code)
{
    curl_off_t after = 0;
    long redirects = 0;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &c->status);
    curl_easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &after);
    curl_easy_getinfo(c->easy, CURLINFO_REDIRECT_COUNT, &redirects);
    c->retry_after_s = (int64_t)after;
    c->redirected = redirects > 0;
    c->result = result_of(code);
    if (c->err.code != OK) /* ours */
        c->result = WEB_BROKEN;
    else if (code != CURLE_OK)
        (void)err_set(&c->err, EFAIL, "'%s': %s", show(str_from(c->url)).s,
                      *c->text ? c->text : curl_easy_strerror(code));
    web_stop(c);
}

enum status web_step(struct web *w, int ms, struct web_call **done, struct err *err)
{
    int running, left;
    *done = NULL;
    for (int round = 0; round < 2; round++) {
        if (cancelled(w))
            return stopped(err);
        if (curl_multi_perform(w->multi, &running) != CURLM_OK)
            return err_set(err, EFAIL, "libcurl cannot go on");
        for (CURLMsg *m; (m = curl_multi_info_read(w->multi, &left));) {
            if (m->msg != CURLMSG_DONE)
                continue;
            CURLcode code = m->data.result;
            char *call = NULL;
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &call);
            *done = (struct web_call *)(void *)call;
            finish(*done, code);
            return OK;
        }
        if (round == 0)
            curl_multi_poll(w->multi, NULL, 0, ms < STEP_MS ? ms : STEP_MS, NULL);
    }
    return OK;
}

/* ---- trying again ---- */

enum status web_wait(struct web *w, int64_t ms, struct err *err)
{
    for (int64_t end = clock_ns() + ms * 1000000; clock_ns() < end;) {
        int64_t left = (end - clock_ns()) / 1000000;
        if (cancelled(w))
            return stopped(err);
        struct timespec t = {0, (left < STEP_MS ? left + 1 : STEP_MS) * 1000000L};
        nanosleep(&t, NULL);
    }
    return cancelled(w) ? stopped(err) : OK;
}

bool web_worth_retry(const struct web_call *c, int failures, int64_t *ms)
{
    bool again = c->result == WEB_CUT ||
                 (c->result == WEB_ANSWER &&
                  (c->status == 408 || c->status == 425 || c->status == 429 || c->status >= 500));
    int64_t pause = FIRST_PAUSE_MS;
    for (int i = 1; i < failures && pause < LONGEST_PAUSE_MS; i++)
        pause *= 2;
    pause = pause < LONGEST_PAUSE_MS ? pause : LONGEST_PAUSE_MS;
    pause += clock_ns() % (pause / 4); /* so that many do not come back at once */
    if (c->retry_after_s > 0)
        pause = c->retry_after_s * 1000;
    *ms = pause;
    return again && failures < TRIES && c->retry_after_s <= LONGEST_RETRY_AFTER_S;
}

enum status web_ask(struct web *w, struct web_call *c, struct err *err)
{
    struct web_call *done;
    for (int failures = 0;;) {
        enum status s = web_start(w, c, err);
        do {
            if (s == OK)
                s = web_step(w, STEP_MS, &done, err);
            if (s == OK && done && done != c)
                hearth_bug("web_ask on a client with other requests");
        } while (s == OK && !done);
        int64_t ms;
        if (s == OK && web_worth_retry(c, ++failures, &ms)) {
            s = web_wait(w, ms, err);
            if (s == OK)
                continue;
        }
        if (s != OK)
            web_stop(c);
        else if (c->result != WEB_ANSWER)
            s = err_set(err, c->err.code, "%s", c->err.msg);
        return s;
    }
}

/* ---- answers ---- */

struct str web_header(const struct web_call *c, const char *name)
{
    struct str rest = buf_str(&c->head);
    size_t n = strlen(name);
    while (rest.n) {
        const char *end = memchr(rest.p, '\n', rest.n);
        size_t line = end ? (size_t)(end - rest.p) : rest.n;
        if (line > n && rest.p[n] == ':' && strncasecmp(rest.p, name, n) == 0) {
            struct str v = str_slice(rest, n + 1, line);
            while (v.n && (v.p[0] == ' ' || v.p[0] == '\t'))
                v = str_slice(v, 1, v.n);
            while (v.n && strchr(" \t\r", v.p[v.n - 1]))
                v.n--;
            return v;
        }
        rest = str_slice(rest, end ? line + 1 : line, rest.n);
    }
    return (struct str){NULL, 0};
}

/* What {"errors": [{"message"}]}, {"error"} or plain words say; a page says nothing. */
static struct shown words_of(const struct web_call *c)
{
    json_t *o = NULL;
    struct str said = STR("");
    if (json_parse(&o, buf_str(&c->answer), "answer", NULL) == OK) {
        const json_t *first = json_array_get(json_object_get(o, "errors"), 0);
        const json_t *m = json_object_get(first, "message");
        if (!json_is_string(m))
            m = json_object_get(o, "error");
        if (json_is_string(m))
            said = json_str(m);
    } else if (c->answer.n && c->answer.p[0] != '<') {
        said = buf_str(&c->answer);
    }
    struct shown out = show(said);
    json_decref(o);
    return out;
}

enum status web_status_error(const struct web_call *c, const char *what, struct err *err)
{
    struct shown words = words_of(c);
    char host[300] = "";
    const char *colon = *words.s ? ": " : "";
    (void)web_host(c->url, host, sizeof host);
    if (c->status == 404 || c->status == 410)
        return err_set(err, ENOTFOUND, "%s: not found at %s (HTTP %ld)%s%s", what, host, c->status,
                       colon, words.s);
    if (c->status == 401 || c->status == 403)
        return err_set(err, EFAIL, "%s: %s does not allow it (HTTP %ld)%s%s", what, host, c->status,
                       colon, words.s);
    if (c->status == 429)
        return err_set(err, EBUSY, "%s: %s asks to wait%s (HTTP 429)%s%s", what, host,
                       c->retry_after_s > LONGEST_RETRY_AFTER_S ? " for long" : "", colon, words.s);
    return err_set(err, EFAIL, "%s: %s answered HTTP %ld%s%s", what, host, c->status, colon,
                   words.s);
}

/* ---- URLs ---- */

bool web_host(const char *url, char *out, size_t size)
{
    CURLU *u = curl_url();
    char *host = NULL, *port = NULL;
    bool ok = u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK;
    if (ok) {
        (void)curl_url_get(u, CURLUPART_PORT, &port, 0);
        int n = snprintf(out, size, "%s%s%s", host, port ? ":" : "", port ? port : "");
        ok = n > 0 && (size_t)n < size;
        for (char *p = out; ok && *p; p++)
            *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
    }
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
    return ok;
}

enum status web_resolve(const char *base, struct str location, struct buf *out, struct err *err)
{
    CURLU *u = curl_url();
    char *whole = NULL, *copy = mem_dup(location.p, location.n);
    bool ok = u && copy && curl_url_set(u, CURLUPART_URL, base, 0) == CURLUE_OK &&
              curl_url_set(u, CURLUPART_URL, copy, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_URL, &whole, 0) == CURLUE_OK;
    buf_clear(out);
    if (ok)
        buf_adds(out, whole);
    curl_free(whole);
    curl_url_cleanup(u);
    free(copy);
    return ok ? buf_check(out, "URL", err)
              : err_set(err, EFORMAT, "'%s': no URL to go on with", show(location).s);
}

void web_escape(struct buf *out, struct str text, bool slashes)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     (c && strchr("-._~", c)) || (slashes && c == '/');
        if (plain)
            buf_addc(out, c);
        else
            buf_printf(out, "%%%02X", (unsigned char)c);
    }
}
