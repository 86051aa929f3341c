/* Least-squares fits behind the quantizers; the method is told in quant_fit.h. All sums run in one
 * order (v4.h), so the same input gives the same blocks on every machine; the cost per value is a
 * few dozen multiplications, four at a time. */
#include "format/quant_fit.h"
#include "format/v4.h"
#include <math.h>

/* Values beyond f16's range could not be given a finite scale. */
static const float LARGEST = 65504.0f;
/* Below this even f16's smallest scale (6e-8) rounds every type's values to zero. */
static const float SMALLEST = 1e-12f;

enum {
    TRIES = 8,  /* scales tried per direction; more gain less than 0.1% of the error */
    REFINE = 3, /* Lloyd steps on the best of them */
    SUPER_ROUNDS = 1
};

bool fit_load(struct fit_block *b, const float *src, const float *weight, int n)
{
    float peak = 0, heaviest = 0;
    for (int i = 0; i < n; i++) {
        float x = src[i], w = weight ? weight[i] : 1.0f;
        x = x == x ? x : 0.0f;
        x = x > LARGEST ? LARGEST : x < -LARGEST ? -LARGEST : x;
        w = w > 0 && w <= 3e38f ? w : 0.0f;
        float size = fabsf(x);
        peak = size > peak ? size : peak;
        heaviest = w > heaviest ? w : heaviest;
        b->x[i] = x;
        b->w[i] = w;
    }
    /* Only ratios of weights matter; bringing the heaviest to 1 keeps sums away from overflow. */
    float scale = heaviest > 0 ? 1.0f / heaviest : 0.0f;
    for (int i = 0; i < n; i++)
        b->w[i] = heaviest >= 1e-30f ? b->w[i] * scale : 1.0f;
    return peak >= SMALLEST;
}

void fit_grid_table(struct fit_grid *g, const int8_t *levels, int n)
{
    g->table = true;
    g->lo = (float)levels[0];
    g->hi = (float)levels[n - 1];
    for (int i = 0, at = 0; i < 512; i++) {
        float v = (float)i / 2 - 128; /* the cell is [v, v + 0.5) */
        while (at + 1 < n && v >= (float)(levels[at] + levels[at + 1]) / 2)
            at++;
        g->cell[i] = (float)levels[at];
    }
}

/* The grid's value nearest to each v. `table` is a constant at every call. */
static inline __attribute__((always_inline)) v4 snap(const struct fit_grid *g, v4 v, bool table)
{
    v = v4_min(v4_max(v, v4_all(g->lo)), v4_all(g->hi));
    if (!table)
        return v4_round(v);
    i4 at = __builtin_convertvector((v + v4_all(128)) * v4_all(2), i4);
    return (v4){g->cell[at[0]], g->cell[at[1]], g->cell[at[2]], g->cell[at[3]]};
}

struct sums {
    float xq, qq; /* sum(w x q), sum(w q^2) */
};

static inline __attribute__((always_inline)) struct sums project_as(const struct fit_grid *g,
                                                                    const float *x, const float *w,
                                                                    int n, float id, bool table)
{
    v4 xq = {0}, qq = {0};
    for (int i = 0; i < n; i += 4) {
        v4 xi = *(const v4 *)(x + i), wi = *(const v4 *)(w + i);
        v4 q = snap(g, xi * v4_all(id), table), wq = wi * q;
        xq += xi * wq;
        qq += q * wq;
    }
    return (struct sums){v4_sum(xq), v4_sum(qq)};
}

static struct sums project(const struct fit_grid *g, const float *x, const float *w, int n,
                           float id)
{
    return g->table ? project_as(g, x, w, n, id, true) : project_as(g, x, w, n, id, false);
}

static inline __attribute__((always_inline)) float error_as(const struct fit_grid *g,
                                                            const float *x, const float *w, int n,
                                                            float d, bool table)
{
    float id = d != 0 ? 1.0f / d : 0;
    v4 sum = {0};
    for (int i = 0; i < n; i += 4) {
        v4 xi = *(const v4 *)(x + i), wi = *(const v4 *)(w + i);
        v4 e = xi - snap(g, xi * v4_all(id), table) * v4_all(d);
        sum += wi * e * e;
    }
    return v4_sum(sum);
}

/* sum(w * (x - d q)^2) with the best q */
static float error_of(const struct fit_grid *g, const float *x, const float *w, int n, float d)
{
    return g->table ? error_as(g, x, w, n, d, true) : error_as(g, x, w, n, d, false);
}

/* With q given, the best d is xq / qq and lowers the squared error by xq^2 / qq. */
static float gain(struct sums s)
{
    return s.qq > 0 ? s.xq * s.xq / s.qq : 0;
}

