/* Inside the tokenizer: shared by the files of src/text, seen by nobody else.
 *
 * Every tokenizer, from a GGUF vocabulary or a tokenizer.json, is the same pipeline:
 *   added tokens cut out > normalizer > added tokens that match normalized text > pre-tokenizer >
 *   model > template (BOS, EOS ...)
 * A stage that a vocabulary does not have is empty and costs nothing.
 *
 * Invariants once built: immutable but for `whole`, a cache of one atomic byte per token whose
 * value every thread would compute alike; all ids in tables, templates and added tokens are below
 * n. */
#pragma once
#include "text/split.h"
#include "text/tokenizer.h"
#include "base/hash.h"
#include "base/mem.h"
#include <stdatomic.h>

enum model_kind {
    MODEL_BYTE_BPE,  /* symbols are bytes, merges by rank */
    MODEL_CHAR_BPE,  /* symbols are characters, merges by rank (tokenizer.json of Llama 2) */
    MODEL_SPM,       /* symbols are characters, merges by score */
    MODEL_UNIGRAM,   /* the most probable cut */
    MODEL_WORDPIECE, /* longest match first */
    MODEL_WORDLEVEL, /* whole words */
};

/* Ceilings on what a file may ask for. */
enum {
    MAX_VOCAB = 1 << 24,
    MAX_PIECE = 1 << 16, /* bytes of one vocabulary entry */
    MAX_STAGES = 64,     /* normalizers, pre-tokenizers, decoders, flattened */
};

/* Strings to ids by open addressing. A slot holds the high half of the hash and id + 1; the caller
 * keeps the strings. */
struct piece_slot {
    uint32_t tag, id1;
};
struct piece_table {
    struct piece_slot *slot;
    size_t mask, bytes;
};
NODISCARD bool piece_table_init(struct piece_table *t, size_t n);
void piece_table_free(struct piece_table *t);
/* Adds id under keys[id]; returns the id that already has these bytes, or -1 when added. */
int32_t piece_table_add(struct piece_table *t, const struct str *keys, int32_t id, uint64_t hash);

static inline int32_t piece_table_find(const struct piece_table *t, const struct str *keys,
                                       const char *p, size_t n, uint64_t hash)
{
    for (size_t i = hash & t->mask;; i = (i + 1) & t->mask) {
        struct piece_slot s = t->slot[i];
        if (s.id1 == 0)
            return -1;
        if (s.tag == (uint32_t)(hash >> 32) && keys[s.id1 - 1].n == n &&
            memcmp(keys[s.id1 - 1].p, p, n) == 0)
            return (int32_t)s.id1 - 1;
    }
}

/* The id whose hash looks like this one, in the first places; -1: none there. To be verified. */
static inline int32_t piece_table_guess(const struct piece_table *t, uint64_t hash)
{
    for (size_t i = hash & t->mask, k = 0; k < 4; i = (i + 1) & t->mask, k++) {
        if (t->slot[i].id1 == 0)
            return -1;
        if (t->slot[i].tag == (uint32_t)(hash >> 32))
            return (int32_t)t->slot[i].id1 - 1;
    }
    return -1;
}

/* Merges: a pair of ids to its rank (the smaller merges first) and result. A slot holds 40 bits of
 * the hash over rank + 1, so that looking for a pair that does not merge, which is most of the
 * work, touches 8 bytes. Pairs of single bytes, where every word starts, have a table of their own.
 */
struct merge {
    int32_t left, right, id;
};
struct byte_merge {
    uint32_t rank;
    int32_t id1; /* id + 1; 0: no merge */
};
struct merge_table {
    uint64_t *slot; /* NULL: no merges */
    size_t mask, bytes;
    struct merge *merge; /* by rank */
    size_t n;
    struct byte_merge *byte_pair; /* [65536], byte-level only */
};
enum { MERGE_RANK_BITS = 24 };

