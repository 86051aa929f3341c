/* Ollama's API. ollama.c: generate and chat; ollama_models.c: the rest. */
#pragma once
#include "server/http.h"

handler_fn ollama_generate, ollama_chat;
handler_fn ollama_embed, ollama_embeddings;
handler_fn ollama_tags, ollama_ps, ollama_show, ollama_version;
handler_fn ollama_copy, ollama_delete, ollama_create, ollama_pull, ollama_push;
handler_fn ollama_blob_head, ollama_blob_put;

/* keep_alive: seconds, or a duration such as "10m" or "1h30m"; negative: for ever. Absent:
 * KEEP_DEFAULT. EUSAGE for anything else. */
NODISCARD enum status ollama_keep_alive(const json_t *v, int64_t *ns, struct err *err);
/* Seconds as answers tell durations: nanoseconds, at least 1, since clients take 0 for absent. */
int64_t ollama_ns(double s);
