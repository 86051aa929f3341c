/* The table for AVX2, FMA and F16C. */
#include "kernel/tables.h"
#if defined(__x86_64__)
#include "kernel/vec_avx2.h"
#include "kernel/body_rows.h"
#include "kernel/body_acts.h"
#include "kernel/body_attn.h"
#include "kernel/body_float.h"
#include "kernel/tile.h"
#include "kernel/tiles_avx2.h"
#include "kernel/body_mul.h"

#define TABLE kernel_ops_avx2
#include "kernel/table.h"
#endif
