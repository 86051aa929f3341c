/* tokenizer.json: the vocabulary, the merges and the added tokens. Ids come from the file: every
 * one is checked, none may be given twice, and gaps must be small, so that a file can't ask for
 * more memory than its own size explains. */
#include "text/tokenizer_json.h"
#include <math.h>
#include <stdlib.h>

struct vocab_entry {
    struct str piece;
    int64_t id;
    double score;
};

struct vocab_list {
    struct vocab_entry *entry;
    size_t n;
};

static int quoted(struct str s)
{
    return s.n < 64 ? (int)s.n : 64;
}

/* {"piece": id, ...} */
static enum status list_object(struct json_loader *l, json_t *vocab, struct vocab_list *list)
{
    const char *key;
    json_t *v;
    list->entry = mem_array(json_object_size(vocab), sizeof *list->entry);
    if (!list->entry)
        return json_no_memory(l);
    json_object_foreach(vocab, key, v)
    {
        if (!json_is_integer(v))
            return err_set(l->err, EFORMAT, "model.vocab: '%.64s' has no id, expected an integer",
                           key);
        list->entry[list->n++] = (struct vocab_entry){str_from(key), json_integer_value(v), 0};
    }
    return OK;
}

/* [["piece", score], ...] */
static enum status list_array(struct json_loader *l, const json_t *vocab, struct vocab_list *list)
{
    size_t i;
    json_t *v;
    list->entry = mem_array(json_array_size(vocab), sizeof *list->entry);
    if (!list->entry)
        return json_no_memory(l);
    json_array_foreach(vocab, i, v)
    {
        const json_t *piece = json_array_get(v, 0), *score = json_array_get(v, 1);
        if (!json_is_string(piece) || !json_is_number(score))
            return err_set(l->err, EFORMAT, "model.vocab[%zu]: expected a piece and its score", i);
        list->entry[list->n++] =
            (struct vocab_entry){json_str(piece), (int64_t)i, json_number_value(score)};
    }
    return OK;
}

static enum status check_id(struct json_loader *l, const char *what, struct str piece, int64_t id,
                            size_t entries)
{
    if (id >= 0 && (uint64_t)id < entries * 4 + 65536 && id < MAX_VOCAB)
        return OK;
    return err_set(l->err, EFORMAT, "%s: '%.*s' has id %lld, expected 0 to %zu", what,
                   quoted(piece), piece.p, (long long)id, entries * 4 + 65535);
}

/* Id and content of an entry of added_tokens. */
static enum status added_entry(struct json_loader *l, const json_t *v, size_t i,
                               struct str *content, int64_t *id)
{
    const json_t *c = json_object_get(v, "content"), *k = json_object_get(v, "id");
    if (!json_is_string(c) || !json_is_integer(k))
        return err_set(l->err, EFORMAT, "added_tokens[%zu]: expected an id and a content", i);
    *content = json_str(c);
    *id = json_integer_value(k);
    return OK;
}

/* The number of ids: one more than the greatest, of vocabulary and added tokens. */
static enum status count_ids(struct json_loader *l, const struct vocab_list *list,
                             const json_t *added, size_t *n, size_t *bytes)
{
    size_t entries = list->n + json_array_size(added), i;
    json_t *v;
    *n = *bytes = 0;
    for (i = 0; i < list->n; i++) {
        const struct vocab_entry *e = &list->entry[i];
        enum status s = check_id(l, "model.vocab", e->piece, e->id, entries);
        if (s != OK)
            return s;
        *n = (size_t)e->id >= *n ? (size_t)e->id + 1 : *n;
        *bytes += e->piece.n;
    }
    json_array_foreach(added, i, v)
    {
        struct str content;
        int64_t id;
        enum status s = added_entry(l, v, i, &content, &id);
        if (s == OK)
            s = check_id(l, "added_tokens", content, id, entries);
        if (s != OK)
            return s;
        *n = (size_t)id >= *n ? (size_t)id + 1 : *n;
        *bytes += content.n;
    }
    return *n ? OK : err_set(l->err, EFORMAT, "model.vocab: empty, expected pieces");
}

static enum status place(struct json_loader *l, struct str *piece, char **blob, struct str s,
                         int64_t id, const char *what)
{
    if (piece[id].p && !str_eq(piece[id], s))
        return err_set(l->err, EFORMAT, "%s: id %lld is '%.*s' and '%.*s', expected one of them",
                       what, (long long)id, quoted(piece[id]), piece[id].p, quoted(s), s.p);
    if (piece[id].p)
        return OK;
    memcpy(*blob, s.p, s.n);
    piece[id] = (struct str){*blob, s.n};
    *blob += s.n;
    return OK;
}

