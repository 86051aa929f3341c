/* Cuts: from adjusted logits to the few tokens that may be drawn, and the draw.
 *
 * Every cut that keeps "the best until ..." is one question: in order of a key, how long is the
 * shortest prefix whose mass reaches a target? prefix_find answers it by radix descent over the
 * key's bits, in at most three linear passes and without sorting: a 128k vocabulary never meets an
 * O(n log n). Ties are broken by the lower token id everywhere. */
#include "base/detmath.h"
#include "engine/sampler_int.h"
#include <float.h>
#include <math.h>

static bool entry_better(struct top_entry a, struct top_entry b)
{
    return a.z > b.z || (a.z == b.z && a.id < b.id);
}

/* heap[0] is the worst of n; restores that below i */
static void sift_down(struct top_entry *heap, size_t n, size_t i)
{
    for (;;) {
        size_t worst = i, l = 2 * i + 1, r = l + 1;
        if (l < n && entry_better(heap[worst], heap[l]))
            worst = l;
        if (r < n && entry_better(heap[worst], heap[r]))
            worst = r;
        if (worst == i)
            return;
        struct top_entry t = heap[i];
        heap[i] = heap[worst];
        heap[worst] = t;
        i = worst;
    }
}

typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));

/* Whether any of z[0..15] is above bar: lets the scan pass over most of a vocabulary. */
static inline bool any_above(const float *z, float bar)
{
    vf v[4];
    memcpy(v, z, sizeof v);
    vf b = {bar, bar, bar, bar};
    vi m = (v[0] > b) | (v[1] > b) | (v[2] > b) | (v[3] > b);
    uint64_t half[2];
    memcpy(half, &m, sizeof half);
    return (half[0] | half[1]) != 0;
}

size_t top_select(const float *z, size_t n, size_t k, struct top_entry *out)
{
    size_t have = 0;
    float bar = -INFINITY; /* a later token must be strictly above it */
    for (size_t i = 0; i < n;) {
        size_t end = i + 16 <= n ? i + 16 : n;
        if (end - i == 16 && !any_above(z + i, bar)) {
            i = end;
            continue;
        }
        for (; i < end; i++) {
            if (!(z[i] > bar))
                continue;
            struct top_entry e = {z[i], (int32_t)i};
            if (have < k) {
                out[have++] = e;
                if (have < k)
                    continue;
                for (size_t j = k / 2; j-- > 0;)
                    sift_down(out, k, j);
            } else {
                out[0] = e;
                sift_down(out, k, 0);
            }
            bar = out[0].z;
        }
    }
    if (have < k)
        for (size_t j = have / 2; j-- > 0;)
            sift_down(out, have, j);
    for (size_t m = have; m > 1; m--) {
        struct top_entry t = out[0];
        out[0] = out[m - 1];
        out[m - 1] = t;
        sift_down(out, m - 1, 0);
    }
    return have;
}

/* Keep every key above `key`, and the first `ties` (in token order) equal to it. */
struct prefix {
    uint32_t key;
    size_t ties;
};

/* mass NULL: 1 each. The prefix ends where its mass is >= target, or > target with `beyond`; it
 * holds at least one element of positive mass. */
