#include "server/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/amqp.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/say.h"
#include "broker/core.h"
#include "io/clock.h"
#include "io/disk.h"
#include "io/hub.h"
#include "io/jobs.h"
#include "io/process.h"
#include "manage/definitions.h"
#include "server/broker_settings.h"
#include "server/settings.h"

/* ---- the loop ---- */

/* Half of very many connections are gone: what they had goes back to the system. */
static void trim_after_connections(struct server *s)
{
    enum { MANY = 500 };
    uint32_t count = hub_connection_count(s->hub);
    if (count > s->most_connections)
        s->most_connections = count;
    if (s->most_connections < MANY || count > s->most_connections / 2)
        return;
    s->most_connections = count;
    process_trim_memory_by(s->jobs);
}

static void turn(struct server *s, int64_t deadline_ns)
{
    int64_t due_ns = core_next_due(s->core);

    hub_gate_input(s->hub, store_is_behind(s->core->store));
    hub_wait(s->hub, due_ns < deadline_ns ? due_ns : deadline_ns);
    int64_t now_ns = clock_now_ns();
    core_turn_begin(s->core, now_ns, clock_wall_ms());
    jobs_poll(s->jobs);
    hub_dispatch(s->hub, now_ns);
    management_dispatch(&s->management);
    jobs_real_relieve(s->jobs, hub_is_busy(s->hub));
    core_turn_end(s->core);
    hub_flush(s->hub);
    trim_after_connections(s);
}

static void close_session(void *ctx, struct session *session)
{
    (void)ctx;
    if (session->close)
        session->close(session, "the server is shutting down");
}

static void close_link(void *ctx, struct link *link)
{
    (void)ctx;
    link_close(link);
}

/* Tell the sessions, then turn on until all are gone or the time is over. */
static void let_go(struct server *s)
{
    int64_t deadline_ns = clock_now_ns() + config_number(s->config, OPT_SHUTDOWN_TIMEOUT);
    uint32_t count = hub_connection_count(s->hub);

    hub_stop_listening(s->hub);
    management_stop_listening(&s->management);
    session_each(s->core, close_session, NULL);
    hub_flush(s->hub);
    while ((hub_connection_count(s->hub) || !management_is_idle(&s->management)) &&
           clock_now_ns() < deadline_ns)
        turn(s, deadline_ns);
    hub_each_link(s->hub, close_link, NULL);
    if (hub_connection_count(s->hub))
        turn(s, clock_now_ns());
    say_info("server", "connections closed: count=%u", (unsigned)count);
}

/* ---- start ---- */

static enum err make_jobs(struct server *s)
{
    s->jobs = jobs_real_new(hub_wake, s->hub);
    int fd = config_number(s->config, OPT_IO_URING) ? jobs_real_use_uring(s->jobs) : -1;
    s->uses_uring = fd >= 0;
    return fd >= 0 ? hub_watch(s->hub, fd) : OK;
}

static enum err open_data(struct server *s, const struct settings *settings)
{
    const char *directory = config_text(s->config, OPT_DATA_DIR);

    enum err err = disk_real_new(directory, &s->disk);
    if (err == E_LOCKED)
        return err_set(E_LOCKED, "data.dir %s is in use by another pabal server", directory);
    if (err)
        return err_wrap(err, "data.dir %s", directory);
    err = hub_new(&settings->hub, NULL, &s->hub);
    if (err)
        return err;
    err = make_jobs(s);
    if (err)
        return err;
    err = core_open(&settings->core, s->disk, s->jobs, &s->core);
    if (err)
        return err_wrap(err, "data.dir %s", directory);
    hub_set_core(s->hub, s->core);
    return OK;
}

/* Some objects a turn, so that what is written by one does not grow with the file. */
static enum err import_all(struct server *s, struct definitions_import *import)
{
    enum err err = OK;
    bool done = false;

    while (!err && !done) {
        core_turn_begin(s->core, clock_now_ns(), clock_wall_ms());
        jobs_poll(s->jobs);
        err = definitions_import_some(import, NULL, &done);
        core_turn_end(s->core);
    }
    return err;
}

/* Before anybody is served. */
static enum err import_definitions(struct server *s)
{
    enum { FILE_MAX_BYTES = 1 << 30 };
    const char *path = config_text(s->config, OPT_DEFINITIONS_FILE);
    struct definitions_import *import = NULL;
    struct text text = {0};
    int64_t started_ns = clock_now_ns();

    if (strcmp(path, "none") == 0)
        return OK;
    enum err err = process_read_file(path, FILE_MAX_BYTES, &text);
    if (!err)
        err = definitions_import_read(s->core, text_bytes(&text), &import);
    text_reset(&text);
    if (!err)
        err = import_all(s, import);
    definitions_import_free(import);
    if (err)
        return err_wrap(err, "definitions.file %s", path);
    say_info("server", "definitions imported: file=%s ms=%.1f", path,
             (double)(clock_now_ns() - started_ns) / 1e6);
    return OK;
}

