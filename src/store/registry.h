/* A repository of a registry: OCI's distribution protocol, as Docker's and Ollama's registries
 * speak it, with the ways to be let in: nobody in particular (a token that is given to everybody),
 * a name and password or a token from HEARTH_REGISTRY_TOKEN, or the user's Ollama key. */
#pragma once
#include "store/name.h"
#include "store/web.h"

struct registry;

/* text: the name as it was written, for its scheme. It has an HTTP client of its own, so that
 * tokens can be fetched while blobs are. */
NODISCARD enum status registry_open(struct registry **out, const struct model_name *name,
                                    struct str text, bool insecure, const atomic_int *cancel,
                                    struct err *err);
void registry_close(struct registry *r); /* NULL is allowed */
/* Whether requests to that registry go over http; EUSAGE for http:// without `insecure`. */
NODISCARD enum status registry_plain(struct str text, bool insecure, bool *plain, struct err *err);

/* SCHEME://HOST/v2/NAMESPACE/MODEL/ and what the format says. */
NODISCARD enum status registry_url(const struct registry *r, struct buf *out, struct err *err,
                                   const char *fmt, ...) PRINTF_LIKE(4, 5);
/* A request with the registry's Authorization, once more with a new one when it is refused. OK:
 * there is an answer, of any status. */
NODISCARD enum status registry_ask(struct registry *r, struct web_call *c, struct err *err);
/* For fetch.authorize. ctx: the registry. */
NODISCARD enum status registry_authorize(void *ctx, const struct web_call *refused,
                                         const char **value, struct err *err);

/* ---- what comes from strangers ---- */

/* Appends the address of the token service that a challenge names (what stands behind "Bearer "),
 * with what that wants to know. EFORMAT: it names none. */
NODISCARD enum status registry_token_url(struct str challenge, struct buf *url, struct err *err);
/* {"token"} or {"access_token"} of such a service: "Bearer TOKEN", in place of what was there. */
NODISCARD enum status registry_read_token(struct str answer, struct buf *authorization,
                                          struct err *err);

/* ---- registry_key.c ---- */

/* The Authorization of Ollama's token service: "PUBLIC:SIGNATURE", by the Ed25519 key in
 * ~/.ollama/id_ed25519 over "GET,url,digest of nothing". false: there is no such key, or it is kept
 * under a password. */
bool registry_sign(const char *url, struct buf *out);
