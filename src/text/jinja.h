/* Chat templates: the Jinja2 that real models use, rendered byte for byte as Hugging Face
 * transformers renders it (trim_blocks, lstrip_blocks, loop controls, its tojson, strftime_now,
 * raise_exception, generation blocks).
 *
 * A template is compiled once (immutable, shareable between threads) and rendered with a context
 * of values. Templates come with models and are untrusted: steps, output, depth and memory have
 * ceilings, and no template can reach anything but its context. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include <stdint.h>

enum jval_kind {
    JV_UNDEFINED,
    JV_NULL,
    JV_BOOL,
    JV_INT,
    JV_FLOAT,
    JV_STRING,
    JV_LIST,
    JV_MAP,
    JV_CALLABLE,
    JV_NAMESPACE, /* only inside a rendering */
};

/* A value in an arena; lists and maps keep insertion order. Handle by pointer, never freed alone.
 * Opaque outside text/. */
struct jval;

/* Building a context. Each returns NULL when the arena is full; passing NULL on is allowed and
 * keeps the result NULL, so that one check at the end is enough. */
struct jval *jval_null(struct arena *a);
struct jval *jval_bool(struct arena *a, bool v);
struct jval *jval_int(struct arena *a, int64_t v);
struct jval *jval_float(struct arena *a, double v);
struct jval *jval_str(struct arena *a, struct str v); /* copied */
struct jval *jval_list(struct arena *a);
struct jval *jval_map(struct arena *a);
struct jval *jval_list_add(struct arena *a, struct jval *list, struct jval *v);
struct jval *jval_map_set(struct arena *a, struct jval *map, struct str key, struct jval *v);
const struct jval *jval_map_get(const struct jval *map, struct str key); /* NULL: absent */
enum jval_kind jval_kind(const struct jval *v);

#ifndef HEARTH_ENGINE_ONLY
#include "base/json.h"
struct jval *jval_from_json(struct arena *a, const json_t *v); /* NULL: arena full */
#endif

struct jinja; /* a compiled template */

/* EFORMAT with line and column for a template that does not parse. */
NODISCARD enum status jinja_compile(struct jinja **out, struct str source, struct err *err);
void jinja_free(struct jinja *t);

struct jinja_limits {
    uint64_t max_steps; /* evaluations; 0: 10 million */
    size_t max_memory;  /* bytes of values made while rendering; 0: 256 MB */
};

struct jinja_options {
    struct jinja_limits limits;
    int64_t now; /* seconds since 1970 for strftime_now; the zone is the local one */
};

/* Renders with the map `context`; the ceiling of `out` limits the output. EFAIL with the
 * template's own words when it calls raise_exception; EFORMAT for an error in evaluation. */
NODISCARD enum status jinja_render(const struct jinja *t, const struct jval *context,
                                   const struct jinja_options *opt, struct buf *out,
                                   struct err *err);
