/* tokenizer.ggml.* to a vocabulary description. What a file leaves out has the meaning that
 * llama.cpp gives it, since the converters write files for it: the table below. */
#include "engine/vocab_gguf.h"
#include "base/log.h"

static const struct model_row {
    const char *name;
    enum vocab_kind kind;
    int32_t bos, eos, unk, sep, pad, mask; /* -1: none */
    bool add_bos, add_eos, add_space_prefix;
} models[] = {
    {"gpt2", VOCAB_BPE, 11, 11, -1, -1, -1, -1, false, false, false},
    {"llama", VOCAB_SPM, 1, 2, 0, -1, -1, -1, true, false, true},
    {"t5", VOCAB_UNIGRAM, -1, 1, 2, -1, 0, -1, false, true, false},
    {"bert", VOCAB_WORDPIECE, 101, -1, 100, 102, 0, 103, true, false, false},
};

/* Pre-tokenizer names whose vocabularies differ from their model's row. */
static const struct {
    const char *pre;
    bool add_bos, no_bos;
} pre_rows[] = {
    {"llama-bpe", true, false},   {"llama3", true, false},    {"llama-v3", true, false},
    {"falcon3", true, false},     {"falcon-h1", true, false}, {"pixtral", true, false},
    {"midm-2.0", true, false},    {"lfm2", true, false},      {"jina-v5-nano", true, false},
    {"tekken", true, false},      {"chameleon", true, false}, {"glm4", false, true},
    {"chatglm-bpe", false, true},
};

static enum status get_id(const struct gguf *g, const char *key, int32_t absent, size_t n,
                          int32_t *out, struct err *err)
{
    int64_t v;
    enum status s = gguf_get_int(g, key, &v, -1, err);
    *out = absent >= 0 && (size_t)absent < n ? absent : -1;
    if (s != OK || v == -1)
        return s;
    if (v >= 0 && (uint64_t)v < n)
        *out = (int32_t)v;
    else
        log_warn("%s: %lld, expected below %zu; using %d", key, (long long)v, n, *out);
    return OK;
}

static enum status get_ids(const struct gguf *g, const struct model_row *m, struct vocab_desc *d,
                           struct err *err)
{
    const struct {
        const char *key;
        int32_t absent;
        int32_t *out;
    } rows[] = {
        {"tokenizer.ggml.bos_token_id", m->bos, &d->bos},
        {"tokenizer.ggml.eos_token_id", m->eos, &d->eos},
        {"tokenizer.ggml.unknown_token_id", m->unk, &d->unk},
        {"tokenizer.ggml.seperator_token_id", m->sep, &d->sep}, /* as the format spells it */
        {"tokenizer.ggml.padding_token_id", m->pad, &d->pad},
        {"tokenizer.ggml.cls_token_id", -1, &d->cls},
        {"tokenizer.ggml.mask_token_id", m->mask, &d->mask},
        {"tokenizer.ggml.eot_token_id", -1, &d->eot},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum status s = get_id(g, rows[i].key, rows[i].absent, d->n, rows[i].out, err);
        if (s != OK)
            return s;
    }
    const struct {
        const char *key, *old_key;
        int32_t *out;
    } fim[] = {
        {"tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.prefix_token_id", &d->fim_pre},
        {"tokenizer.ggml.fim_suf_token_id", "tokenizer.ggml.suffix_token_id", &d->fim_suf},
        {"tokenizer.ggml.fim_mid_token_id", "tokenizer.ggml.middle_token_id", &d->fim_mid},
    };
    for (size_t i = 0; i < sizeof fim / sizeof *fim; i++) {
        enum status s = get_id(g, fim[i].old_key, -1, d->n, fim[i].out, err);
        if (s == OK)
            s = get_id(g, fim[i].key, *fim[i].out, d->n, fim[i].out, err);
        if (s != OK)
            return s;
    }
    return OK;
}

static enum status get_flags(const struct gguf *g, const struct model_row *m, struct vocab_desc *d,
                             struct err *err)
{
    bool add_bos = m->add_bos;
    for (size_t i = 0; d->kind == VOCAB_BPE && i < sizeof pre_rows / sizeof *pre_rows; i++) {
        if (!str_is(d->pre, pre_rows[i].pre))
            continue;
        add_bos = pre_rows[i].add_bos;
        if (pre_rows[i].no_bos && !gguf_find(g, "tokenizer.ggml.bos_token_id"))
            d->bos = -1;
    }
    enum status s = gguf_get_bool(g, "tokenizer.ggml.add_bos_token", &d->add_bos, add_bos, err);
    if (s == OK)
        s = gguf_get_bool(g, "tokenizer.ggml.add_eos_token", &d->add_eos, m->add_eos, err);
    if (s == OK)
        s = gguf_get_bool(g, "tokenizer.ggml.add_space_prefix", &d->add_space_prefix,
                          m->add_space_prefix, err);
    if (s == OK)
        s = gguf_get_bool(g, "tokenizer.ggml.remove_extra_whitespaces",
                          &d->remove_extra_whitespaces, false, err);
    return s;
}

