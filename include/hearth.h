/* libhearth: run small language models inside your program.
 *
 *     #include <hearth.h>
 *     #include <stdio.h>
 *
 *     static int print(void *user, const char *text, size_t n)
 *     {
 *         (void)user;
 *         fwrite(text, 1, n, stdout);
 *         return 0;
 *     }
 *
 *     int main(int argc, char **argv)
 *     {
 *         hearth_error err;
 *         hearth *h = hearth_open(argc > 1 ? argv[1] : "models/hearth-nano.gguf", NULL, &err);
 *         hearth_message ask = {"user", "Tell me a story about a cat."};
 *         int failed = !h || hearth_chat(h, &ask, 1, NULL, print, NULL, NULL, &err) != HEARTH_OK;
 *         if (failed)
 *             fprintf(stderr, "%s\n", err.message);
 *         hearth_close(h);
 *         return failed;
 *     }
 *
 * Rules for all functions:
 *  - A `hearth` belongs to one thread at a time. Different handles are independent.
 *  - Text is UTF-8. Pointers passed in are borrowed for the call; what comes back says who owns it.
 *  - `err` may be NULL. It is filled when a function fails, with a message fit for a person.
 *  - Option structs start with `size`, to be set to sizeof, so that fields can be added; pass NULL
 *    for the defaults, or start from HEARTH_OPTIONS_INIT / HEARTH_SAMPLING_INIT.
 *  - No function exits, prints, or reads anything but the files it is given.
 */
#ifndef HEARTH_H
#define HEARTH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define HEARTH_API __attribute__((visibility("default")))
#else
#define HEARTH_API
#endif

typedef enum hearth_status {
    HEARTH_OK = 0,
    HEARTH_FAILED,      /* could not be completed */
    HEARTH_USAGE,       /* the call makes no sense: bad argument, option out of range */
    HEARTH_BAD_FORMAT,  /* a model file breaks its format */
    HEARTH_UNSUPPORTED, /* valid, but this build or this model cannot do it */
    HEARTH_NOT_FOUND,
    HEARTH_IO,
    HEARTH_NO_MEMORY,
    HEARTH_LIMIT,        /* a documented ceiling was reached */
    HEARTH_CONTEXT_FULL, /* the prompt does not fit the context */
    HEARTH_CANCELLED,    /* a callback returned non-zero */
    HEARTH_BUSY          /* too much is waiting; try again later */
} hearth_status;

typedef struct hearth_error {
    hearth_status status;
    char message[512];
} hearth_error;

/* "bad_format"; never NULL */
HEARTH_API const char *hearth_status_name(hearth_status s);
HEARTH_API const char *hearth_version(void); /* "0.1.0" */

/* ---- models ---- */

typedef struct hearth hearth; /* a loaded model and the state to run it */

typedef struct hearth_options {
    size_t size;
    int n_threads;        /* 0: all usable cores */
    int64_t n_ctx;        /* tokens of context; 0: what the model was trained with, at most 8192 */
    int exact;            /* non-zero: float32 arithmetic throughout (slow; for comparisons) */
    const char *quantize; /* Hugging Face folders: weights to this type at load, e.g. "q8_0" */
    /* path of a smaller model of the same vocabulary that guesses ahead while that pays: changes
       the speed and nothing else; NULL: none. HEARTH_USAGE where a token differs */
    const char *draft_model;
} hearth_options;
#define HEARTH_OPTIONS_INIT                                                                        \
    {                                                                                              \
        sizeof(hearth_options), 0, 0, 0, NULL, NULL                                                \
    }

/* path: a GGUF file (of a split one, the first) or a Hugging Face folder. Weights stay mapped from
 * the file, which must not change while open. NULL when it fails. */
HEARTH_API hearth *hearth_open(const char *path, const hearth_options *options, hearth_error *err);
HEARTH_API void hearth_close(hearth *h); /* NULL is allowed */

typedef struct hearth_info {
    size_t size;                     /* set by the caller */
    const char *architecture, *name; /* owned by the handle */
    int64_t n_params, n_vocab, n_ctx_train, n_ctx, n_embd;
    size_t weight_bytes;
    int is_encoder;
} hearth_info;
HEARTH_API hearth_status hearth_get_info(const hearth *h, hearth_info *info, hearth_error *err);

