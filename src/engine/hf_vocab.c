/* tokenizer.json as tokenizer.ggml.* metadata.
 *
 * GGUF knows a pre-tokenizer only by name, so the sequence of splits that tokenizer.json describes
 * is matched against the ones that have a name; one that has none is refused rather than guessed.
 * SentencePiece models get scores from their merges (the earlier, the higher), which makes the
 * merging of scores do what the merges did. */
#include "engine/hf_int.h"
#include "base/file.h"
#include "base/json.h"
#include "base/show.h"
#include "text/split.h"
#include <stdio.h>

enum { FILE_MAX = 512 << 20, VOCAB_MEMORY = 1 << 30 };

struct exporter {
    struct gguf_writer *w;
    struct err *err;
    struct arena arena;
    json_t *tokenizer, *config, *model_config; /* the files; config may be NULL */
    const json_t *vocab, *merges;              /* of the tokenizer's model */
    struct str *pieces;                        /* (n) */
    int32_t *types;                            /* (n) */
    float *scores;                             /* (n) */
    size_t n;
};

/* ---- tokens ---- */

static enum status place_token(struct exporter *x, const json_t *id, struct str piece, int32_t type)
{
    int64_t i = json_is_integer(id) ? json_integer_value(id) : -1;
    if (i < 0 || (uint64_t)i >= x->n)
        return err_set(x->err, EFORMAT,
                       "tokenizer.json: id of token '%s' is %lld, expected 0 to %zu", show(piece).s,
                       (long long)i, x->n - 1);
    if (x->types[i] && !str_eq(x->pieces[i], piece))
        return err_set(x->err, EFORMAT, "tokenizer.json: tokens '%s' and '%s' have the id %lld",
                       show(x->pieces[i]).s, show(piece).s, (long long)i);
    x->pieces[i] = piece;
    x->types[i] = type;
    return OK;
}

static bool is_byte_token(struct str s)
{
    return s.n == 6 && str_starts(s, STR("<0x")) && s.p[5] == '>';
}

/* WordPiece: continuations lose their "##", words get SentencePiece's mark, as in llama.cpp. */
static struct str wordpiece(struct exporter *x, struct str s)
{
    if (str_starts(s, STR("##")))
        return str_slice(s, 2, s.n);
    char *p = arena_alloc(&x->arena, s.n + 3);
    if (!p)
        return s;
    memcpy(p, "\xe2\x96\x81", 3);
    memcpy(p + 3, s.p, s.n);
    return (struct str){p, s.n + 3};
}

static enum status place_vocab(struct exporter *x, bool bytes, bool words)
{
    json_t *vocab = (json_t *)(uintptr_t)x->vocab;
    enum status s = OK;
    for (void *it = json_object_iter(vocab); it && s == OK; it = json_object_iter_next(vocab, it)) {
        struct str piece = {json_object_iter_key(it), json_object_iter_key_len(it)};
        bool special = words && piece.n > 2 && piece.p[0] == '[' && piece.p[piece.n - 1] == ']';
        int32_t type = bytes && is_byte_token(piece) ? TOKEN_BYTE : TOKEN_NORMAL;
        s = place_token(x, json_object_iter_value(it),
                        words && !special ? wordpiece(x, piece) : piece, type);
    }
    return s;
}

/* added_tokens override: they are what the text of a token stands for, whole. */
static enum status place_added(struct exporter *x)
{
    const json_t *added = json_object_get(x->tokenizer, "added_tokens"), *t;
    size_t i;
    enum status s = OK;
    json_array_foreach(added, i, t)
    {
        const json_t *text = json_object_get(t, "content"), *id = json_object_get(t, "id");
        bool special = json_is_true(json_object_get(t, "special"));
        if (!json_is_string(text))
            return err_set(x->err, EFORMAT, "tokenizer.json: added token %zu has no content", i);
        int64_t at = json_is_integer(id) ? json_integer_value(id) : -1;
        if (at >= 0 && (uint64_t)at < x->n)
            x->types[at] = 0; /* may be there already, perhaps in another spelling */
        s = place_token(x, id, json_str(text), special ? TOKEN_CONTROL : TOKEN_USER_DEFINED);
        if (s != OK)
            return s;
    }
    return s;
}

/* Rows of the embedding that no token claims. */
static void fill_gaps(struct exporter *x)
{
    for (size_t i = 0; i < x->n; i++) {
        char name[32];
        if (x->types[i])
            continue;
        int n = snprintf(name, sizeof name, "[PAD%zu]", i);
        x->pieces[i] = arena_str(&x->arena, (struct str){name, (size_t)n});
        x->types[i] = TOKEN_UNUSED;
    }
}

/* ---- merges ---- */