/* An array key of strings, with its length checked against the file by the reader. */
static enum status get_strings(const struct gguf *g, const char *key, struct arena *a,
                               const struct str **out, size_t *n, struct err *err)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    struct str *list = kv ? arena_array(a, kv->n ? kv->n : 1, sizeof *list) : NULL;
    if (!kv)
        return OK;
    if (kv->type != GGUF_ARRAY || kv->elem_type != GGUF_STRING)
        return err_set(err, EFORMAT, "%s: expected an array of strings", key);
    if (!list)
        return err_set(err, ENOMEMORY, "%s: no memory for %llu strings", key,
                       (unsigned long long)kv->n);
    *out = list;
    *n = kv->n;
    return gguf_array_strings(kv, list, err);
}

static enum status get_scores(const struct gguf *g, struct arena *a, struct vocab_desc *d,
                              struct err *err)
{
    const struct gguf_kv *kv = gguf_find(g, "tokenizer.ggml.scores");
    if (!kv)
        return OK;
    if (kv->n < d->n)
        return err_set(err, EFORMAT, "tokenizer.ggml.scores: %llu numbers, expected %zu",
                       (unsigned long long)kv->n, d->n);
    float *scores = arena_array(a, kv->n, sizeof *scores);
    if (!scores)
        return err_set(err, ENOMEMORY, "tokenizer.ggml.scores: no memory");
    d->scores = scores;
    return gguf_array_floats(kv, scores, err);
}

static enum status get_types(const struct gguf *g, struct arena *a, struct vocab_desc *d,
                             struct err *err)
{
    const struct gguf_kv *kv = gguf_find(g, "tokenizer.ggml.token_type");
    if (!kv)
        return OK;
    if (kv->n < d->n)
        return err_set(err, EFORMAT, "tokenizer.ggml.token_type: %llu numbers, expected %zu",
                       (unsigned long long)kv->n, d->n);
    int64_t *wide = arena_array(a, kv->n, sizeof *wide);
    int32_t *types = arena_array(a, kv->n, sizeof *types);
    if (!wide || !types)
        return err_set(err, ENOMEMORY, "tokenizer.ggml.token_type: no memory");
    enum status s = gguf_array_ints(kv, wide, err);
    for (size_t i = 0; s == OK && i < kv->n; i++)
        types[i] = wide[i] >= 0 && wide[i] <= TOKEN_BYTE ? (int32_t)wide[i] : 0;
    d->types = types;
    return s;
}

static const struct model_row *find_model(struct str name)
{
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (str_is(name, models[i].name))
            return &models[i];
    return NULL;
}

enum status vocab_from_gguf(const struct gguf *g, struct arena *a, struct vocab_desc *d,
                            struct err *err)
{
    struct str name;
    *d = (struct vocab_desc){0};
    enum status s = gguf_get_str(g, "tokenizer.ggml.model", &name, err);
    if (s != OK)
        return s;
    if (!name.p)
        return err_set(err, ENOTFOUND, "tokenizer.ggml.model: absent, the file has no vocabulary");
    const struct model_row *m = find_model(name);
    if (!m)
        return err_set(err, EUNSUPPORTED,
                       "tokenizer.ggml.model: '%.*s', expected gpt2, llama, t5 or bert",
                       (int)(name.n < 64 ? name.n : 64), name.p);
    d->kind = m->kind;
    s = gguf_get_str(g, "tokenizer.ggml.pre", &d->pre, err);
    if (s == OK)
        s = get_strings(g, "tokenizer.ggml.tokens", a, &d->pieces, &d->n, err);
    if (s == OK && d->n == 0)
        return err_set(err, EFORMAT, "tokenizer.ggml.tokens: absent or empty, expected the pieces");
    if (s == OK)
        s = get_strings(g, "tokenizer.ggml.merges", a, &d->merges, &d->n_merges, err);
    if (s == OK && d->kind == VOCAB_BPE && !d->merges)
        return err_set(err, EFORMAT, "tokenizer.ggml.merges: absent, expected the merges of gpt2");
    if (s == OK)
        s = get_scores(g, a, d, err);
    if (s == OK)
        s = get_types(g, a, d, err);
    if (s == OK)
        s = get_ids(g, m, d, err);
    if (s == OK)
        s = get_flags(g, m, d, err);
    if (s != OK)
        return s;
    const struct gguf_kv *map = gguf_find(g, "tokenizer.ggml.precompiled_charsmap");
    if (map &&
        (map->type != GGUF_ARRAY || (map->elem_type != GGUF_U8 && map->elem_type != GGUF_I8)))
        return err_set(err, EFORMAT,
                       "tokenizer.ggml.precompiled_charsmap: expected an array of bytes");
    if (map)
        d->precompiled_charsmap = (struct str){(const char *)map->p, map->bytes};
    return OK;
}

enum status tokenizer_from_gguf(struct tokenizer **out, const struct gguf *g, struct arena *a,
                                struct err *err)
{
    struct vocab_desc d;
    *out = NULL;
    enum status s = vocab_from_gguf(g, a, &d, err);
    return s == OK ? tokenizer_from_vocab(out, &d, err) : s;
}