/* Pieces by id, in memory of our own. */
static enum status fill(struct json_loader *l, const struct vocab_list *list, const json_t *added)
{
    struct tokenizer *t = l->t;
    size_t bytes, i;
    json_t *v;
    enum status s = count_ids(l, list, added, &t->n, &bytes);
    if (s != OK)
        return s;
    struct str *piece = mem_array(t->n, sizeof *piece);
    float *score = mem_array(t->n, sizeof *score);
    char *blob = malloc(bytes + 1);
    bool kept = tokenizer_own(t, piece);
    kept &= tokenizer_own(t, score);
    kept &= tokenizer_own(t, blob);
    t->attr = kept ? mem_array(t->n, 1) : NULL;
    if (!kept || !tokenizer_own(t, t->attr))
        return json_no_memory(l);
    t->piece = piece;
    t->score = score;
    memset(t->attr, TOKEN_UNUSED, t->n);
    for (i = 0; s == OK && i < list->n; i++) {
        const struct vocab_entry *e = &list->entry[i];
        s = place(l, piece, &blob, e->piece, e->id, "model.vocab");
        score[e->id] = (float)e->score;
        t->attr[e->id] = TOKEN_NORMAL;
    }
    json_array_foreach(added, i, v)
    {
        struct str content = {"", 0};
        int64_t id = 0;
        if (s == OK)
            s = added_entry(l, v, i, &content, &id);
        if (s == OK)
            s = place(l, piece, &blob, content, id, "added_tokens");
    }
    for (i = 0; i < t->n; i++)
        if (!piece[i].p)
            piece[i] = (struct str){"", 0};
    return s;
}

/* A field that is a short string or null. */
static enum status short_string(struct json_loader *l, const json_t *model, const char *key,
                                const char *absent, struct str *out)
{
    struct str s;
    enum status st = json_get_str(model, key, &s, l->err);
    if (st != OK)
        return st;
    if (!s.p)
        s = str_from(absent);
    if (s.n > 32)
        return err_set(l->err, EFORMAT, "model.%s: %zu bytes, expected at most 32", key, s.n);
    *out = json_keep(l, s);
    return out->p ? OK : ENOMEMORY;
}

static enum status options(struct json_loader *l, const json_t *model)
{
    struct tokenizer *t = l->t;
    int64_t chars;
    bool wordpiece = t->model == MODEL_WORDPIECE;
    enum status s = json_get_bool(model, "byte_fallback", &t->byte_fallback, false, l->err);
    if (s == OK)
        s = json_get_bool(model, "ignore_merges", &t->ignore_merges, false, l->err);
    if (s == OK)
        s = json_get_bool(model, "fuse_unk", &t->fuse_unk, false, l->err);
    if (s == OK)
        s = short_string(l, model, "continuing_subword_prefix", wordpiece ? "##" : "",
                         &t->subword_prefix);
    if (s == OK)
        s = short_string(l, model, "end_of_word_suffix", "", &t->word_suffix);
    if (s == OK)
        s = json_get_int(model, "max_input_chars_per_word", &chars, 100, l->err);
    if (s != OK)
        return s;
    t->max_word_chars = chars < 0 ? 0 : (size_t)chars;
    if (wordpiece && t->subword_prefix.n == 0)
        return err_set(l->err, EUNSUPPORTED,
                       "model.continuing_subword_prefix: empty, expected a prefix");
    struct str unk;
    s = json_get_str(model, "unk_token", &unk, l->err);
    if (s == OK && unk.p) {
        l->unk = json_keep(l, unk);
        s = l->unk.p ? OK : ENOMEMORY;
    }
    return s;
}

static enum status unknown_id(struct json_loader *l, const json_t *model)
{
    int64_t id;
    enum status s = json_get_int(model, "unk_id", &id, -1, l->err);
    if (s != OK)
        return s;
    if (id < -1 || id >= (int64_t)l->t->n)
        return err_set(l->err, EFORMAT, "model.unk_id: %lld, expected below %zu", (long long)id,
                       l->t->n);
    l->t->special[SPECIAL_UNK] = (int32_t)id;
    return OK;
}

