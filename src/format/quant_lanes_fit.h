/* Weighted least-squares fits of scales (and offsets), a block in each lane.
 *
 * A block is fitted by trying a number of scales around the one that maps its largest value to the
 * end of the integer range, rounding, and solving for the best scale of those integers in closed
 * form; the best of them is refined by alternating the two steps (Lloyd's algorithm). Types with
 * two levels of scales fit each sub-block, then the super-block's scale to the sub-blocks' scales,
 * then search the neighbours of each integer scale for the smallest true error.
 *
 * Everything is inlined into the quantizers of quant_lanes_types.h, where ranges, sizes and whether
 * there are weights are constants. Without weights (weighted false) w is not read. */
#pragma once
#include "format/quant_blocks.h"
#include "format/quant_lanes.h"
#include <stdbool.h>

/* Values beyond f16's range could not be given a finite scale. */
#define FIT_LARGEST 65504.0f
/* Below this even f16's smallest scale (6e-8) rounds every type's values to zero. */
#define FIT_SMALLEST 1e-12f

enum {
    REFINE = 2, /* Lloyd steps on the best of the scales tried */
    SUPER_ROUNDS = 1
};

/* x and w of LANES blocks, cleaned as quant.h promises: (element, lane). */
struct lanes_block {
    vf x[QK_K];
    vf w[QK_K];
};

/* Loads `blocks` blocks (at most LANES, the other lanes become zeros) of n values. Returns the
 * lanes that are not all (as good as) zero: where there is something to fit. */
INLINE vi fit_load(struct lanes_block *b, const float *src, const float *weight, int blocks, int n,
                   bool weighted)
{
    static const float zeros[QK_K];
    const float *rows[LANES];
    for (int l = 0; l < LANES; l++)
        rows[l] = l < blocks ? src + l * n : zeros;
    lanes_transpose(b->x, rows, n);
    vf peak = vf_all(0);
    for (int e = 0; e < n; e++) {
        vf x = vf_only((vi)(b->x[e] == b->x[e]), b->x[e]);
        x = vf_max(vf_min(x, vf_all(FIT_LARGEST)), vf_all(-FIT_LARGEST));
        peak = vf_max(vf_abs(x), peak);
        b->x[e] = x;
    }
    if (weighted) {
        for (int l = 0; l < LANES; l++)
            rows[l] = l < blocks ? weight + l * n : zeros;
        lanes_transpose(b->w, rows, n);
        vf heaviest = vf_all(0);
        for (int e = 0; e < n; e++) {
            vf w = b->w[e];
            b->w[e] = w = vf_only((vi)(w > vf_all(0)) & (vi)(w <= vf_all(3e38f)), w);
            heaviest = vf_max(w, heaviest);
        }
        /* Only ratios matter; bringing the heaviest to 1 keeps sums away from overflow. */
        vi some = (vi)(heaviest >= vf_all(1e-30f));
        vf scale = vf_all(1) / heaviest;
        for (int e = 0; e < n; e++)
            b->w[e] = vf_select(some, b->w[e] * scale, vf_all(1));
    }
    return (vi)(peak >= vf_all(FIT_SMALLEST));
}

INLINE vf fit_weigh(const vf *w, int i, vf v, bool weighted)
{
    if (weighted)
        v = w[i] * v;
    return v;
}

/* The nearest finite f16: a fitted value may lie a little beyond the largest input. */
INLINE vi fit_to_f16(vf f)
{
    return vf_to_f16(vf_max(vf_min(f, vf_all(FIT_LARGEST)), vf_all(-FIT_LARGEST)));
}

INLINE vf fit_f16(vf f) /* rounded to f16 and back */
{
    return vf_from_f16(fit_to_f16(f));
}

INLINE vf fit_inverse(vf d) /* 0 for 0 */
{
    return vf_only((vi)(d != vf_all(0)), vf_all(1) / d);
}

/* The values that an integer code can stand for: all integers lo..hi, or a table of levels. */
struct fit_grid {
    float lo, hi;
    const float *cells; /* NULL, or the nearest level by floor(2 (v + 128)) */
    int tries;          /* scales tried per direction, a multiple of 4 */
    float width;        /* of the range of trial scales, in steps of the grid's ends */
};

/* The grid's value nearest to each v. */
INLINE vf fit_snap(const struct fit_grid g, vf v)
{
    v = vf_min(vf_max(v, vf_all(g.lo)), vf_all(g.hi));
    if (!g.cells)
        return vf_round(v);
    return vf_look_up(g.cells, vf_int((v + vf_all(128)) * vf_all(2)));
}