float fit_scale(const struct fit_grid *g, const float *x, const float *w, int n, float *importance)
{
    float peak = 0;
    for (int i = 0; i < n; i++) {
        if (fabsf(x[i]) > fabsf(peak) && w[i] > 0)
            peak = x[i];
    }
    if (importance)
        *importance = 0;
    if (fabsf(peak) < SMALLEST)
        return 0;
    struct sums best = {0, 0};
    float best_gain = 0;
    /* the peak goes near one end of the grid: the low one, then the high one */
    for (int dir = 0; dir < 2; dir++) {
        float end = dir ? g->hi : -g->lo;
        /* a table's steps at its ends are wider than 1 */
        float step = (g->table ? 10.0f : 1.0f) * 2.1f / (TRIES - 1);
        float from = end - step * (TRIES - 1) * 0.57f;
        for (int k = 0; end > 0 && k < TRIES; k++) {
            float top = from + step * (float)k;
            if (top < 0.5f)
                continue;
            struct sums s = project(g, x, w, n, (dir ? top : -top) / peak);
            if (gain(s) > best_gain) {
                best_gain = gain(s);
                best = s;
            }
        }
    }
    for (int k = 0; k < REFINE && best.xq != 0; k++) {
        struct sums s = project(g, x, w, n, best.qq / best.xq);
        if (gain(s) <= best_gain)
            break;
        best_gain = gain(s);
        best = s;
    }
    if (importance)
        *importance = best.qq;
    return best.qq > 0 ? best.xq / best.qq : 0;
}

void fit_round(const struct fit_grid *g, const float *x, int n, float d, float *q)
{
    float id = d != 0 ? 1.0f / d : 0;
    for (int i = 0; i < n; i += 4) {
        v4 v = *(const v4 *)(x + i) * v4_all(id);
        *(v4 *)(q + i) = g->table ? snap(g, v, true) : snap(g, v, false);
    }
}

/* ---- affine ---- */

struct line_sums {
    float q, xq, qq; /* sums of w q, w x q, w q^2 */
};

/* q = (x - origin) * is rounded into 0..q_max */
static struct line_sums project_line(const float *x, const float *w, int n, float is, float origin,
                                     float q_max)
{
    v4 q1 = {0}, xq = {0}, qq = {0};
    for (int i = 0; i < n; i += 4) {
        v4 xi = *(const v4 *)(x + i), wi = *(const v4 *)(w + i);
        v4 q =
            v4_round(v4_min(v4_max((xi - v4_all(origin)) * v4_all(is), v4_all(0)), v4_all(q_max)));
        v4 wq = wi * q;
        q1 += wq;
        xq += xi * wq;
        qq += q * wq;
    }
    return (struct line_sums){v4_sum(q1), v4_sum(xq), v4_sum(qq)};
}

struct line_fit {
    struct line_sums sums;
    struct fit_line line;
    float gain; /* by how much the squared error falls below sum(w x^2) */
};

/* The best line for given q: two equations in s and b; b is held at 0 where it must not rise. */
static struct line_fit solve_line(struct line_sums t, float w, float wx, bool only_below)
{
    struct line_fit f = {.sums = t};
    float det = w * t.qq - t.q * t.q;
    if (det > 1e-6f * w * t.qq) {
        f.line.s = (w * t.xq - wx * t.q) / det;
        f.line.b = (t.qq * wx - t.q * t.xq) / det;
    } else {
        f.line.b = w > 0 ? wx / w : 0;
    }
    if (only_below && f.line.b > 0)
        f.line = (struct fit_line){t.qq > 0 ? t.xq / t.qq : 0, 0};
    if (f.line.s < 0)
        f.line.s = 0;
    f.gain = 2 * (f.line.s * t.xq + f.line.b * wx) - f.line.s * f.line.s * t.qq -
             2 * f.line.s * f.line.b * t.q - f.line.b * f.line.b * w;
    return f;
}

