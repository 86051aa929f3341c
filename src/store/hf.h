/* Hugging Face's repositories: what is in one, and which of its files a name means. The facts of
 * the API (tree, resolve, lfs) are those of huggingface_hub's documentation. */
#pragma once
#include "base/arena.h"
#include "store/name.h"
#include "store/web.h"

struct hf_file {
    struct str path;   /* in the repository */
    struct str digest; /* "sha256:..." of one in LFS; .p NULL: it is in git itself */
    struct str oid;    /* of git: 40 hex digits; may be .p NULL */
    uint64_t size;
};

struct hf_files {
    struct hf_file *f;
    size_t n, cap;
};

/* Whether the host is hf.co or huggingface.co. */
bool hf_is(const struct model_name *name);
/* $HF_ENDPOINT, else https://huggingface.co; without a slash at its end. */
struct str hf_endpoint(void);
/* "Bearer $HF_TOKEN"; NULL: none. The text is the buffer's. */
const char *hf_authorization(struct buf *out);

/* Every file of the repository's main branch; texts are the arena's. hf_files_release. */
NODISCARD enum status hf_list(struct hf_files *out, struct web *web, const struct model_name *name,
                              const char *authorization, struct arena *arena, struct err *err);
void hf_files_release(struct hf_files *l);
/* Appends what one page of the list says; the address of the page that follows, by the header Link
 * (.p NULL: none does). */
NODISCARD enum status hf_read_page(struct hf_files *l, struct str answer, struct arena *arena,
                                   struct err *err);
struct str hf_next_page(const struct web_call *c);
NODISCARD enum status hf_file_url(struct buf *out, const struct model_name *name, struct str path,
                                  struct err *err);

struct hf_choice {
    struct hf_files files;
    bool gguf;           /* else safetensors, with what belongs to them */
    struct str quantize; /* safetensors: the type that the tag asks for; .n 0: none */
};
/* What of a repository `tag` means: of GGUF files the one of that name or quantization ("latest":
 * Q4_K_M, or what comes nearest), with all its parts when it is split; without GGUF files the model
 * as safetensors. ENOTFOUND tells what there is. hf_files_release(&out->files). */
NODISCARD enum status hf_choose(struct hf_choice *out, const struct hf_files *all, struct str tag,
                                struct err *err);
/* The part of a path behind its last slash. */
struct str hf_base_name(struct str path);
