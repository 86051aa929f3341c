/* Character classes: one byte per code point from a generated two-stage table, so that the
 * pre-tokenizers work without a Unicode library. The classes are the general categories that
 * tokenizers' regexes name; White_Space is its own class and excludes the others. */
#pragma once
#include "base/utf8.h"
#include <stdint.h>

enum { /* bits of a class byte; 0: control, format, unassigned, private use, surrogate */
       UC_LETTER = 1,  /* \p{L} */
       UC_NUMBER = 2,  /* \p{N} */
       UC_SPACE = 4,   /* \s, the White_Space property */
       UC_PUNCT = 8,   /* \p{P} */
       UC_SYMBOL = 16, /* \p{S} */
       UC_MARK = 32,   /* \p{M} */
       UC_UPPER = 64,  /* \p{Lu} \p{Lt}, with UC_LETTER */
       UC_LOWER = 128, /* \p{Ll}, with UC_LETTER; Lm and Lo have UC_LETTER alone */
};

enum { UNICODE_BLOCK_BITS = 7 };
extern const uint8_t unicode_block[0x110000 >> UNICODE_BLOCK_BITS];
extern const uint8_t unicode_class_data[][1 << UNICODE_BLOCK_BITS];

/* Class of a code point; 0 for UTF8_BAD and anything above U+10FFFF. */
static inline unsigned unicode_class(uint32_t cp)
{
    if (cp >= 0x110000)
        return 0;
    return unicode_class_data[unicode_block[cp >> UNICODE_BLOCK_BITS]]
                             [cp & ((1u << UNICODE_BLOCK_BITS) - 1)];
}
