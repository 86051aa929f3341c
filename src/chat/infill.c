#include "chat/infill.h"

enum { MAX_TEXT = 1 << 30 };

/* Appends the ids of text as it stands inside a text. SentencePiece vocabularies put a space in
 * front of what they encode; as CodeLlama's own tokenizer does, the text is encoded behind a
 * character, whose ids are dropped. */
static enum status encode_inside(const struct tokenizer *tok, struct str text, struct tokens *ids,
                                 struct err *err)
{
    static const char mark[] = "\u263a", space[] = "\u2581";
    struct tokens alone = {0}, both = {0};
    struct buf marked;
    buf_init(&marked, MAX_TEXT);
    buf_adds(&marked, mark);
    buf_addstr(&marked, text);
    enum status s = buf_check(&marked, "infill prompt", err);
    if (s == OK)
        s = tokenizer_encode(tok, STR(mark), 0, &alone, err);
    if (s == OK)
        s = tokenizer_encode(tok, buf_str(&marked), 0, &both, err);
    bool spaced = s == OK && alone.n && both.n >= alone.n &&
                  str_starts(tokenizer_piece(tok, alone.id[0]), STR(space)) &&
                  memcmp(both.id, alone.id, alone.n * sizeof *alone.id) == 0;
    for (size_t i = alone.n; s == OK && spaced && i < both.n; i++)
        if (!tokens_add(ids, both.id[i]))
            s = err_set(err, ENOMEMORY, "infill prompt: no memory");
    if (s == OK && !spaced)
        s = tokenizer_encode(tok, text, 0, ids, err);
    buf_release(&marked);
    tokens_free(&alone);
    tokens_free(&both);
    return s;
}

enum status infill_encode(const struct tokenizer *t, struct str prefix, struct str suffix,
                          struct tokens *out, struct err *err)
{
    const int32_t pre = tokenizer_special(t, SPECIAL_FIM_PRE);
    const int32_t suf = tokenizer_special(t, SPECIAL_FIM_SUF);
    const int32_t mid = tokenizer_special(t, SPECIAL_FIM_MID);
    const int32_t bos = tokenizer_special(t, SPECIAL_BOS);
    if (pre < 0 || suf < 0 || mid < 0)
        return err_set(err, EUNSUPPORTED, "this model's vocabulary has no infill tokens");
    bool room = (bos < 0 || !tokenizer_adds_bos(t) || tokens_add(out, bos)) && tokens_add(out, pre);
    enum status s = OK;
    if (room)
        s = tokenizer_encode(t, prefix, 0, out, err);
    room = room && tokens_add(out, suf);
    if (room && s == OK)
        s = encode_inside(t, suffix, out, err);
    room = room && tokens_add(out, mid);
    return room ? s : err_set(err, ENOMEMORY, "infill prompt: no memory");
}
