#include "server/route.h"

/* every handler of the table, declared: some have several rows */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wredundant-decls"
#define ROUTE(method_, path_, fn_, scope_, dialect_, summary_, flags_) handler_fn fn_;
#include "server/routes.def"
#undef ROUTE
#pragma GCC diagnostic pop

#define ROUTE(method_, path_, fn_, scope_, dialect_, summary_, flags_)                             \
    {.method = method_,                                                                            \
     .path = path_,                                                                                \
     .fn = fn_,                                                                                    \
     .scope = scope_,                                                                              \
     .dialect = dialect_,                                                                          \
     .summary = summary_,                                                                          \
     .flags = flags_},
const struct route own_routes[] = {
#include "server/routes.def"
};
#undef ROUTE
const size_t n_own_routes = sizeof own_routes / sizeof *own_routes;
