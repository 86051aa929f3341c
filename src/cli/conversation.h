/* The messages of a chat in the terminal: an optional system message first, then turns. */
#pragma once
#include "chat/chat.h"

struct conversation {
    struct chat_message *m; /* roles, contents and thinking are owned */
    size_t n, cap;
};

void conversation_release(struct conversation *c);
/* Copies both. */
NODISCARD enum status conversation_add(struct conversation *c, const char *role, struct str content,
                                       struct err *err);
/* What the last message's author thought before; copied. */
NODISCARD enum status conversation_set_thinking(struct conversation *c, struct str thinking,
                                                struct err *err);
void conversation_pop(struct conversation *c); /* the last message, if there is one */
/* Replaces the system message; an empty text takes it away. */
NODISCARD enum status conversation_set_system(struct conversation *c, struct str content,
                                              struct err *err);
void conversation_clear(struct conversation *c); /* keeps the system message */

/* {"messages": [{"role", "content", "thinking"}]}, thinking only where there is some, as chat APIs
 * take it. */
NODISCARD enum status conversation_save(const struct conversation *c, const char *path,
                                        struct err *err);
#ifndef HEARTH_ENGINE_ONLY
/* That, or the array alone. On an error c is as it was. */
NODISCARD enum status conversation_load(struct conversation *c, const char *path, struct err *err);
#endif
