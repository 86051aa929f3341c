/* The table of element types: the rows of qtypes.def with their conversions. Integers and f64 only
 * have a size here. */
#include "format/quant_int.h"
#include "base/mem.h"

#define BOTH(name)        .dequantize = name##_dequantize, .quantize = name##_quantize
#define CONVERT_QT_F32    BOTH(f32)
#define CONVERT_QT_F16    BOTH(f16)
#define CONVERT_QT_BF16   BOTH(bf16)
#define CONVERT_QT_Q8_0   BOTH(q8_0)
#define CONVERT_QT_Q4_0   BOTH(q4_0)
#define CONVERT_QT_Q4_1   BOTH(q4_1)
#define CONVERT_QT_Q5_0   BOTH(q5_0)
#define CONVERT_QT_Q5_1   BOTH(q5_1)
#define CONVERT_QT_Q2_K   BOTH(q2_k)
#define CONVERT_QT_Q3_K   BOTH(q3_k)
#define CONVERT_QT_Q4_K   BOTH(q4_k)
#define CONVERT_QT_Q5_K   BOTH(q5_k)
#define CONVERT_QT_Q6_K   BOTH(q6_k)
#define CONVERT_QT_IQ4_NL BOTH(iq4_nl)
#define CONVERT_QT_IQ4_XS BOTH(iq4_xs)
#define CONVERT_QT_I8     .dequantize = NULL
#define CONVERT_QT_I16    .dequantize = NULL
#define CONVERT_QT_I32    .dequantize = NULL
#define CONVERT_QT_I64    .dequantize = NULL
#define CONVERT_QT_F64    .dequantize = NULL

static const struct qtype_info table[QT_COUNT] = {
#define X(id, gguf, text, elems, bytes)                                                            \
    [id] = {                                                                                       \
        .name = text, .gguf_id = gguf, .block_elems = elems, .block_bytes = bytes, CONVERT_##id},
#include "format/qtypes.def"
#undef X
};

const struct qtype_info *qtype_info(enum qtype t)
{
    if ((unsigned)t >= QT_COUNT)
        hearth_bug("qtype_info of type %d", (int)t);
    return &table[t];
}

enum qtype qtype_by_name(struct str name)
{
    for (int t = 0; t < QT_COUNT; t++) {
        if (str_is(name, table[t].name))
            return (enum qtype)t;
    }
    return QT_COUNT;
}

enum qtype qtype_by_gguf_id(uint32_t id)
{
    for (int t = 0; t < QT_COUNT; t++) {
        if (table[t].gguf_id == id)
            return (enum qtype)t;
    }
    return QT_COUNT;
}

bool qtype_row_bytes(enum qtype t, int64_t n, size_t *out)
{
    const struct qtype_info *q = qtype_info(t);
    return n >= 0 && n % q->block_elems == 0 &&
           size_mul((size_t)(n / q->block_elems), q->block_bytes, out);
}
