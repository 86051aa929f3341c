#include "cli/text.h"
#include "base/file.h"
#include "base/log.h"

/* The engine's rows in a step, when nobody says; with other numbers steps are only less full. */
enum { DEFAULT_WINDOW = 512, STEP_ROWS = 256 };

int64_t text_window(const struct options *o)
{
    return o->ctx > 0 ? o->ctx : DEFAULT_WINDOW;
}

struct options text_engine_options(const struct options *o, int64_t longest)
{
    struct options out = *o;
    out.ctx = windows_room(longest, STEP_ROWS);
    return out;
}

enum status text_open(struct text *t, const struct options *o, const struct model *m,
                      struct err *err)
{
    const struct tokenizer *tok = model_tokenizer(m);
    struct model_info info;
    model_info(m, &info);
    *t = (struct text){.name = o->file ? o->file : "standard input"};
    buf_init(&t->bytes, (size_t)1 << 30);
    const struct windows_cut cut = {.length = text_window(o),
                                    .stride = o->stride > 0 ? o->stride : 0,
                                    .most = o->chunks > 0 ? o->chunks : 0};
    int32_t bos = tokenizer_adds_bos(tok) ? tokenizer_special(tok, SPECIAL_BOS) : -1;
    enum status s = file_read(o->file ? o->file : "-", &t->bytes, err);
    if (s == OK)
        s = tokenizer_encode(tok, buf_str(&t->bytes), TOKENIZE_ADD_SPECIAL, &t->ids, err);
    if (s == OK && (s = windows_make(&t->windows, &cut, t->ids.id, t->ids.n, bos, err)) != OK)
        return err_prefix(err, "%s", t->name);
    if (s == OK && t->windows.longest > info.n_ctx_train)
        log_warn("windows of %u tokens, the model was trained with %lld", t->windows.longest,
                 (long long)info.n_ctx_train);
    return s;
}

void text_free(struct text *t)
{
    buf_release(&t->bytes);
    tokens_free(&t->ids);
    windows_free(&t->windows);
}
