/* JSON syntax byte by byte, without a library and without building a document: where does a value
 * that arrives in pieces end, and is it still JSON (RFC 8259)? And, over a text that is known to
 * be whole, views of its members. Documents are read with base/json.h; this is for streams, for
 * texts that must stay as they were written, and for the engine-only build.
 *
 * Stricter than the grammar in one point: \u escapes must pair their surrogates. Whether the bytes
 * of strings are UTF-8 is not looked at. */
#pragma once
#include "base/buf.h"
#include <stdint.h>

enum { JSON_SCAN_DEPTH = 512 }; /* arrays and objects inside each other; deeper is broken */

enum json_scanned { JSON_MORE, JSON_WHOLE, JSON_BROKEN };

/* Zero-initialised is ready for a value. */
struct json_scan {
    uint8_t state;
    bool in_key;
    uint8_t n_hex;       /* digits of a \u escape so far */
    uint16_t hex;        /* their value */
    bool high;           /* the escape before was a high surrogate */
    const char *literal; /* what is left of true, false, null */
    int depth;
    uint8_t is_array[JSON_SCAN_DEPTH / 8];
};

/* Takes the next byte. JSON_WHOLE with the byte that closes an object, array, string or literal;
 * a number never gives it (json_scan_end). After anything but JSON_MORE s is not fed again. */
enum json_scanned json_scan_byte(struct json_scan *s, char c);
/* The text has ended: JSON_WHOLE behind a number, else JSON_BROKEN. */
enum json_scanned json_scan_end(const struct json_scan *s);

/* Is this one whole value, white space around it allowed? */
bool json_is_whole(struct str text);

/* Over a whole value that is an object or array. Values are views without white space around. */
struct json_walk {
    struct str rest;
    bool object;
};
/* False when text is neither object nor array. */
bool json_walk_begin(struct json_walk *w, struct str text);
/* key: with its quotes, as written; .p NULL in an array. False at the end. */
bool json_walk_next(struct json_walk *w, struct str *key, struct str *value);
/* The last member of a whole object under a key that is written without escapes; .p NULL: none. */
struct str json_member(struct str object, const char *key);
/* Appends what a whole string, quotes included, stands for. */
void json_unquote(struct str quoted, struct buf *out);

static inline bool json_is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}