struct fit_line fit_affine(const float *x, const float *w, int n, float q_max, bool only_below,
                           float *importance)
{
    float lo = 0, hi = 0, sw = 0, swx = 0;
    for (int i = 0, first = 1; i < n; i++) {
        sw += w[i];
        swx += w[i] * x[i];
        if (w[i] > 0) {
            lo = first || x[i] < lo ? x[i] : lo;
            hi = first || x[i] > hi ? x[i] : hi;
            first = 0;
        }
    }
    if (only_below && lo > 0)
        lo = 0;
    struct line_fit best = solve_line((struct line_sums){0, 0, 0}, sw, swx, only_below);
    if (hi - lo >= SMALLEST) {
        /* few levels: where the first one lies matters as much as the scale */
        float nudge = q_max < 8 ? 0.3f : 0.0f;
        for (int k = 0; k < TRIES; k++) {
            float is = (q_max - 1.0f + 2.0f * (float)k / (TRIES - 1)) / (hi - lo);
            for (float o = -nudge; o <= nudge; o += 0.3f) {
                struct line_sums t = project_line(x, w, n, is, lo - o / is, q_max);
                struct line_fit f = solve_line(t, sw, swx, only_below);
                if (f.gain > best.gain)
                    best = f;
            }
        }
        for (int k = 0; k < REFINE && best.line.s > 0; k++) {
            struct line_sums t = project_line(x, w, n, 1 / best.line.s, best.line.b, q_max);
            struct line_fit f = solve_line(t, sw, swx, only_below);
            if (f.gain <= best.gain)
                break;
            best = f;
        }
    }
    if (importance)
        *importance = best.sums.qq;
    return best.line;
}

void fit_round_affine(const float *x, int n, struct fit_line line, float q_max, float *q)
{
    float is = line.s != 0 ? 1.0f / line.s : 0;
    for (int i = 0; i < n; i += 4) {
        v4 v = (*(const v4 *)(x + i) - v4_all(line.b)) * v4_all(is);
        *(v4 *)(q + i) = v4_round(v4_min(v4_max(v, v4_all(0)), v4_all(q_max)));
    }
}

static float error_line(const float *x, const float *w, int n, struct fit_line line, float q_max)
{
    float is = line.s != 0 ? 1.0f / line.s : 0;
    v4 sum = {0}, s = v4_all(line.s);
    for (int i = 0; i < n; i += 4) {
        v4 xi = *(const v4 *)(x + i) - v4_all(line.b), wi = *(const v4 *)(w + i);
        v4 e = xi - s * v4_round(v4_min(v4_max(xi * v4_all(is), v4_all(0)), v4_all(q_max)));
        sum += wi * e * e;
    }
    return v4_sum(sum);
}

/* ---- super-blocks ---- */

static int clamp_int(float v, int lo, int hi)
{
    return v <= (float)lo ? lo : v >= (float)hi ? hi : (int)lrintf(v);
}

/* Given d, the best code of each sub-block: the rounded one or a neighbour. Returns the error. */
static float choose_codes(const struct fit_grid *g, const struct fit_block *b, int n_sub, int n,
                          int code_lo, int code_hi, float d, const float *scale, int *code)
{
    float total = 0;
    for (int i = 0; i < n_sub; i++) {
        const float *x = b->x + i * n, *w = b->w + i * n;
        int near = d != 0 ? clamp_int(scale[i] / d, code_lo, code_hi) : 0;
        float best = 3e38f;
        for (int c = near - 1; c <= near + 1; c++) {
            if (c < code_lo || c > code_hi)
                continue;
            float e = error_of(g, x, w, n, d * (float)c);
            if (e < best) {
                best = e;
                code[i] = c;
            }
        }
        total += best;
    }
    return total;
}

/* Codes given, the d that suits all sub-blocks best. */
static float solve_super(const struct fit_grid *g, const struct fit_block *b, int n_sub, int n,
                         float d, const int *code)
{
    float num = 0, den = 0;
    for (int i = 0; i < n_sub; i++) {
        float c = (float)code[i];
        if (code[i] == 0)
            continue;
        struct sums s = project(g, b->x + i * n, b->w + i * n, n, 1.0f / (d * c));
        num += c * s.xq;
        den += c * c * s.qq;
    }
    return den > 0 ? num / den : d;
}

float fit_super(const struct fit_grid *g, const struct fit_block *b, int n_sub, int n, int code_lo,
                int code_hi, int *code, float *q)
{
    alignas(16) float scale[16] = {0}, weight[16] = {0};
    const struct fit_grid codes = {.lo = (float)code_lo, .hi = (float)code_hi};
    int trial[16] = {0};
    for (int i = 0; i < n_sub; i++)
        scale[i] = fit_scale(g, b->x + i * n, b->w + i * n, n, &weight[i]);
    float d = fit_f16(fit_scale(&codes, scale, weight, n_sub, NULL)), best = 3e38f, best_d = 0;
    for (int i = 0; i < n_sub; i++)
        code[i] = 0;
    for (int round = 0; round <= SUPER_ROUNDS && d != 0; round++) {
        float e = choose_codes(g, b, n_sub, n, code_lo, code_hi, d, scale, trial);
        if (e >= best)
            break;
        best = e;
        best_d = d;
        memcpy(code, trial, (size_t)n_sub * sizeof *code);
        d = fit_f16(solve_super(g, b, n_sub, n, d, trial));
    }
    for (int i = 0; i < n_sub; i++)
        fit_round(g, b->x + i * n, n, best_d * (float)code[i], q + i * n);
    return best_d;
}