struct fit_sums {
    vf xq, qq; /* sum(w x q), sum(w q^2) */
};

/* Rounds x / d for `tries` inverse scales id at once: the loads are shared, and as many chains of
 * additions run side by side. */
INLINE void fit_project(const struct fit_grid g, const vf *x, const vf *w, int n, const vf *id,
                        int tries, bool weighted, struct fit_sums *s)
{
    UNROLL(4)
    for (int k = 0; k < tries; k++)
        s[k] = (struct fit_sums){vf_all(0), vf_all(0)};
    for (int i = 0; i < n; i++) {
        UNROLL(4)
        for (int k = 0; k < tries; k++) {
            vf q = fit_snap(g, x[i] * id[k]), wq = fit_weigh(w, i, q, weighted);
            s[k].xq += x[i] * wq;
            s[k].qq += q * wq;
        }
    }
}

struct fit_scale {
    vf d, importance; /* importance: sum(w q^2), how much an error of d weighs */
};

struct fit_search {
    struct fit_sums best;
    vf gain; /* with q given, the best d is xq / qq and lowers the squared error by xq^2 / qq */
};

/* Takes s where it is better; returns the lanes. */
INLINE vi fit_keep(struct fit_search *f, struct fit_sums s)
{
    vf gain = s.xq * s.xq / s.qq; /* NaN when all q are 0: not better */
    vi better = (vi)(gain > f->gain);
    f->gain = vf_select(better, gain, f->gain);
    f->best.xq = vf_select(better, s.xq, f->best.xq);
    f->best.qq = vf_select(better, s.qq, f->best.qq);
    return better;
}

/* The d that minimises sum(w * (x - d * q)^2) over d and q in the grid. */
INLINE struct fit_scale fit_scale(const struct fit_grid g, const vf *x, const vf *w, int n,
                                  bool weighted)
{
    vf peak = vf_all(0);
    for (int i = 0; i < n; i++) {
        vi higher = (vi)(vf_abs(x[i]) > vf_abs(peak));
        if (weighted)
            higher &= (vi)(w[i] > vf_all(0));
        peak = vf_select(higher, x[i], peak);
    }
    vi some = (vi)(vf_abs(peak) >= vf_all(FIT_SMALLEST));
    vf ip = vf_all(1) / vf_select(some, peak, vf_all(1));
    struct fit_search f = {{vf_all(0), vf_all(0)}, vf_all(0)};
    /* the peak goes near one end of the grid: the low one, then the high one */
    struct fit_sums s[4];
    for (int dir = 0; dir < 2; dir++) {
        float end = dir ? g.hi : -g.lo, step = g.width / (float)(g.tries - 1);
        for (int k = 0; end > 0 && k < g.tries; k += 4) {
            vf id[4];
            for (int t = 0; t < 4; t++) {
                float top = end + step * (float)(k + t) - g.width * 0.57f;
                top = top > 0.5f ? top : 0.5f;
                id[t] = ip * vf_all(dir ? top : -top);
            }
            fit_project(g, x, w, n, id, 4, weighted, s);
            for (int t = 0; t < 4; t++)
                fit_keep(&f, s[t]);
        }
    }
    for (int k = 0; k < REFINE; k++) {
        vf id = vf_select((vi)(f.best.xq != vf_all(0)), f.best.qq / f.best.xq, vf_all(0));
        fit_project(g, x, w, n, &id, 1, weighted, s);
        if (!vi_any(fit_keep(&f, s[0])))
            break;
    }
    some &= (vi)(f.best.qq > vf_all(0));
    return (struct fit_scale){vf_only(some, f.best.xq / f.best.qq), vf_only(some, f.best.qq)};
}

/* ---- affine ---- */

struct fit_line_sums {
    vf q, xq, qq; /* sums of w q, w x q, w q^2 */
};

/* q of x in a line: x * is - shift rounded into 0..q_max. */
INLINE vf fit_round_line(vf x, vf is, vf shift, float q_max)
{
    return vf_round(vf_min(vf_max(x * is - shift, vf_all(0)), vf_all(q_max)));
}

/* The sums for `tries` lines at once (see fit_project). */
INLINE void fit_project_line(const vf *x, const vf *w, int n, const vf *is, const vf *shift,
                             int tries, float q_max, bool weighted, struct fit_line_sums *s)
{
    UNROLL(4)
    for (int k = 0; k < tries; k++)
        s[k] = (struct fit_line_sums){vf_all(0), vf_all(0), vf_all(0)};
    for (int i = 0; i < n; i++) {
        UNROLL(4)
        for (int k = 0; k < tries; k++) {
            vf q = fit_round_line(x[i], is[k], shift[k], q_max);
            vf wq = fit_weigh(w, i, q, weighted);
            s[k].q += wq;
            s[k].xq += x[i] * wq;
            s[k].qq += q * wq;
        }
    }
}

