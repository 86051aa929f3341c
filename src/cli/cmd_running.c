/* hearth ps and stop: what a running server has in memory, asked over its API. */
#include "base/json.h"
#include "base/jsonw.h"
#include "cli/commands.h"
#include "server/listen.h"
#include "store/info.h"
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ANSWER_MAX = 16 << 20, CONNECT_SECONDS = 5 };

static size_t take_bytes(char *p, size_t size, size_t n, void *out)
{
    buf_add(out, p, size * n);
    return ((struct buf *)out)->failed ? 0 : size * n;
}

/* http://host:port/path of --host, $HEARTH_HOST or $OLLAMA_HOST. */
static enum status url_of(const struct options *o, const char *path, struct buf *url,
                          struct err *err)
{
    char host[256] = "127.0.0.1";
    int port = -1;
    const char *said = o->host ? o->host : getenv("OLLAMA_HOST");
    bool tls = said && strncmp(said, "https://", 8) == 0;
    if (said && *said) {
        enum status s = listen_parse(str_from(said), host, &port, err);
        if (s != OK)
            return s;
    }
    bool any = strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0 || !*host;
    const char *name = any ? "127.0.0.1" : host;
    bool six = strchr(name, ':') != NULL;
    buf_printf(url, "http%s://%s%s%s:%d%s", tls ? "s" : "", six ? "[" : "", name, six ? "]" : "",
               port < 0 ? LISTEN_PORT : port, path);
    return buf_check(url, "address", err);
}

/* body NULL: GET. The answer as JSON; its "error" becomes ours. */
static enum status ask(const struct options *o, const char *path, const char *body, json_t **out,
                       struct err *err)
{
    struct buf url, answer;
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    const char *key = getenv("HEARTH_API_KEY");
    char bearer[512];
    long http = 0;
    CURL *c = curl_easy_init();
    *out = NULL;
    buf_init(&url, 1024);
    buf_init(&answer, ANSWER_MAX);
    enum status s = c && headers ? url_of(o, path, &url, err)
                                 : err_set(err, ENOMEMORY, "no memory for a request");
    if (s == OK && key && *key) {
        snprintf(bearer, sizeof bearer, "Authorization: Bearer %s", key);
        headers = curl_slist_append(headers, bearer);
    }
    if (s == OK) {
        curl_easy_setopt(c, CURLOPT_URL, url.p);
        curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_bytes);
        curl_easy_setopt(c, CURLOPT_WRITEDATA, &answer);
        if (body)
            curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
        CURLcode rc = curl_easy_perform(c);
        if (rc != CURLE_OK)
            s = err_set(err, EIO, "%s: %s (is 'hearth serve' running?)", url.p,
                        curl_easy_strerror(rc));
        curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &http);
    }
    if (s == OK)
        s = json_parse(out, buf_str(&answer), url.p, err);
    if (s == OK && http >= 400) {
        const char *said = json_string_value(json_object_get(*out, "error"));
        s = err_set(err, http == 404 ? ENOTFOUND : EFAIL, "%s",
                    said ? said : "the server refused without a reason");
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(c);
    buf_release(&url);
    buf_release(&answer);
    return s;
}

/* "4 minutes from now", "Forever": from the RFC 3339 text. */
static void until(const char *text, char *out, size_t size)
{
    struct tm tm = {0};
    char ago[48];
    snprintf(out, size, "%s", "-");
    if (!text || !strptime(text, "%Y-%m-%dT%H:%M:%S", &tm))
        return;
    int64_t now = (int64_t)time(NULL), left = (int64_t)timegm(&tm) - now;
    if (left > (int64_t)50 * 365 * 86400) {
        snprintf(out, size, "Forever");
    } else if (left <= 0) {
        snprintf(out, size, "now");
    } else { /* human_ago, seen from the other side */
        human_ago(1, left * 1000000000 + 1, ago, sizeof ago);
        char *end = strstr(ago, " ago");
        snprintf(out, size, "%.*s from now", end ? (int)(end - ago) : (int)strlen(ago), ago);
    }
}

enum status cmd_ps(const struct options *o, struct err *err)
{
    json_t *answer, *one;
    size_t i;
    enum status s = ask(o, "/api/ps", NULL, &answer, err);
    if (s != OK)
        return s;
    printf("%-32s %-14s %-10s %-12s %-9s %s\n", "NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT",
           "UNTIL");
    json_array_foreach(json_object_get(answer, "models"), i, one)
    {
        char size[32], left[64];
        const char *name = json_string_value(json_object_get(one, "name"));
        const char *digest = json_string_value(json_object_get(one, "digest"));
        human_bytes((uint64_t)json_integer_value(json_object_get(one, "size")), size, sizeof size);
        until(json_string_value(json_object_get(one, "expires_at")), left, sizeof left);
        printf("%-32s %-14.12s %-10s %-12s %-9lld %s\n", name ? name : "?", digest ? digest : "",
               size, "100% CPU",
               (long long)json_integer_value(json_object_get(one, "context_length")), left);
    }
    json_decref(answer);
    return OK;
}

enum status cmd_stop(const struct options *o, struct err *err)
{
    json_t *answer = NULL;
    struct buf body;
    struct jsonw w;
    buf_init(&body, 4096);
    jsonw_init(&w, &body, 0);
    jsonw_obj(&w);
    jsonw_kstr(&w, "model", str_from(o->args[0]));
    jsonw_kint(&w, "keep_alive", 0);
    jsonw_end(&w);
    enum status s = buf_check(&body, "request", err);
    if (s == OK)
        s = ask(o, "/api/unload", body.p, &answer, err);
    json_decref(answer);
    buf_release(&body);
    return s;
}
