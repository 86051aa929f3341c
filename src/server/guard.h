/* What is refused before anything else looks at a request: framing that two programs could read
 * differently (CWE-444), a Host that is not ours (DNS rebinding), an Origin that is not allowed
 * (CORS). Pure functions over the headers. */
#pragma once
#include "base/buf.h"
#include <stdint.h>

struct header {
    struct str name, value;
};
struct headers {
    const struct header *at;
    size_t n;
};
/* The first of that name, without regard to case; .p NULL: absent. */
struct str headers_get(const struct headers *h, const char *name);

/* More than one Content-Length, Transfer-Encoding or Host; the first two together;
 * Transfer-Encoding that is not "chunked" or comes with HTTP/1.0; names that are no tokens; no Host
 * with HTTP/1.1. EUSAGE naming which. *length: what Content-Length says, or -1. */
NODISCARD enum status guard_framing(const struct headers *h, struct str version, int64_t *length,
                                    struct err *err);

/* May a server on loopback be called by this name? As Ollama: addresses that are loopback, private,
 * unspecified or this machine's own; "localhost", this machine's name, names under .localhost,
 * .local and .internal; none at all. */
bool guard_host(struct str host_header);

/* Is the origin one of ours (same host), a local one, or one of `more` ('*' stands for anything)?
 */
bool guard_origin(struct str origin, struct str host_header, const char *const *more,
                  size_t n_more);
/* Access-Control-Allow-Headers for what a preflight asks for: the usual ones, and what it names
 * that begins with x-stainless- (OpenAI's and Anthropic's SDKs in a browser). */
void guard_allow_headers(struct str asked, struct buf *out);
