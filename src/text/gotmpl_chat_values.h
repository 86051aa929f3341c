/* Messages and tools as the Go structs that templates of Ollama see. Private to gotmpl_chat.c.
 * All return NULL when the arena is full, and pass NULL on. */
#pragma once
#include "text/jinja_value.h"

struct gmessage {
    struct str role, content, thinking, tool_name, call_id;
    const struct jval *calls[2]; /* lists; two where messages were merged; NULL: none */
};

struct jval *gchat_struct(struct arena *a);
struct jval *gchat_tools(struct arena *a, const struct jval *tools);
struct jval *gchat_message(struct arena *a, const struct gmessage *m);
