/* The scalings follow the formulas of transformers' modeling_rope_utils, the reference for all of
 * these checkpoints; each is named with its paper in arch.h. */
#include "engine/rope.h"
#include <math.h>

static const double pi = 3.14159265358979323846;

int64_t rope_class(const struct rope_params *p, int64_t n)
{
    if (p->scaling == ROPE_LONGROPE)
        return n > p->n_ctx_orig;
    if (p->scaling == ROPE_DYNAMIC)
        return n > p->n_ctx_orig ? n : 0;
    return 0;
}

static double yarn_mscale(double factor, double mscale)
{
    return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1;
}

static double attention_factor(const struct rope_params *p)
{
    if (!isnan(p->attn_factor))
        return p->attn_factor;
    if (p->scaling == ROPE_YARN)
        return p->mscale != 0 && p->mscale_all_dim != 0
                   ? yarn_mscale(p->factor, p->mscale) / yarn_mscale(p->factor, p->mscale_all_dim)
                   : yarn_mscale(p->factor, 1);
    if (p->scaling == ROPE_LONGROPE && p->factor > 1 && p->n_ctx_orig > 1)
        return sqrt(1 + log(p->factor) / log((double)p->n_ctx_orig));
    return 1;
}

/* YaRN section 3.2: the pair whose wavelength makes `rotations` turns over the trained length. */
static double correction_dim(const struct rope_params *p, double rotations)
{
    return (double)p->n_rot * log((double)p->n_ctx_orig / (rotations * 2 * pi)) /
           (2 * log(p->theta));
}

static void yarn(const struct rope_params *p, struct rope_freqs *f)
{
    double low = correction_dim(p, p->beta_fast), high = correction_dim(p, p->beta_slow);
    if (p->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, (double)p->n_rot - 1);
    if (low == high)
        high += 0.001;
    for (int64_t i = 0; i < p->n_rot / 2; i++) {
        float ramp = (float)fmin(fmax(((double)i - low) / (high - low), 0), 1);
        float keep = 1 - ramp; /* high frequencies stay, low ones are interpolated */
        float interpolated = f->inv[i] / (float)p->factor;
        f->inv[i] = interpolated * (1 - keep) + f->inv[i] * keep;
    }
}

static void llama3(const struct rope_params *p, struct rope_freqs *f)
{
    float orig = (float)p->n_ctx_orig, factor = (float)p->factor;
    float low = (float)p->low_freq_factor, high = (float)p->high_freq_factor;
    for (int64_t i = 0; i < p->n_rot / 2; i++) {
        float wavelength = (float)(2 * pi) / f->inv[i];
        if (wavelength > orig / low) {
            f->inv[i] /= factor;
        } else if (wavelength >= orig / high) {
            float smooth = (orig / wavelength - low) / (high - low);
            f->inv[i] = (1 - smooth) * f->inv[i] / factor + smooth * f->inv[i];
        }
    }
}

void rope_freqs(const struct rope_params *p, int64_t class, struct rope_freqs *f)
{
    double base = p->theta;
    if (p->scaling == ROPE_DYNAMIC && class > p->n_ctx_orig) {
        double stretch = p->factor * (double)class / (double)p->n_ctx_orig - (p->factor - 1);
        base *= pow(stretch, (double)p->n_rot / (double)(p->n_rot - 2));
    }
    f->n_rot = p->n_rot;
    f->scale = (float)attention_factor(p);
    for (int64_t i = 0; i < p->n_rot / 2; i++) {
        float exponent = (float)(2 * i) / (float)p->n_rot;
        float power = (float)pow(base, (double)exponent);
        if (p->scaling == ROPE_LONGROPE)
            power *= class ? p->long_factor[i] : p->short_factor[i];
        f->inv[i] = 1 / power;
        if (p->has_divisors)
            f->inv[i] /= p->divisor[i];
        if (p->scaling == ROPE_LINEAR)
            f->inv[i] /= (float)p->factor;
    }
    if (p->scaling == ROPE_YARN)
        yarn(p, f);
    else if (p->scaling == ROPE_LLAMA3)
        llama3(p, f);
}

void rope_angles(const struct rope_freqs *f, int64_t pos, float *cos_out, float *sin_out)
{
    for (int64_t i = 0; i < f->n_rot / 2; i++) {
        float angle = (float)pos * f->inv[i];
        cos_out[i] = (float)cos((double)angle) * f->scale;
        sin_out[i] = (float)sin((double)angle) * f->scale;
    }
}
