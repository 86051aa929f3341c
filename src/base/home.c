#include "base/home.h"
#include "base/buf.h"
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

static char *joined(struct buf *path, const char *rest)
{
    if (*rest)
        buf_printf(path, "/%s", rest);
    if (path->failed)
        buf_release(path);
    return path->p;
}

static void add_user_home(struct buf *path)
{
    const char *user = getenv("HOME");
    const struct passwd *pw = user && *user ? NULL : getpwuid(getuid());
    buf_adds(path, pw ? pw->pw_dir : user && *user ? user : "/");
}

char *user_home(const char *rest)
{
    struct buf path;
    buf_init(&path, 4096);
    add_user_home(&path);
    return joined(&path, rest);
}

char *hearth_home(const char *rest)
{
    const char *home = getenv("HEARTH_HOME");
    struct buf path;
    buf_init(&path, 4096);
    if (home && *home) {
        buf_adds(&path, home);
    } else {
        add_user_home(&path);
        buf_adds(&path, "/.hearth");
    }
    return joined(&path, rest);
}
