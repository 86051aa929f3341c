/* What all tokenizers share: the index of pieces, special tokens, look-ups, release. */
#include "text/tokenizer_impl.h"
#include "base/utf8.h"
#include <stdlib.h>

const char SPM_SPACE[4] = "\xe2\x96\x81";

bool tokenizer_own(struct tokenizer *t, void *p)
{
    if (!p)
        return false;
    if (t->n_owned == t->cap_owned) {
        size_t cap = t->cap_owned ? t->cap_owned * 2 : 16;
        void **owned = mem_resize(t->owned, cap, sizeof *owned);
        if (!owned) {
            free(p);
            return false;
        }
        t->owned = owned;
        t->cap_owned = cap;
    }
    t->owned[t->n_owned++] = p;
    return true;
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t)
        return;
    piece_table_free(&t->table);
    merge_table_free(&t->merges);
    added_set_free(&t->added);
    added_set_free(&t->added_normalized);
    tokenizer_free_pipeline(t);
    unigram_free(t->unigram);
    free(t->single.item);
    free(t->pair.item);
    for (size_t i = 0; i < t->n_owned; i++)
        free(t->owned[i]);
    free(t->owned);
    free(t);
}

/* The bytes of every token of a byte-level vocabulary. An entry with other characters (an added
 * token) stands for itself and is not found by merging. */
static enum status decode_pieces(struct tokenizer *t, struct err *err)
{
    size_t total = 0;
    for (size_t i = 0; i < t->n; i++)
        total += t->piece[i].n;
    struct str *bytes = mem_array(t->n, sizeof *bytes);
    char *blob = malloc(total ? total : 1);
    bool kept = tokenizer_own(t, bytes);
    if (!tokenizer_own(t, blob) || !kept)
        return err_set(err, ENOMEMORY, "tokenizer: no memory for %zu pieces", t->n);
    for (size_t i = 0; i < t->n; i++) {
        size_t len = byte_level_decode(t->piece[i], blob);
        if (len == SIZE_MAX) {
            bytes[i] = t->piece[i];
            continue;
        }
        bytes[i] = (struct str){blob, len};
        blob += len;
    }
    t->bytes = bytes;
    return OK;
}

static void index_bytes(struct tokenizer *t, bool byte_level)
{
    for (int b = 0; b < 256; b++)
        t->byte_id[b] = -1;
    if (byte_level) {
        for (int b = 0; b < 256; b++) {
            char c = (char)b;
            t->byte_id[b] = piece_table_find(&t->table, t->bytes, &c, 1, hash_bytes(&c, 1));
        }
        return;
    }
    for (int b = 0; b < 256; b++) {
        static const char hex[] = "0123456789ABCDEF";
        char name[6] = {'<', '0', 'x', hex[b >> 4], hex[b & 15], '>'};
        t->byte_id[b] = piece_table_find(&t->table, t->bytes, name, 6, hash_bytes(name, 6));
        char c = (char)b;
        if (t->byte_id[b] < 0 && t->model == MODEL_SPM)
            t->byte_id[b] = piece_table_find(&t->table, t->bytes, &c, 1, hash_bytes(&c, 1));
    }
}

enum status tokenizer_index(struct tokenizer *t, bool byte_level, bool unique, const char *what,
                            struct err *err)
{
    t->bytes = t->piece;
    enum status s = byte_level ? decode_pieces(t, err) : OK;
    if (s != OK)
        return s;
    if (!piece_table_init(&t->table, t->n) ||
        !tokenizer_own(t, t->whole = mem_array(t->n, sizeof *t->whole)))
        return err_set(err, ENOMEMORY, "tokenizer: no memory for %zu pieces", t->n);
    for (size_t i = 0; i < t->n; i++) {
        struct str b = t->bytes[i];
        if (b.n == 0 || (byte_level && b.p == t->piece[i].p))
            continue;
        if (b.n > MAX_PIECE)
            return err_set(err, EFORMAT, "%s[%zu]: piece of %zu bytes, expected at most %d", what,
                           i, b.n, MAX_PIECE);
        int32_t other = piece_table_add(&t->table, t->bytes, (int32_t)i, hash_bytes(b.p, b.n));
        if (other >= 0 && unique)
            return err_set(err, EFORMAT, "%s[%zu]: '%.*s' is also token %d, expected each once",
                           what, i, (int)(b.n < 64 ? b.n : 64), b.p, other);
        if (b.n > t->max_piece)
            t->max_piece = b.n;
    }
    index_bytes(t, byte_level);
    return OK;
}

