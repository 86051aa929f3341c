/* Steps that look back: repetition, presence and frequency penalties, and DRY.
 *
 * The history is one array with room for twice the longest window, moved down when it is full, so
 * that a window is always contiguous. An unlimited window grows by doubling; without memory the
 * older half is forgotten, because an answer should not die of a penalty.
 *
 * DRY's breakers are matched on text: each token's bytes run through one KMP automaton per breaker
 * as they are accepted, so a breaker is found however tokens cut it. (llama.cpp looks for the
 * token sequences that it expects a breaker to be cut into.) */
#include "base/detmath.h"
#include "base/mem.h"
#include "engine/sampler_int.h"
#include <stdlib.h>

enum { BREAKER_MAX = 256 };

bool penalties_on(const struct sampler_params *p)
{
    return p->penalty_last_n != 0 && (p->repetition_penalty != 1.0 || p->presence_penalty != 0.0 ||
                                      p->frequency_penalty != 0.0);
}

bool dry_on(const struct sampler_params *p)
{
    return p->dry_multiplier > 0.0 && p->dry_penalty_last_n != 0;
}

static size_t window_of(int64_t last_n)
{
    return last_n < 0 ? SIZE_MAX : (size_t)last_n;
}

static enum status add_breaker(struct sampler *s, struct str text, struct err *err)
{
    if (text.n == 0 || text.n > BREAKER_MAX)
        return err_set(err, EUSAGE, "dry_breakers: one of %zu bytes, expected 1 to %d", text.n,
                       BREAKER_MAX);
    struct breaker *b = &s->breakers[s->n_breakers];
    char *copy = mem_dup(text.p, text.n);
    b->border = mem_array(text.n, sizeof *b->border);
    b->text = (struct str){copy, text.n};
    s->n_breakers++;
    if (!copy || !b->border)
        return err_set(err, ENOMEMORY, "sampler: no memory for a breaker");
    for (size_t i = 1, m = 0; i < text.n; i++) {
        while (m > 0 && copy[i] != copy[m])
            m = b->border[m - 1];
        m += copy[i] == copy[m];
        b->border[i] = (uint16_t)m;
    }
    return OK;
}

enum status token_history_init(struct sampler *s, struct err *err)
{
    struct history *h = &s->hist;
    if (penalties_on(&s->p)) {
        h->window = window_of(s->p.penalty_last_n);
        h->count = mem_array(s->n_vocab, sizeof *h->count);
        h->slot = mem_array(s->n_vocab, sizeof *h->slot);
        h->present = mem_array(s->n_vocab, sizeof *h->present);
        if (!h->count || !h->slot || !h->present)
            return err_set(err, ENOMEMORY, "sampler: no memory to count %zu tokens", s->n_vocab);
    }
    if (!dry_on(&s->p))
        return OK;
    s->dry_len = mem_array(s->n_vocab, sizeof *s->dry_len);
    if (!s->dry_len)
        return err_set(err, ENOMEMORY, "sampler: no memory for DRY over %zu tokens", s->n_vocab);
    size_t w = window_of(s->p.dry_penalty_last_n);
    h->window = w > h->window ? w : h->window;
    static const struct str usual[] = {{"\n", 1}, {":", 1}, {"\"", 1}, {"*", 1}};
    const struct str *text = s->p.dry_breakers ? s->p.dry_breakers : usual;
    size_t n = s->p.dry_breakers ? s->p.n_dry_breakers : sizeof usual / sizeof *usual;
    if (!s->token_text || n == 0)
        return OK;
    s->breakers = mem_array(n, sizeof *s->breakers);
    if (!s->breakers)
        return err_set(err, ENOMEMORY, "sampler: no memory for %zu breakers", n);
    for (size_t i = 0; i < n; i++) {
        enum status st = add_breaker(s, text[i], err);
        if (st != OK)
            return st;
    }
    return OK;
}

void token_history_release(struct sampler *s)
{
    free(s->hist.token);
    free(s->hist.breaks);
    free(s->hist.count);
    free(s->hist.slot);
    free(s->hist.present);
    for (size_t i = 0; i < s->n_breakers; i++) {
        free((char *)s->breakers[i].text.p);
        free(s->breakers[i].border);
    }
    free(s->breakers);
    free(s->z_len);
    free(s->dry_len);
}

static void count_in(struct history *h, int32_t token)
{
    if (h->count[token]++ == 0) {
        h->slot[token] = (int32_t)h->n_present;
        h->present[h->n_present++] = token;
    }
}

static void count_out(struct history *h, int32_t token)
{
    if (--h->count[token] > 0)
        return;
    int32_t moved = h->present[--h->n_present];
    h->present[h->slot[token]] = moved;
    h->slot[moved] = h->slot[token];
}

static void drop_oldest(struct history *h, size_t n)
{
    memmove(h->token, h->token + n, (h->n - n) * sizeof *h->token);
    memmove(h->breaks, h->breaks + n, h->n - n);
    h->n -= n;
}

/* Room for one more. False when there is none at all. */
static bool make_room(struct sampler *s)
{
    struct history *h = &s->hist;
    if (h->n < h->cap)
        return true;
    size_t most = h->window > SIZE_MAX / 2 ? SIZE_MAX : 2 * h->window;
    if (h->cap >= most) {
        drop_oldest(h, h->n - h->window);
        return true;
    }
    size_t cap = h->cap ? 2 * h->cap : 256;
    cap = cap > most ? most : cap;
    int32_t *token = mem_resize(h->token, cap, sizeof *token);
    h->token = token ? token : h->token;
    uint8_t *breaks = mem_resize(h->breaks, cap, 1);
    h->breaks = breaks ? breaks : h->breaks;
    int32_t *z_len = mem_resize(s->z_len, cap, sizeof *z_len);
    s->z_len = z_len ? z_len : s->z_len;
    if (token && breaks && z_len) {
        h->cap = cap;
        return true;
    }
    if (h->cap == 0)
        return false;
    size_t forget = h->n - h->n / 2;
    if (h->count) /* those of them that the penalties' window still held */
        for (size_t i = 0; i < forget; i++)
            if (h->n - i <= window_of(s->p.penalty_last_n))
                count_out(h, h->token[i]);
    drop_oldest(h, forget);
    return true;
}