/* A merge is "left right" or ["left", "right"]. */
static bool merge_parts(const json_t *m, struct str *left, struct str *right)
{
    if (json_is_array(m) && json_array_size(m) == 2 && json_is_string(json_array_get(m, 0)) &&
        json_is_string(json_array_get(m, 1))) {
        *left = json_str(json_array_get(m, 0));
        *right = json_str(json_array_get(m, 1));
        return true;
    }
    if (!json_is_string(m))
        return false;
    struct str s = json_str(m);
    const char *space = s.n > 1 ? memchr(s.p + 1, ' ', s.n - 1) : NULL;
    if (!space)
        return false;
    *left = str_slice(s, 0, (size_t)(space - s.p));
    *right = str_slice(s, left->n + 1, s.n);
    return true;
}

static struct str join(struct exporter *x, struct str a, struct str b, const char *between)
{
    size_t gap = strlen(between);
    char *p = arena_alloc(&x->arena, a.n + gap + b.n + 1);
    if (!p)
        return (struct str){NULL, 0};
    memcpy(p, a.p, a.n);
    memcpy(p + a.n, between, gap);
    memcpy(p + a.n + gap, b.p, b.n);
    return (struct str){p, a.n + gap + b.n};
}

static enum status bad_merge(struct exporter *x, size_t i)
{
    return err_set(x->err, EFORMAT, "tokenizer.json: merge %zu is no pair of tokens", i);
}

static enum status put_merges(struct exporter *x)
{
    size_t n = json_array_size(x->merges);
    struct str *list = arena_array(&x->arena, n + 1, sizeof *list), left, right;
    if (!list)
        return err_set(x->err, ENOMEMORY, "no memory for %zu merges", n);
    for (size_t i = 0; i < n; i++) {
        if (!merge_parts(json_array_get(x->merges, i), &left, &right) ||
            memchr(left.p, ' ', left.n) || memchr(right.p, ' ', right.n))
            return bad_merge(x, i);
        list[i] = join(x, left, right, " ");
        if (!list[i].p)
            return err_set(x->err, ENOMEMORY, "no memory for %zu merges", n);
    }
    gguf_put_strs(x->w, "tokenizer.ggml.merges", list, n);
    return OK;
}

static enum status put_scores(struct exporter *x)
{
    size_t n = json_array_size(x->merges);
    struct str left, right;
    /* what no merge makes comes after everything that one does */
    for (size_t i = 0; i < x->n; i++)
        x->scores[i] = x->types[i] == TOKEN_NORMAL ? -(float)n - 1 : 0;
    for (size_t i = n; i-- > 0;) { /* backwards: the earliest merge of a piece has the last word */
        if (!merge_parts(json_array_get(x->merges, i), &left, &right))
            return bad_merge(x, i);
        struct str piece = join(x, left, right, "");
        const json_t *id = piece.p ? json_object_getn(x->vocab, piece.p, piece.n) : NULL;
        if (!json_is_integer(id))
            return err_set(x->err, EFORMAT,
                           "tokenizer.json: merge %zu makes '%s', which is no token", i,
                           show(piece).s);
        x->scores[json_integer_value(id)] = -(float)i;
    }
    gguf_put_f32s(x->w, "tokenizer.ggml.scores", x->scores, x->n);
    return OK;
}

/* ---- pre-tokenizer ---- */

struct stages {
    split_fn *fn[SPLIT_STAGES + 1];
    size_t n;
};

/* Adds what one pre-tokenizer does; false when it has no splitter. */
static bool add_stage(struct stages *st, const json_t *p)
{
    const char *type = json_string_value(json_object_get(p, "type"));
    const json_t *pattern = json_object_get(json_object_get(p, "pattern"), "Regex");
    const json_t *list = json_object_get(p, "pretokenizers"), *inner;
    split_fn *fn = NULL;
    size_t i;
    if (!type)
        return false;
    if (strcmp(type, "Sequence") == 0) {
        json_array_foreach(list, i, inner)
        {
            if (strcmp(json_string_value(json_object_get(inner, "type"))
                           ? json_string_value(json_object_get(inner, "type"))
                           : "Sequence",
                       "Sequence") == 0 ||
                !add_stage(st, inner))
                return false;
        }
        return true;
    }
    if (strcmp(type, "ByteLevel") == 0) {
        if (json_is_false(json_object_get(p, "use_regex")))
            return true;
        fn = split_gpt2;
    } else if (strcmp(type, "Split") == 0 && json_is_string(pattern)) {
        fn = split_for_regex(json_str(pattern));
    } else if (strcmp(type, "Digits") == 0 &&
               json_is_true(json_object_get(p, "individual_digits"))) {
        fn = split_digits;
    }
    if (!fn || st->n == SPLIT_STAGES)
        return false;
    st->fn[st->n++] = fn;
    return true;
}

