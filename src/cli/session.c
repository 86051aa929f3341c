#include "cli/session.h"
#ifndef HEARTH_ENGINE_ONLY
#include "base/json.h"
#include "cli/entry.h"
#include "cli/transfer_bar.h"
#include "store/store.h"
#endif
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "chat/local.h"
#include "cli/answer.h"
#include "cli/interrupt.h"
#include <stdio.h>
#include <stdlib.h>

enum { MAX_TEMPLATE = 16 << 20 };

/* A list of the session's own, since /set makes it longer. */
static bool own_list(struct option_list *l)
{
    const char **v = mem_array(l->n ? l->n : 1, sizeof *v);
    for (size_t i = 0; v && i < l->n; i++)
        v[i] = l->v[i];
    l->v = v;
    return v != NULL;
}

#ifndef HEARTH_ENGINE_ONLY
/* Sampling and template as the store's entry has them, where the user is silent. */
static enum status take_entry(struct session *s, const struct store_model *e, struct err *err)
{
    enum status st = entry_options(&s->o, e, &s->arena, err);
    if (st != OK || s->o.chat_template || !e->template_text.p)
        return st;
    buf_addstr(&s->template, e->template_text);
    return buf_check(&s->template, "template", err);
}

/* The entry's system text and the messages that it begins with. */
static enum status take_messages(struct session *s, const struct store_model *e, struct err *err)
{
    json_t *list = NULL;
    enum status st = OK;
    if (e->system.n && !s->o.system)
        st = conversation_set_system(&s->chat, e->system, err);
    if (st == OK && e->messages_json.p)
        st = json_parse(&list, e->messages_json, "messages of the model", err);
    for (size_t i = 0; st == OK && i < json_array_size(list); i++) {
        struct str role, content;
        const json_t *m = json_array_get(list, i);
        st = json_get_str(m, "role", &role, err);
        if (st == OK)
            st = json_get_str(m, "content", &content, err);
        if (st == OK && role.n && content.p)
            st = conversation_add(&s->chat, role.p, content, err);
    }
    json_decref(list);
    return st;
}

/* As with Ollama, a name that no model has here is pulled first. */
static enum status pull_missing(const struct options *o, const char *name, struct err *err)
{
    struct store *store;
    enum status st = open_store(&store, err);
    if (st != OK)
        return st;
    fprintf(stderr, "model '%s' is not on this machine\n", name);
    st = pull_with_bar(store, name, o->insecure, o->threads > 0 ? (int)o->threads : 0, err);
    store_close(store);
    return st;
}

static enum status open_with_entry(struct session *s, const char *name, struct err *err)
{
    char *path;
    struct store_model *entry;
    enum status st = model_find(name, &path, &entry, err);
    if (st == ENOTFOUND && model_is_name(name) && !transfer_offline()) {
        st = pull_missing(&s->o, name, err);
        if (st == OK)
            st = model_find(name, &path, &entry, err);
    }
    if (st == OK && entry)
        st = take_entry(s, entry, err);
    free(path);
    store_model_free(entry);
    return st;
}
#endif

enum status session_open(struct session *s, const struct options *o, struct err *err)
{
    int64_t start = clock_ns();
    *s = (struct session){.o = *o};
    arena_init(&s->arena, MAX_TEMPLATE);
    buf_init(&s->template, MAX_TEMPLATE);
    bool room = own_list(&s->o.stop);
    room = own_list(&s->o.logit_bias) && room;
    enum status st = room ? OK : err_set(err, ENOMEMORY, "no memory for a session");
    if (st == OK && o->chat_template)
        st = file_read(o->chat_template, &s->template, err);
#ifndef HEARTH_ENGINE_ONLY
    if (st == OK)
        st = open_with_entry(s, o->args[0], err);
#endif
    if (st == OK)
        st = load_model(&s->l, &s->o, true, err);
    if (st == OK)
        st = load_draft(&s->l, &s->o, err);
    if (st == OK)
        st = local_new(
            &s->provider, s->l.engine,
            o->chat_template || s->template.n ? buf_str(&s->template) : (struct str){NULL, 0}, err);
    if (st == OK && o->system)
        st = conversation_set_system(&s->chat, str_from(o->system), err);
#ifndef HEARTH_ENGINE_ONLY
    if (st == OK && s->l.entry)
        st = take_messages(s, s->l.entry, err);
#endif
    s->load_s = clock_since(start);
    return st;
}

void session_close(struct session *s)
{
    provider_free(s->provider);
    conversation_release(&s->chat);
    unload(&s->l);
    buf_release(&s->template);
    arena_release(&s->arena);
    free(s->o.stop.v);
    free(s->o.logit_bias.v);
    for (size_t i = 0; i < s->n_kept; i++)
        free(s->kept[i]);
    free(s->kept);
}

