/* Names of models: [host/][namespace/]model[:tag], as Ollama and Docker's registries write them.
 *
 * hf.co/user/repo:QUANT has three parts and a tag. Missing parts: registry.ollama.ai, library,
 * latest. Compared without regard to case; case is kept. Parts are at most 80 bytes (the host 350),
 * begin with a letter, digit or '_', and go on with these, '-' and '.' (no '.' in the namespace of
 * a registry, but hf.co users may have one; ':' only in a host's port): no part can leave a folder.
 */
#pragma once
#include "base/buf.h"

#define NAME_HOST      "registry.ollama.ai"
#define NAME_NAMESPACE "library"
#define NAME_TAG       "latest"

struct model_name {
    char host[351], ns[81], model[81], tag[81];
};

/* https:// or http:// before it is passed over. EUSAGE telling which part is wrong. */
NODISCARD enum status name_parse(struct model_name *out, struct str text, struct err *err);
/* The shortest text that means it, with its tag: "llama3.2:1b", "hf.co/user/repo:Q4_K_M". */
void name_short(const struct model_name *n, struct buf *out);
/* All four parts: "registry.ollama.ai/library/llama3.2:1b". */
void name_full(const struct model_name *n, struct buf *out);
bool name_equal(const struct model_name *a, const struct model_name *b);
