/* A tokenizer from a vocabulary description, as GGUF files hold them. Pieces stay in the file's
 * mapping; what is built is the index of pieces, the table of merges and the trie of added tokens.
 */
#include "text/tokenizer_impl.h"
#include <stdlib.h>

/* Control, unknown and user-defined tokens are added tokens: only the last are found in a text
 * without TOKENIZE_PARSE_SPECIAL. */
static enum status collect_added(struct tokenizer *t, struct err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++)
        n += t->attr[i] == TOKEN_CONTROL || t->attr[i] == TOKEN_USER_DEFINED ||
             t->attr[i] == TOKEN_UNKNOWN;
    t->added.token = mem_array(n, sizeof *t->added.token);
    if (!t->added.token)
        return err_set(err, ENOMEMORY, "tokenizer: no memory for %zu added tokens", n);
    for (size_t i = 0; i < t->n; i++) {
        bool special = t->attr[i] == TOKEN_CONTROL || t->attr[i] == TOKEN_UNKNOWN;
        if ((special || t->attr[i] == TOKEN_USER_DEFINED) && t->piece[i].n)
            t->added.token[t->added.n++] =
                (struct added_token){.content = t->piece[i], .id = (int32_t)i, .special = special};
    }
    return added_set_build(&t->added, err);
}

/* ---- merges ----
 *
 * 280 thousand lines with three look-ups each wait for memory far longer than they compute. They
 * are worked on in batches, in passes that each start the loads of the next. */

enum { BATCH = 64 };

/* A piece that is looked for: its bytes, and what the passes find out. */
struct lookup {
    const char *p;
    size_t n;
    uint64_t hash;
    int32_t id; /* -1: not in the vocabulary */
};
struct merge_batch {
    char *bytes; /* of all lines, room for them as they are in the file */
    size_t cap;
    struct lookup find[BATCH][3]; /* left, right, both */
};

/* "left right" into bytes; an entry that is no two pieces of the alphabet has n = 0. */
static void split_merge(struct str line, char *bytes, struct lookup find[3])
{
    const char *space = line.n > 2 ? memchr(line.p + 1, ' ', line.n - 1) : NULL;
    size_t left = SIZE_MAX, right = SIZE_MAX, cut = space ? (size_t)(space - line.p) : 0;
    if (space)
        left = byte_level_decode(str_slice(line, 0, cut), bytes);
    if (left != SIZE_MAX)
        right = byte_level_decode(str_slice(line, cut + 1, line.n), bytes + left);
    bool good = right != SIZE_MAX && left && right;
    find[0] = (struct lookup){bytes, good ? left : 0, 0, -1};
    find[1] = (struct lookup){bytes + left, good ? right : 0, 0, -1};
    find[2] = (struct lookup){bytes, good ? left + right : 0, 0, -1};
}

/* The pieces of n lines. */
static bool split_batch(struct merge_batch *b, const struct str *line, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += line[i].n;
    if (bytes > b->cap) {
        char *p = mem_resize(b->bytes, bytes, 1);
        if (!p)
            return false;
        b->bytes = p;
        b->cap = bytes;
    }
    char *at = b->bytes;
    for (size_t i = 0; i < n; i++) {
        split_merge(line[i], at, b->find[i]);
        at += line[i].n;
    }
    return true;
}

static void find_batch(const struct tokenizer *t, struct merge_batch *b, size_t n)
{
    struct lookup *find = b->find[0];
    for (size_t i = 0; i < 3 * n; i++) {
        find[i].hash = hash_bytes(find[i].p, find[i].n);
        __builtin_prefetch(&t->table.slot[find[i].hash & t->table.mask]);
    }
    for (size_t i = 0; i < 3 * n; i++) { /* the slot that it is most likely in */
        find[i].id = piece_table_guess(&t->table, find[i].hash);
        if (find[i].id >= 0)
            __builtin_prefetch(&t->bytes[find[i].id]);
    }
    for (size_t i = 0; i < 3 * n; i++)
        if (find[i].id >= 0)
            __builtin_prefetch(t->bytes[find[i].id].p);
    for (size_t i = 0; i < 3 * n; i++)
        find[i].id = find[i].n
                         ? piece_table_find(&t->table, t->bytes, find[i].p, find[i].n, find[i].hash)
                         : -1;
    for (size_t i = 0; i < n; i++)
        merge_table_prefetch(&t->merges, b->find[i][0].id, b->find[i][1].id);
}

