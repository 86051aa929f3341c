/* The texts of a draft model, in its own cache. Nobody has to say what changed: before each guess
 * the positions that a sequence holds are compared with the text from where they were known to
 * agree, what differs (guesses that were wrong) is forgotten, and the rest is read. So answers may
 * stop, lose their pages and come back, or be shifted, without a word to this file. */
#include "engine/draft_model.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/show.h"
#include <stdlib.h>

enum {
    FEW = DRAFT_MAX + 2, /* tokens that a text gains between two drafts at most: never put off */
    KEPT = 64,           /* sequences that stay behind answers, at most */
    MEMORY = 256         /* guesses that the chance looks back on, about */
};

/* A sequence, of an answer that runs or one that was left behind. */
struct draft_seq {
    struct draft_model *d;
    struct draft_seq *next;
    int seq;       /* -1: none */
    bool open;     /* an answer holds it */
    bool unfit;    /* a token that the small model has no row for: no more guesses */
    size_t from;   /* place in the text of its first position */
    size_t agreed; /* positions that are known to hold the text */
    int64_t used;  /* which call of draft_model_make */
};

struct draft_model {
    struct engine *e;
    int64_t n_vocab, limit; /* tokens of one text that it looks back on */
    int max_rows;
    double size; /* bytes that a token reads, beside the large model's */
    struct draft_seq *seqs;
    struct step_row *rows; /* (max_rows) */
    struct draft_wish **stepping;
    int n_stepping;
    int64_t reserved; /* free pages that the step's rows will take */
    int64_t n_calls;
    double guess_ns; /* what a guess took lately, all its steps and catching up counted; 0: none */
    double chance, judged; /* that a guess is right, and of how many */
};

/* ---- vocabularies ---- */

static enum status check_tail(const struct tokenizer *t, size_t from, struct str name,
                              struct str other, struct err *err)
{
    for (size_t i = from; i < tokenizer_n_vocab(t); i++)
        if (tokenizer_attr(t, (int32_t)i) != TOKEN_UNUSED)
            return err_set(err, EUSAGE,
                           "draft model: token %zu of '%.*s' is '%s', and '%.*s' has only %zu "
                           "tokens; expected models of one vocabulary",
                           i, STR_ARG(name), show(tokenizer_piece(t, (int32_t)i)).s, STR_ARG(other),
                           from);
    return OK;
}

enum status draft_model_check(const struct model *draft, const struct model *target,
                              struct err *err)
{
    const struct tokenizer *a = model_tokenizer(draft), *b = model_tokenizer(target);
    size_t n_a = tokenizer_n_vocab(a), n_b = tokenizer_n_vocab(b), n = n_a < n_b ? n_a : n_b;
    struct model_info x, y;
    model_info(draft, &x);
    model_info(target, &y);
    if (x.kind != MODEL_DECODER)
        return err_set(err, EUSAGE, "draft model: '%.*s' is an encoder, expected a decoder",
                       STR_ARG(x.name));
    for (size_t i = 0; i < n; i++) {
        struct str p = tokenizer_piece(a, (int32_t)i), q = tokenizer_piece(b, (int32_t)i);
        if (!str_eq(p, q))
            return err_set(err, EUSAGE,
                           "draft model: token %zu is '%s' in '%.*s' and '%s' in '%.*s'; expected "
                           "models of one vocabulary",
                           i, show(p).s, STR_ARG(x.name), show(q).s, STR_ARG(y.name));
    }
    enum status s = check_tail(a, n, x.name, y.name, err);
    return s == OK ? check_tail(b, n, y.name, x.name, err) : s;
}

/* ---- life ---- */

