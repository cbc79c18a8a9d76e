/* The process: signals, limits, the machine's sizes, service notification. */
#include "io/process.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/number.h"
#include "io/io_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- signals ---- */

static void (*_Atomic stop_wake)(void *ctx);
static void *_Atomic stop_wake_ctx;
static atomic_bool should_stop;

static void on_stop_signal(int number)
{
    (void)number;
    atomic_store(&should_stop, true);
    void (*wake)(void *ctx) = atomic_load(&stop_wake);
    if (wake)
        wake(atomic_load(&stop_wake_ctx));
}

void process_catch_signals(void (*wake)(void *ctx), void *ctx)
{
    atomic_store(&stop_wake_ctx, ctx);
    atomic_store(&stop_wake, wake);
    struct sigaction action = {.sa_handler = on_stop_signal, .sa_flags = SA_RESTART};
    sigfillset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

bool process_should_stop(void)
{
    return atomic_load_explicit(&should_stop, memory_order_relaxed);
}

void process_ask_to_stop(void)
{
    on_stop_signal(0);
}

bool process_is_there(uint64_t id)
{
    char path[64];
    struct text text = {0};
    snprintf(path, sizeof path, "/proc/%llu/stat", (unsigned long long)id);
    bool is_there = process_read_file(path, 4096, &text) == OK;
    const char *name_end = is_there ? strrchr(text_string(&text), ')') : NULL;
    bool has_ended = name_end && strchr("ZX", name_end[1] ? name_end[2] : 'Z');
    text_reset(&text);
    err_clear();
    return is_there && !has_ended;
}

/* ---- limits and sizes ---- */

uint64_t process_raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return 1024;
    struct rlimit raised = {limit.rlim_max, limit.rlim_max};
    return setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : limit.rlim_cur;
}

uint64_t process_rss_bytes(void)
{
    struct text text = {0};
    uint64_t resident = 0;
    /* "<all pages> <resident pages> ..." */
    if (process_read_file("/proc/self/statm", 256, &text) == OK) {
        const char *second = strchr((const char *)text.data, ' ');
        resident = second ? strtoull(second, NULL, 10) : 0;
    }
    text_reset(&text);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* A limit that is not set reads "max", or a number beyond any machine's memory. */
static uint64_t read_limit(const char *path)
{
    struct text text = {0};
    int64_t limit = INT64_MAX;
    if (process_read_file(path, 64, &text) == OK) {
        struct bytes line = text_bytes(&text);
        while (line.size > 0 && line.data[line.size - 1] == '\n')
            line.size--;
        if (!number_parse_i64(line, &limit) || limit <= 0)
            limit = INT64_MAX;
    }
    text_reset(&text);
    return (uint64_t)limit;
}

uint64_t process_total_memory_bytes(void)
{
    static const char *const limits[] = {
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    };
    uint64_t total = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        uint64_t limit = read_limit(limits[i]);
        total = limit < total ? limit : total;
    }
    return total;
}

uint64_t process_open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    uint64_t count = 0;
    while (dir && readdir(dir))
        count++;
    if (dir)
        closedir(dir);
    return count > 3 ? count - 3 : 0; /* ".", ".." and the directory itself */
}

int process_cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set))
        return 1;
    return CPU_COUNT(&set);
}

void process_random(void *out, size_t size)
{
    uint8_t *at = out;
    while (size > 0) {
        ssize_t n = getrandom(at, size, 0);
        check(n > 0 || errno == EINTR);
        at += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
}

uint64_t process_id(void)
{
    return (uint64_t)getpid();
}

/* ---- the service manager ---- */

/* sd_notify: one datagram to the socket named in the environment; '@' starts an abstract name. */
void process_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = path ? strlen(path) : 0;
    if (size == 0 || size >= sizeof address.sun_path)
        return;
    memcpy(address.sun_path, path, size);
    if (address.sun_path[0] == '@')
        address.sun_path[0] = 0;

    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    ssize_t n =
        sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, address_size);
    (void)n; /* a service manager that does not listen is no concern of ours */
    close(fd);
}

/* ---- small files ---- */

enum err process_read_file(const char *path, size_t limit, struct text *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_wrap(io_error("open"), "%s", path);

    struct text text = {0};
    enum err err = OK;
    for (;;) {
        uint8_t *at = text_reserve(&text, 4096);
        ssize_t n = read(fd, at, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            err = io_error("read");
        if (n <= 0)
            break;
        text.size += (size_t)n;
        if (text.size > limit) {
            err = err_set(E_TOO_LARGE, "more than %zu bytes", limit);
            break;
        }
    }
    close(fd);
    if (err) {
        text_reset(&text);
        return err_wrap(err, "%s", path);
    }
    text_append(&text, BYTES_LITERAL("")); /* so that .data is never NULL and ends with a NUL */
    *out = text;
    return OK;
}

void process_trim_memory(void)
{
    malloc_trim(0);
}

void process_keep_memory(void)
{
    enum { BLOCK_MAX_BYTES = 32 << 20, KEPT_BYTES = 32 << 20 };
    mallopt(M_MMAP_THRESHOLD, BLOCK_MAX_BYTES);
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
}

static void trim_run(struct job *job)
{
    process_trim_memory();
    free(job);
}

void process_trim_memory_by(struct jobs *jobs)
{
    struct job *job = xzalloc(sizeof *job);
    job->run = trim_run;
    jobs_submit(jobs, LANE_HELPER, job);
}

enum err process_write_file(const char *path, struct bytes content)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR);

    if (fd < 0)
        return err_wrap(io_error("open"), "%s", path);
    enum err err = OK;
    while (content.size && !err) {
        ssize_t written = write(fd, content.data, content.size);
        if (written < 0 && errno != EINTR)
            err = io_error("write");
        size_t done = written > 0 ? (size_t)written : 0;
        content = bytes_of(content.data + done, content.size - done);
    }
    if (close(fd) && !err)
        err = io_error("close");
    return err_wrap(err, "%s", path);
}

void process_host_name(char *out, size_t size)
{
    if (gethostname(out, size))
        snprintf(out, size, "localhost");
    out[size - 1] = 0;
    out[strcspn(out, ".")] = 0;
}
