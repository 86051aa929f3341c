/* The table for AArch64 with the dot product instructions and matrix products of bytes. */
#include "kernel/tables.h"
#if defined(__aarch64__)
#include "kernel/vec_i8mm.h"
#include "kernel/body_rows.h"
#include "kernel/body_acts.h"
#include "kernel/body_attn.h"
#include "kernel/body_float.h"
#include "kernel/tile.h"
#include "kernel/tiles_neon.h"
#include "kernel/body_mul.h"

#define TABLE kernel_ops_i8mm
#include "kernel/table.h"
#endif