static enum status draft_init(struct draft_model *d, const struct model *draft,
                              const struct model *target, const struct engine_options *o,
                              struct err *err)
{
    enum status s = draft_model_check(draft, target, err);
    if (s == OK)
        s = engine_new(&d->e, draft, o, err);
    if (s != OK)
        return s;
    struct model_info info;
    model_info(draft, &info);
    d->n_vocab = info.n_vocab;
    d->limit = engine_n_ctx(d->e);
    if (info.n_ctx_train > 0 && info.n_ctx_train < d->limit)
        d->limit = info.n_ctx_train;
    d->max_rows = engine_max_rows(d->e);
    d->size = (double)model_decode_bytes(draft) / (double)model_decode_bytes(target);
    /* as if judged a few times */
    d->chance = 0.7;
    d->judged = 8;
    d->rows = mem_array((size_t)d->max_rows, sizeof *d->rows);
    d->stepping = mem_array((size_t)d->max_rows, sizeof(struct draft_wish *));
    if (!d->rows || !d->stepping)
        return err_set(err, ENOMEMORY, "draft model: no memory for steps of %d rows", d->max_rows);
    return OK;
}

enum status draft_model_new(struct draft_model **out, const struct model *draft,
                            const struct model *target, const struct engine_options *o,
                            struct err *err)
{
    *out = NULL;
    struct draft_model *d = mem_array(1, sizeof *d);
    if (!d)
        return err_set(err, ENOMEMORY, "draft model: no memory");
    enum status s = draft_init(d, draft, target, o, err);
    if (s != OK) {
        draft_model_free(d);
        return s;
    }
    *out = d;
    return OK;
}

static void remove_seq(struct draft_seq *s)
{
    struct draft_seq **p = &s->d->seqs;
    while (*p != s)
        p = &(*p)->next;
    *p = s->next;
    if (s->seq >= 0)
        engine_seq_free(s->d->e, s->seq);
    free(s);
}

void draft_model_free(struct draft_model *d)
{
    if (!d)
        return;
    while (d->seqs)
        remove_seq(d->seqs);
    engine_free(d->e);
    free(d->rows);
    free(d->stepping);
    free(d);
}

size_t draft_model_memory(const struct draft_model *d)
{
    return engine_memory(d->e);
}

struct draft_seq *draft_seq_open(struct draft_model *d)
{
    struct draft_seq *s = mem_array(1, sizeof *s);
    if (!s)
        return NULL;
    *s = (struct draft_seq){.d = d, .next = d->seqs, .seq = -1, .open = true};
    d->seqs = s;
    return s;
}

/* Of those that no answer holds the one that waits longest; n: how many there are. */
static struct draft_seq *oldest_closed(const struct draft_model *d, int *n)
{
    struct draft_seq *oldest = NULL;
    *n = 0;
    for (struct draft_seq *s = d->seqs; s; s = s->next) {
        *n += !s->open;
        if (!s->open && (!oldest || s->used < oldest->used))
            oldest = s;
    }
    return oldest;
}

void draft_seq_close(struct draft_seq *s, int64_t drafted, int64_t accepted)
{
    struct draft_model *d = s->d;
    if (drafted > 0) {
        double n = (double)drafted;
        d->judged = d->judged + n < MEMORY ? d->judged + n : MEMORY;
        double weight = n < d->judged ? n / d->judged : 1;
        d->chance += ((double)accepted / n - d->chance) * weight;
    }
    s->open = false;
    /* only what begins where texts begin can serve another one */
    if (s->seq < 0 || s->from > 0 || s->agreed == 0) {
        remove_seq(s);
        return;
    }
    engine_seq_truncate(d->e, s->seq, (int64_t)s->agreed);
    int n;
    struct draft_seq *oldest = oldest_closed(d, &n);
    if (n > KEPT)
        remove_seq(oldest);
}

/* ---- reading ---- */

