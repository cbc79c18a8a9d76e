/* rabbitmqctl: what the server is told to do: trace, other limits, stop. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "cli/control_client.h"
#include "cli/ctl.h"
#include "io/clock.h"
#include "io/process.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ---- trace ---- */

static int trace(struct ctl *c, bool on)
{
    const char *vhost = c->o.vhost;

    if (!ctl_begin(c, "%s tracing for vhost \"%s\" ...", on ? "Starting" : "Stopping", vhost))
        return CTL_OK;
    enum err err =
        manage_ask(&c->common, NULL, NULL, "%s vhosts/%s/tracing", on ? "POST" : "DELETE", vhost);
    if (err == E_NOT_FOUND)
        return ctl_no_vhost(vhost);
    return err ? ctl_failed(c, err)
               : ctl_tell(c, "Trace %s for vhost %s", on ? "enabled" : "disabled", vhost);
}

static int trace_on(struct ctl *c)
{
    return trace(c, true);
}

static int trace_off(struct ctl *c)
{
    return trace(c, false);
}

/* ---- limits ---- */

/* Ask over the control socket, which takes the reference to `request`. */
static int order(const struct ctl *c, json_t *request)
{
    json_t *answer = NULL;

    if (c->common.url) {
        json_decref(request);
        return ctl_error(CTL_UNAVAILABLE, "%s goes over the control socket only", c->command->name);
    }
    enum err err = control_ask(&c->common, request, &answer);
    if (!err)
        json_decref(answer);
    return ctl_end(c, err);
}

static bool read_fraction(const char *text, double *out)
{
    char *end;

    *out = strtod(text, &end);
    return end != text && !*end && isfinite(*out) && *out >= 0;
}

/* "512", "64MiB", "1GB": RabbitMQ's units, some of which are powers of 1000. */
static bool read_bytes(const char *text, json_int_t *out)
{
    static const struct {
        const char *name;
        int64_t bytes;
    } units[] = {{"", 1},          {"k", 1 << 10},    {"kiB", 1 << 10}, {"M", 1 << 20},
                 {"MiB", 1 << 20}, {"G", 1 << 30},    {"GiB", 1 << 30}, {"kB", 1000},
                 {"MB", 1000000},  {"GB", 1000000000}};
    size_t digits = strspn(text, "0123456789");
    int64_t number;

    if (!number_parse_i64(bytes_of(text, digits), &number))
        return false;
    for (size_t i = 0; i < COUNT(units); i++) {
        if (strcmp(text + digits, units[i].name) != 0 || number > INT64_MAX / units[i].bytes)
            continue;
        *out = (json_int_t)(number * units[i].bytes);
        return true;
    }
    return false;
}

/* Two forms: one word, or a keyword and one behind it. */
struct limit {
    const char *command, *name, *keyword;
    int (*alone)(struct ctl *, const struct limit *, const char *text);
    int (*behind)(struct ctl *, const struct limit *, const char *text);
    json_int_t least_bytes;
    double most_fraction;
    const char *too_much, *unit; /* of fractions */
};

static int set_limit(struct ctl *c, const struct limit *l)
{
    if (strcmp(c->arguments[0], l->keyword) != 0)
        return c->count > 1 ? ctl_usage(c, CTL_USAGE, "too many arguments.")
                            : l->alone(c, l, c->arguments[0]);
    return c->count < 2 ? ctl_usage(c, CTL_USAGE, "not enough arguments.")
                        : l->behind(c, l, c->arguments[1]);
}

static int set_bytes(struct ctl *c, const struct limit *l, const char *text)
{
    json_int_t bytes;

    if (!read_bytes(text, &bytes) || bytes < l->least_bytes)
        return ctl_usage(c, CTL_DATA, "Bad argument.");
    if (!ctl_begin(c, "Setting %s on %s to %s bytes ...", l->name, ctl_node(c), text))
        return CTL_OK;
    return order(c, json_pack("{s:s, s:I}", "command", l->command, "bytes", bytes));
}

static int set_fraction(struct ctl *c, const struct limit *l, const char *text)
{
    double fraction;

    if (!read_fraction(text, &fraction))
        return ctl_usage(c, CTL_DATA, "Bad argument.");
    if (fraction > l->most_fraction)
        return ctl_usage(c, CTL_DATA, "%s", l->too_much);
    if (!ctl_begin(c, "Setting %s on %s to %s%s ...", l->name, ctl_node(c), text, l->unit))
        return CTL_OK;
    return order(c, json_pack("{s:s, s:f}", "command", l->command, "fraction", fraction));
}

static int set_memory_watermark(struct ctl *c)
{
    static const struct limit memory = {
        .command = "memory.watermark.set",
        .name = "memory threshold",
        .keyword = "absolute",
        .alone = set_fraction,
        .behind = set_bytes,
        .least_bytes = 1,
        .most_fraction = 1,
        .too_much = "Bad argument: The threshold should be a fraction between 0.0 and 1.0",
        .unit = "",
    };
    return set_limit(c, &memory);
}