void tokenizer_find_breaks(struct tokenizer *t)
{
    for (int b = 0; b < 256; b++)
        t->break_before[b] = true;
    for (size_t i = 0; i < t->n; i++) {
        struct str s = t->bytes[i];
        for (size_t at = 1; at < s.n; at++) {
            unsigned char a = (unsigned char)s.p[at - 1], b = (unsigned char)s.p[at];
            t->neighbours[a][b >> 3] |= (unsigned char)(1u << (b & 7));
            if (b == (unsigned char)SPM_SPACE[0] && s.n - at >= 3 &&
                memcmp(s.p + at, SPM_SPACE, 3) == 0)
                t->break_before[a] = false;
        }
    }
    /* unknown characters in a row are one token: then a cut could part them */
    bool fused = t->fuse_unk;
    for (int b = 0; b < 256 && fused && t->byte_fallback; b++)
        if (t->byte_id[b] < 0)
            return;
    t->space_splits = !fused || t->byte_fallback;
}

/* Tokens known by their text: files often leave out what they are for. The first row that a
 * vocabulary has gives the role, unless the file gives it. */
#define TEXT(literal)                                                                              \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }
#define DEEPSEEK(name) TEXT("<\xef\xbd\x9c" name "\xef\xbd\x9c>")
static const struct known_token {
    struct str text;
    int role; /* enum special_token, or -1 */
    bool is_end;
} known_tokens[] = {
    {TEXT("<|eot_id|>"), SPECIAL_EOT, true},
    {TEXT("<|im_end|>"), SPECIAL_EOT, true},
    {TEXT("<|end|>"), SPECIAL_EOT, true},
    {TEXT("<end_of_turn>"), SPECIAL_EOT, true},
    {TEXT("<|end_of_turn|>"), SPECIAL_EOT, true},
    {TEXT("<|endoftext|>"), SPECIAL_EOT, true},
    {TEXT("<|end_of_text|>"), SPECIAL_EOT, true},
    {TEXT("<EOT>"), SPECIAL_EOT, true},
    {TEXT("_<EOT>"), SPECIAL_EOT, true},
    {TEXT("[EOT]"), SPECIAL_EOT, true},
    {DEEPSEEK("end\xe2\x96\x81of\xe2\x96\x81sentence"), SPECIAL_EOT, true},
    {TEXT("<end_of_utterance>"), SPECIAL_EOT, true},
    {TEXT("<|return|>"), -1, true},
    {TEXT("<|call|>"), -1, true},
    {TEXT("<|eom_id|>"), -1, true},
    {TEXT("</s>"), -1, true},
    {TEXT("[EOS]"), -1, true},
    {TEXT("<eos>"), -1, true},
    {TEXT("<|fim_prefix|>"), SPECIAL_FIM_PRE, false},
    {TEXT("<fim-prefix>"), SPECIAL_FIM_PRE, false},
    {TEXT("<fim_prefix>"), SPECIAL_FIM_PRE, false},
    {TEXT("<PRE>"), SPECIAL_FIM_PRE, false},
    {TEXT("\xe2\x96\x81<PRE>"), SPECIAL_FIM_PRE, false},
    {TEXT("<|code_prefix|>"), SPECIAL_FIM_PRE, false},
    {TEXT("<|prefix|>"), SPECIAL_FIM_PRE, false},
    {DEEPSEEK("fim\xe2\x96\x81"
              "begin"),
     SPECIAL_FIM_PRE, false},
    {TEXT("<|fim_suffix|>"), SPECIAL_FIM_SUF, false},
    {TEXT("<fim-suffix>"), SPECIAL_FIM_SUF, false},
    {TEXT("<fim_suffix>"), SPECIAL_FIM_SUF, false},
    {TEXT("<SUF>"), SPECIAL_FIM_SUF, false},
    {TEXT("\xe2\x96\x81<SUF>"), SPECIAL_FIM_SUF, false},
    {TEXT("<|code_suffix|>"), SPECIAL_FIM_SUF, false},
    {TEXT("<|suffix|>"), SPECIAL_FIM_SUF, false},
    {DEEPSEEK("fim\xe2\x96\x81hole"), SPECIAL_FIM_SUF, false},
    {TEXT("<|fim_middle|>"), SPECIAL_FIM_MID, false},
    {TEXT("<fim-middle>"), SPECIAL_FIM_MID, false},
    {TEXT("<fim_middle>"), SPECIAL_FIM_MID, false},
    {TEXT("<MID>"), SPECIAL_FIM_MID, false},
    {TEXT("\xe2\x96\x81<MID>"), SPECIAL_FIM_MID, false},
    {TEXT("<|code_middle|>"), SPECIAL_FIM_MID, false},
    {TEXT("<|middle|>"), SPECIAL_FIM_MID, false},
    {DEEPSEEK("fim\xe2\x96\x81"
              "end"),
     SPECIAL_FIM_MID, false},
};
enum { N_KNOWN = sizeof known_tokens / sizeof *known_tokens };

