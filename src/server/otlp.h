/* OpenTelemetry: one span a request, sent as OTLP/HTTP JSON by a thread of its own.
 *
 * The queue has a ceiling; what does not fit, or what the collector does not take, is dropped and
 * counted: no request ever waits for a collector. Spans hold no prompts and no answers. */
#pragma once
#include "server/access.h"

struct otlp;

struct otlp_options {
    const char *url;     /* of the collector's /v1/traces */
    const char *headers; /* "name=value,..." with %XX in values, or NULL */
    const char *service; /* service.name; NULL: "hearth" */
};
/* What the environment says: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, else OTEL_EXPORTER_OTLP_ENDPOINT
 * with
 * "/v1/traces" (written to `url`); OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME. False: nobody
 * asks for spans (or OTEL_SDK_DISABLED=true). */
bool otlp_from_environment(struct otlp_options *o, char url[1024]);
NODISCARD enum status otlp_new(struct otlp **out, const struct otlp_options *o, struct err *err);
/* o may be NULL. Never blocks on the network. */
void otlp_add(struct otlp *o, const struct access_record *a);
void otlp_metrics(struct otlp *o, struct buf *out);
void otlp_free(struct otlp *o); /* sends what is left, for some seconds at most */

/* The span's JSON object. */
void otlp_span(const struct access_record *a, struct buf *out);