/* Added tokens: found in the text by a trie, longest at the leftmost place. */
struct added_token {
    struct str content;
    int32_t id;
    bool special, lstrip, rstrip, single_word, normalized;
};
struct trie_node {
    int32_t child, sibling; /* -1: none */
    int32_t token;          /* index of an added token, or -1 */
    unsigned char byte;
};
struct added_set {
    struct added_token *token;
    size_t n;
    struct trie_node *node;
    int32_t root[256]; /* node by first byte, or -1 */
    bool has_plain;    /* some are not special */
};
struct added_match {
    const struct added_token *token; /* NULL: none in the rest of the text */
    size_t start, end;               /* with the white space that lstrip and rstrip take */
};
NODISCARD enum status added_set_build(struct added_set *s, struct err *err);
void added_set_free(struct added_set *s);
/* The first match in text from `from` on; matches start at or behind `from`. */
struct added_match added_set_next(const struct added_set *s, struct str text, size_t from,
                                  bool parse_special);

/* What surrounds the text: a sequence of ids and places for the texts. */
struct template_item {
    int32_t id; /* TEMPLATE_A, TEMPLATE_B or a token */
    int32_t type_id;
};
enum { TEMPLATE_A = -1, TEMPLATE_B = -2 };
struct token_template {
    struct template_item *item;
    size_t n;
};

struct pre_stage;
struct norm_stage;
struct decoder_stage;
struct unigram;

enum decode_kind {
    DECODE_BYTES,     /* bytes[id] as they are */
    DECODE_SPM,       /* U+2581 is a space, <0xXX> a byte, one leading space dropped */
    DECODE_WORDPIECE, /* U+2581 starts a word (BERT in GGUF) */
    DECODE_CHAIN,     /* decoder stages of a tokenizer.json */
};

struct tokenizer {
    enum model_kind model;
    size_t n;
    const struct str *piece; /* raw vocabulary entries */
    const struct str
        *bytes; /* what the model matches and decoding gives; == piece if not byte-level */
    const float *score;
    uint8_t *attr; /* enum token_attr */
    struct piece_table table;
    size_t max_piece; /* longest bytes[] */
    struct merge_table merges;
    _Atomic uint8_t *whole; /* per id: does merging its bytes give it? enum whole_state */
    int32_t byte_id[256];   /* a byte's token, -1: none */
    int32_t special[SPECIAL_COUNT];
    bool *is_end;
    bool ignore_merges, byte_fallback, fuse_unk, space_splits, decode_lstrip;
    bool rank_by_id;        /* SPM without scores that differ: earlier pieces merge first */
    bool join_with_space;   /* no decoder: tokens are words */
    bool break_before[256]; /* space_splits: no piece has U+2581 behind this byte */
    unsigned char neighbours[256][32]; /* space_splits: bit b of row a: a piece has a then b */
    struct str subword_prefix;         /* continuing_subword_prefix of BPE and WordPiece */
    struct str word_suffix;            /* end_of_word_suffix of BPE */
    size_t max_word_chars;             /* WordPiece */
    struct added_set added, added_normalized;
    struct norm_stage *norm;
    size_t n_norm;
    struct pre_stage *pre;
    size_t n_pre;
    struct decoder_stage *decoder;
    size_t n_decoder;
    enum decode_kind decode;
    struct token_template single, pair;
    struct unigram *unigram;
    void **owned; /* freed with the tokenizer */
    size_t n_owned, cap_owned;
    void *blob;
};

enum whole_state { WHOLE_UNKNOWN, WHOLE_YES, WHOLE_NO };

/* Takes a malloc'd block over; false (and the block freed) without memory. */
NODISCARD bool tokenizer_own(struct tokenizer *t, void *p);

/* The work of one encode call. */
struct word_cache;
struct regex_scratch;
struct encoder {
    const struct tokenizer *t;
    struct tokens *out;
    struct word_cache *cache;      /* NULL for short texts */
    struct buf norm[2];            /* normalized text */
    struct buf word;               /* scratch of pre-tokenizers and models */
    struct regex_scratch *scratch; /* PCRE2's, made at the first match */
    bool first_segment;            /* nothing of the text has been consumed yet */
    enum status status;            /* first failure */
    struct err *err;
};

/* Appends an id; on failure sets e->status. */
void encoder_add(struct encoder *e, int32_t id);
void encoder_fail(struct encoder *e, enum status s, const char *what);
/* Normalizes, pre-tokenizes and encodes a stretch of text without raw added tokens. */
void encoder_segment(struct encoder *e, struct str text);
/* One pre-token through the model. */
void encoder_word(struct encoder *e, const char *p, size_t n);
void encoder_merge(struct encoder *e, const char *p, size_t n); /* BPE and SPM, no cache */
void encoder_unigram(struct encoder *e, const char *p, size_t n);
void encoder_wordpiece(struct encoder *e, const char *p, size_t n);

