/* SPDX-License-Identifier: MIT
 *
 * What a failpoint does when it is reached. Decides nothing of the program: the plan comes from outside (failpoint.h says
 * how). Empty in what ships. */
#include "daemon/failpoint.h"

#ifdef TELDAGD_FAILPOINTS

#include <ctype.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define NAME_MAX_BYTES 96
#define PLANS_MAX      16
#define PLAN_BYTES     4096

static const char *const names[] = {
#define FAILPOINT_NAME(group, name) #group "." #name,
    FAILPOINTS(FAILPOINT_NAME)
#undef FAILPOINT_NAME
#define FAILPOINT_NAME(who, label) #who "." #label ".before", #who "." #label ".after",
        FAILPOINTS_SQL(FAILPOINT_NAME)
#undef FAILPOINT_NAME
#define FAILPOINT_NAME(who, label)                                                                           \
#who ".copy_" #label ".before", #who ".copy_" #label ".begun", #who ".copy_" #label ".ending",           \
        #who ".copy_" #label ".after",
            FAILPOINTS_COPY(FAILPOINT_NAME) FAILPOINTS_LOGS(FAILPOINT_NAME)
#undef FAILPOINT_NAME
#define FAILPOINT_NAME(who, label)                                                                           \
#who ".read_select_" #label ".before", #who ".read_select_" #label ".after",
                FAILPOINTS_LOGS(FAILPOINT_NAME)
#undef FAILPOINT_NAME
#define FAILPOINT_NAME(who) #who ".commit.before", #who ".commit.sent", #who ".commit.answered",
                    FAILPOINTS_COMMIT(FAILPOINT_NAME)
#undef FAILPOINT_NAME
};
#define NAMES (sizeof(names) / sizeof(*names))

struct plan {
    char name[NAME_MAX_BYTES], act[16];
    unsigned argument_ms, left; /* times it is still to be reached; 0: done */
    char sqlstate[6];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct plan plans[PLANS_MAX];
static size_t plan_count;
static bool reached[NAMES];
static const char *file; /* TELDAGD_FAIL_FILE, mapped */
static uint64_t generation;
static int log_fd = -1;

static void note(const char *what, const char *name, const char *act)
{
    char line[2 * NAME_MAX_BYTES];
    int n = snprintf(line, sizeof(line), "%s %s%s%s\n", what, name, *act ? " " : "", act);

    if (log_fd >= 0 && write(log_fd, line, (size_t)n) != n)
        abort();
}

/* Our own bug, or the test's: said where it is seen. */
static void complain(const char *text, const char *name)
{
    fprintf(stderr, "failpoint: %s: %s\n", text, name);
    abort();
}

static int find(const char *name)
{
    for (size_t i = 0; i < NAMES; i++)
        if (strcmp(names[i], name) == 0)
            return (int)i;
    return -1;
}

static void parse_one(char *text)
{
    struct plan *p = &plans[plan_count];
    char *act = strchr(text, '='), *times = act ? strchr(act, '@') : NULL, *argument;
    size_t len;

    if (!act || plan_count == PLANS_MAX)
        complain("cannot read the plan", text);
    *act++ = '\0';
    if (times)
        *times++ = '\0';
    argument = strchr(act, ':');
    if (argument)
        *argument++ = '\0';
    len = strlen(text);
    if (find(text) < 0 && (len < 5 || strcmp(text + len - 5, ".call") != 0))
        complain("no such failpoint", text);
    *p = (struct plan){.left = times ? (unsigned)strtoul(times, NULL, 10) : 1};
    snprintf(p->name, sizeof(p->name), "%s", text);
    snprintf(p->act, sizeof(p->act), "%s", act);
    p->argument_ms = argument ? (unsigned)strtoul(argument, NULL, 10) : 0;
    snprintf(p->sqlstate, sizeof(p->sqlstate), "%.5s", argument ? argument : "");
    plan_count++;
}

static void parse(const char *text)
{
    char copy[PLAN_BYTES], *rest = copy, *one;

    snprintf(copy, sizeof(copy), "%s", text);
    plan_count = 0;
    while ((one = strsep(&rest, ";")))
        if (*one)
            parse_one(one);
}

static void look_at_file(void)
{
    uint64_t now;

    if (!file)
        return;
    now = __atomic_load_n((const uint64_t *)(const void *)file, __ATOMIC_ACQUIRE);
    if (now == generation)
        return;
    generation = now;
    parse(file + sizeof(uint64_t));
}

static enum failpoint_act act_on(const struct plan *p)
{
    struct timespec nap = {p->argument_ms / 1000, p->argument_ms % 1000 * 1000000L};

