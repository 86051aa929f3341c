/* tokenizer.json: what is put round a text (post_processor) and how ids become text again
 * (decoder). */
#include "text/tokenizer_json.h"
#include <stdlib.h>

/* ---- templates ---- */

static enum status push_item(struct json_loader *l, struct token_template *tpl, int32_t id,
                             int32_t type_id)
{
    struct template_item *item =
        tpl->n < MAX_STAGES ? mem_resize(tpl->item, tpl->n + 1, sizeof *item) : NULL;
    if (!item)
        return err_set(l->err, ELIMIT, "post_processor: more than %d items, or no memory",
                       MAX_STAGES);
    tpl->item = item;
    tpl->item[tpl->n++] = (struct template_item){id, type_id};
    return OK;
}

static enum status push_id(struct json_loader *l, struct token_template *tpl, int64_t id,
                           int32_t type_id)
{
    if (id < 0 || (uint64_t)id >= l->t->n)
        return err_set(l->err, EFORMAT, "post_processor: id %lld, expected below %zu",
                       (long long)id, l->t->n);
    return push_item(l, tpl, (int32_t)id, type_id);
}

/* One entry of single or pair. */
static enum status template_entry(struct json_loader *l, const json_t *v, const json_t *specials,
                                  struct token_template *tpl)
{
    const json_t *special = json_object_get(v, "SpecialToken");
    const json_t *sequence = json_object_get(v, "Sequence");
    const json_t *o = special ? special : sequence;
    struct str id = {NULL, 0};
    int64_t type_id = 0;
    enum status s = json_get_str(o, "id", &id, l->err);
    if (s == OK)
        s = json_get_int(o, "type_id", &type_id, 0, l->err);
    if (s != OK)
        return s;
    if (!id.p || type_id < 0 || type_id > INT32_MAX)
        return err_set(l->err, EFORMAT, "post_processor: expected a SpecialToken or a Sequence");
    if (!special)
        return push_item(l, tpl, str_is(id, "B") ? TEMPLATE_B : TEMPLATE_A, (int32_t)type_id);
    char name[256];
    if (id.n >= sizeof name)
        return err_set(l->err, EFORMAT, "post_processor: special token of %zu bytes", id.n);
    memcpy(name, id.p, id.n);
    name[id.n] = 0;
    const json_t *ids = json_object_get(json_object_get(specials, name), "ids");
    size_t i;
    json_t *k;
    if (!json_is_array(ids))
        return err_set(l->err, EFORMAT, "post_processor.special_tokens: no ids for '%s'", name);
    json_array_foreach(ids, i, k)
    {
        s = s == OK
                ? push_id(l, tpl, json_is_integer(k) ? json_integer_value(k) : -1, (int32_t)type_id)
                : s;
    }
    return s;
}

static enum status post_template(struct json_loader *l, const json_t *part)
{
    const json_t *specials = json_object_get(part, "special_tokens");
    enum status s = OK;
    for (int k = 0; k < 2; k++) {
        struct token_template *tpl = k ? &l->t->pair : &l->t->single;
        const json_t *list = json_object_get(part, k ? "pair" : "single");
        size_t i;
        json_t *v;
        tpl->n = 0;
        json_array_foreach(list, i, v) s = s == OK ? template_entry(l, v, specials, tpl) : s;
    }
    return s;
}

/* ["[SEP]", 102] */
static enum status named_id(struct json_loader *l, const json_t *part, const char *key, int64_t *id)
{
    const json_t *v = json_array_get(json_object_get(part, key), 1);
    if (!json_is_integer(v))
        return err_set(l->err, EFORMAT, "post_processor.%s: expected a token and its id", key);
    *id = json_integer_value(v);
    return OK;
}

static enum status post_bert(struct json_loader *l, const json_t *part)
{
    bool roberta = str_is(part_type(part), "RobertaProcessing");
    int64_t cls, sep;
    int32_t b_type = !roberta;
    enum status s = named_id(l, part, "cls", &cls);
    if (s == OK)
        s = named_id(l, part, "sep", &sep);
    for (int k = 0; k < 2 && s == OK; k++) {
        struct token_template *tpl = k ? &l->t->pair : &l->t->single;
        tpl->n = 0;
        s = push_id(l, tpl, cls, 0);
        s = s == OK ? push_item(l, tpl, TEMPLATE_A, 0) : s;
        s = s == OK ? push_id(l, tpl, sep, 0) : s;
        if (!k)
            continue;
        s = s == OK && roberta ? push_id(l, tpl, sep, 0) : s;
        s = s == OK ? push_item(l, tpl, TEMPLATE_B, b_type) : s;
        s = s == OK ? push_id(l, tpl, sep, b_type) : s;
    }
    return s;
}

