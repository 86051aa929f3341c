/* Plain C, one product at a time, as the scalar kernels do. */
#define PEAK                  peak_scalar
#define PEAK_ISA              "scalar"
#define CHAINS                8
#define KEEP(v)               __asm__ volatile("" : "+g"(v))
#define INT_VEC               int32_t
#define INT_SET(x)            (x)
#define INT_STEP(sum, a, b)   (sum) += (a) * (b)
#define INT_OPS               2
#define FLOAT_VEC             float
#define FLOAT_SET(x)          (x)
#define FLOAT_STEP(sum, a, b) (sum) += (a) * (b)
#define FLOAT_OPS             2
#include "kernel/body_peak.h"