    note("act", p->name, p->act);
    if (strcmp(p->act, "kill") == 0)
        raise(SIGKILL);
    else if (strcmp(p->act, "stop") == 0)
        raise(SIGSTOP);
    else if (strcmp(p->act, "sleep") == 0)
        nanosleep(&nap, NULL);
    else if (strcmp(p->act, "error") == 0)
        return FAILPOINT_ACT_ERROR;
    else if (strcmp(p->act, "cut") == 0)
        return FAILPOINT_ACT_CUT;
    else
        complain("no such act", p->act);
    return FAILPOINT_GO_ON;
}

/* index < 0: a count of calls, which is not in the list. */
static enum failpoint_act reach(int index, const char *name, char sqlstate[6])
{
    struct plan due = {.left = 0};

    pthread_mutex_lock(&mutex);
    look_at_file();
    if (index >= 0 && !reached[index]) {
        reached[index] = true;
        note("hit", name, "");
    }
    for (size_t i = 0; i < plan_count; i++)
        if (plans[i].left && strcmp(plans[i].name, name) == 0 && --plans[i].left == 0)
            due = plans[i];
    pthread_mutex_unlock(&mutex);
    if (!*due.name)
        return FAILPOINT_GO_ON;
    memcpy(sqlstate, due.sqlstate, sizeof(due.sqlstate));
    return act_on(&due);
}

enum failpoint_act failpoint_reach(enum failpoint point, char sqlstate[6])
{
    return reach((int)point, names[point], sqlstate);
}

enum failpoint_act failpoint_reach_sql(const char *who, const char *label, const char *when, char sqlstate[6])
{
    char name[NAME_MAX_BYTES];
    int index;

    snprintf(name, sizeof(name), "%s.%s.%s", who, label, when);
    index = find(name);
    if (index < 0)
        complain("this statement is not in tests/faults/points.h", name);
    return reach(index, name, sqlstate);
}

enum failpoint_act failpoint_reach_call(const char *who, char sqlstate[6])
{
    char name[NAME_MAX_BYTES];

    snprintf(name, sizeof(name), "%s.call", who);
    return reach(-1, name, sqlstate);
}

/* The word after the prefix, or NULL. */
static const char *word_after(const char *sql, const char *prefix)
{
    const char *at = strstr(sql, prefix);

    return at ? at + strlen(prefix) : NULL;
}

void failpoint_label(const char *sql, char *out, int len)
{
    const char *table = word_after(sql, "_data.") /* the schema */;
    int n = 0;

    if (strncmp(sql, "SELECT EXISTS", 13) == 0)
        table = "exists"; /* of any log */
    if (!table)
        table = word_after(sql, "FROM pg_");
    if (!table)
        table = word_after(sql, "pg_");
    if (!table)
        table = word_after(sql, " ");
    for (const char *p = sql; isalpha((unsigned char)*p) && n < len - 1; p++)
        out[n++] = (char)tolower((unsigned char)*p);
    if (table && n < len - 1)
        out[n++] = '_';
    for (const char *p = table; p && (isalnum((unsigned char)*p) || *p == '_') && n < len - 1; p++)
        out[n++] = (char)tolower((unsigned char)*p);
    out[n] = '\0';
}

__attribute__((constructor)) static void read_environment(void)
{
    const char *plan = getenv("TELDAGD_FAIL"), *path = getenv("TELDAGD_FAIL_FILE"),
               *log = getenv("TELDAGD_FAIL_LOG");

    if (getenv("TELDAGD_FAIL_LIST")) {
        for (size_t i = 0; i < NAMES; i++)
            puts(names[i]);
        exit(0);
    }
    if (log)
        log_fd = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (plan)
        parse(plan);
    if (path) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        void *map = fd < 0 ? MAP_FAILED : mmap(NULL, PLAN_BYTES, PROT_READ, MAP_SHARED, fd, 0);

        if (map == MAP_FAILED)
            complain("cannot map", path);
        close(fd);
        file = map;
    }
}

#else

/* A file with nothing in it is no C file. */
extern int failpoint_none;

#endif
