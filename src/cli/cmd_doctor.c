/* hearth doctor: what this machine has, for people and as JSON. */
#include "base/file.h"
#include "base/jsonw.h"
#include "base/machine.h"
#include "cli/commands.h"
#include "cli/load.h"
#include "kernel/kernel.h"
#include "kernel/probe.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The value behind "key ... :" in a /proc file, or "unknown". */
static void proc_value(const char *path, const char *key, char *out, size_t cap)
{
    char line[512];
    FILE *f = fopen(path, "re");
    snprintf(out, cap, "unknown");
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, key, strlen(key)) != 0 || !colon)
            continue;
        colon += 1 + strspn(colon + 1, " \t");
        colon[strcspn(colon, "\n")] = 0;
        snprintf(out, cap, "%s", colon);
        break;
    }
    if (f)
        fclose(f);
}

/* The first NVIDIA GPU that the kernel driver tells of; "none" without one. */
static void gpu_name(char *out, size_t cap)
{
    static const char root[] = "/proc/driver/nvidia/gpus";
    DIR *d = opendir(root);
    snprintf(out, cap, "none");
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[512];
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s/information", root, e->d_name);
        proc_value(path, "Model", out, cap);
        break;
    }
    if (d)
        closedir(d);
    else if (file_exists("/dev/nvidia0"))
        snprintf(out, cap, "an NVIDIA device whose driver tells nothing");
}

struct machine {
    char cpu[128], gpu[128];
    double memory_gb, available_gb, limit_gb; /* 0: no limit */
    char *home, *nano;                        /* NULL: not found */
    int cores;
    struct probe_bandwidth one, all;
};

static enum status look(struct machine *m, const struct options *o, struct err *err)
{
    struct pool *pool;
    proc_value("/proc/cpuinfo", "model name", m->cpu, sizeof m->cpu);
    gpu_name(m->gpu, sizeof m->gpu);
    m->memory_gb = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) * 1e-9;
    m->available_gb = (double)machine_memory_available("") * 1e-9;
    m->limit_gb = (double)machine_memory_limit("") * 1e-9;
    m->cores = pool_usable_cores();
    m->home = hearth_home("");
    struct err ignored;
    if (model_resolve("hearth-nano", &m->nano, &ignored) != OK)
        m->nano = NULL;
    enum status s = pool_new(&pool, o->threads > 0 ? (int)o->threads : 0, err);
    if (s == OK)
        s = probe_read(&m->one, NULL, 0, 0, err);
    if (s == OK)
        s = probe_read(&m->all, pool, 0, 0, err);
    pool_free(pool);
    return s;
}

static void print_json(const struct machine *m)
{
    struct buf out;
    struct jsonw w;
    buf_init(&out, 1 << 20);
    jsonw_init(&w, &out, 2);
    jsonw_obj(&w);
    jsonw_kstr(&w, "version", STR(HEARTH_VERSION));
    jsonw_kstr(&w, "cpu", str_from(m->cpu));
    jsonw_kint(&w, "cores", m->cores);
    jsonw_kstr(&w, "cpu_features", str_from(kernel_cpu_features()));
    jsonw_kstr(&w, "isa", str_from(kernel_ops()->isa));
    jsonw_knum(&w, "memory_gb", m->memory_gb);
    jsonw_knum(&w, "memory_available_gb", m->available_gb);
    if (m->limit_gb > 0)
        jsonw_knum(&w, "memory_limit_gb", m->limit_gb);
    jsonw_knum(&w, "read_gb_s_one_thread", m->one.median_gb_s);
    jsonw_knum(&w, "read_gb_s", m->all.median_gb_s);
    jsonw_kstr(&w, "gpu", str_from(m->gpu));
    jsonw_kstr(&w, "home", str_from(m->home));
    jsonw_key(&w, "hearth_nano");
    if (m->nano)
        jsonw_str(&w, str_from(m->nano));
    else
        jsonw_null(&w);
    jsonw_end(&w);
    print_line(&out);
    buf_release(&out);
}

static void print_table(const struct machine *m)
{
    printf("hearth     %s\n", HEARTH_VERSION);
    printf("cpu        %s, %d usable cores\n", m->cpu, m->cores);
    printf("features   %s\n", kernel_cpu_features());
    printf("kernels    %s\n", kernel_ops()->isa);
    printf("memory     %.1f GB, %.1f available", m->memory_gb, m->available_gb);
    if (m->limit_gb > 0)
        printf(", this process may use %.1f", m->limit_gb);
    printf("\nbandwidth  %.1f GB/s reading with all threads, %.1f with one\n", m->all.median_gb_s,
           m->one.median_gb_s);
    printf("gpu        %s%s\n", m->gpu,
           strcmp(m->gpu, "none") != 0 ? " (not used by this build)" : "");
    printf("home       %s\n", m->home ? m->home : "none");
    printf("model      %s\n", m->nano ? m->nano : "hearth-nano was not found");
}

enum status cmd_doctor(const struct options *o, struct err *err)
{
    struct machine m = {0};
    enum status s = look(&m, o, err);
    if (s == OK && o->json)
        print_json(&m);
    else if (s == OK)
        print_table(&m);
    free(m.home);
    free(m.nano);
    return s;
}
