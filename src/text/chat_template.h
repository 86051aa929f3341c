/* Rendering a conversation: the variables that transformers' apply_chat_template gives to a
 * model's template, under the same names.
 *
 * messages, tools, documents and add_generation_prompt are always defined (None when absent, as
 * templates tell "no tools" by `tools is none` and by `not tools`); the special tokens only when
 * the model has them; `extra` adds or replaces any variable. */
#pragma once
#include "text/jinja.h"

struct chat_template_vars {
    const struct jval *messages;  /* a list of maps with role and content; required */
    const struct jval *tools;     /* a list of JSON-schema maps, or NULL */
    const struct jval *documents; /* a list of maps, or NULL */
    bool add_generation_prompt;
    struct str bos_token, eos_token, unk_token, pad_token; /* .p NULL: the model has none */
    const struct jval *extra; /* a map such as {"enable_thinking": false}, or NULL */
    int64_t now;              /* seconds since 1970; 0: the clock's */
};

/* Appends the prompt to out, whose ceiling limits it. EFAIL with the template's own words when it
 * refuses the conversation, EFORMAT when evaluation fails. */
NODISCARD enum status chat_template_render(const struct jinja *t,
                                           const struct chat_template_vars *vars, struct buf *out,
                                           struct err *err);