/* Runs the token's text through the breakers; whether one of them ended in it. */
static bool feed_breakers(struct sampler *s, int32_t token)
{
    if (s->n_breakers == 0)
        return false;
    struct str text = s->token_text(s->text_ctx, token);
    bool ended = false;
    for (size_t k = 0; k < s->n_breakers; k++) {
        struct breaker *b = &s->breakers[k];
        for (size_t i = 0; i < text.n; i++) {
            while (b->matched > 0 && text.p[i] != b->text.p[b->matched])
                b->matched = b->border[b->matched - 1];
            b->matched += text.p[i] == b->text.p[b->matched];
            if (b->matched == b->text.n) {
                ended = true;
                b->matched = b->border[b->matched - 1];
            }
        }
    }
    return ended;
}

void sampler_accept(struct sampler *s, int32_t token)
{
    struct history *h = &s->hist;
    if (h->window == 0 || token < 0 || (size_t)token >= s->n_vocab)
        return;
    bool breaks = feed_breakers(s, token);
    if (!make_room(s))
        return;
    h->token[h->n] = token;
    h->breaks[h->n++] = breaks;
    if (h->count) {
        size_t w = window_of(s->p.penalty_last_n);
        count_in(h, token);
        if (h->n > w)
            count_out(h, h->token[h->n - 1 - w]);
    }
}

/* CTRL's repetition penalty (Keskar et al. 2019) with the sign rule that everyone uses (negative
 * logits are multiplied, so that a penalty never helps), then OpenAI's two. */
void adjust_penalties(struct sampler *s, float *z)
{
    const struct history *h = &s->hist;
    double repeat = s->p.repetition_penalty;
    for (size_t i = 0; i < h->n_present; i++) {
        int32_t t = h->present[i];
        double x = (double)z[t];
        x = x <= 0.0 ? x * repeat : x / repeat;
        x -= (double)h->count[t] * s->p.frequency_penalty + s->p.presence_penalty;
        z[t] = (float)x;
    }
}

static bool is_breaker(const struct sampler *s, int32_t token)
{
    if (s->n_breakers == 0)
        return false;
    struct str text = s->token_text(s->text_ctx, token);
    for (size_t k = 0; k < s->n_breakers; k++)
        if (memmem(text.p, text.n, s->breakers[k].text.p, s->breakers[k].text.n))
            return true;
    return false;
}

/* len[k], 1 <= k < n: how many of the last tokens also stand k places earlier (the Z function of
 * the reversed history; Gusfield 1997), at most n - k. Linear time. */
static void repeat_lengths(const int32_t *last, size_t n, int32_t *len)
{
    size_t left = 0, right = 0; /* last[-right .. -left] matches the end */
    for (size_t k = 1; k < n; k++) {
        size_t m = 0;
        if (k < right) {
            m = (size_t)len[k - left];
            m = m < right - k ? m : right - k;
        }
        while (m + k < n && last[-(ptrdiff_t)m] == last[-(ptrdiff_t)(m + k)])
            m++;
        if (k + m > right) {
            left = k;
            right = k + m;
        }
        len[k] = (int32_t)m;
    }
}

static double power(double base, int64_t n)
{
    double out = 1.0;
    for (; n > 0; n >>= 1, base *= base)
        if (n & 1)
            out *= base;
    return out;
}

/* DRY (p-e-w, text-generation-webui pull request 5677): a token that would continue a repetition
 * of `len` tokens loses multiplier * base^(len - allowed_length). A repetition is counted back to
 * the last breaker; tokens that hold a breaker are never penalized. */
void adjust_dry(struct sampler *s, float *z)
{
    const struct history *h = &s->hist;
    size_t window = window_of(s->p.dry_penalty_last_n);
    size_t n = h->n < window ? h->n : window, limit = 0;
    size_t allowed = (size_t)s->p.dry_allowed_length;
    if (n <= allowed)
        return;
    while (limit < n && !h->breaks[h->n - 1 - limit])
        limit++;
    if (limit < allowed)
        return;
    const int32_t *last = h->token + h->n - 1;
    repeat_lengths(last, n, s->z_len);

    /* base^x stays within float32 */
    int64_t most = INT64_MAX;
    if (s->p.dry_base > 1.000001)
        most = (int64_t)(88.7228391 / det_log(s->p.dry_base));
    size_t n_touched = 0;
    int32_t *touched = s->cand.id;
    for (size_t k = 1; k < n; k++) {
        size_t len = (size_t)s->z_len[k] < limit ? (size_t)s->z_len[k] : limit;
        int32_t token = last[1 - (ptrdiff_t)k];
        if (len < allowed)
            continue;
        if (s->dry_len[token] == 0)
            touched[n_touched++] = token;
        if (s->dry_len[token] < (int32_t)len + 1)
            s->dry_len[token] = (int32_t)len + 1;
    }
    for (size_t i = 0; i < n_touched; i++) {
        int32_t token = touched[i];
        int64_t exponent = s->dry_len[token] - 1 - (int64_t)allowed;
        s->dry_len[token] = 0;
        if (is_breaker(s, token))
            continue;
        double penalty =
            s->p.dry_multiplier * power(s->p.dry_base, exponent < most ? exponent : most);
        z[token] = (float)((double)z[token] - penalty);
    }
}
