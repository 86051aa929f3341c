/* tokenizer.json (Hugging Face tokenizers) with tokenizer_config.json beside it. The parts are in
 * tokenizer_json_*.c; this file puts them together and reads what the configuration says about
 * special tokens. A part of a kind that is not known is EUNSUPPORTED and named: a tokenizer that
 * skips one would be quietly wrong. clean_up_tokenization_spaces is not applied: it drops spaces
 * that the model wrote, and a stream could not be told from the whole text. */
#include "text/tokenizer_json.h"
#include <stdlib.h>

struct str part_type(const json_t *part)
{
    const json_t *type = json_object_get(part, "type");
    return json_is_string(type) ? json_str(type) : (struct str){"", 0};
}

enum status json_no_memory(struct json_loader *l)
{
    return err_set(l->err, ENOMEMORY, "tokenizer.json: no memory");
}

struct str json_keep(struct json_loader *l, struct str s)
{
    char *copy = mem_dup(s.p, s.n);
    if (!tokenizer_own(l->t, copy)) {
        json_no_memory(l);
        return (struct str){NULL, 0};
    }
    return (struct str){copy, s.n};
}

enum status json_pattern(struct json_loader *l, const json_t *pattern, const char *what,
                         struct str *literal, struct str *regex)
{
    const json_t *s = json_is_string(pattern) ? pattern : json_object_get(pattern, "String");
    const json_t *r = json_object_get(pattern, "Regex");
    *literal = *regex = (struct str){NULL, 0};
    if (json_is_string(r)) {
        *regex = json_str(r);
        return OK;
    }
    if (!json_is_string(s))
        return err_set(l->err, EFORMAT, "%s: pattern, expected a String or a Regex", what);
    *literal = json_keep(l, json_str(s));
    return literal->p ? OK : ENOMEMORY;
}

/* Model types of older files have no "type" and are told by their fields. */
static enum model_kind model_kind(const json_t *model, bool *known)
{
    static const struct {
        const char *name;
        enum model_kind kind;
    } rows[] = {
        {"BPE", MODEL_CHAR_BPE},
        {"Unigram", MODEL_UNIGRAM},
        {"WordPiece", MODEL_WORDPIECE},
        {"WordLevel", MODEL_WORDLEVEL},
    };
    struct str type = part_type(model);
    *known = true;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (str_is(type, rows[i].name))
            return rows[i].kind;
    if (type.n == 0 && json_object_get(model, "merges"))
        return MODEL_CHAR_BPE;
    if (type.n == 0 && json_object_get(model, "max_input_chars_per_word"))
        return MODEL_WORDPIECE;
    *known = false;
    return MODEL_CHAR_BPE;
}

/* A special token of tokenizer_config.json: a string, or an object with its content. */
static int32_t config_token(const struct json_loader *l, const json_t *config, const char *key)
{
    const json_t *v = json_object_get(config, key);
    if (json_is_object(v))
        v = json_object_get(v, "content");
    return json_is_string(v) ? tokenizer_find(l->t, json_str(v)) : -1;
}

static void set_specials(struct json_loader *l, const json_t *config)
{
    static const struct {
        const char *key;
        enum special_token which;
    } rows[] = {
        {"bos_token", SPECIAL_BOS}, {"eos_token", SPECIAL_EOS}, {"sep_token", SPECIAL_SEP},
        {"pad_token", SPECIAL_PAD}, {"cls_token", SPECIAL_CLS}, {"mask_token", SPECIAL_MASK},
        {"eot_token", SPECIAL_EOT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        l->t->special[rows[i].which] = config_token(l, config, rows[i].key);
    if (l->t->special[SPECIAL_UNK] < 0)
        l->t->special[SPECIAL_UNK] = l->unk.p ? tokenizer_find(l->t, l->unk) : -1;
}

static enum status finish_model(struct json_loader *l, const json_t *model)
{
    struct tokenizer *t = l->t;
    if (t->model == MODEL_UNIGRAM)
        return unigram_build(t, l->err);
    if (t->model != MODEL_CHAR_BPE && t->model != MODEL_BYTE_BPE)
        return OK;
    enum status s = json_merges(l, json_object_get(model, "merges"));
    if (s == OK && t->model == MODEL_CHAR_BPE && !t->ignore_merges && !t->subword_prefix.n &&
        !t->word_suffix.n)
        tokenizer_find_breaks(t);
    return s;
}

static enum status load(struct json_loader *l, const json_t *root, const json_t *config)
{
    struct tokenizer *t = l->t;
    const json_t *model = json_object_get(root, "model");
    const json_t *added = json_object_get(root, "added_tokens");
    bool known;
    for (int i = 0; i < SPECIAL_COUNT; i++)
        t->special[i] = -1;
    if (!json_is_object(model))
        return err_set(l->err, EFORMAT, "tokenizer.json: model is absent, expected an object");
    t->model = model_kind(model, &known);
    if (!known)
        return err_set(
            l->err, EUNSUPPORTED,
            "tokenizer.json: model '%.*s', expected BPE, Unigram, WordPiece or WordLevel",
            STR_ARG(part_type(model)));
    enum status s = json_pre_tokenizer(l, json_object_get(root, "pre_tokenizer"), 0);
    if (s == OK)
        s = json_pre_tokenizer_end(l);
    if (s == OK && l->byte_level && t->model == MODEL_CHAR_BPE)
        t->model = MODEL_BYTE_BPE;
    if (s == OK)
        s = json_model(l, model, added);
    if (s == OK)
        s = finish_model(l, model);
    if (s == OK)
        s = json_normalizer(l, json_object_get(root, "normalizer"), 0);
    if (s == OK)
        s = json_added(l, added, config);
    if (s != OK)
        return s;
    set_specials(l, config);
    s = json_post_processor(l, json_object_get(root, "post_processor"), config);
    if (s == OK)
        s = json_decoder(l, json_object_get(root, "decoder"), 0);
    if (s == OK)
        s = tokenizer_find_roles(t, false, l->err);
    return s;
}

enum status tokenizer_from_json(struct tokenizer **out, struct str json, struct str config,
                                struct err *err)
{
    json_t *root = NULL, *conf = NULL;
    *out = NULL;
    enum status s = json_parse(&root, json, "tokenizer.json", err);
    if (s == OK && config.n)
        s = json_parse(&conf, config, "tokenizer_config.json", err);
    struct json_loader l = {.err = err};
    if (s == OK) {
        l.t = mem_array(1, sizeof *l.t);
        s = l.t ? load(&l, root, conf) : json_no_memory(&l);
    }
    json_decref(root);
    json_decref(conf);
    if (s != OK) {
        tokenizer_free(l.t);
        return s;
    }
    *out = l.t;
    return OK;
}