/* ---- text in, text out ---- */

/* A piece of the answer: n bytes of whole UTF-8 characters, not NUL-terminated, valid during the
 * call. Non-zero stops the generation. */
typedef int (*hearth_on_text)(void *user, const char *text, size_t n);

typedef struct hearth_message {
    const char *role; /* "system", "user", "assistant" */
    const char *content;
} hearth_message;

typedef struct hearth_sampling {
    size_t size;
    double temperature;        /* 0: greedy */
    int64_t top_k;             /* 0: off */
    double top_p;              /* 1: off */
    double min_p;              /* 0: off */
    double repetition_penalty; /* 1: off */
    uint64_t seed;             /* the same seed gives the same text */
    int64_t max_tokens;        /* -1: until the context is full */
    const char *const *stop;   /* texts that end the answer (and are not part of it) */
    size_t n_stop;
    int draft; /* most tokens guessed ahead, from what the text repeats or by the draft model, 0
                  (off) to 64: changes the speed and nothing else */
} hearth_sampling;
#define HEARTH_SAMPLING_INIT                                                                       \
    {                                                                                              \
        sizeof(hearth_sampling), 0.8, 40, 0.95, 0.05, 1.0, 0, -1, NULL, 0, 15                      \
    }

typedef enum hearth_end {
    HEARTH_END_STOP,   /* the model ended its answer, or a stop text came */
    HEARTH_END_LENGTH, /* max_tokens */
    HEARTH_END_CONTEXT /* the context is full */
} hearth_end;

typedef struct hearth_result {
    size_t size; /* set by the caller */
    int64_t prompt_tokens, cached_tokens, answer_tokens;
    double prompt_seconds, answer_seconds;
    hearth_end end;
    int64_t drafted_tokens, accepted_tokens; /* guessed ahead, and of these right */
} hearth_result;

/* Answers a conversation through the model's chat template. The whole conversation is given each
 * time; what it shares with the call before is not computed again. What a model thinks aloud before
 * it answers is not told. on_text and result may be NULL. HEARTH_CANCELLED when on_text returned
 * non-zero. */
HEARTH_API hearth_status hearth_chat(hearth *h, const hearth_message *messages, size_t n,
                                     const hearth_sampling *sampling, hearth_on_text on_text,
                                     void *user, hearth_result *result, hearth_error *err);

/* Continues `prompt` as it is, without a template. */
HEARTH_API hearth_status hearth_complete(hearth *h, const char *prompt,
                                         const hearth_sampling *sampling, hearth_on_text on_text,
                                         void *user, hearth_result *result, hearth_error *err);

/* ---- tokens ---- */

/* Writes at most cap ids to out and returns how many the text has (so that a second call with that
 * many succeeds), or a negative value when it fails. add_special: with BOS and the like;
 * parse_special: special tokens written in the text become their ids. */
HEARTH_API int64_t hearth_tokenize(const hearth *h, const char *text, size_t n, int add_special,
                                   int parse_special, int32_t *out, size_t cap, hearth_error *err);

/* Writes at most cap bytes (no NUL) and returns how many the text has, negative when it fails. */
HEARTH_API int64_t hearth_detokenize(const hearth *h, const int32_t *ids, size_t n, char *out,
                                     size_t cap, hearth_error *err);

/* Feeds ids as a fresh sequence and writes the logits that follow each: n rows of n_vocab floats.
 */
HEARTH_API hearth_status hearth_logits(hearth *h, const int32_t *ids, size_t n, float *out,
                                       hearth_error *err);

/* ---- embeddings ---- */

/* The embedding of a text, scaled to length 1: n_embd floats. Its hidden states are pooled as the
 * model's file says; else an encoder's mean is taken, and a decoder's last. */
HEARTH_API hearth_status hearth_embed(hearth *h, const char *text, size_t n, float *out,
                                      hearth_error *err);

#ifdef __cplusplus
}
#endif
#endif
