#include "cli/answer.h"
#include "base/jsonw.h"
#include "cli/interrupt.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_ANSWER = 1 << 30 };

#define DIM   "\033[2m"
#define UNDIM "\033[0m"

void answer_init(struct answer *a, const struct tokenizer *t, int n_logprobs)
{
    *a = (struct answer){.terminal = isatty(STDOUT_FILENO) != 0,
                         .at_line_start = true,
                         .n_logprobs = n_logprobs,
                         .tokenizer = t,
                         .reading = {.what = "reading"}};
    const char *term = getenv("TERM");
    a->dims = a->terminal && term && strcmp(term, "dumb") != 0;
    buf_init(&a->text, MAX_ANSWER);
    buf_init(&a->thinking, MAX_ANSWER);
    buf_init(&a->logprobs, MAX_ANSWER);
}

void answer_release(struct answer *a)
{
    buf_release(&a->text);
    buf_release(&a->thinking);
    buf_release(&a->logprobs);
}

/* Bytes of s up to the first control character, and in *skip the bytes of that. A model's text must
 * not move the cursor, change the title or answer for the terminal: C0 but for tab and line break,
 * DEL, and C1 (U+0080 - U+009F). */
static size_t printable_run(struct str s, size_t *skip)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        *skip = 1;
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
            return i;
        *skip = 2;
        if (c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0)
            return i;
    }
    *skip = 0;
    return s.n;
}

static void write_clean(struct str s, FILE *to)
{
    while (s.n) {
        size_t skip, n = printable_run(s, &skip);
        fwrite(s.p, 1, n, to);
        s = str_slice(s, n + skip, s.n);
    }
}

static void note_logprob(struct answer *a, int32_t token, float logprob)
{
    struct buf piece;
    struct err ignored;
    buf_init(&piece, 1 << 20);
    if (tokenizer_token_bytes(a->tokenizer, token, &piece, &ignored) != OK)
        buf_clear(&piece);
    jsonw_quote(&a->logprobs, buf_str(&piece), false);
    buf_printf(&a->logprobs, " %.4f", (double)logprob);
    buf_release(&piece);
}

static void note_logprobs(struct answer *a, const struct token_info *t)
{
    note_logprob(a, t->token, t->logprob);
    for (int i = 0; i < t->n_top; i++) {
        buf_adds(&a->logprobs, i ? ", " : "  | ");
        note_logprob(a, t->top[i].token, t->top[i].logprob);
    }
    buf_addc(&a->logprobs, '\n');
}

static void begin_thinking(struct answer *a)
{
    fputs(a->dims ? DIM "Thinking...\n" : "Thinking...\n", a->terminal ? stdout : stderr);
    a->in_thinking = true;
}

static void end_thinking(struct answer *a)
{
    if (!a->in_thinking)
        return;
    a->in_thinking = false;
    fputs("\n...done thinking.\n\n", a->terminal ? stdout : stderr);
    if (a->dims)
        fputs(UNDIM, stdout);
    fflush(stdout);
}

static int write_thinking(struct answer *a, struct str text)
{
    FILE *to = a->terminal ? stdout : stderr;
    if (!a->in_thinking)
        begin_thinking(a);
    buf_addstr(&a->thinking, text);
    if (isatty(fileno(to)))
        write_clean(text, to);
    else
        fwrite(text.p, 1, text.n, to);
    return fflush(to) != 0;
}

static int write_text(struct answer *a, const struct chat_event *ev)
{
    progress_end(&a->reading);
    if (ev->token && a->n_logprobs >= 0)
        note_logprobs(a, ev->token);
    if (ev->text.n == 0)
        return 0;
    if (ev->kind == CHAT_THINKING)
        return write_thinking(a, ev->text);
    end_thinking(a);
    buf_addstr(&a->text, ev->text);
    a->at_line_start = ev->text.p[ev->text.n - 1] == '\n';
    if (a->terminal)
        write_clean(ev->text, stdout);
    else
        fwrite(ev->text.p, 1, ev->text.n, stdout);
    return fflush(stdout) != 0; /* nobody reads any more: stop */
}

static int on_event(void *ctx, const struct chat_event *ev)
{
    struct answer *a = ctx;
    switch (ev->kind) {
    case CHAT_READING: progress_update(&a->reading, (double)ev->done / (double)ev->total); break;
    case CHAT_TEXT:
    case CHAT_THINKING:
        if (write_text(a, ev) != 0)
            return 1;
        break;
    case CHAT_DONE: a->usage = *ev->usage; break;
    case CHAT_CALL: /* no tools are offered here */
    case CHAT_ERROR: break;
    }
    return interrupt_raised();
}

struct chat_sink answer_sink(struct answer *a)
{
    return (struct chat_sink){on_event, a};
}

void answer_finish(struct answer *a)
{
    progress_end(&a->reading);
    end_thinking(a);
    if (!a->at_line_start)
        putchar('\n');
    fflush(stdout);
    if (a->logprobs.n)
        fwrite(a->logprobs.p, 1, a->logprobs.n, stderr);
}

static double rate(int64_t n, double seconds)
{
    return seconds > 0 ? (double)n / seconds : 0;
}

void answer_tell_usage(const struct answer *a, double load_s, double total_s)
{
    const struct chat_usage *u = &a->usage;
    int64_t computed = u->prompt_tokens - u->cached_tokens;
    fprintf(stderr,
            "\ntotal duration:       %.3fs\nload duration:        %.3fs\n"
            "prompt eval count:    %lld token(s), %lld more cached\n"
            "prompt eval duration: %.3fs\nprompt eval rate:     %.2f tokens/s\n"
            "eval count:           %lld token(s)\neval duration:        %.3fs\n"
            "eval rate:            %.2f tokens/s\n"
            "draft count:          %lld token(s), %lld accepted\n",
            total_s, load_s, (long long)computed, (long long)u->cached_tokens, u->prompt_s,
            rate(computed, u->prompt_s), (long long)u->answer_tokens, u->answer_s,
            rate(u->answer_tokens, u->answer_s), (long long)u->drafted_tokens,
            (long long)u->accepted_tokens);
}
