/* The tables that this build has; each is defined in its kernel_*.c. */
#pragma once
#include "kernel/kernel.h"

extern const struct kernel_ops kernel_ops_scalar;
#if defined(__x86_64__)
extern const struct kernel_ops kernel_ops_avx2, kernel_ops_avx512, kernel_ops_vnni;
#elif defined(__aarch64__)
extern const struct kernel_ops kernel_ops_neon, kernel_ops_dotprod, kernel_ops_i8mm;
#endif
