/* Pre-tokenizer stages: each cuts the pieces of the one before; the last ones go to the model. A
 * matcher (a splitter's isolated pieces, a regex's matches, a literal's occurrences) gives matches
 * and the gaps between them; the behavior says what becomes of the matches (Hugging Face's
 * SplitDelimiterBehavior). */
#include "text/tokenizer_impl.h"

void pre_run(struct encoder *e, size_t stage, const char *p, size_t n)
{
    const struct tokenizer *t = e->t;
    if (n == 0 || e->status != OK)
        return;
    if (stage == t->n_pre) {
        encoder_word(e, p, n);
        return;
    }
    const struct pre_stage *s = &t->pre[stage];
    while (n && e->status == OK) {
        size_t len = s->fn(p, n);
        pre_run(e, stage + 1, p, len);
        p += len;
        n -= len;
    }
}
