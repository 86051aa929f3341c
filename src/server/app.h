/* What the handlers work with. */
#pragma once
#include "server/http.h"
#include "server/hub.h"

struct app {
    struct store *store;
    struct hub *hub;
};

/* The app that the server was made for. */
struct app *server_app(const struct server *s);