/* Where each known token is in the vocabulary; -1: nowhere. */
static void find_known(const struct tokenizer *t, int32_t id[N_KNOWN])
{
    for (int k = 0; k < N_KNOWN; k++)
        id[k] = -1;
    for (size_t i = 0; i < t->n; i++) {
        struct str s = t->piece[i];
        if (s.n < 4 || s.n > 40 ||
            (s.p[0] != '<' && s.p[0] != '[' && s.p[0] != '_' && s.p[0] != SPM_SPACE[0]))
            continue;
        for (int k = 0; k < N_KNOWN; k++)
            if (str_eq(s, known_tokens[k].text))
                id[k] = (int32_t)i;
    }
}

enum status tokenizer_find_roles(struct tokenizer *t, bool make_control, struct err *err)
{
    int32_t id[N_KNOWN], end = -1;
    bool harmony_return = false, harmony_call = false;
    t->is_end = mem_array(t->n, sizeof *t->is_end);
    if (!tokenizer_own(t, t->is_end))
        return err_set(err, ENOMEMORY, "tokenizer: no memory for %zu pieces", t->n);
    find_known(t, id);
    for (int k = 0; k < N_KNOWN; k++) {
        const struct known_token *row = &known_tokens[k];
        if (id[k] < 0)
            continue;
        if (make_control)
            t->attr[id[k]] = TOKEN_CONTROL;
        if (row->role >= 0 && t->special[row->role] < 0 && t->attr[id[k]] == TOKEN_CONTROL)
            t->special[row->role] = id[k];
        t->is_end[id[k]] = row->is_end && t->attr[id[k]] == TOKEN_CONTROL;
        end = str_is(row->text, "<|end|>") ? id[k] : end;
        harmony_return |= str_is(row->text, "<|return|>");
        harmony_call |= str_is(row->text, "<|call|>");
    }
    for (int k = 0; k < 2; k++) {
        int32_t role = t->special[k ? SPECIAL_EOT : SPECIAL_EOS];
        if (role >= 0)
            t->is_end[role] = true;
    }
    /* in the harmony format <|end|> closes a message inside an answer */
    if (end >= 0 && harmony_return && harmony_call)
        t->is_end[end] = false;
    return OK;
}

size_t tokenizer_n_vocab(const struct tokenizer *t)
{
    return t->n;
}

static bool has(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && (size_t)id < t->n;
}

struct str tokenizer_piece(const struct tokenizer *t, int32_t id)
{
    return has(t, id) ? t->piece[id] : (struct str){"", 0};
}

enum token_attr tokenizer_attr(const struct tokenizer *t, int32_t id)
{
    return has(t, id) ? (enum token_attr)t->attr[id] : TOKEN_UNUSED;
}

int32_t tokenizer_find(const struct tokenizer *t, struct str piece)
{
    for (size_t i = 0; i < t->added.n; i++)
        if (str_eq(t->added.token[i].content, piece))
            return t->added.token[i].id;
    if (t->bytes == t->piece)
        return piece.n == 0 || piece.n > t->max_piece
                   ? -1
                   : piece_table_find(&t->table, t->bytes, piece.p, piece.n,
                                      hash_bytes(piece.p, piece.n));
    char bytes[256];
    size_t len = piece.n <= sizeof bytes ? byte_level_decode(piece, bytes) : SIZE_MAX;
    if (len != SIZE_MAX)
        return len ? piece_table_find(&t->table, t->bytes, bytes, len, hash_bytes(bytes, len)) : -1;
    for (size_t i = 0; i < t->n; i++) /* long, or not of the alphabet: rare */
        if (str_eq(t->piece[i], piece))
            return (int32_t)i;
    return -1;
}

int32_t tokenizer_special(const struct tokenizer *t, enum special_token which)
{
    return (unsigned)which < SPECIAL_COUNT ? t->special[which] : -1;
}

bool tokenizer_is_end(const struct tokenizer *t, int32_t id)
{
    return has(t, id) && t->is_end[id];
}

bool tokenizer_adds_bos(const struct tokenizer *t)
{
    return t->single.n && t->single.item[0].id >= 0;
}
