/* hearth tokenize, hearth detokenize */
#include "base/jsonw.h"
#include "cli/commands.h"
#include "cli/load.h"
#include <stdio.h>

enum status cmd_tokenize(const struct options *o, struct err *err)
{
    struct loaded l;
    struct buf text = {0}, out;
    struct tokens ids = {0};
    struct jsonw w;
    unsigned flags = (o->no_special ? 0u : TOKENIZE_ADD_SPECIAL) |
                     (o->no_parse_special ? 0u : TOKENIZE_PARSE_SPECIAL);
    buf_init(&out, (size_t)1 << 32);
    enum status s = load_vocab(&l, o, err);
    if (s == OK)
        s = read_stdin(&text, err);
    if (s == OK)
        s = tokenizer_encode(model_tokenizer(l.model), buf_str(&text), flags, &ids, err);
    if (s == OK) {
        jsonw_init(&w, &out, 0);
        jsonw_arr(&w);
        for (size_t i = 0; i < ids.n; i++)
            jsonw_int(&w, ids.id[i]);
        jsonw_end(&w);
        s = buf_check(&out, "output", err);
    }
    if (s == OK)
        print_line(&out);
    buf_release(&text);
    buf_release(&out);
    tokens_free(&ids);
    unload(&l);
    return s;
}

enum status cmd_detokenize(const struct options *o, struct err *err)
{
    struct loaded l;
    struct buf out;
    struct tokens ids = {0};
    buf_init(&out, (size_t)1 << 30);
    if (!o->tokens)
        return err_set(err, EUSAGE, "detokenize: no --tokens given, expected ids such as 1,2,3");
    enum status s = load_vocab(&l, o, err);
    if (s == OK)
        s = parse_ids(o->tokens, &ids, err);
    if (s == OK)
        s = tokenizer_decode(model_tokenizer(l.model), ids.id, ids.n, false, &out, err);
    if (s == OK)
        print_line(&out);
    buf_release(&out);
    tokens_free(&ids);
    unload(&l);
    return s;
}