static enum status add_merges(struct tokenizer *t, const struct vocab_desc *d, struct err *err)
{
    enum status s = merge_table_init(&t->merges, d->n_merges, true, err);
    struct merge_batch *b = mem_array(1, sizeof *b);
    if (s == OK && !b)
        s = err_set(err, ENOMEMORY, "tokenizer: no memory for %zu merges", d->n_merges);
    for (size_t from = 0; s == OK && from < d->n_merges; from += BATCH) {
        size_t n = d->n_merges - from < BATCH ? d->n_merges - from : BATCH;
        if (!split_batch(b, d->merges + from, n))
            s = err_set(err, ENOMEMORY, "tokenizer: no memory for %zu merges", d->n_merges);
        else
            find_batch(t, b, n);
        for (size_t i = 0; i < n && s == OK; i++) {
            const struct lookup *f = b->find[i];
            struct str line = d->merges[from + i];
            if (f[0].id >= 0 && f[1].id >= 0 && f[2].id >= 0)
                merge_table_add(&t->merges, (struct merge){f[0].id, f[1].id, f[2].id},
                                (uint32_t)(from + i), false);
            else
                s = err_set(err, EFORMAT,
                            "tokenizer.ggml.merges[%zu]: '%.*s', expected two pieces of the "
                            "vocabulary that make a third",
                            from + i, (int)(line.n < 64 ? line.n : 64), line.p);
        }
    }
    if (s == OK)
        merge_table_bytes(&t->merges, t->byte_id);
    if (b)
        free(b->bytes);
    free(b);
    return s;
}

static enum status set_specials(struct tokenizer *t, const struct vocab_desc *d, struct err *err)
{
    const int32_t id[SPECIAL_COUNT] = {
        [SPECIAL_BOS] = d->bos,         [SPECIAL_EOS] = d->eos,
        [SPECIAL_UNK] = d->unk,         [SPECIAL_SEP] = d->sep,
        [SPECIAL_PAD] = d->pad,         [SPECIAL_CLS] = d->cls,
        [SPECIAL_MASK] = d->mask,       [SPECIAL_EOT] = d->eot,
        [SPECIAL_FIM_PRE] = d->fim_pre, [SPECIAL_FIM_SUF] = d->fim_suf,
        [SPECIAL_FIM_MID] = d->fim_mid,
    };
    for (int k = 0; k < SPECIAL_COUNT; k++) {
        if (id[k] < -1 || (id[k] >= 0 && (size_t)id[k] >= d->n))
            return err_set(err, EFORMAT, "tokenizer: special token id %d, expected below %zu",
                           id[k], d->n);
        t->special[k] = id[k];
    }
    return OK;
}

enum { TEMPLATE_NOTHING = -3 };

static void push(struct token_template *tpl, int32_t id, int32_t type)
{
    if (id != TEMPLATE_NOTHING)
        tpl->item[tpl->n++] = (struct template_item){id, type};
}

static int32_t id_or_nothing(bool wanted, int32_t id)
{
    return wanted && id >= 0 ? id : TEMPLATE_NOTHING;
}

