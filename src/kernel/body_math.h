/* exp, tanh and the normal distribution on 16 lanes. Include after a vec_*.h.
 *
 * Polynomials are interpolations at Chebyshev nodes (computed for Hearth). Errors against float64,
 * held by tests/unit/kernel_rows_test.c: silu and tanh below 2.5 ulp; gelu_tanh 3 and gelu_erf 8
 * ulp, more in their negative tails (20 and 13), where the exponential amplifies the rounding of
 * its argument. The same input gives the same bits in any lane, at any length, on any machine. */
#pragma once

/* e^x; 0 below -87 (results there would be nearly subnormal), inf above ln(FLT_MAX).
 * x = n ln 2 + r with ln 2 in two parts (Cody and Waite), e^r by a polynomial. */
INLINE vf v_exp(vf x)
{
    vi n = vi_round(vf_mul(x, vf_set1(1.44269504088896341f)));
    vf nf = vf_from_vi(n);
    vf r = vf_fma(nf, vf_set1(-0x1.62e4p-1f), x);
    r = vf_fma(nf, vf_set1(-0x1.7f7d1cp-20f), r);
    vf p = vf_set1(0.00019891080482729122f);
    p = vf_fma(p, r, vf_set1(0.0013933730714304794f));
    p = vf_fma(p, r, vf_set1(0.008333310844615494f));
    p = vf_fma(p, r, vf_set1(0.04166646419743057f));
    p = vf_fma(p, r, vf_set1(0.16666666681704365f));
    p = vf_fma(p, r, vf_set1(0.5000000013538721f));
    p = vf_fma(vf_mul(r, r), p, r);
    p = vf_add(p, vf_set1(1.0f));
    /* 2^n as 2 * 2^(n-1), so that n = 128 works */
    vf half_scale = vf_as(vi_sll23(vi_add(n, vi_set1(126))));
    vf y = vf_mul(vf_mul(p, half_scale), vf_set1(2.0f));
    y = vf_if_less(x, vf_set1(-87.0f), vf_set1(0.0f), y);
    return vf_if_less(vf_set1(88.7228317f), x, vf_set1(INFINITY), y);
}

/* |x| < 0.6: odd polynomial; else 1 - 2 / (e^2|x| + 1) with x's sign. */
INLINE vf v_tanh(vf x)
{
    vf sign = vf_as(vi_and(vi_as(x), vi_set1(INT32_MIN)));
    vf a = vf_as(vi_and(vi_as(x), vi_set1(INT32_MAX)));
    vf s = vf_mul(x, x);
    vf p = vf_set1(-0.006269119710107166f);
    p = vf_fma(p, s, vf_set1(0.02111095904182811f));
    p = vf_fma(p, s, vf_set1(-0.05387394884655489f));
    p = vf_fma(p, s, vf_set1(0.1333291536696598f));
    p = vf_fma(p, s, vf_set1(-0.3333333033273093f));
    vf small = vf_fma(vf_mul(s, p), x, x);
    vf e = vf_add(v_exp(vf_add(a, a)), vf_set1(1.0f));
    vf big = vf_sub(vf_set1(1.0f), vf_div(vf_set1(2.0f), e));
    big = vf_as(vi_add(vi_as(big), vi_as(sign))); /* big >= 0: sets the sign bit */
    return vf_if_less(a, vf_set1(0.6f), small, big);
}

/* x * Phi(x), Phi the normal distribution function. With a = |x| and t = 1 / (1 + 0.29 a),
 * Phi(-a) = e^(-a^2 / 2) * t * P(t), the form of Abramowitz and Stegun 7.1.26 at degree 9; so the
 * negative tail keeps its relative accuracy. */
INLINE vf v_gelu_erf(vf x)
{
    vf a = vf_as(vi_and(vi_as(x), vi_set1(INT32_MAX)));
    vf t = vf_div(vf_set1(1.0f), vf_fma(a, vf_set1(0.29f), vf_set1(1.0f)));
    vf p = vf_set1(-0.02006785164626024f);
    p = vf_fma(p, t, vf_set1(0.12019132523908478f));
    p = vf_fma(p, t, vf_set1(-0.27575747777381127f));
    p = vf_fma(p, t, vf_set1(0.2819575152352582f));
    p = vf_fma(p, t, vf_set1(-0.14776886142774534f));
    p = vf_fma(p, t, vf_set1(0.1352368199814978f));
    p = vf_fma(p, t, vf_set1(0.06551953536781231f));
    p = vf_fma(p, t, vf_set1(0.10965936533127524f));
    p = vf_fma(p, t, vf_set1(0.11531992719209558f));
    p = vf_fma(p, t, vf_set1(0.11570970205205447f));
    vf e = v_exp(vf_mul(vf_mul(x, x), vf_set1(-0.5f)));
    vf tail = vf_mul(vf_mul(x, e), vf_mul(t, p)); /* x * Phi(-a) */
    return vf_if_less(x, vf_set1(0.0f), tail, vf_sub(x, tail));
}

/* 0.5 x (1 + tanh(u)) = x * sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3). Hendrycks and Gimpel
 * 2016 */
INLINE vf v_gelu_tanh(vf x)
{
    vf x2 = vf_mul(x, x);
    vf u = vf_mul(x, vf_fma(x2, vf_set1(0.0713548162726009f), vf_set1(1.595769121605731f)));
    vf e = v_exp(vf_sub(vf_set1(0.0f), u));
    return vf_div(x, vf_add(vf_set1(1.0f), e));
}

/* x / (1 + e^-x) */
INLINE vf v_silu(vf x)
{
    vf e = v_exp(vf_sub(vf_set1(0.0f), x));
    return vf_div(x, vf_add(vf_set1(1.0f), e));
}
