/* Super-blocks in lanes: n_sub sub-blocks of n values whose scales (and minima) are integer codes
 * times the super-block's. See quant_lanes_fit.h. */
#pragma once
#include "format/quant_lanes_fit.h"

struct super_shape {
    int n_sub, n;         /* n_sub * n == QK_K */
    int code_lo, code_hi; /* range of the sub-blocks' codes */
    int reach;            /* neighbours of the rounded code that are tried */
    bool keeps_norm;      /* see norm_factor */
};

struct norm_sums {
    vf xx, xy; /* sum(w x^2), sum(w x y), y: what the codes stand for */
};

INLINE void norm_add(struct norm_sums *t, vf x, vf y, const vf *w, int i, bool weighted)
{
    vf wx = fit_weigh(w, i, x, weighted);
    t->xx += wx * x;
    t->xy += wx * y;
}

/* A least-squares fit is orthogonal to its error, so y is smaller than x: sum(w y^2) = sum(w x y) =
 * sum(w x^2) - error. Errors of many columns and layers cancel, but being too small does not. The
 * factor for the super-block's scales that gives y the norm of x is sqrt(xx / xy), here to first
 * order. It costs a quarter of error / xx of the error: 2% where that is 8% (Q2_K). */
INLINE vf norm_factor(const struct norm_sums *t)
{
    vf f = (vf_all(1) + t->xx / t->xy) * vf_all(0.5f);
    f = vf_max(vf_min(f, vf_all(1.25f)), vf_all(1));
    return vf_select((vi)(t->xy > vf_all(0)), f, vf_all(1));
}

/* Integer codes as floats, (sub-block, lane). */
struct super_codes {
    vf d, code[16];
};

INLINE vf super_round(vf v, vf id, float lo, float hi)
{
    return vf_round(vf_min(vf_max(v * id, vf_all(lo)), vf_all(hi)));
}

/* x = d * code[i] * q. d is rounded to f16. */
INLINE void fit_super(const struct fit_grid g, const struct super_shape s,
                      const struct lanes_block *b, bool weighted, struct super_codes *out)
{
    vf scale[16], weight[16], trial[16], zero = vf_all(0);
    const struct fit_grid codes = {
        .lo = (float)s.code_lo, .hi = (float)s.code_hi, .tries = 8, .width = 2.1f};
    for (int i = 0; i < s.n_sub; i++) {
        struct fit_scale f = fit_scale(g, b->x + i * s.n, b->w + i * s.n, s.n, weighted);
        scale[i] = f.d;
        weight[i] = f.importance;
        out->code[i] = zero;
    }
    vf d = fit_f16(fit_scale(codes, scale, weight, s.n_sub, true).d), best = vf_all(-3e38f);
    out->d = zero;
    for (int round = 0; round <= SUPER_ROUNDS; round++) {
        /* given d, the best code of each sub-block: the rounded one or a neighbour */
        vf total = zero, num = zero, den = zero, id = fit_inverse(d);
        for (int i = 0; i < s.n_sub; i++) {
            vf near = super_round(scale[i], id, codes.lo, codes.hi), c[3], inverse[3];
            struct fit_sums p[3];
            for (int k = 0; k < 3; k++) {
                c[k] =
                    vf_min(vf_max(near + vf_all((float)k - 1), vf_all(codes.lo)), vf_all(codes.hi));
                inverse[k] = fit_inverse(d * c[k]);
            }
            fit_project(g, b->x + i * s.n, b->w + i * s.n, s.n, inverse, 3, weighted, p);
            vf gain = vf_all(-3e38f);
            for (int k = 0; k < 3; k++) {
                vf dl = d * c[k], e = dl * (vf_all(2) * p[k].xq - dl * p[k].qq);
                vi better = (vi)(e > gain);
                gain = vf_select(better, e, gain);
                trial[i] = vf_select(better, c[k], trial[i]);
                p[0].xq = vf_select(better, p[k].xq, p[0].xq);
                p[0].qq = vf_select(better, p[k].qq, p[0].qq);
            }
            total += gain;
            num += trial[i] * p[0].xq;
            den += trial[i] * trial[i] * p[0].qq;
        }
        vi better = (vi)(total > best) & (vi)(d != zero);
        best = vf_select(better, total, best);
        out->d = vf_select(better, d, out->d);
        for (int i = 0; i < s.n_sub; i++)
            out->code[i] = vf_select(better, trial[i], out->code[i]);
        /* the codes given, the d that suits all sub-blocks best */
        if (round < SUPER_ROUNDS)
            d = vf_select((vi)(den > zero), fit_f16(num / den), d);
    }
}

/* Codes of scales and minima, d and dmin rounded to f16. */
struct super_affine {
    vf d, dmin, sc[16], m[16];
};

struct sub_sums {
    vf w, wx; /* of a sub-block: sum(w), sum(w x) */
};

struct super_sums {
    vf uu, uv, vv, xu, xv; /* products of u = sc q, v = -m and x, weighted */
};

