#include <hearth.h>
#include <stdio.h>

static int print(void *user, const char *text, size_t n)
{
    (void)user;
    fwrite(text, 1, n, stdout);
    return 0;
}

int main(int argc, char **argv)
{
    hearth_error err;
    hearth *h = hearth_open(argc > 1 ? argv[1] : "models/hearth-nano.gguf", NULL, &err);
    hearth_message ask = {"user", "Tell me a story about a cat."};
    int failed = !h || hearth_chat(h, &ask, 1, NULL, print, NULL, NULL, &err) != HEARTH_OK;
    if (failed)
        fprintf(stderr, "%s\n", err.message);
    hearth_close(h);
    return failed;
}
