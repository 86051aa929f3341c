/* OpenAI's lists: ?limit, ?after, ?order, and {"object": "list", "data", "first_id", "last_id",
 * "has_more"}. */
#pragma once
#include "base/jsonw.h"
#include "server/archive.h"
#include "server/http.h"

enum { PAGE_ID = 80 };

/* Fills p, owner and all; newest first and 20 where nothing is said. EUSAGE. */
NODISCARD enum status openai_page(const struct http_request *q, struct archive_page *p,
                                  struct err *err);

struct openai_list {
    struct jsonw w;
    char first[PAGE_ID], last[PAGE_ID]; /* ids longer than that are cut, and ours are not */
    bool any;
};
void openai_list_begin(struct openai_list *l, struct buf *out);
void openai_list_add(struct openai_list *l, struct str id, struct str json);
void openai_list_end(struct openai_list *l, bool more);

/* {"id", "object", "deleted": true} */
NODISCARD enum status openai_deleted(struct reply *r, struct str id, const char *object,
                                     struct err *err);