/* Reserves room for n more positions of s, if need be by forgetting those that wait longest. */
static bool make_room(struct draft_model *d, const struct draft_seq *s, int64_t n)
{
    if (engine_seq_len(d->e, s->seq) + n > engine_n_ctx(d->e))
        return false;
    int64_t need = engine_seq_need(d->e, s->seq, n);
    while (need > engine_free_pages(d->e) - d->reserved) {
        struct draft_seq *oldest = NULL;
        for (struct draft_seq *o = d->seqs; o; o = o->next)
            if (o->seq >= 0 && o->used < d->n_calls && (!oldest || o->used < oldest->used))
                oldest = o;
        if (!oldest)
            return false;
        engine_seq_free(d->e, oldest->seq);
        oldest->seq = -1;
        oldest->agreed = 0;
        if (!oldest->open)
            remove_seq(oldest);
        need = engine_seq_need(d->e, s->seq, n); /* pages that it shared may be its own now */
    }
    d->reserved += need;
    return true;
}

static size_t agreement(const struct draft_model *d, int seq, size_t n, const struct draft_wish *w,
                        size_t from)
{
    size_t len = (size_t)engine_seq_len(d->e, seq), most = w->n_text - 1 - from;
    most = most < len ? most : len;
    while (n < most && engine_seq_token(d->e, seq, (int64_t)n) == w->token(w->text, from + n))
        n++;
    return n < most ? n : most;
}

/* A sequence with as much of the text's beginning as any other one has. */
static bool begin(struct draft_model *d, struct draft_seq *s, const struct draft_wish *w)
{
    struct err ignored;
    size_t best = 0;
    const struct draft_seq *source = NULL;
    s->from = s->agreed = 0;
    bool shares = (int64_t)w->n_text <= engine_share_limit(d->e);
    for (const struct draft_seq *o = d->seqs; shares && o; o = o->next) {
        if (o == s || o->seq < 0 || o->from > 0)
            continue;
        size_t n = agreement(d, o->seq, 0, w, 0);
        if (n > best) {
            best = n;
            source = o;
        }
    }
    if (source && engine_seq_fork(d->e, source->seq, (int64_t)best, &s->seq, &ignored) == OK) {
        s->agreed = best;
        return true;
    }
    return engine_seq_new(d->e, &s->seq, &ignored) == OK;
}

/* Brings the sequence to what the text begins with; at least one token stays unread. */
static bool catch_up(struct draft_model *d, struct draft_seq *s, const struct draft_wish *w)
{
    if (s->seq < 0 && !begin(d, s, w)) {
        s->seq = -1;
        return false;
    }
    s->agreed = agreement(d, s->seq, s->agreed, w, s->from);
    /* a text that is too long is read again from somewhere in its middle on */
    if ((int64_t)(w->n_text - s->from) + w->want > d->limit) {
        s->from = w->n_text - (size_t)(d->limit / 2);
        s->agreed = 0;
    }
    engine_seq_truncate(d->e, s->seq, (int64_t)s->agreed);
    return true;
}

static size_t unread(const struct draft_wish *w)
{
    return w->n_text - w->seq->from - w->seq->agreed;
}

/* The next rows of a text, behind n_rows of others: all that is unread if `most` allows. Returns
 * how many. */
static int put_text(struct draft_model *d, struct draft_wish *w, int most, int n_rows)
{
    struct draft_seq *s = w->seq;
    size_t left = unread(w), at = s->from + s->agreed;
    int n = most < 0 ? 0 : left < (size_t)most ? (int)left : most;
    for (int i = 0; i < n && !s->unfit; i++) {
        int32_t token = w->token(w->text, at + (size_t)i);
        s->unfit = token < 0 || token >= d->n_vocab;
        d->rows[n_rows + i] = (struct step_row){token, s->seq, (size_t)i + 1 == left};
    }
    if (n < 1 || s->unfit || !make_room(d, s, n))
        return 0;
    s->agreed += (size_t)n;
    if ((size_t)n == left)
        d->stepping[d->n_stepping++] = w;
    return n;
}

/* ---- guessing ---- */

static int32_t likeliest(const float *logits, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return (int32_t)best;
}

