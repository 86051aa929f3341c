/* Where the server listens: "host", "host:port", ":port", "[v6]:port", "http://host:port" (as
 * OLLAMA_HOST is written). */
#pragma once
#include "base/buf.h"

enum { LISTEN_PORT = 11434 };

struct listener {
    int fd, port;
    bool loopback; /* nobody else can reach it */
    char url[300]; /* "http://127.0.0.1:11434" */
};

/* host NULL or empty: 127.0.0.1. port -1: as in host, or 11434; 0: any free one. EUSAGE for a
 * wrong address, EBUSY when the port is taken. */
NODISCARD enum status listen_open(struct listener *l, const char *host, int port, bool tls,
                                  struct err *err);
void listen_close(struct listener *l);
/* Which host and port a text names; port -1 when none. */
NODISCARD enum status listen_parse(struct str text, char host[256], int *port, struct err *err);