static struct prefix prefix_find(double *buckets, const uint32_t *key, const float *mass, size_t n,
                                 double target, bool beyond)
{
    static const struct {
        int shift, bits;
    } levels[] = {{21, 11}, {10, 11}, {0, 10}};
    uint32_t found = 0, mask = 0;
    double above = 0.0;
    target = target > DBL_MIN ? target : DBL_MIN;
    for (int l = 0; l < 3; l++) {
        uint32_t size = (uint32_t)1 << levels[l].bits, b = size;
        memset(buckets, 0, size * sizeof *buckets);
        for (size_t i = 0; i < n; i++)
            if ((key[i] & mask) == found)
                buckets[key[i] >> levels[l].shift & (size - 1)] += mass ? (double)mass[i] : 1.0;
        while (b > 0) {
            double reach = above + buckets[b - 1];
            if (beyond ? reach > target : reach >= target)
                break;
            above = reach;
            b--;
        }
        if (b == 0) /* the whole mass falls short */
            return (struct prefix){l == 0 ? 0 : found, n};
        found |= (b - 1) << levels[l].shift;
        mask |= (size - 1) << levels[l].shift;
    }
    struct prefix p = {found, 0};
    for (size_t i = 0; i < n; i++) {
        if (key[i] != found)
            continue;
        p.ties++;
        above += mass ? (double)mass[i] : 1.0;
        if (beyond ? above > target : above >= target)
            break;
    }
    return p;
}