struct fit_line {
    vf s, b, importance; /* x is about s q + b; importance: sum(w q^2) */
    vf w, wx;            /* sum(w), sum(w x) */
};

struct fit_line_search {
    struct fit_line best;
    vf gain; /* by how much the squared error falls below sum(w x^2) */
};

/* Takes the best line for the q of t where it is better: two equations in s and b; b is held at 0
 * where it must not rise. */
INLINE vi fit_keep_line(struct fit_line_search *f, struct fit_line_sums t, bool only_below)
{
    vf zero = vf_all(0), det = f->best.w * t.qq - t.q * t.q;
    vi regular = (vi)(det > vf_all(1e-6f) * f->best.w * t.qq);
    vf id = vf_all(1) / det;
    vf s = vf_only(regular, (f->best.w * t.xq - f->best.wx * t.q) * id);
    vf b = vf_select(regular, (t.qq * f->best.wx - t.q * t.xq) * id,
                     vf_only((vi)(f->best.w > zero), f->best.wx / f->best.w));
    if (only_below) {
        vi above = (vi)(b > zero);
        s = vf_select(above, vf_only((vi)(t.qq > zero), t.xq / t.qq), s);
        b = vf_only(~above, b);
    }
    s = vf_max(s, zero);
    vf gain = vf_all(2) * (s * t.xq + b * f->best.wx) - s * s * t.qq - vf_all(2) * s * b * t.q -
              b * b * f->best.w;
    vi better = (vi)(gain > f->gain);
    f->gain = vf_select(better, gain, f->gain);
    f->best.s = vf_select(better, s, f->best.s);
    f->best.b = vf_select(better, b, f->best.b);
    f->best.importance = vf_select(better, t.qq, f->best.importance);
    return better;
}

/* How lines are searched: the q that the largest value gets goes over q_max + from .. q_max + to in
 * `tries` steps; with few levels where the first one lies matters as much as the scale, so it is
 * tried at -nudge, 0 and nudge too. */
struct fit_affine {
    float q_max, from, to, nudge;
    int tries;       /* an even number */
    bool only_below; /* b <= 0 */
};

INLINE struct fit_line fit_affine(const struct fit_affine a, const vf *x, const vf *w, int n,
                                  bool weighted)
{
    vf lo = vf_all(FIT_LARGEST), hi = -lo, zero = vf_all(0);
    struct fit_line_search f = {{zero, zero, zero, zero, zero}, vf_all(-3e38f)};
    for (int i = 0; i < n; i++) {
        vi counts = weighted ? (vi)(w[i] > zero) : vi_all(-1);
        lo = vf_min(vf_select(counts, x[i], lo), lo);
        hi = vf_max(vf_select(counts, x[i], hi), hi);
        f.best.w += fit_weigh(w, i, vf_all(1), weighted);
        f.best.wx += fit_weigh(w, i, x[i], weighted);
    }
    if (a.only_below)
        lo = vf_min(lo, zero);
    fit_keep_line(&f, (struct fit_line_sums){zero, zero, zero}, a.only_below);
    vi some = (vi)(hi - lo >= vf_all(FIT_SMALLEST));
    vf unit = vf_all(1) / vf_select(some, hi - lo, vf_all(1));
    struct fit_line_sums s[2];
    float step = (a.to - a.from) / (float)(a.tries - 1), low = a.nudge > 0 ? -a.nudge : 0;
    for (int k = 0; k < a.tries; k += 2) {
        float top = a.q_max + a.from + step * (float)k;
        vf is[2] = {unit * vf_all(top), unit * vf_all(top + step)};
        for (float o = low; o <= a.nudge; o += a.nudge > 0 ? a.nudge : 1) {
            vf shift[2] = {lo * is[0] - vf_all(o), lo * is[1] - vf_all(o)};
            fit_project_line(x, w, n, is, shift, 2, a.q_max, weighted, s);
            fit_keep_line(&f, s[0], a.only_below);
            fit_keep_line(&f, s[1], a.only_below);
        }
    }
    for (int k = 0; k < REFINE; k++) {
        vf is = fit_inverse(f.best.s), shift = f.best.b * is;
        fit_project_line(x, w, n, &is, &shift, 1, a.q_max, weighted, s);
        if (!vi_any(fit_keep_line(&f, s[0], a.only_below)))
            break;
    }
    f.best.s = vf_only(some, f.best.s);
    return f.best;
}
