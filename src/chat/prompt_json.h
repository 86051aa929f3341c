/* The parts of a conversation that come as JSON text, as a template's values. Private to
 * prompt.c. */
#pragma once
#include "chat/chat.h"
#include "text/jinja.h"

/* The request's tools as a list, or NULL when the template is to see none: the request has none,
 * or forbids to call them. With CHOICE_NAMED only the one that has to be called. EUSAGE for text
 * that is not an array of {"type": "function", "function": {"name": ...}}, EUSAGE for a name
 * that is not among them. */
NODISCARD enum status prompt_tools(struct arena *a, const struct chat_request *r,
                                   const struct jval **out, struct err *err);
/* A call's arguments: a map, or, since an earlier answer may have been no JSON, a string. */
NODISCARD enum status prompt_arguments(struct arena *a, struct str json, struct jval **out,
                                       struct err *err);
