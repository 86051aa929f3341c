/* Pre-tokenizers: cutting text into the pieces inside which a BPE vocabulary merges.
 *
 * A splitter returns the length of the first piece of a text, so that a loop over it streams
 * without a list. All published splitting regexes look only forward, so cutting from the left is
 * the regex's own order. A recipe is a sequence of splitters, each applied inside the pieces of
 * the one before (a piece's end is the end of text for lookahead).
 *
 * Bytes that are not UTF-8 count as one character each, in no class. */
#pragma once
#include "base/str.h"

/* Length of the first piece of p[0..n): 1 to n, n >= 1. */
typedef size_t split_fn(const char *p, size_t n);

enum { SPLIT_STAGES = 6 };

/* What a GGUF file's tokenizer.ggml.pre stands for. */
struct split_recipe {
    const char *name;
    split_fn *stage[SPLIT_STAGES]; /* ends with NULL */
    bool ignore_merges;            /* a whole piece in the vocabulary is taken as it is */
    bool add_bos;                  /* default when the file does not say */
    bool add_sep;
};

const struct split_recipe *split_find(struct str name); /* NULL: unknown name */

/* The first recipe that is just these stages (ended by NULL); NULL: none. */
const struct split_recipe *split_find_stages(split_fn *const *stage);

/* The hand-written equivalent of a regex of tokenizer.json's Split; NULL: none. */
split_fn *split_for_regex(struct str regex);

/* Does every character of any text fall into one of the matches of its regex? */
bool split_takes_all(split_fn *fn);

/* The regexes that are known, for tests: index from 0 until NULL. */
const char *split_known_regex(size_t i, split_fn **fn);

extern split_fn split_gpt2;   /* the ByteLevel pre-tokenizer's own regex */
extern split_fn split_digits; /* \p{N} one by one: Digits(individual_digits) uses Nd and others */
