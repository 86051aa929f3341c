/* A tokenizer.json from anywhere, then text through it. The input is the JSON, a zero byte and the
 * text. What loads must encode any bytes, give ids below its size, and decode them whole and
 * streamed. */
#include "text/tokenizer.h"
#include "base/utf8.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_text(const struct tokenizer *t, struct str text, unsigned flags)
{
    struct tokens ids = {0};
    struct buf whole, stream;
    struct detok d = {0};
    struct err err;
    buf_init(&whole, 1 << 24);
    buf_init(&stream, 1 << 24);
    if (tokenizer_encode(t, text, flags, &ids, &err) == OK) {
        for (size_t i = 0; i < ids.n; i++)
            if (ids.id[i] < 0 || (size_t)ids.id[i] >= tokenizer_n_vocab(t))
                abort();
        enum status s = tokenizer_decode(t, ids.id, ids.n, false, &whole, &err);
        for (size_t i = 0; i < ids.n && s == OK; i++)
            s = detok_add(t, &d, ids.id[i], false, &stream, &err);
        detok_flush(&d, &stream);
        if (s == OK && utf8_valid_prefix(buf_str(&stream)) != stream.n)
            abort();
        if (s == OK && utf8_valid_prefix(buf_str(&whole)) == whole.n &&
            !str_eq(buf_str(&whole), buf_str(&stream)))
            abort();
    }
    tokens_free(&ids);
    buf_release(&whole);
    buf_release(&stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const char *p = (const char *)data;
    const char *zero = n ? memchr(p, 0, n) : NULL;
    size_t cut = zero ? (size_t)(zero - p) : n;
    struct str text = zero ? (struct str){zero + 1, n - cut - 1} : (struct str){"a b", 3};
    struct tokenizer *t;
    struct err err;
    if (tokenizer_from_json(&t, (struct str){p, cut}, (struct str){"", 0}, &err) != OK)
        return 0;
    check_text(t, text, TOKENIZE_ADD_SPECIAL | TOKENIZE_PARSE_SPECIAL);
    check_text(t, text, 0);
    struct tokens pair = {0}, types = {0};
    if (tokenizer_encode_pair(t, text, text, &pair, &types, &err) == OK && pair.n != types.n)
        abort();
    tokens_free(&pair);
    tokens_free(&types);
    tokenizer_free(t);
    return 0;
}