static enum status thinking_of(const struct options *o, enum chat_thinking *out, struct err *err)
{
    *out = THINK_DEFAULT;
    if (!o->think)
        return OK;
    if (strcmp(o->think, "on") == 0)
        *out = THINK_ON;
    else if (strcmp(o->think, "off") == 0)
        *out = THINK_OFF;
    else
        return err_set(err, EUSAGE, "--think: '%s', expected on or off", o->think);
    return OK;
}

/* The answer goes into the conversation, even one that was stopped: it is what stands above. */
static enum status keep_answer(struct session *s, struct answer *a, struct err *err)
{
    enum status st = buf_check(&a->text, "answer", err);
    if (st == OK)
        st = buf_check(&a->thinking, "thinking", err);
    if (st == OK)
        st = conversation_add(&s->chat, "assistant", buf_str(&a->text), err);
    if (st == OK)
        st = conversation_set_thinking(&s->chat, buf_str(&a->thinking), err);
    if (st == OK && a->usage.end == GEN_CONTEXT)
        st = err_set(err, ECONTEXT,
                     "the context of %lld tokens is full and the answer cut, expected --ctx with "
                     "more, --context-shift, or /clear",
                     (long long)engine_n_ctx(s->l.engine));
    return st;
}

enum status session_ask(struct session *s, struct str text, struct err *err)
{
    int64_t start = clock_ns();
    struct chat_request r = {0};
    struct answer a;
    enum status st = thinking_of(&s->o, &r.thinking, err);
    if (st == OK)
        st = generation_from(&r.params, &s->o, s->l.model, err);
    if (st == OK && !s->o.raw)
        st = conversation_add(&s->chat, "user", text, err);
    if (st != OK)
        goto params;
    r.params.draft_model = s->l.drafter;
    if (s->o.raw) {
        r.prompt = text;
    } else {
        r.messages = s->chat.m;
        r.n_messages = s->chat.n;
    }
    answer_init(&a, model_tokenizer(s->l.model), s->o.logprobs >= 0 ? (int)s->o.logprobs : -1);
    struct chat_sink sink = answer_sink(&a);
    st = provider_chat(s->provider, &r, &sink, err);
    answer_finish(&a);
    if (st != OK && !s->o.raw)
        conversation_pop(&s->chat);
    if (st == OK && a.usage.end == GEN_CANCELLED && a.text.n == 0)
        conversation_pop(&s->chat); /* stopped before a word: as if never asked */
    else if (st == OK)
        st = keep_answer(s, &a, err);
    if (s->o.raw)
        conversation_clear(&s->chat);
    if (s->o.verbose && (st == OK || st == ECONTEXT))
        answer_tell_usage(&a, s->load_s, clock_since(start) + s->load_s);
    s->load_s = 0; /* it counts for the first answer only */
    answer_release(&a);
params:
    free((void *)(uintptr_t)r.params.stop);
    free((void *)(uintptr_t)r.params.sampler.bias);
    return st;
}

/* Copies text for as long as the session lives. */
static const char *keep(struct session *s, const char *text)
{
    char **kept = mem_resize(s->kept, s->n_kept + 1, sizeof *kept);
    if (!kept)
        return NULL;
    s->kept = kept;
    kept[s->n_kept] = mem_dup(text, strlen(text));
    return kept[s->n_kept] ? kept[s->n_kept++] : NULL;
}

enum status session_set(struct session *s, const char *name, const char *value, struct err *err)
{
    static const char *const other_names[][2] = {
        {"temperature", "temp"}, {"num-predict", "max-tokens"}, {"typical-p", "typical"}};
    /* an error in a value shows only when sampling is set up */
    struct options before = s->o;
    struct gen_params check;
    char option[64];
    snprintf(option, sizeof option, "%s", name);
    for (char *p = option; *p; p++)
        if (*p == '_')
            *p = '-';
    for (size_t i = 0; i < sizeof other_names / sizeof *other_names; i++)
        if (strcmp(option, other_names[i][0]) == 0)
            snprintf(option, sizeof option, "%s", other_names[i][1]);
    const char *kept = keep(s, value);
    if (!kept)
        return err_set(err, ENOMEMORY, "/set: no memory");
    enum status st = options_set(&s->o, option, kept, err);
    if (st != OK)
        return st;
    st = generation_from(&check, &s->o, s->l.model, err);
    free((void *)(uintptr_t)check.stop);
    free((void *)(uintptr_t)check.sampler.bias);
    if (st != OK) {
        /* a list that has grown may have moved */
        before.stop.v = s->o.stop.v;
        before.logit_bias.v = s->o.logit_bias.v;
        s->o = before;
    }
    return st;
}
