/* What the handlers work with: http_request.app. */
#pragma once
#include "server/http.h"
#include "server/hub.h"

struct app {
    struct store *store;
    struct hub *hub;
    struct archive *archive; /* NULL: nothing is stored */
    struct batches *batches; /* NULL: none are run */
};

static inline struct app *app_of(const struct http_request *q)
{
    return q->app;
}