/* [BOS] a [EOS], or [CLS] a [SEP] (b [SEP]) for encoders. */
static enum status make_templates(struct tokenizer *t, const struct vocab_desc *d, struct err *err)
{
    bool encoder = d->kind == VOCAB_WORDPIECE;
    int32_t cls = d->cls >= 0 ? d->cls : d->bos, sep = d->sep >= 0 ? d->sep : d->eos;
    int32_t head = encoder ? id_or_nothing(true, cls) : id_or_nothing(d->add_bos, d->bos);
    int32_t tail = encoder ? id_or_nothing(true, sep) : id_or_nothing(d->add_eos, d->eos);
    t->single.item = mem_array(3, sizeof *t->single.item);
    t->pair.item = mem_array(6, sizeof *t->pair.item);
    if (!t->single.item || !t->pair.item)
        return err_set(err, ENOMEMORY, "tokenizer: no memory");
    push(&t->single, head, 0);
    push(&t->single, TEMPLATE_A, 0);
    push(&t->single, tail, 0);
    push(&t->pair, head, 0);
    push(&t->pair, TEMPLATE_A, 0);
    push(&t->pair, tail, 0);
    if (!encoder)
        push(&t->pair, head, 1);
    push(&t->pair, TEMPLATE_B, 1);
    push(&t->pair, tail, 1);
    return OK;
}

static enum status set_splitters(struct tokenizer *t, const struct vocab_desc *d, struct err *err)
{
    const struct split_recipe *r = split_find(d->pre);
    if (!r)
        return err_set(err, EUNSUPPORTED, "tokenizer.ggml.pre: '%.*s', expected a known name",
                       (int)(d->pre.n < 64 ? d->pre.n : 64), d->pre.p);
    t->pre = mem_array(SPLIT_STAGES, sizeof *t->pre);
    if (!t->pre)
        return err_set(err, ENOMEMORY, "tokenizer: no memory");
    for (; t->n_pre < SPLIT_STAGES && r->stage[t->n_pre]; t->n_pre++)
        t->pre[t->n_pre] = (struct pre_stage){
            .kind = PRE_SPLIT, .fn = r->stage[t->n_pre], .behavior = BEHAVIOR_ISOLATED};
    t->ignore_merges = r->ignore_merges;
    return OK;
}

static enum status add_norm(struct tokenizer *t, struct norm_stage s, struct err *err)
{
    struct norm_stage *norm = mem_resize(t->norm, t->n_norm + 1, sizeof *norm);
    if (!norm) {
        norm_stage_free(&s);
        return err_set(err, ENOMEMORY, "tokenizer: no memory");
    }
    t->norm = norm;
    t->norm[t->n_norm++] = s;
    return OK;
}

/* Converters that find no SentencePiece model write one score for all pieces (llama.cpp's writes
 * -1000). Then only the order of the pieces is left of the merges, and it is the order in which the
 * trainer made them. */
static bool scores_say_nothing(const struct tokenizer *t)
{
    const float *first = NULL;
    for (size_t i = 0; i < t->n; i++) {
        if (t->attr[i] != TOKEN_NORMAL)
            continue;
        if (!first)
            first = &t->score[i];
        else if (memcmp(first, &t->score[i], sizeof *first) != 0)
            return false;
    }
    return true;
}

static enum status build_spm(struct tokenizer *t, const struct vocab_desc *d, struct err *err)
{
    if (!d->scores)
        return err_set(err, EFORMAT, "tokenizer.ggml.scores: absent, expected one per token");
    t->decode = DECODE_SPM;
    t->decode_lstrip = d->add_space_prefix;
    t->rank_by_id = scores_say_nothing(t);
    tokenizer_find_breaks(t);
    return add_norm(t, (struct norm_stage){.kind = NORM_ESCAPE, .prefix = d->add_space_prefix},
                    err);
}

static enum status build_unigram(struct tokenizer *t, const struct vocab_desc *d, struct err *err)
{
    struct norm_stage s = {.kind = NORM_CHARSMAP};
    enum status st = OK;
    if (!d->scores)
        return err_set(err, EFORMAT, "tokenizer.ggml.scores: absent, expected one per token");
    t->decode = DECODE_SPM;
    t->decode_lstrip = d->add_space_prefix;
    if (d->precompiled_charsmap.n) {
        st = charsmap_open(&s.charsmap, d->precompiled_charsmap, err);
        st = st == OK ? add_norm(t, s, err) : st;
    }
    if (st == OK)
        st = add_norm(t,
                      (struct norm_stage){.kind = NORM_SPM_SPACES,
                                          .prefix = d->add_space_prefix,
                                          .merge_spaces = d->remove_extra_whitespaces},
                      err);
    return st == OK ? unigram_build(t, err) : st;
}