/* pre-tokenizers */
struct regex;
enum pre_kind {
    PRE_SPLIT,       /* fn cuts; matches and gaps alike are pieces */
    PRE_FIND,        /* find, behavior, invert */
    PRE_METASPACE,   /* spaces to literal, prepend, split in front of each */
    PRE_SPACE,       /* a space in front of a piece that has none (ByteLevel's add_prefix_space) */
    PRE_BYTE_ENCODE, /* to the byte-level alphabet: stages behind ByteLevel see it */
    PRE_BYTE_DECODE, /* back, in front of the model */
};
enum split_behavior {
    BEHAVIOR_REMOVED,
    BEHAVIOR_ISOLATED,
    BEHAVIOR_MERGED_PREVIOUS,
    BEHAVIOR_MERGED_NEXT,
    BEHAVIOR_CONTIGUOUS,
};
enum prepend_scheme { PREPEND_NEVER, PREPEND_FIRST, PREPEND_ALWAYS };
struct pre_stage;
/* The first match in text at or behind `from`; false: none. */
typedef bool find_fn(struct encoder *e, const struct pre_stage *s, struct str text, size_t from,
                     size_t *start, size_t *end);
struct pre_stage {
    enum pre_kind kind;
    split_fn *fn;
    find_fn *find;
    struct regex *regex; /* find_regex */
    struct str literal;  /* find_literal, PRE_METASPACE */
    enum split_behavior behavior;
    enum prepend_scheme prepend;
    bool invert, split;
};
extern find_fn find_regex, find_literal, find_space, find_punct, find_digit, find_word_or_symbols;
void pre_run(struct encoder *e, size_t stage, struct str text, bool at_start);

/* normalizers */
enum norm_kind {
    NORM_ESCAPE,  /* optional U+2581 in front, every space U+2581 */
    NORM_PREPEND, /* literal in front of a text that is not empty */
    NORM_REPLACE, /* from (literal or regex) by to */
    NORM_UNICODE, /* NFC and its three sisters */
    NORM_LOWER,
    NORM_STRIP,
    NORM_STRIP_ACCENTS,
    NORM_BERT,
    NORM_CHARSMAP,
    NORM_NMT,
    NORM_BYTE_ENCODE,
    NORM_SPM_SPACES, /* SentencePiece's own treatment of spaces, behind a charsmap */
};
struct charsmap;
struct norm_stage {
    enum norm_kind kind;
    struct str from, to;
    struct regex *regex;
    struct charsmap *charsmap;
    int form;                                      /* NORM_UNICODE: UTF8PROC_* options */
    bool prefix;                                   /* NORM_ESCAPE, NORM_SPM_SPACES */
    bool merge_spaces;                             /* NORM_SPM_SPACES */
    bool left, right;                              /* NORM_STRIP */
    bool clean, chinese, strip_accents, lowercase; /* NORM_BERT */
};
/* Runs all stages; returns the normalized text: text itself or e->norm[]. */
struct str norm_run(struct encoder *e, struct str text);
/* One stage into out; false: it changes nothing. */
bool norm_stage_run(struct encoder *e, const struct norm_stage *s, struct str in, struct buf *out);
/* normalize_unicode.c, only with utf8proc; options: UTF8PROC_* */
bool norm_unicode(struct str in, int options, struct buf *out);
bool norm_lower(struct str in, struct buf *out);
bool norm_strip_marks(struct str in, bool only_nonspacing, struct buf *out);
bool norm_bert(const struct norm_stage *s, struct str in, struct buf *out);
int norm_form(const char *name); /* "NFC" ... to options, 0: no such form */
void norm_stage_free(struct norm_stage *s);
void tokenizer_free_pipeline(struct tokenizer *t);

/* decoders of tokenizer.json */
enum decoder_kind {
    DECODER_BYTE_LEVEL,
    DECODER_METASPACE,     /* from: the replacement; prefix: the first token has none */
    DECODER_WORDPIECE,     /* from: the prefix of continuations */
    DECODER_REPLACE,       /* from by to */
    DECODER_BYTE_FALLBACK, /* <0xHH> is a byte */
    DECODER_STRIP,         /* up to start and stop times `from` off the ends of a token */
    DECODER_STRIP_TEXT,    /* up to start times `from` off the start of the whole text */
};
struct decoder_stage {
    enum decoder_kind kind;
    struct str from, to;
    bool prefix, cleanup;
    size_t start, stop;
};
/* The stages on one token: text is what it stands for so far and is rewritten. first: it is the
 * first token of the text. */
