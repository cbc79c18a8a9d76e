/*
 * The server: everything put together, from the start to the last commit. One thread runs the
 * core's loop: wait, take inputs and ended jobs, end the turn, send.
 *
 * Start: lock the data directory, recover, open the listeners, print one line
 *   ready kafka=127.0.0.1:9092 amqp=127.0.0.1:5672 http=127.0.0.1:15672
 * on stdout and tell the service manager. Stop (SIGTERM, SIGINT): listeners close, sessions are
 * told why and get their last answers, what is staged is committed, rows are written.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "kafka/kafka.h"
#include "server/config.h"
#include "server/control.h"
#include "server/management.h"

struct disk;
struct jobs;
struct hub;
struct core;

struct server {
    const struct config *config;
    struct disk *disk;
    struct jobs *jobs;
    bool uses_uring; /* asked for, and the system has it */
    struct hub *hub;
    struct core *core;
    struct kafka_listener kafka;
    struct control_listener control;
    struct management management;
    int64_t started_wall_ms;
    uint32_t most_connections; /* since memory was given back after connections had gone */
    char *listeners;           /* "kafka=HOST:PORT amqp=HOST:PORT", those that are open */
};

/* Run until a signal says stop. */
must_use enum err server_run(const struct config *config);

#endif
