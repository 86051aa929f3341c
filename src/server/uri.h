/* What we parse of a request ourselves: its target, its query, the Host header. Input is hostile;
 * nothing here allocates except into the caller's buffer. */
#pragma once
#include "base/buf.h"

/* Splits a request target, origin-form ("/a?b") or absolute-form ("http://host/a?b"), into the path
 * (begins with '/') and the query (without '?'), both still encoded. False: neither form. */
bool uri_split(struct str target, struct str *path, struct str *query);

/* Appends s with its %XX decoded (and '+' as a space, in a query). False: a broken escape, or a NUL
 * byte. */
bool uri_decode(struct str s, bool plus, struct buf *out);

/* The value of the first `name=value` of a query, still encoded. False: absent. */
bool uri_query(struct str query, const char *name, struct str *value);

/* "host", "host:port", "[v6]:port" of a Host header; the name without brackets, port -1 when there
 * is none. False: not of this form. */
bool uri_host(struct str header, struct str *name, int *port);