void decoder_run(const struct tokenizer *t, bool first, struct buf *text, struct buf *scratch);
/* BERT's rules: no space in front of punctuation and contractions. */
void decoder_cleanup(struct buf *text, struct buf *scratch);

/* building */
NODISCARD enum status merge_table_init(struct merge_table *m, size_t n, bool byte_level,
                                       struct err *err);
/* Of a pair that comes twice the first counts, or with replace the last. */
void merge_table_add(struct merge_table *m, struct merge merge, uint32_t rank, bool replace);
/* Fills byte_pair once all merges are in; byte_id: the token of each byte, or -1. */
void merge_table_bytes(struct merge_table *m, const int32_t byte_id[256]);
void merge_table_free(struct merge_table *m);
static inline uint64_t merge_hash(int32_t left, int32_t right)
{
    return hash_mix(((uint64_t)(uint32_t)left << 32 | (uint32_t)right) + 1, 0x9e3779b97f4a7c15u);
}

static inline void merge_table_prefetch(const struct merge_table *m, int32_t left, int32_t right)
{
    __builtin_prefetch(&m->slot[merge_hash(left, right) & m->mask]);
}

/* Rank of the merge of two ids, or -1. */
static inline int32_t merge_table_find(const struct merge_table *m, int32_t left, int32_t right)
{
    uint64_t h = merge_hash(left, right);
    for (size_t i = h & m->mask;; i = (i + 1) & m->mask) {
        uint64_t s = m->slot[i];
        if (s >> MERGE_RANK_BITS == h >> MERGE_RANK_BITS && s) {
            uint32_t rank = (uint32_t)(s & ((1u << MERGE_RANK_BITS) - 1)) - 1;
            if (m->merge[rank].left == left && m->merge[rank].right == right)
                return (int32_t)rank;
        }
        if (s == 0)
            return -1;
    }
}

/* Byte-level alphabet: every byte is a printable character (GPT-2). */
/* Decodes s into out (s.n bytes of room); returns the length, or SIZE_MAX when a character is not
 * of the alphabet. */
size_t byte_level_decode(struct str s, char *out);
/* Appends the alphabet's form of s. */
void byte_level_encode(struct str s, struct buf *out);

/* Builds bytes[], the piece table and what depends on them. unique: two pieces alike are EFORMAT,
 * else the first counts. */
NODISCARD enum status tokenizer_index(struct tokenizer *t, bool byte_level, bool unique,
                                      const char *what, struct err *err);
/* Finds end tokens, EOT and the infill tokens by their text; make_control: whatever their type is,
 * they become control tokens. Needs attr and special. */
NODISCARD enum status tokenizer_find_roles(struct tokenizer *t, bool make_control, struct err *err);
/* Finds out where SPM and character BPE may cut a text. */
void tokenizer_find_breaks(struct tokenizer *t);
NODISCARD enum status unigram_build(struct tokenizer *t, struct err *err);
void unigram_free(struct unigram *u);
NODISCARD enum status charsmap_open(struct charsmap **out, struct str blob, struct err *err);
void charsmap_free(struct charsmap *c);
/* Longest prefix of s that is mapped: its length and replacement; 0: none. */
size_t charsmap_match(const struct charsmap *c, struct str s, struct str *to);

/* regex.c, only with PCRE2 */
NODISCARD enum status regex_compile(struct regex **out, struct str pattern, const char *what,
                                    struct err *err);
void regex_free(struct regex *r);
/* First match at or behind `from`: its range, which may be empty; false: none, or the encoding has
 * failed (e->status). */
bool regex_find(struct encoder *e, const struct regex *r, struct str text, size_t from,
                size_t *start, size_t *end);
void regex_scratch_free(struct regex_scratch *s);

/* Makes e ready for t; the caller ends with encoder_done. */
void encoder_init(struct encoder *e, const struct tokenizer *t, size_t text_bytes,
                  struct tokens *out, struct err *err);
enum status encoder_done(struct encoder *e);

extern const char SPM_SPACE[4]; /* U+2581 */
