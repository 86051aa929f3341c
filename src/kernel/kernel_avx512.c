/* The table for AVX-512 without VNNI. */
#include "kernel/tables.h"
#if defined(__x86_64__)
#include "kernel/vec_avx512.h"
#include "kernel/body_rows.h"
#include "kernel/body_acts.h"
#include "kernel/body_attn.h"
#include "kernel/body_float.h"
#include "kernel/tile.h"
#include "kernel/tiles_avx512.h"
#include "kernel/body_mul.h"

#define TABLE kernel_ops_avx512
#include "kernel/table.h"
#endif