/* The best pair of codes of a sub-block, near sc and m, into *sc and *m; returns by how much the
 * squared error falls below sum(w x^2), and adds to t. The codes q are those of the nearest m (for
 * each sc): another m with the same q is a sum away. */
INLINE vf choose_pair(const struct fit_affine a, const struct super_shape s, const vf *x,
                      const vf *w, const struct sub_sums *u, vf d, vf dmin, vf near_m,
                      bool weighted, vf *sc, vf *m, struct super_sums *t)
{
    vf most = vf_all(-3e38f), top = vf_all((float)s.code_hi), zero = vf_all(0), near_s = *sc;
    struct fit_line_sums best = {zero, zero, zero};
    *m = zero;
    for (int i = -s.reach; i <= s.reach; i++) {
        vf cs = vf_min(vf_max(near_s + vf_all((float)i), zero), top), l = d * cs;
        vf is = fit_inverse(l), shift = -(dmin * near_m) * is;
        struct fit_line_sums p;
        fit_project_line(x, w, s.n, &is, &shift, 1, a.q_max, weighted, &p);
        for (int k = -s.reach; k <= s.reach; k++) {
            vf cm = vf_min(vf_max(near_m + vf_all((float)k), zero), top), o = dmin * cm;
            vf gain =
                l * (vf_all(2) * (p.xq + o * p.q) - l * p.qq) - o * (vf_all(2) * u->wx + o * u->w);
            vi better = (vi)(gain > most);
            most = vf_select(better, gain, most);
            *sc = vf_select(better, cs, *sc);
            *m = vf_select(better, cm, *m);
            best.q = vf_select(better, p.q, best.q);
            best.xq = vf_select(better, p.xq, best.xq);
            best.qq = vf_select(better, p.qq, best.qq);
        }
    }
    t->uu += *sc * *sc * best.qq;
    t->uv -= *sc * *m * best.q;
    t->vv += *m * *m * u->w;
    t->xu += *sc * best.xq;
    t->xv -= *m * u->wx;
    return most;
}

/* Codes given: x is about d * (sc q) - dmin * m, two equations over all sub-blocks. */
INLINE void super_solve(const struct super_sums *t, vf *d, vf *dmin)
{
    vf zero = vf_all(0), det = t->uu * t->vv - t->uv * t->uv, id = vf_all(1) / det;
    vi regular = (vi)(det > vf_all(1e-6f) * t->uu * t->vv);
    vf nd = vf_select(regular, (t->xu * t->vv - t->xv * t->uv) * id, t->xu / t->uu);
    vf nm = vf_only(regular, (t->xv * t->uu - t->xu * t->uv) * id);
    vi good = (vi)(nd > zero) & (vi)(nm >= zero);
    *d = vf_select(good, fit_f16(nd), *d);
    *dmin = vf_select(good, fit_f16(nm), *dmin);
}

/* x = d * sc[i] * q - dmin * m[i], codes in 0..code_hi, q in 0..q_max. */
INLINE void fit_super_affine(const struct fit_affine a, const struct super_shape s,
                             const struct lanes_block *b, bool weighted, struct super_affine *out)
{
    vf scale[16], below[16], weight[16], sum[16], zero = vf_all(0);
    struct sub_sums u[16];
    const struct fit_grid codes = {.lo = 0, .hi = (float)s.code_hi, .tries = 8, .width = 2.1f};
    for (int i = 0; i < s.n_sub; i++) {
        const vf *w = b->w + i * s.n;
        struct fit_line l = fit_affine(a, b->x + i * s.n, w, s.n, weighted);
        scale[i] = l.s;
        below[i] = -l.b;
        weight[i] = l.importance;
        sum[i] = l.w;
        u[i] = (struct sub_sums){l.w, l.wx};
        out->sc[i] = out->m[i] = zero;
    }
    vf d = fit_f16(fit_scale(codes, scale, weight, s.n_sub, true).d), best = vf_all(-3e38f);
    vf dmin = fit_f16(fit_scale(codes, below, sum, s.n_sub, true).d);
    out->d = out->dmin = zero;
    for (int round = 0; round <= SUPER_ROUNDS; round++) {
        struct super_sums t = {zero, zero, zero, zero, zero};
        vf total = zero, id = fit_inverse(d), imin = fit_inverse(dmin), sc[16], m[16];
        for (int i = 0; i < s.n_sub; i++) {
            vf near_m = super_round(below[i], imin, 0, codes.hi);
            sc[i] = super_round(scale[i], id, 0, codes.hi);
            total += choose_pair(a, s, b->x + i * s.n, b->w + i * s.n, &u[i], d, dmin, near_m,
                                 weighted, &sc[i], &m[i], &t);
        }
        vi better = (vi)(total > best);
        best = vf_select(better, total, best);
        out->d = vf_select(better, d, out->d);
        out->dmin = vf_select(better, dmin, out->dmin);
        for (int i = 0; i < s.n_sub; i++) {
            out->sc[i] = vf_select(better, sc[i], out->sc[i]);
            out->m[i] = vf_select(better, m[i], out->m[i]);
        }
        if (round < SUPER_ROUNDS)
            super_solve(&t, &d, &dmin);
    }
}