static enum status post_part(struct json_loader *l, const json_t *part, int depth)
{
    if (!part || json_is_null(part))
        return OK;
    struct str type = part_type(part);
    if (str_is(type, "TemplateProcessing"))
        return post_template(l, part);
    if (str_is(type, "BertProcessing") || str_is(type, "RobertaProcessing"))
        return post_bert(l, part);
    if (str_is(type, "ByteLevel"))
        return OK; /* only offsets */
    if (!str_is(type, "Sequence") || depth >= JSON_NESTING)
        return err_set(l->err, EUNSUPPORTED, "post_processor: type '%.*s' is not known or too deep",
                       STR_ARG(type));
    enum status s = OK;
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(part, "processors"), i, v)
    {
        s = s == OK ? post_part(l, v, depth + 1) : s;
    }
    return s;
}

/* add_bos_token and add_eos_token, where tokenizer_config.json says them, go over the template. */
static enum status edge_token(struct json_loader *l, struct token_template *tpl, bool front,
                              bool wanted, int32_t id)
{
    if (id < 0 || tpl->n == 0)
        return OK;
    size_t edge = front ? 0 : tpl->n - 1;
    bool there = tpl->item[edge].id == id;
    if (there == wanted)
        return OK;
    if (there) {
        memmove(&tpl->item[edge], &tpl->item[edge + 1], (tpl->n - edge - 1) * sizeof *tpl->item);
        tpl->n--;
        return OK;
    }
    enum status s = push_item(l, tpl, id, tpl->item[edge].type_id);
    if (s == OK && front) {
        struct template_item first = tpl->item[tpl->n - 1];
        memmove(&tpl->item[1], &tpl->item[0], (tpl->n - 1) * sizeof *tpl->item);
        tpl->item[0] = first;
    }
    return s;
}

enum status json_post_processor(struct json_loader *l, const json_t *part, const json_t *config)
{
    struct tokenizer *t = l->t;
    enum status s = push_item(l, &t->single, TEMPLATE_A, 0);
    if (s == OK)
        s = push_item(l, &t->pair, TEMPLATE_A, 0);
    if (s == OK)
        s = push_item(l, &t->pair, TEMPLATE_B, 1);
    if (s == OK)
        s = post_part(l, part, 0);
    for (int k = 0; k < 2 && s == OK; k++) {
        const char *key = k ? "add_eos_token" : "add_bos_token";
        int32_t id = t->special[k ? SPECIAL_EOS : SPECIAL_BOS];
        if (!json_is_boolean(json_object_get(config, key)))
            continue;
        bool wanted = json_is_true(json_object_get(config, key));
        s = edge_token(l, &t->single, !k, wanted, id);
        s = s == OK ? edge_token(l, &t->pair, !k, wanted, id) : s;
    }
    return s;
}

/* ---- decoders ---- */

static enum status add_decoder(struct json_loader *l, struct decoder_stage d)
{
    struct tokenizer *t = l->t;
    struct decoder_stage *list =
        t->n_decoder < MAX_STAGES ? mem_resize(t->decoder, t->n_decoder + 1, sizeof *list) : NULL;
    if (!list)
        return err_set(l->err, ELIMIT, "decoder: more than %d stages, or no memory", MAX_STAGES);
    t->decoder = list;
    t->decoder[t->n_decoder++] = d;
    return OK;
}

static enum status get_text(struct json_loader *l, const json_t *part, const char *key,
                            const char *absent, struct str *out)
{
    struct str s;
    enum status st = json_get_str(part, key, &s, l->err);
    if (st != OK)
        return st;
    *out = json_keep(l, s.p ? s : str_from(absent));
    return out->p ? OK : ENOMEMORY;
}

static enum status dec_byte_level(struct json_loader *l, const json_t *part)
{
    (void)part;
    return add_decoder(l, (struct decoder_stage){.kind = DECODER_BYTE_LEVEL});
}