static enum status build_wordpiece(struct tokenizer *t, struct err *err)
{
    t->decode = DECODE_WORDPIECE;
    t->max_word_chars = 100; /* BERT's own limit */
    t->pre = mem_array(2, sizeof *t->pre);
    if (!t->pre)
        return err_set(err, ENOMEMORY, "tokenizer: no memory");
    t->pre[t->n_pre++] =
        (struct pre_stage){.kind = PRE_FIND, .find = find_space, .behavior = BEHAVIOR_REMOVED};
    t->pre[t->n_pre++] =
        (struct pre_stage){.kind = PRE_FIND, .find = find_punct, .behavior = BEHAVIOR_ISOLATED};
    return add_norm(t,
                    (struct norm_stage){.kind = NORM_BERT,
                                        .clean = true,
                                        .chinese = true,
                                        .strip_accents = true,
                                        .lowercase = true},
                    err);
}

static enum status build(struct tokenizer *t, const struct vocab_desc *d, struct err *err)
{
    static const enum model_kind models[] = {
        [VOCAB_BPE] = MODEL_BYTE_BPE,
        [VOCAB_SPM] = MODEL_SPM,
        [VOCAB_UNIGRAM] = MODEL_UNIGRAM,
        [VOCAB_WORDPIECE] = MODEL_WORDPIECE,
    };
    t->n = d->n;
    t->piece = d->pieces;
    t->score = d->scores;
    t->model = models[d->kind];
    t->attr = mem_array(d->n, 1);
    if (!tokenizer_own(t, t->attr))
        return err_set(err, ENOMEMORY, "tokenizer: no memory for %zu pieces", d->n);
    for (size_t i = 0; i < d->n; i++) {
        int32_t a = d->types ? d->types[i] : TOKEN_NORMAL;
        t->attr[i] = (uint8_t)(a >= TOKEN_NORMAL && a <= TOKEN_BYTE ? a : TOKEN_UNUSED);
    }
    enum status s = set_specials(t, d, err);
    if (s == OK)
        s = tokenizer_index(t, d->kind == VOCAB_BPE, true, "tokenizer.ggml.tokens", err);
    if (s == OK)
        s = tokenizer_find_roles(t, true, err);
    if (s == OK)
        s = collect_added(t, err);
    if (s == OK)
        s = make_templates(t, d, err);
    if (s != OK)
        return s;
    switch (d->kind) {
    case VOCAB_BPE: s = set_splitters(t, d, err); return s == OK ? add_merges(t, d, err) : s;
    case VOCAB_SPM: return build_spm(t, d, err);
    case VOCAB_UNIGRAM: return build_unigram(t, d, err);
    case VOCAB_WORDPIECE: return build_wordpiece(t, err);
    }
    return OK;
}

enum status tokenizer_from_vocab(struct tokenizer **out, const struct vocab_desc *d,
                                 struct err *err)
{
    *out = NULL;
    if (d->n == 0 || d->n > MAX_VOCAB)
        return err_set(err, EFORMAT, "tokenizer.ggml.tokens: %zu tokens, expected 1 to %d", d->n,
                       MAX_VOCAB);
    if ((unsigned)d->kind > VOCAB_WORDPIECE)
        return err_set(err, EUSAGE, "tokenizer: vocabulary kind %d", (int)d->kind);
    struct tokenizer *t = mem_array(1, sizeof *t);
    if (!t)
        return err_set(err, ENOMEMORY, "tokenizer: no memory");
    enum status s = build(t, d, err);
    if (s != OK) {
        tokenizer_free(t);
        return s;
    }
    *out = t;
    return OK;
}
