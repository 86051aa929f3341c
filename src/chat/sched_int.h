/* The inside of the scheduler: what its files share.
 *
 * The engine's thread owns everything but `inbox` and what else stands below `mutex`. A job belongs
 * to the thread that asked until it is in the inbox, and again once its mailbox is closed. */
#pragma once
#include "chat/mailbox.h"
#include "chat/prefix.h"
#include "chat/sched.h"
#include "chat/turn.h"
#include "engine/embed.h"
#include "engine/gen.h"

struct job {
    const struct turn *turn; /* read only: its prompt, request and parameters */
    struct gen_params params;
    int priority;
    int64_t order;    /* of arrival */
    struct job *next; /* in the inbox */

    struct gen *gen; /* NULL: not begun */
    int seq;         /* -1: none */
    struct tokens answer;
    struct gen_stats stats;
    size_t n_cached;
    struct buf saved; /* of a sequence that lost its pages and cannot be computed again; or empty */
    int64_t n_pages;  /* of saved */
    bool looked;      /* in the store */
    int64_t leader;   /* order of the job whose prompt we wait for, -1: none */

    /* of the step that is being made */
    int n_rows, logits;

    struct mailbox box;
    atomic_int stop; /* the sink wants no more */
    bool late;       /* the deadline ended it */
    enum status status;
    struct err err;
};

/* Jobs in an order: higher priorities first, then earlier arrivals. */
struct job_list {
    struct job **v;
    size_t n, cap;
};

struct sched {
    struct provider base; /* first */
    struct sched_options o;
    const struct model *model;
    struct engine *e;
    struct draft_model *draft; /* or NULL */
    struct prompt_format *format;
    char *identity; /* of the model, for the store */
    int64_t max_ctx, n_vocab;
    int max_rows;
    pthread_t thread;
    bool started;

    struct job_list waiting, running;
    struct embed_job *embeds; /* texts that are read for their embeddings, in their order */
    struct prefix_cache prefixes;
    int n_admitted;
    struct step_row *rows;      /* (max_rows) */
    struct job **stepping;      /* (max_rows): jobs in the step */
    struct draft_wish **wishes; /* (max_rows), with a draft model */
    int n_stepping;
    struct sampler_scratch **scratch; /* of each thread of the engine's pool */
    int64_t reserved;                 /* free pages that the step's rows will take */
    struct step_times times;
    double prompt_row_ns;     /* what a prompt's row adds to a step */
    struct sched_stats count; /* as far as it has been counted; copied below after each step */

    pthread_mutex_t mutex;
    pthread_cond_t work;     /* something for the engine's thread to do */
    pthread_cond_t embedded; /* an embedding is there */
    struct embed_job *embed_inbox, **embed_inbox_end;
    struct job *inbox, **inbox_end;
    int n_inbox, n_waiting; /* jobs in the inbox, and in the list */
    int64_t n_arrived;
    bool stopping;
    struct sched_stats stats;
};

NODISCARD bool jobs_insert(struct job_list *l, struct job *j);
void jobs_remove(struct job_list *l, size_t i);

/* What the asking threads see of the state: statistics and the length of the queue. */
void sched_publish(struct sched *s);

/* sched_admit.c */
/* Begins as many waiting jobs as there is room for. */
void sched_admit(struct sched *s);
/* The job is over: keeps what its sequence holds, and lets its thread go on. It must be in neither
 * list. */
void sched_end(struct sched *s, struct job *j);
/* What is kept goes to the store. */
void sched_save_prefixes(struct sched *s);
/* Room for `need` pages beside those reserved, if need be by giving up what is kept and then
 * running jobs behind place `at` of the order. */
bool sched_make_room(struct sched *s, int64_t need, size_t at);

/* Is there room for `need` pages beside what the running ones need? */
bool sched_fits(struct sched *s, int64_t need);

/* sched_embed.c */
/* One step of texts that are read for their embeddings; false: nothing was done. */
bool sched_embed_step(struct sched *s);
/* Pages that those begun will still take. */
int64_t sched_embed_pages(const struct sched *s);
/* Under the mutex. */
void sched_embed_take_inbox(struct sched *s);

/* sched_step.c */
/* Rows that prompts may take beside `n` rows of answers. */
int sched_prompt_rows(const struct sched *s, int n);
/* One engine step; false when there was nothing to do. */
bool sched_step(struct sched *s);