static enum status dec_byte_fallback(struct json_loader *l, const json_t *part)
{
    (void)part;
    return add_decoder(l, (struct decoder_stage){.kind = DECODER_BYTE_FALLBACK});
}

static enum status dec_fuse(struct json_loader *l, const json_t *part)
{
    (void)part;
    l->fused = true;
    return OK;
}

static enum status dec_wordpiece(struct json_loader *l, const json_t *part)
{
    struct decoder_stage d = {.kind = DECODER_WORDPIECE};
    enum status s = get_text(l, part, "prefix", "##", &d.from);
    if (s == OK)
        s = json_get_bool(part, "cleanup", &d.cleanup, true, l->err);
    return s == OK ? add_decoder(l, d) : s;
}

static enum status dec_metaspace(struct json_loader *l, const json_t *part)
{
    struct decoder_stage d = {.kind = DECODER_METASPACE};
    struct str scheme;
    bool prefix;
    enum status s = get_text(l, part, "replacement", SPM_SPACE, &d.from);
    if (s == OK)
        s = json_get_bool(part, "add_prefix_space", &prefix, true, l->err);
    if (s == OK)
        s = json_get_str(part, "prepend_scheme", &scheme, l->err);
    if (s != OK)
        return s;
    d.prefix = scheme.p ? !str_is(scheme, "never") : prefix;
    return add_decoder(l, d);
}

static enum status dec_replace(struct json_loader *l, const json_t *part)
{
    struct decoder_stage d = {.kind = DECODER_REPLACE};
    struct str regex;
    enum status s =
        json_pattern(l, json_object_get(part, "pattern"), "decoder Replace", &d.from, &regex);
    if (s == OK && (regex.p || l->fused))
        return err_set(
            l->err, EUNSUPPORTED,
            "decoder: Replace of a regex or behind Fuse, expected of a string before it");
    if (s == OK)
        s = get_text(l, part, "content", "", &d.to);
    return s == OK ? add_decoder(l, d) : s;
}

static enum status dec_strip(struct json_loader *l, const json_t *part)
{
    struct decoder_stage d = {.kind = l->fused ? DECODER_STRIP_TEXT : DECODER_STRIP};
    int64_t start, stop;
    enum status s = get_text(l, part, "content", " ", &d.from);
    if (s == OK)
        s = json_get_int(part, "start", &start, 0, l->err);
    if (s == OK)
        s = json_get_int(part, "stop", &stop, 0, l->err);
    if (s != OK)
        return s;
    if (start < 0 || stop < 0 || start > MAX_PIECE || stop > MAX_PIECE || (l->fused && stop))
        return err_set(l->err, EUNSUPPORTED,
                       "decoder: Strip of %lld and %lld, expected a start alone behind Fuse",
                       (long long)start, (long long)stop);
    d.start = (size_t)start;
    d.stop = (size_t)stop;
    return add_decoder(l, d);
}

static const struct {
    const char *type;
    enum status (*fn)(struct json_loader *l, const json_t *part);
} decoder_parts[] = {
    {"ByteLevel", dec_byte_level}, {"ByteFallback", dec_byte_fallback}, {"Fuse", dec_fuse},
    {"WordPiece", dec_wordpiece},  {"Metaspace", dec_metaspace},        {"Replace", dec_replace},
    {"Strip", dec_strip},
};

enum status json_decoder(struct json_loader *l, const json_t *part, int depth)
{
    l->t->decode = DECODE_CHAIN;
    if (!part || json_is_null(part)) {
        l->t->join_with_space = true;
        return OK;
    }
    struct str type = part_type(part);
    if (str_is(type, "Sequence") && depth < JSON_NESTING) {
        enum status s = OK;
        size_t i;
        json_t *v;
        json_array_foreach(json_object_get(part, "decoders"), i, v)
        {
            s = s == OK ? json_decoder(l, v, depth + 1) : s;
        }
        return s;
    }
    for (size_t i = 0; i < sizeof decoder_parts / sizeof *decoder_parts; i++)
        if (str_is(type, decoder_parts[i].type))
            return decoder_parts[i].fn(l, part);
    return err_set(l->err, EUNSUPPORTED, "decoder: type '%.*s' is not known or too deep",
                   STR_ARG(type));
}