struct codes {
    int sc[16], m[16];
};

static float choose_codes_affine(const struct fit_block *b, int n_sub, int n, int code_max,
                                 float q_max, struct fit_scales f, const struct fit_line *line,
                                 struct codes *out)
{
    float total = 0;
    /* a 4-bit code is coarse: the best pair may lie further from the rounded one */
    int reach = code_max < 16 ? 2 : 1;
    for (int i = 0; i < n_sub; i++) {
        const float *x = b->x + i * n, *w = b->w + i * n;
        int sc = f.d > 0 ? clamp_int(line[i].s / f.d, 0, code_max) : 0;
        int m = f.dmin > 0 ? clamp_int(-line[i].b / f.dmin, 0, code_max) : 0;
        float best = 3e38f;
        for (int s = sc > reach ? sc - reach : 0; s <= sc + reach && s <= code_max; s++) {
            for (int k = m > reach ? m - reach : 0; k <= m + reach && k <= code_max; k++) {
                struct fit_line l = {f.d * (float)s, -f.dmin * (float)k};
                float e = error_line(x, w, n, l, q_max);
                if (e < best) {
                    best = e;
                    out->sc[i] = s;
                    out->m[i] = k;
                }
            }
        }
        total += best;
    }
    return total;
}

/* Codes given: x is about d * (sc q) - dmin * m, two equations over all sub-blocks. */
static struct fit_scales solve_super_affine(const struct fit_block *b, int n_sub, int n,
                                            float q_max, struct fit_scales f, const struct codes *c)
{
    float uu = 0, uv = 0, vv = 0, xu = 0, xv = 0; /* u = sc q, v = -m */
    for (int i = 0; i < n_sub; i++) {
        const float *x = b->x + i * n, *w = b->w + i * n;
        float sc = (float)c->sc[i], m = (float)c->m[i], sw = 0, swx = 0;
        for (int k = 0; k < n; k++) {
            sw += w[k];
            swx += w[k] * x[k];
        }
        struct line_sums t = {0, 0, 0};
        if (c->sc[i] && f.d > 0)
            t = project_line(x, w, n, 1 / (f.d * sc), -f.dmin * m, q_max);
        uu += sc * sc * t.qq;
        uv -= sc * m * t.q;
        vv += m * m * sw;
        xu += sc * t.xq;
        xv -= m * swx;
    }
    float det = uu * vv - uv * uv;
    struct fit_scales out = {uu > 0 ? xu / uu : 0, 0};
    if (det > 1e-6f * uu * vv) {
        out.d = (xu * vv - xv * uv) / det;
        out.dmin = (xv * uu - xu * uv) / det;
    }
    if (!(out.d > 0) || !(out.dmin >= 0))
        return f;
    return (struct fit_scales){fit_f16(out.d), fit_f16(out.dmin)};
}

struct fit_scales fit_super_affine(const struct fit_block *b, int n_sub, int n, int code_max,
                                   float q_max, int *sc, int *m, float *q)
{
    alignas(16) float scale[16] = {0}, below[16] = {0}, weight[16] = {0}, sum[16] = {0};
    struct fit_line line[16];
    struct codes best = {{0}, {0}}, trial = {{0}, {0}};
    const struct fit_grid codes = {.lo = 0, .hi = (float)code_max};
    for (int i = 0; i < n_sub; i++) {
        line[i] = fit_affine(b->x + i * n, b->w + i * n, n, q_max, true, &weight[i]);
        scale[i] = line[i].s;
        below[i] = -line[i].b;
        for (int k = 0; k < n; k++)
            sum[i] += b->w[i * n + k];
    }
    struct fit_scales f = {fit_f16(fit_scale(&codes, scale, weight, n_sub, NULL)),
                           fit_f16(fit_scale(&codes, below, sum, n_sub, NULL))};
    struct fit_scales best_f = {0, 0};
    float best_e = 3e38f;
    for (int round = 0; round <= SUPER_ROUNDS; round++) {
        float e = choose_codes_affine(b, n_sub, n, code_max, q_max, f, line, &trial);
        if (e >= best_e)
            break;
        best_e = e;
        best_f = f;
        best = trial;
        f = solve_super_affine(b, n_sub, n, q_max, f, &trial);
    }
    for (int i = 0; i < n_sub; i++) {
        sc[i] = best.sc[i];
        m[i] = best.m[i];
        struct fit_line l = {best_f.d * (float)sc[i], -best_f.dmin * (float)m[i]};
        fit_round_affine(b->x + i * n, n, l, q_max, q + i * n);
    }
    return best_f;
}
