/* The parameters of a model's entry: the keys of Ollama's options and Hearth's own, with their
 * types. As JSON they are {"temperature": 0.7, "stop": ["a", "b"]}. */
#pragma once
#include "base/buf.h"
#include "base/json.h"
#include "base/jsonw.h"

enum param_type { PARAM_INT, PARAM_NUM, PARAM_BOOL, PARAM_TEXT, PARAM_TEXTS };

struct param_row {
    const char *name;
    enum param_type type;
    bool ignored; /* Ollama's, without a meaning here */
};
/* NULL: unknown. Without regard to case. */
const struct param_row *param_find(struct str name);

/* A value as text ("0.7", "true") becomes JSON. EUSAGE telling what was expected. */
NODISCARD enum status param_value(const struct param_row *row, struct str text, struct jsonw *w,
                                  struct err *err);
/* A JSON object of parameters: EUSAGE naming the key whose value has the wrong type. Unknown keys
 * pass: they are another program's. */
NODISCARD enum status params_check(const json_t *object, struct err *err);
/* The keys of `over` replace those of `base`; either text may have .p NULL. Appends JSON, "{}" when
 * there are none. */
NODISCARD enum status params_merge(struct str base, struct str over, struct buf *out,
                                   struct err *err);
/* One "key value" a line, as /api/show tells them: texts in double quotes, lists one line each. */
NODISCARD enum status params_text(struct str params_json, struct buf *out, struct err *err);
