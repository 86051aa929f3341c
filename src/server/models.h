/* What the dialects' lists of models share. */
#pragma once
#include "base/jsonw.h"
#include "server/http.h"
#include "store/store.h"

/* Writes a model as one object. id: as the client names it, or the short name. */
typedef void model_writer(struct jsonw *w, const struct store_model *m, struct str id);

/* Answers {"data": [models], ...}; end writes the fields behind, from the first and last id (empty:
 * there is no model). */
NODISCARD enum status models_list(struct http_request *q, struct reply *reply, model_writer *write,
                                  void (*end)(struct jsonw *w, struct str first, struct str last),
                                  struct err *err);
/* Answers with the model that the path's {model} names. */
NODISCARD enum status models_one(struct http_request *q, struct reply *reply, model_writer *write,
                                 struct err *err);
