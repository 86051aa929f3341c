/* Numbers about requests, as Prometheus text: by route and status, how long they took, how long
 * until the first byte, how many run. Routes are the table's rows, so the set of labels is fixed.
 */
#pragma once
#include "server/access.h"

struct metrics;

NODISCARD enum status metrics_new(struct metrics **out, const struct route *routes, size_t n,
                                  struct err *err);
void metrics_free(struct metrics *m);
void metrics_add(struct metrics *m, const struct access_record *a);
/* in_flight: requests with a handler; ready: 0 or 1. */
void metrics_text(struct metrics *m, int in_flight, int connections, bool ready, struct buf *out);

/* For other floors' numbers: "# HELP", "# TYPE" lines, and a label's value with its escapes. */
void prometheus_head(struct buf *out, const char *name, const char *type, const char *help);
void prometheus_label(struct buf *out, struct str value);