enum status json_model(struct json_loader *l, const json_t *model, const json_t *added)
{
    struct vocab_list list = {0};
    json_t *vocab = json_object_get(model, "vocab");
    bool unigram = l->t->model == MODEL_UNIGRAM;
    if (unigram ? !json_is_array(vocab) : !json_is_object(vocab))
        return err_set(l->err, EFORMAT, "model.vocab: expected %s",
                       unigram ? "a list of pieces and scores" : "an object of pieces and ids");
    enum status s = unigram ? list_array(l, vocab, &list) : list_object(l, vocab, &list);
    if (s == OK)
        s = fill(l, &list, added);
    free(list.entry);
    if (s == OK)
        s = options(l, model);
    if (s == OK)
        s = tokenizer_index(l->t, l->t->model == MODEL_BYTE_BPE, false, "model.vocab", l->err);
    if (s != OK)
        return s;
    for (int b = 0; b < 256 && l->t->byte_fallback; b++)
        if (l->t->byte_id[b] >= 0)
            l->t->attr[l->t->byte_id[b]] = TOKEN_BYTE;
    l->t->special[SPECIAL_UNK] = l->unk.p ? tokenizer_find(l->t, l->unk) : -1;
    return unigram ? unknown_id(l, model) : OK;
}

/* ---- merges ---- */

/* Appends a piece in the form that the model matches: bytes, for byte-level BPE. */
static bool add_piece(const struct tokenizer *t, struct str s, struct buf *out)
{
    if (t->model != MODEL_BYTE_BPE) {
        buf_addstr(out, s);
        return !out->failed;
    }
    size_t before = out->n;
    char *p = buf_grow(out, s.n);
    size_t n = p ? byte_level_decode(s, p) : SIZE_MAX;
    if (n == SIZE_MAX)
        return false;
    out->n = before + n;
    return true;
}

static int32_t find_bytes(const struct tokenizer *t, const char *p, size_t n)
{
    return n == 0 || n > t->max_piece
               ? -1
               : piece_table_find(&t->table, t->bytes, p, n, hash_bytes(p, n));
}

static enum status add_merge(struct json_loader *l, struct str left, struct str right, size_t rank,
                             struct buf *word)
{
    struct tokenizer *t = l->t;
    int32_t a = -1, b = -1, ab = -1;
    buf_clear(word);
    if (add_piece(t, left, word)) {
        size_t cut = word->n;
        a = find_bytes(t, word->p, cut);
        if (add_piece(t, right, word)) {
            b = find_bytes(t, word->p + cut, word->n - cut);
            /* the right part's own prefix is not part of what the merge makes */
            size_t skip = t->subword_prefix.n;
            if (skip && word->n - cut >= skip) {
                memmove(word->p + cut, word->p + cut + skip, word->n - cut - skip);
                word->n -= skip;
            }
            ab = find_bytes(t, word->p, word->n);
        }
    }
    if (a < 0 || b < 0 || ab < 0)
        return err_set(
            l->err, EFORMAT,
            "model.merges[%zu]: '%.*s' and '%.*s', expected pieces of the vocabulary that "
            "make a piece of it",
            rank, quoted(left), left.p, quoted(right), right.p);
    merge_table_add(&t->merges, (struct merge){a, b, ab}, (uint32_t)rank, true);
    return OK;
}

enum status json_merges(struct json_loader *l, const json_t *merges)
{
    struct buf word;
    size_t i;
    json_t *v;
    if (!json_is_array(merges))
        return err_set(l->err, EFORMAT, "model.merges: expected a list");
    enum status s = merge_table_init(&l->t->merges, json_array_size(merges),
                                     l->t->model == MODEL_BYTE_BPE, l->err);
    buf_init(&word, 2 * MAX_PIECE);
    json_array_foreach(merges, i, v)
    {
        const json_t *a = json_array_get(v, 0), *b = json_array_get(v, 1);
        if (s != OK)
            break;
        if (json_is_string(v)) {
            struct str line = json_str(v);
            const char *space = memchr(line.p, ' ', line.n);
            size_t cut = space ? (size_t)(space - line.p) : line.n;
            s = space ? add_merge(l, str_slice(line, 0, cut), str_slice(line, cut + 1, line.n), i,
                                  &word)
                      : err_set(l->err, EFORMAT,
                                "model.merges[%zu]: '%.*s', expected two pieces and a space", i,
                                quoted(line), line.p);
        } else if (json_is_string(a) && json_is_string(b) && json_array_size(v) == 2) {
            s = add_merge(l, json_str(a), json_str(b), i, &word);
        } else {
            s = err_set(l->err, EFORMAT, "model.merges[%zu]: expected two pieces", i);
        }
    }
    buf_release(&word);
    if (s == OK && l->t->merges.byte_pair)
        merge_table_bytes(&l->t->merges, l->t->byte_id);
    return s;
}