static enum status put_pre(struct exporter *x)
{
    struct stages st = {.n = 0};
    const json_t *pre = json_object_get(x->tokenizer, "pre_tokenizer");
    const struct split_recipe *r = NULL;
    if (json_is_object(pre) && add_stage(&st, pre))
        r = split_find_stages(st.fn);
    if (!r)
        return err_set(x->err, EUNSUPPORTED,
                       "tokenizer.json: the pre-tokenizer is none that GGUF has a name for");
    gguf_put_str(x->w, "tokenizer.ggml.pre", str_from(r->name));
    return OK;
}

/* ---- ids and flags ---- */

/* A token named by tokenizer_config.json (a string or an object), else by config.json's id. */
static int64_t special_id(const struct exporter *x, const char *name)
{
    char key[64];
    const json_t *v = json_object_get(x->config, name);
    if (json_is_object(v))
        v = json_object_get(v, "content");
    for (size_t i = 0; json_is_string(v) && i < x->n; i++) {
        if (str_eq(x->pieces[i], json_str(v)))
            return (int64_t)i;
    }
    snprintf(key, sizeof key, "%s_id", name);
    v = json_object_get(x->model_config, key);
    if (json_is_array(v))
        v = json_array_get(v, 0);
    int64_t id = json_is_integer(v) ? json_integer_value(v) : -1;
    return id >= 0 && (uint64_t)id < x->n ? id : -1;
}

/* Whether the post-processor puts the token at the beginning (or end) of every text. */
static bool adds(const struct exporter *x, int64_t id, bool at_end)
{
    const json_t *p = json_object_get(x->tokenizer, "post_processor"), *inner, *found = NULL;
    const json_t *list = json_object_get(p, "processors");
    size_t i;
    if (json_is_object(p) && !list)
        found = json_object_get(p, "single");
    json_array_foreach(list, i, inner)
    {
        if (json_object_get(inner, "single"))
            found = json_object_get(inner, "single");
    }
    size_t n = json_array_size(found);
    const json_t *item = n ? json_array_get(found, at_end ? n - 1 : 0) : NULL;
    const json_t *name = json_object_get(json_object_get(item, "SpecialToken"), "id");
    return json_is_string(name) && id >= 0 && str_eq(json_str(name), x->pieces[id]);
}

static bool flag(const struct exporter *x, const char *key, bool otherwise)
{
    const json_t *v = json_object_get(x->config, key);
    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

static void put_ids(struct exporter *x, bool words)
{
    static const struct {
        const char *name, *key;
        bool words; /* only WordPiece has it */
    } rows[] = {
        {"bos_token", "tokenizer.ggml.bos_token_id", false},
        {"eos_token", "tokenizer.ggml.eos_token_id", false},
        {"unk_token", "tokenizer.ggml.unknown_token_id", false},
        {"pad_token", "tokenizer.ggml.padding_token_id", false},
        /* the specification's own spelling */
        {"sep_token", "tokenizer.ggml.seperator_token_id", true},
        {"mask_token", "tokenizer.ggml.mask_token_id", true},
    };
    int64_t first[2] = {-1, -1}; /* BOS and EOS, which encoders call CLS and SEP */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].words && !words)
            continue;
        int64_t id = special_id(x, rows[i].name);
        if (i < 2 && words)
            id = special_id(x, i ? "sep_token" : "cls_token");
        if (i < 2)
            first[i] = id;
        if (id >= 0)
            gguf_put_u32(x->w, rows[i].key, (uint32_t)id);
    }
    gguf_put_bool(x->w, "tokenizer.ggml.add_bos_token",
                  words || flag(x, "add_bos_token", adds(x, first[0], false)));
    gguf_put_bool(x->w, "tokenizer.ggml.add_eos_token",
                  words || flag(x, "add_eos_token", adds(x, first[1], true)));
}

/* SentencePiece's space in front: a Prepend in the normalizer, or Metaspace's. */
static bool prepends_space(const struct exporter *x)
{
    const json_t *norm = json_object_get(x->tokenizer, "normalizer"), *v;
    const json_t *list = json_object_get(norm, "normalizers");
    const json_t *scheme =
        json_object_get(json_object_get(x->tokenizer, "pre_tokenizer"), "prepend_scheme");
    size_t i;
    bool found = json_object_get(norm, "prepend") != NULL;
    json_array_foreach(list, i, v)
    {
        found = found || json_object_get(v, "prepend") != NULL;
    }
    return found || (json_is_string(scheme) && strcmp(json_string_value(scheme), "never") != 0);
}