static bool step(struct draft_model *d, int n_rows)
{
    struct err ignored;
    if (engine_step(d->e, d->rows, n_rows, &ignored) != OK)
        return false;
    for (int i = 0; i < d->n_stepping; i++) {
        struct draft_wish *w = d->stepping[i];
        w->out[w->n++] = likeliest(engine_logits(d->e, i), d->n_vocab);
    }
    return true;
}

/* The rows of those who want more. */
static int put_guesses(struct draft_model *d)
{
    int n = 0;
    d->reserved = 0;
    for (int i = 0; i < d->n_stepping; i++) {
        struct draft_wish *w = d->stepping[i];
        if (w->n >= w->want || !make_room(d, w->seq, 1))
            continue;
        d->rows[n] = (struct step_row){w->out[w->n - 1], w->seq->seq, true};
        d->stepping[n++] = w;
    }
    return d->n_stepping = n;
}

/* The rows by which the texts are read: first of those who are up to date but for a step or two,
 * then of those who have much to read. */
static int put_texts(struct draft_model *d, struct draft_wish *const *wishes, size_t n, int read,
                     bool *long_texts)
{
    int n_rows = 0;
    *long_texts = false;
    for (size_t i = 0; i < n; i++) {
        struct draft_wish *w = wishes[i];
        bool ready = w->want > 0 && w->n_text > 0 && !w->seq->unfit && catch_up(d, w->seq, w);
        if (!ready)
            w->want = 0;
        else if (unread(w) <= FEW && unread(w) <= (size_t)(d->max_rows - n_rows))
            n_rows += put_text(d, w, d->max_rows - n_rows, n_rows);
    }
    for (size_t i = 0; i < n; i++) {
        struct draft_wish *w = wishes[i];
        int left = d->max_rows - n_rows;
        if (w->want < 1 || unread(w) == 0)
            continue;
        int now = put_text(d, w, read < left ? read : left, n_rows);
        n_rows += now;
        read -= now;
        *long_texts = true;
    }
    return n_rows;
}

/* An average over about eight calls; one that is far off (the process slept) counts as twice the
 * usual. */
static void learn_cost(struct draft_model *d, struct draft_wish *const *wishes, size_t n,
                       int64_t ns)
{
    int guesses = 0;
    for (size_t i = 0; i < n; i++)
        guesses += wishes[i]->n;
    if (guesses == 0 || ns <= 0)
        return;
    double now = (double)ns / guesses, most = 2 * d->guess_ns;
    if (d->guess_ns > 0)
        d->guess_ns += ((now < most ? now : most) - d->guess_ns) / 8;
    else
        d->guess_ns = now;
}

void draft_model_make(struct draft_model *d, struct draft_wish *const *wishes, size_t n, int read)
{
    int64_t start = clock_ns();
    bool long_texts;
    d->n_stepping = 0;
    d->reserved = 0;
    d->n_calls++;
    for (size_t i = 0; i < n; i++) {
        wishes[i]->n = 0;
        wishes[i]->seq->used = d->n_calls; /* nobody's pages are taken for a neighbour */
    }
    int n_rows = put_texts(d, wishes, n, read, &long_texts);
    if (n_rows == 0 || step(d, n_rows)) {
        while ((n_rows = put_guesses(d)) > 0 && step(d, n_rows))
            ;
        if (!long_texts) /* these are read once */
            learn_cost(d, wishes, n, clock_ns() - start);
        return;
    }
    for (size_t i = 0; i < n; i++) /* what was put is not there */
        if (wishes[i]->seq->seq >= 0)
            wishes[i]->seq->agreed = (size_t)engine_seq_len(d->e, wishes[i]->seq->seq);
}

/* ---- what it is worth ---- */

double draft_model_cost(const struct draft_model *d, double one_row_ns)
{
    return d->guess_ns > 0 ? d->guess_ns : one_row_ns * d->size;
}

double draft_model_chance(const struct draft_model *d)
{
    return d->chance;
}