/* ---- added tokens ---- */

static enum status add_flags(struct json_loader *l, const json_t *v, struct added_token *a)
{
    enum status s = json_get_bool(v, "special", &a->special, false, l->err);
    if (s == OK)
        s = json_get_bool(v, "lstrip", &a->lstrip, false, l->err);
    if (s == OK)
        s = json_get_bool(v, "rstrip", &a->rstrip, false, l->err);
    if (s == OK)
        s = json_get_bool(v, "single_word", &a->single_word, false, l->err);
    if (s == OK)
        s = json_get_bool(v, "normalized", &a->normalized, !a->special, l->err);
    return s;
}

/* Tokens that match normalized text are looked for in their own normalized form. */
static enum status normalize_content(struct json_loader *l, struct added_token *a)
{
    struct encoder e;
    struct tokens none = {0};
    encoder_init(&e, l->t, 0, &none, l->err);
    struct str s = norm_run(&e, a->content);
    if (e.status == OK) {
        a->content = json_keep(l, s);
        if (!a->content.p)
            e.status = ENOMEMORY;
    }
    tokens_free(&none);
    return encoder_done(&e);
}

static enum status add_one(struct json_loader *l, const json_t *v, int32_t id)
{
    struct tokenizer *t = l->t;
    struct added_token a = {.content = t->piece[id], .id = id};
    enum status s = add_flags(l, v, &a);
    if (s != OK || a.content.n == 0)
        return s;
    t->attr[id] = a.special ? TOKEN_CONTROL : TOKEN_USER_DEFINED;
    struct added_set *set = a.normalized && t->n_norm ? &t->added_normalized : &t->added;
    if (set == &t->added_normalized)
        s = normalize_content(l, &a);
    if (s == OK && a.content.n)
        set->token[set->n++] = a;
    return s;
}

/* added_tokens_decoder of tokenizer_config.json: flags of tokens, by id. Tokens that tokenizer.json
 * lists have their flags there; others only count when they are in the vocabulary. */
static enum status add_config(struct json_loader *l, const json_t *by_id, const bool *seen)
{
    const char *key;
    json_t *v;
    enum status s = OK;
    json_object_foreach((json_t *)(uintptr_t)by_id, key, v)
    {
        char *end;
        long id = strtol(key, &end, 10);
        const json_t *content = json_object_get(v, "content");
        if (s != OK)
            break;
        if (*end || id < 0 || (size_t)id >= l->t->n || seen[id] || !json_is_string(content) ||
            !str_eq(json_str(content), l->t->piece[id]))
            continue;
        s = add_one(l, v, (int32_t)id);
    }
    return s;
}

enum status json_added(struct json_loader *l, const json_t *added, const json_t *config)
{
    struct tokenizer *t = l->t;
    const json_t *by_id = json_object_get(config, "added_tokens_decoder");
    size_t i, n = json_array_size(added) + json_object_size(by_id);
    json_t *v;
    bool *seen = mem_array(t->n, sizeof *seen);
    t->added.token = mem_array(n, sizeof *t->added.token);
    t->added_normalized.token = mem_array(n, sizeof *t->added_normalized.token);
    enum status s = seen && t->added.token && t->added_normalized.token ? OK : json_no_memory(l);
    json_array_foreach(added, i, v)
    {
        struct str content;
        int64_t id;
        if (s == OK)
            s = added_entry(l, v, i, &content, &id);
        if (s != OK)
            break;
        if (seen[id])
            s = err_set(l->err, EFORMAT, "added_tokens[%zu]: id %lld a second time", i,
                        (long long)id);
        else
            s = add_one(l, v, (int32_t)id);
        seen[id] = true;
    }
    if (s == OK && json_is_object(by_id))
        s = add_config(l, by_id, seen);
    free(seen);
    if (s == OK)
        s = added_set_build(&t->added, l->err);
    if (s == OK)
        s = added_set_build(&t->added_normalized, l->err);
    return s;
}
