#include "server/openai_page.h"
#include "base/show.h"
#include <stdio.h>
#include <stdlib.h>

enum { LIMIT_MAX = 10000, LIMIT_DEFAULT = 20 };

enum status openai_page(const struct http_request *q, struct archive_page *p, struct err *err)
{
    struct str limit = http_query(q, "limit"), order = http_query(q, "order");
    char *end;
    *p = (struct archive_page){.owner = q->key_name,
                               .after = http_query(q, "after"),
                               .oldest_first = str_is(order, "asc"),
                               .limit = LIMIT_DEFAULT};
    if (order.p && !str_is(order, "asc") && !str_is(order, "desc"))
        return err_set(err, EUSAGE, "order: '%s', expected asc or desc", show(order).s);
    if (!limit.p)
        return OK;
    p->limit = limit.n ? strtol(limit.p, &end, 10) : 0; /* http_query's texts end with a NUL */
    if (limit.n == 0 || *end || p->limit < 1 || p->limit > LIMIT_MAX)
        return err_set(err, EUSAGE, "limit: '%s', expected 1 to %d", show(limit).s, LIMIT_MAX);
    return OK;
}

void openai_list_begin(struct openai_list *l, struct buf *out)
{
    *l = (struct openai_list){.any = false};
    jsonw_init(&l->w, out, 0);
    jsonw_obj(&l->w);
    jsonw_kstr(&l->w, "object", STR("list"));
    jsonw_key(&l->w, "data");
    jsonw_arr(&l->w);
}

void openai_list_add(struct openai_list *l, struct str id, struct str json)
{
    snprintf(l->last, sizeof l->last, "%.*s", STR_ARG(id));
    if (!l->any)
        memcpy(l->first, l->last, sizeof l->first);
    l->any = true;
    jsonw_raw(&l->w, json);
}

static void id_or_null(struct openai_list *l, const char *key, const char *id)
{
    jsonw_key(&l->w, key);
    if (l->any)
        jsonw_str(&l->w, str_from(id));
    else
        jsonw_null(&l->w);
}

void openai_list_end(struct openai_list *l, bool more)
{
    jsonw_end(&l->w);
    id_or_null(l, "first_id", l->first);
    id_or_null(l, "last_id", l->last);
    jsonw_kbool(&l->w, "has_more", more);
    jsonw_end(&l->w);
}

enum status openai_deleted(struct reply *r, struct str id, const char *object, struct err *err)
{
    struct buf out;
    struct jsonw w;
    buf_init(&out, 4096);
    jsonw_init(&w, &out, 0);
    jsonw_obj(&w);
    jsonw_kstr(&w, "id", id);
    jsonw_kstr(&w, "object", str_from(object));
    jsonw_kbool(&w, "deleted", true);
    jsonw_end(&w);
    enum status s = buf_check(&out, "answer", err);
    if (s == OK)
        reply_json(r, 200, &out);
    buf_release(&out);
    return s;
}