/* ---- the three kinds ---- */

static enum status export_tokens(struct exporter *x, bool bytes, bool words)
{
    enum status s = place_vocab(x, bytes, words);
    if (s == OK)
        s = place_added(x);
    if (s != OK)
        return s;
    fill_gaps(x);
    gguf_put_strs(x->w, "tokenizer.ggml.tokens", x->pieces, x->n);
    gguf_put_i32s(x->w, "tokenizer.ggml.token_type", x->types, x->n);
    return OK;
}

static enum status export_bpe(struct exporter *x)
{
    gguf_put_str(x->w, "tokenizer.ggml.model", STR("gpt2"));
    enum status s = put_pre(x);
    if (s == OK)
        s = export_tokens(x, false, false);
    return s == OK ? put_merges(x) : s;
}

static enum status export_spm(struct exporter *x)
{
    gguf_put_str(x->w, "tokenizer.ggml.model", STR("llama"));
    gguf_put_str(x->w, "tokenizer.ggml.pre", STR("default"));
    enum status s = export_tokens(x, true, false);
    if (s == OK && !prepends_space(x))
        gguf_put_bool(x->w, "tokenizer.ggml.add_space_prefix", false);
    return s == OK ? put_scores(x) : s;
}

static enum status export_wordpiece(struct exporter *x)
{
    const json_t *lower = json_object_get(json_object_get(x->tokenizer, "normalizer"), "lowercase");
    gguf_put_str(x->w, "tokenizer.ggml.model", STR("bert"));
    gguf_put_str(x->w, "tokenizer.ggml.pre", STR("default"));
    gguf_put_bool(x->w, "tokenizer.ggml.normalizer.lowercase", !json_is_false(lower));
    return export_tokens(x, false, true);
}

static enum status export_model(struct exporter *x)
{
    const json_t *model = json_object_get(x->tokenizer, "model");
    const json_t *type_v = json_object_get(model, "type");
    const char *type = json_is_string(type_v) ? json_string_value(type_v) : "BPE";
    x->vocab = json_object_get(model, "vocab");
    x->merges = json_object_get(model, "merges");
    bool words = strcmp(type, "WordPiece") == 0;
    if (!json_is_object(x->vocab) || (!words && strcmp(type, "BPE") != 0))
        return err_set(x->err, EUNSUPPORTED,
                       "tokenizer.json: model is %s, expected BPE or WordPiece with a vocabulary",
                       show(str_from(type)).s);
    enum status s = words                                                   ? export_wordpiece(x)
                    : json_is_true(json_object_get(model, "byte_fallback")) ? export_spm(x)
                                                                            : export_bpe(x);
    if (s == OK)
        put_ids(x, words);
    return s;
}

/* The default template, and each further one under its name. */
static void put_templates(const struct model *m, struct gguf_writer *w)
{
    for (size_t i = 0; i < m->n_templates; i++) {
        char key[128];
        struct str name = m->templates[i].name;
        if (name.n > 64)
            continue;
        snprintf(key, sizeof key, "tokenizer.chat_template%s%.*s", name.n ? "." : "",
                 STR_ARG(name));
        gguf_put_str(w, key, m->templates[i].text);
    }
}

static enum status read_json(const char *folder, const char *name, bool needed, json_t **out,
                             struct err *err)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return err_set(err, EUSAGE, "path '%s' is too long", show(str_from(folder)).s);
    return needed || file_exists(path) ? json_parse_file(out, path, FILE_MAX, err) : OK;
}

enum status hf_put_vocab(const struct model *m, const char *folder, struct gguf_writer *w,
                         struct err *err)
{
    struct exporter x = {.w = w, .err = err, .n = (size_t)m->hp.n_vocab};
    arena_init(&x.arena, VOCAB_MEMORY);
    x.pieces = arena_array(&x.arena, x.n, sizeof *x.pieces);
    x.types = arena_array(&x.arena, x.n, sizeof *x.types);
    x.scores = arena_array(&x.arena, x.n, sizeof *x.scores);
    enum status s = x.pieces && x.types && x.scores
                        ? OK
                        : err_set(err, ENOMEMORY, "no memory for %zu tokens", x.n);
    if (s == OK)
        s = read_json(folder, "tokenizer.json", true, &x.tokenizer, err);
    if (s == OK)
        s = read_json(folder, "tokenizer_config.json", false, &x.config, err);
    if (s == OK)
        s = read_json(folder, "config.json", true, &x.model_config, err);
    if (s == OK)
        s = export_model(&x);
    if (s == OK)
        put_templates(m, w);
    json_decref(x.tokenizer);
    json_decref(x.config);
    json_decref(x.model_config);
    arena_release(&x.arena);
    return s;
}
