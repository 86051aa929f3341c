/* Rendering a conversation with a Go template: the variables that Ollama gives to a model's
 * template, under the same names and with the same types.
 *
 * A template that mentions .Messages sees all of them at once. One that does not (the older kind)
 * is executed once for every turn with .System, .Prompt and .Response; behind the .Response of the
 * last turn its text is left out, since there the answer begins. Tools, a tool's function, its
 * parameters and properties, and a call's arguments print as JSON, as Ollama writes it: only the
 * members of a schema that Ollama knows, properties sorted by name. */
#pragma once
#include "text/gotmpl.h"

/* As gotmpl_compile; {{ .Response }} is appended to a template that mentions neither .Messages nor
 * .Response. */
NODISCARD enum status gotmpl_chat_compile(struct gotmpl **out, struct str source, struct err *err);

/* Whether a template is Go's and not Jinja: one of its {{ actions }} has a .Field that belongs to
 * nothing before it, a $variable, or one of Go's keywords in front. */
bool gotmpl_looks_like(struct str source);

struct gotmpl_chat_vars {
    /* A list of maps as chat_template.h takes it: role, content (a string or a list of parts),
     * thinking or reasoning_content, tool_calls, name or tool_name, tool_call_id. */
    const struct jval *messages;
    const struct jval *tools;  /* a list of {"type": "function", "function": {...}}, or NULL */
    struct str prompt, suffix; /* in place of messages: text around a gap; .p NULL: messages */
    bool think, think_set;     /* .Think, .IsThinkSet */
    struct str level;          /* .ThinkLevel; may be empty */
    int64_t now;               /* seconds since 1970; 0: the clock's */
};

/* Appends the prompt to out, whose ceiling limits it. */
NODISCARD enum status gotmpl_chat_render(const struct gotmpl *t,
                                         const struct gotmpl_chat_vars *vars, struct buf *out,
                                         struct err *err);