/* Larger floats have larger keys. */
static uint32_t key_of(float x)
{
    uint32_t bits;
    x += 0.0f; /* one zero */
    memcpy(&bits, &x, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/* Weights are made when a step first needs them: often only after the temperature. */
static void weigh(struct cands *c)
{
    if (!c->weighed)
        c->total = det_exp_row(c->w, c->z, c->n, c->max, 1.0f);
    c->weighed = true;
}

static void find_max(struct cands *c)
{
    struct top_entry best = {0};
    top_select(c->z, c->n, 1, &best);
    c->max = best.z;
    c->weighed = false;
}

/* After a filter: the sum of what is left; everything anew when the best was removed. */
static void reweigh(struct cands *c)
{
    float best = 0.0f;
    c->total = 0.0;
    for (size_t i = 0; i < c->n; i++) {
        c->total += (double)c->w[i];
        best = c->w[i] > best ? c->w[i] : best;
    }
    if (best < 1.0f) {
        find_max(c);
        weigh(c);
    }
}

static void keep(struct cands *c, size_t to, size_t from)
{
    c->id[to] = c->id[from];
    c->z[to] = c->z[from];
    c->w[to] = c->w[from];
}

static void keep_prefix(struct cands *c, struct prefix p)
{
    size_t n = 0, ties = p.ties;
    for (size_t i = 0; i < c->n; i++) {
        if (c->key[i] < p.key || (c->key[i] == p.key && ties == 0))
            continue;
        ties -= c->key[i] == p.key;
        keep(c, n++, i);
    }
    c->n = n;
    reweigh(c);
}

void cands_gather(struct sampler *s, const float *z, size_t k)
{
    struct cands *c = &s->cand;
    c->n = 0;
    if (k <= HEAP_MAX && k < s->n_vocab) {
        size_t n = top_select(z, s->n_vocab, k, s->heap);
        /* into token order, by insertion: k is small and runs are common */
        for (size_t i = 0; i < n; i++) {
            struct top_entry e = s->heap[i];
            size_t j = c->n++;
            for (; j > 0 && c->id[j - 1] > e.id; j--) {
                c->id[j] = c->id[j - 1];
                c->z[j] = c->z[j - 1];
            }
            c->id[j] = e.id;
            c->z[j] = e.z;
        }
        c->max = n ? s->heap[0].z : 0.0f;
        c->weighed = false;
        return;
    }
    for (size_t i = 0; i < s->n_vocab; i++) {
        c->id[c->n] = (int32_t)i;
        c->z[c->n] = z[i];
        c->n += z[i] > -INFINITY; /* false for a NaN */
    }
    find_max(c);
    if (k < c->n) {
        weigh(c);
        for (size_t i = 0; i < c->n; i++)
            c->key[i] = key_of(c->z[i]);
        keep_prefix(c, prefix_find(s->buckets, c->key, NULL, c->n, (double)k, false));
    }
}

/* Locally typical sampling (Meister et al. 2022): tokens in order of how far their surprise is
 * from the entropy, until their mass is above typical_p. */
void cut_typical(struct sampler *s)
{
    struct cands *c = &s->cand;
    weigh(c);
    double moment = 0.0;
    for (size_t i = 0; i < c->n; i++)
        moment += (double)(c->z[i] - c->max) * (double)c->w[i];
    /* surprise_i = log total - d_i, entropy = log total - mean(d): their difference needs no log */
    double mean = moment / c->total;
    for (size_t i = 0; i < c->n; i++) {
        double d = (double)(c->z[i] - c->max);
        c->key[i] = ~key_of((float)fabs(mean - d));
    }
    keep_prefix(c, prefix_find(s->buckets, c->key, c->w, c->n, s->p.typical_p * c->total, true));
}

/* Nucleus sampling (Holtzman et al. 2019): the most likely until their mass reaches top_p. */
void cut_top_p(struct sampler *s)
{
    struct cands *c = &s->cand;
    weigh(c);
    for (size_t i = 0; i < c->n; i++)
        c->key[i] = key_of(c->z[i]);
    keep_prefix(c, prefix_find(s->buckets, c->key, c->w, c->n, s->p.top_p * c->total, false));
}

/* Min-p (Nguyen et al. 2024): those at least min_p as likely as the best. */
void cut_min_p(struct sampler *s)
{
    struct cands *c = &s->cand;
    weigh(c);
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        if ((double)c->w[i] >= s->p.min_p) /* the best has w = 1 */
            keep(c, n++, i);
    c->n = n;
    reweigh(c);
}

/* Exclude top choices: with probability xtc_probability, of the tokens at least xtc_threshold
 * likely all but the least likely are removed. One random number a step, whether it cuts or not. */
void cut_xtc(struct sampler *s)
{
    struct cands *c = &s->cand;
    weigh(c);
    if (rng_uniform(&s->rng) >= s->p.xtc_probability)
        return;
    double bar = s->p.xtc_threshold * c->total;
    size_t above = 0, least = 0, n = 0;
    for (size_t i = 0; i < c->n; i++)
        if ((double)c->w[i] >= bar && (above++ == 0 || c->z[i] <= c->z[least]))
            least = i; /* of equals the highest id: last in the order of ties */
    if (above < 2)
        return;
    for (size_t i = 0; i < c->n; i++)
        if (i == least || (double)c->w[i] < bar)
            keep(c, n++, i);
    c->n = n;
    reweigh(c);
}

void cut_temperature(struct sampler *s)
{
    struct cands *c = &s->cand;
    double inverse = 1.0 / s->p.temperature;
    float scale = inverse < (double)FLT_MAX ? (float)inverse : FLT_MAX;
    c->total = det_exp_row(c->w, c->z, c->n, c->max, scale);
    c->weighed = true;
}

/* Mirostat 2 (Basu et al. 2020): tokens more surprising than mu bits are cut, the best stays. */
void cut_mirostat(struct sampler *s)
{
    struct cands *c = &s->cand;
    weigh(c);
    /* log2(total / w) <= mu is w >= total * 2^-mu; the best has w = 1 */
    float least = (float)(det_log(c->total) - s->mirostat_mu * 0.6931471805599453);
    bool only_best = least > 0.0f;
    (void)det_exp_row(&least, &least, 1, only_best ? least : 0.0f, 1.0f);
    size_t n = 0;
    for (size_t i = 0; i < c->n && !(only_best && n == 1); i++)
        if (c->w[i] >= least)
            keep(c, n++, i);
    c->n = n;
    c->total = 0.0;
    for (size_t i = 0; i < n; i++)
        c->total += (double)c->w[i];
}

size_t cands_draw(struct sampler *s)
{
    struct cands *c = &s->cand;
    weigh(c);
    double target = rng_uniform(&s->rng) * c->total, sum = 0.0;
    size_t last = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (c->w[i] > 0.0f)
            last = i;
        sum += (double)c->w[i];
        if (target < sum)
            return i;
    }
    return last; /* total was summed in another order */
}
