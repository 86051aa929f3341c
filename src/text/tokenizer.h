/* Tokenizers: text to token ids and back.
 *
 * One opaque tokenizer, four models: byte-level BPE, SentencePiece BPE (with byte fallback),
 * SentencePiece unigram, WordPiece. It is built either from a vocabulary description (what a GGUF
 * file holds; plain arrays, so that this floor knows no file format) or from a Hugging Face
 * tokenizer.json. Immutable once built: any number of threads may use one (per-call state lives on
 * the caller's side). */
#pragma once
#include "base/buf.h"
#include <stdint.h>

struct tokenizer;

enum token_attr { /* GGUF's token_type values */
                  TOKEN_NORMAL = 1,
                  TOKEN_UNKNOWN = 2,
                  TOKEN_CONTROL = 3,      /* special: never produced from plain text unless asked */
                  TOKEN_USER_DEFINED = 4, /* added, but ordinary text */
                  TOKEN_UNUSED = 5,
                  TOKEN_BYTE = 6,
};

enum vocab_kind { VOCAB_BPE, VOCAB_SPM, VOCAB_UNIGRAM, VOCAB_WORDPIECE };

/* A vocabulary as GGUF describes it. Everything is borrowed and must outlive the tokenizer (it is
 * the file's mapping), so that loading copies no strings. */
struct vocab_desc {
    enum vocab_kind kind; /* tokenizer.ggml.model: gpt2, llama, t5, bert */
    struct str pre;       /* tokenizer.ggml.pre, for BPE; empty: "default" */
    size_t n;             /* tokens */
    const struct str *pieces;
    const float *scores;  /* SPM, unigram; or NULL */
    const int32_t *types; /* enum token_attr; or NULL: all normal */
    size_t n_merges;
    const struct str *merges;                        /* "left right" */
    int32_t bos, eos, unk, sep, pad, cls, mask, eot; /* -1: none */
    int32_t fim_pre, fim_suf, fim_mid;               /* -1: none */
    bool add_bos, add_eos, add_space_prefix, remove_extra_whitespaces;
    struct str precompiled_charsmap; /* unigram: SentencePiece's normalizer; or empty */
};

NODISCARD enum status tokenizer_from_vocab(struct tokenizer **out, const struct vocab_desc *d,
                                           struct err *err);

#ifndef HEARTH_ENGINE_ONLY
/* tokenizer.json text; config: tokenizer_config.json text or empty (bos/eos names, add_bos_token,
 * chat template). Copies what it needs. */
NODISCARD enum status tokenizer_from_json(struct tokenizer **out, struct str json,
                                          struct str config, struct err *err);
#endif
void tokenizer_free(struct tokenizer *t);

/* A growing array of ids; zero-initialised is empty; tokens_free releases. */
struct tokens {
    int32_t *id;
    size_t n, cap;
};
void tokens_free(struct tokens *t);
NODISCARD bool tokens_add(struct tokens *t, int32_t id); /* false: no memory */

enum {                             /* flags */
       TOKENIZE_ADD_SPECIAL = 1,   /* BOS/EOS/CLS/SEP as the model wants them */
       TOKENIZE_PARSE_SPECIAL = 2, /* control tokens written in the text become their ids */
};
/* Appends the ids of text. Invalid UTF-8 never fails: byte-level vocabularies take the bytes,
 * others U+FFFD or the unknown token. */
NODISCARD enum status tokenizer_encode(const struct tokenizer *t, struct str text, unsigned flags,
                                       struct tokens *out, struct err *err);
/* Two texts for encoders: [CLS] a [SEP] b [SEP]; type_ids (may be NULL) gets 0 and 1. */
NODISCARD enum status tokenizer_encode_pair(const struct tokenizer *t, struct str a, struct str b,
                                            struct tokens *out, struct tokens *type_ids,
                                            struct err *err);

/* Decoding with the vocabulary's decoder (byte-level, metaspace, WordPiece ...).
 * skip_special: control tokens give nothing; otherwise their text. Ids past the vocabulary (models
 * pad their matrices) give nothing; negative ones are EUSAGE. */
NODISCARD enum status tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n,
                                       bool skip_special, struct buf *out, struct err *err);

/* Streaming: feed one id at a time; appends only whole UTF-8 characters, holding back an
 * incomplete one until it is completed (or flushed as U+FFFD). Zero-initialise to start; the
 * concatenation equals tokenizer_decode of all ids (but for held-back invalid bytes). */
struct detok {
    char held[8];
    int n_held;
    bool started; /* a leading space of the first token is dropped where the vocabulary does so */
};
NODISCARD enum status detok_add(const struct tokenizer *t, struct detok *d, int32_t id,
                                bool skip_special, struct buf *out, struct err *err);
void detok_flush(struct detok *d, struct buf *out);

/* What the vocabulary says. */
size_t tokenizer_n_vocab(const struct tokenizer *t);
struct str tokenizer_piece(const struct tokenizer *t, int32_t id); /* raw vocabulary entry */
/* The bytes that a token stands for in the middle of a text (constraints need them). */
NODISCARD enum status tokenizer_token_bytes(const struct tokenizer *t, int32_t id, struct buf *out,
                                            struct err *err);
enum token_attr tokenizer_attr(const struct tokenizer *t, int32_t id);
int32_t tokenizer_find(const struct tokenizer *t, struct str piece); /* -1: no such entry */

enum special_token {
    SPECIAL_BOS,
    SPECIAL_EOS,
    SPECIAL_UNK,
    SPECIAL_SEP,
    SPECIAL_PAD,
    SPECIAL_CLS,
    SPECIAL_MASK,
    SPECIAL_EOT,
    SPECIAL_FIM_PRE,
    SPECIAL_FIM_SUF,
    SPECIAL_FIM_MID,
    SPECIAL_COUNT
};
int32_t tokenizer_special(const struct tokenizer *t, enum special_token which); /* -1: none */
/* Ends a generation: EOS, EOT and the well-known end tokens (<|im_end|>, <|eot_id|>, <end_of_turn>,
 * <|end|>, <|endoftext|> ...) when they are control tokens. */
bool tokenizer_is_end(const struct tokenizer *t, int32_t id);
bool tokenizer_adds_bos(const struct tokenizer *t);
