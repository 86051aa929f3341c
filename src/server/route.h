/* The table of routes: what there is to ask for. routes.def holds the server's own, one row each;
 * routing, 404 and 405, scopes, docs/api.md and the OpenAPI document all come from such rows. */
#pragma once
#include "server/dialect.h"
#include "server/http.h"

enum route_flag {
    ROUTE_BODY_JSON = 1,      /* takes a JSON object */
    ROUTE_BODY_STREAM = 2,    /* takes bytes, which the handler reads as they come; no ceiling */
    ROUTE_BODY_FORM = 4,      /* multipart/form-data */
    ROUTE_ANSWER_JSON = 8,    /* what it may answer with, for the documents */
    ROUTE_ANSWER_LINES = 16,  /* NDJSON */
    ROUTE_ANSWER_EVENTS = 32, /* server-sent events */
    ROUTE_ANSWER_TEXT = 64,
    ROUTE_ALWAYS = 128, /* answered while the server drains, and not logged (health, metrics) */
};

struct route {
    const char *method;
    const char *path; /* "/api/blobs/{digest}", "/v1/models/{model...}" */
    handler_fn *fn;
    unsigned scope; /* enum scope: one of these bits is needed; SCOPE_NONE: no key either */
    enum dialect dialect;
    const char *summary;
    unsigned flags;
};

/* The server's own routes (routes.def). */
extern const struct route own_routes[];
extern const size_t n_own_routes;

enum { ROUTE_PARAMS = 4 };
struct route_param {
    struct str name, value; /* value: still encoded */
};
struct route_match {
    const struct route *route; /* NULL: none */
    bool path_known;           /* some row has the path, though none the method */
    int n_params;
    struct route_param params[ROUTE_PARAMS];
};

/* The first row that fits; HEAD is answered by GET's where it has no row of its own. A '/' at the
 * end of the path does not count. */
void route_find(const struct route *rows, size_t n, struct str method, struct str path,
                struct route_match *m);
/* "GET, HEAD, OPTIONS": what the path can be asked with. */
void route_methods(const struct route *rows, size_t n, struct str path, struct buf *out);

/* docs/api.md and the OpenAPI 3.1 document, from rows (docs.c). */
void routes_markdown(const struct route *rows, size_t n, struct buf *out);
void routes_openapi(const struct route *rows, size_t n, struct buf *out);