/* Open a listener and add " name=host:port" to the ready line. */
static enum err listen_on(struct server *s, enum option_id id, const char *name,
                          const struct protocol *protocol, struct text *ready)
{
    const char *address = config_text(s->config, id);
    uint16_t port;

    if (config_is_word(s->config, id))
        return OK;
    enum err err = hub_listen(s->hub, address, protocol, &port);
    if (err)
        return err_wrap(err, "%s", option_get(id)->name);
    management_add_listener(&s->management, name, address, port);
    size_t host_size = (size_t)(strrchr(address, ':') - address);
    text_printf(ready, " %s=%.*s:%u", name, (int)host_size, address, (unsigned)port);
    return OK;
}

static enum err listen_for_control(struct server *s)
{
    char *path = xasprintf("%s/%s", config_text(s->config, OPT_DATA_DIR), CONTROL_NAME);
    uint16_t port;

    control_listener_init(&s->control, s);
    enum err err = hub_listen(s->hub, path, &s->control.protocol, &port);
    free(path);
    return err;
}

static enum err listen_on_all(struct server *s, const struct settings *settings, struct text *ready)
{
    kafka_listener_init(&s->kafka, &settings->kafka);
    struct amqp_config amqp = settings->amqp;
    amqp.cluster_name = s->management.node; /* as RabbitMQ's, which is the first node's name */
    amqp_configure(&amqp);
    enum err err = listen_for_control(s);
    if (!err)
        err = listen_on(s, OPT_LISTENER_KAFKA, "kafka", &s->kafka.protocol, ready);
    if (!err)
        err = listen_on(s, OPT_LISTENER_AMQP, "amqp", &amqp_protocol, ready);
    return err ? err : management_open(s, settings, ready);
}

static void warn_of_strangers(const struct config *config)
{
    const char *kafka = config_text(config, OPT_LISTENER_KAFKA);

    if (!config_is_word(config, OPT_LISTENER_KAFKA) && !config_address_is_loopback(kafka))
        say_warn("server",
                 "whoever reaches it may read and write every topic: listener.kafka=%s "
                 "allow.anonymous=true",
                 kafka);
}

static enum err start(struct server *s, const struct settings *settings)
{
    struct text ready = {0};
    int64_t started_ns = clock_now_ns();

    enum err err = open_data(s, settings);
    if (!err)
        err = import_definitions(s);
    if (!err)
        err = listen_on_all(s, settings, &ready);
    if (!err) {
        process_catch_signals(hub_wake, s->hub);
        warn_of_strangers(s->config);
        say_info("server",
                 "started: version=%s data.dir=%s io.threads=%d io.uring=%s durability=%s ms=%.1f",
                 PABAL_VERSION, config_text(s->config, OPT_DATA_DIR), settings->hub.threads,
                 s->uses_uring ? "true" : "false", config_text(s->config, OPT_DURABILITY),
                 (double)(clock_now_ns() - started_ns) / 1e6);
        printf("ready%s\n", text_string(&ready));
        s->listeners = xstrdup(ready.size ? text_string(&ready) + 1 : "");
        fflush(stdout);
        process_notify("READY=1");
    }
    text_reset(&ready);
    return err;
}

/* In the reverse order of the start; any part may be missing. */
static void finish(struct server *s)
{
    if (s->hub)
        hub_stop(s->hub); /* the control socket's sessions let go of their calls */
    management_close(&s->management);
    free(s->listeners);
    core_close(s->core);
    if (s->jobs)
        s->jobs->free(s->jobs);
    hub_free(s->hub); /* the jobs have woken it until now */
    if (s->disk) {
        enum err err = disk_remove(s->disk, CONTROL_NAME);
        if (err)
            say_warn("server", "the control socket stays behind: %s", err_text());
        disk_free(s->disk);
    }
}

enum err server_run(const struct config *config)
{
    struct server s = {.config = config, .started_wall_ms = clock_wall_ms()};
    struct machine machine = machine_look();
    struct settings settings;
    struct broker_settings broker;

    metrics_join();
    settings_make(config, &machine, &settings);
    broker_settings_make(config, &broker);
    settings.core.settings = broker.items;
    settings.core.setting_count = broker.count;
    say_set_level((enum say_level)config_number(config, OPT_LOG_LEVEL));
    enum err err = start(&s, &settings);
    while (!err && !process_should_stop())
        turn(&s, INT64_MAX);
    if (!err) {
        process_notify("STOPPING=1");
        say_info("server", "stopping");
        let_go(&s);
    }
    char *reason = xstrdup(err_text());
    finish(&s);
    if (!err)
        say_info("server", "stopped");
    else
        (void)err_set(err, "%s", reason);
    free(reason);
    return err;
}