static int set_disk_free_limit(struct ctl *c)
{
    static const struct limit disk = {
        .command = "disk.reserve.set",
        .name = "disk free limit",
        .keyword = "mem_relative",
        .alone = set_bytes,
        .behind = set_fraction,
        .most_fraction = 1000,
        .too_much = "Bad argument.",
        .unit = " times the total RAM",
    };
    return set_limit(c, &disk);
}

/* ---- the end ---- */

enum { STOP_TIMEOUT_S = 120, POLL_MS = 50 };

static int wait_for_end(const struct ctl *c, uint64_t id)
{
    int64_t deadline_ns = clock_now_ns() + ctl_timeout_s(c, STOP_TIMEOUT_S) * INT64_C(1000000000);

    while (process_is_there(id)) {
        if (clock_now_ns() >= deadline_ns)
            return ctl_failed(
                c, err_set(E_TIMEOUT, "process %llu still runs", (unsigned long long)id));
        clock_pause_ms(POLL_MS);
    }
    return CTL_OK;
}

/* Which process it is that listens to the control socket. */
static enum err ask_process(const struct ctl *c, uint64_t *out)
{
    json_t *answer;

    enum err err = control_ask(&c->common, json_pack("{s:s}", "command", "health"), &answer);
    if (err)
        return err;
    *out = (uint64_t)ctl_number(answer, "pid");
    json_decref(answer);
    return OK;
}

static json_t *stop_request(void)
{
    return json_pack("{s:s}", "command", "stop");
}

static bool read_pid(const char *path, uint64_t *out)
{
    struct text text = {0};
    int64_t id = 0;
    bool good = process_read_file(path, 4096, &text) == OK;

    if (good) {
        const char *at = text_string(&text);
        at += strspn(at, " \t\r\n");
        good = number_parse_i64(bytes_of(at, strspn(at, "0123456789")), &id);
    }
    text_reset(&text);
    *out = (uint64_t)id;
    return good;
}

/* With the file of a process, tell when that has ended. */
static int stop_process_of(struct ctl *c, const char *path)
{
    uint64_t id;

    if (!ctl_begin(c, "Stopping and halting node %s (will monitor pid file %s) ...", ctl_node(c),
                   path))
        return CTL_OK;
    bool has_pid = read_pid(path, &id);
    int exit_code = order(c, stop_request());
    if (exit_code)
        return exit_code;
    if (!has_pid)
        return ctl_error(CTL_UNAVAILABLE, "could not read pid from file %s", path);
    exit_code = wait_for_end(c, id);
    return exit_code ? exit_code
                     : ctl_tell(c, "process %llu (take from pid file %s) is no longer running",
                                (unsigned long long)id, path);
}

static int stop(struct ctl *c)
{
    uint64_t id = 0;

    if (c->count)
        return stop_process_of(c, c->arguments[0]);
    if (!ctl_begin(c, "Stopping and halting node %s ...", ctl_node(c)))
        return CTL_OK;
    enum err err = c->common.url ? OK : ask_process(c, &id);
    if (err == E_CLOSED && c->o.idempotent)
        return ctl_tell(c, "Node %s is no longer running", ctl_node(c));
    if (err)
        return ctl_failed(c, err);
    int exit_code = order(c, stop_request());
    return exit_code ? exit_code : wait_for_end(c, id);
}

static int shutdown_node(struct ctl *c)
{
    char node[256];
    uint64_t id = 0;

    snprintf(node, sizeof node, "%s", ctl_node(c));
    if (c->o.dry_run)
        return CTL_OK;
    enum err err = c->common.url ? OK : ask_process(c, &id);
    if (err)
        return ctl_failed(c, err);
    if (!c->common.url && !c->o.no_wait)
        ctl_tell(c, "Shutting down RabbitMQ node %s running at PID %llu", node,
                 (unsigned long long)id);
    int exit_code = order(c, stop_request());
    if (exit_code || c->o.no_wait)
        return exit_code;
    ctl_tell(c, "Waiting for PID %llu to terminate", (unsigned long long)id);
    exit_code = wait_for_end(c, id);
    return exit_code ? exit_code
                     : ctl_tell(c, "RabbitMQ node %s running at PID %llu successfully shut down",
                                node, (unsigned long long)id);
}

static const struct ctl_command commands[] = {
    {"trace_on", "[--vhost <vhost>]", "Copies each message of a vhost to amq.rabbitmq.trace", "", 0,
     -1, trace_on, NULL, false},
    {"trace_off", "[--vhost <vhost>]", "Copies a vhost's messages no longer", "", 0, -1, trace_off,
     NULL, false},
    {"set_vm_memory_high_watermark", "<fraction> | absolute <value>",
     "Sets beyond how much memory publishers are blocked, until the next start", "", 1, 2,
     set_memory_watermark, NULL, false},
    {"set_disk_free_limit", "<disk_limit> | mem_relative <fraction>",
     "Sets below how much free room publishers are blocked, until the next start", "", 1, 2,
     set_disk_free_limit, NULL, false},
    {"stop", "[--idempotent] [<pidfile>]", "Stops the server", "idempotent", 0, 1, stop, NULL,
     false},
    {"shutdown", "[--wait] [--no-wait]", "Stops the server and waits until it has ended",
     "wait no-wait", 0, 0, shutdown_node, NULL, false},
};

const struct ctl_commands ctl_tell_commands = {commands, COUNT(commands)};
