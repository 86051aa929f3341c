/* The provider that answers with the engine of this machine: one conversation at a time, whose
 * tokens stay in the KV cache, so that the next request computes only what differs. */
#pragma once
#include "chat/chat.h"
#include "engine/engine.h"

/* The engine is borrowed and must outlive the provider; while the provider lives, it owns the
 * engine's thread and one of its sequences. chat_template: in place of the model's own; .p NULL:
 * the model's. Release with provider_free. */
NODISCARD enum status local_new(struct provider **out, struct engine *e, struct str chat_template,
                                struct err *err);
