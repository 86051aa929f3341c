/* API keys: a file of hashes with names, scopes and limits. A key is 256 random bits, so its
 * SHA-256 needs no salt and no slow hash. The file is read again when it changes. */
#pragma once
#include "server/http.h"

#define SCOPES_ALL (SCOPE_INFER | SCOPE_READ | SCOPE_MODELS | SCOPE_ADMIN)

struct api_key {
    char name[65];
    unsigned char hash[32];
    unsigned scopes;    /* SCOPE_ADMIN stands for all */
    int64_t rpm;        /* requests a minute; 0: no limit */
    int64_t concurrent; /* at once; 0: no limit */
    int64_t created_unix_s;
};
struct key_list {
    struct api_key *at;
    size_t n;
};

enum { KEY_TEXT = 72 }; /* "hearth_" and 64 hex digits, NUL */

/* An absent file is an empty list. EFORMAT names what is wrong. */
NODISCARD enum status keys_read(struct key_list *out, const char *path, struct err *err);
/* Written whole or not at all, readable by its owner alone. */
NODISCARD enum status keys_write(const struct key_list *l, const char *path, struct err *err);
void keys_release(struct key_list *l);
/* Appends a new key; `text` is the only time that it is seen. EUSAGE for a name that is taken or is
 * not 1 to 64 of [A-Za-z0-9._-]. */
NODISCARD enum status keys_add(struct key_list *l, const char *name, unsigned scopes, int64_t rpm,
                               int64_t concurrent, char text[KEY_TEXT], struct err *err);
NODISCARD enum status keys_remove(struct key_list *l, const char *name, struct err *err);
/* "infer,read" */
NODISCARD enum status scopes_parse(struct str text, unsigned *scopes, struct err *err);
void scopes_text(unsigned scopes, struct buf *out);

/* The keys of a running server, with what each has used. */
struct auth;
NODISCARD enum status auth_new(struct auth **out, const char *path, struct err *err);
void auth_free(struct auth *a);
/* Does the server ask for keys? Once it has asked, it does so until it ends. */
bool auth_required(struct auth *a);

struct auth_grant {
    char name[65];
    unsigned scopes;
    void *use; /* for auth_release */
};
/* Who sends `key` (.p NULL: none given), for a route that needs one of the bits of `scope`? 200
 * with the grant, or 401, 403, 429 with the reason in err and the seconds to wait in *retry. */
int auth_check(struct auth *a, struct str key, unsigned scope, struct auth_grant *grant, int *retry,
               struct err *err);
void auth_release(struct auth *a, struct auth_grant *grant);
