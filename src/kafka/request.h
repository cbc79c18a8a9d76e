/*
 * One request of a Kafka client. The framing half allocates and decodes it (I/O side); from
 * core->input() on it belongs to the core: it waits in its connection's queue until it is answered,
 * is written in the order of arrival, and freed.
 *
 *   decoded -> start() -> request_answer() ... all earlier ones written ... written -> freed
 *                 \-> request_drop()                    (Produce with acks=0: no answer, no place)
 */
#ifndef KAFKA_REQUEST_H
#define KAFKA_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/list.h"
#include "base/timers.h"
#include "broker/core.h"
#include "io/link.h"
#include "kafka/errors.h"
#include "log/batch.h"

struct api;
struct connection;
struct encoding;
struct kafka_produce_response_record_error;
struct wire_api;
struct wire_schema;

/* What the framing half found out about one partition's records of a Produce request. */
struct produced {
    enum kafka_error error;
    struct bytes error_message; /* null unless there is more to say than the code */
    bool tells_start;           /* the error's answer says where the log starts */
    struct batch batch;         /* when there is no error */
    struct kafka_produce_response_record_error *record_errors; /* with an error, maybe */
    int32_t record_error_count;
};

struct request {
    struct input input;
    const struct api *api;
    const struct wire_api *wire;
    int16_t version;
    int32_t correlation_id;
    struct bytes client_id; /* null when not given */
    void *body;             /* struct kafka_..._request; NULL: ApiVersions of an unknown version */
    struct produced *produced; /* Produce: one for each partition, in order */

    /* the core's */
    struct list node; /* the connection's queue */
    struct connection *connection;
    struct arena arena; /* the answer and what its making needs */
    bool is_started;
    bool is_answered;
    void *reply; /* struct kafka_..._response */
    void *work;  /* what the handler keeps while it waits */
    struct wait wait;
    struct timer timer;
    void (*ready)(struct request *, bool in_time);
    struct encoding *encoding; /* of a large answer, under way or done; NULL: written by the core */
};

enum { REPLY_MAX_BYTES = 64 << 20 }; /* of structs for one answer; record data is not counted */

enum { ENCODE_IN_CORE_MAX_BYTES = 256 << 10 }; /* of an answer's structs, about 1 ms */

struct core *request_core(const struct request *);

/* `count` zeroed items of `size` bytes that live until the request is freed. NULL when the request
 * asks for more than an answer may take: the connection is closed then, and the handler returns. */
void *request_alloc(struct request *, size_t count, size_t size);

/* The same, not zeroed: the caller sets all items before it returns from the turn that counts them. */
void *request_room(struct request *, size_t count, size_t size);

/* A copy that lives as long as the request; null as above. */
struct bytes request_copy(struct request *, struct bytes);

/* As wire_new() from the request's memory; NULL as above. */
void *request_new(struct request *, const struct wire_schema *, size_t count);

/* Call ready() when the ticket is done, at once if it is, or when the time is up, at once if the
 * disk has failed. */
void request_wait(struct request *, struct ticket, enum stage, int64_t timeout_ms,
                  void (*ready)(struct request *, bool in_time));

/* As request_wait(), but never within this call: for an answer that comes up while a module of the
 * broker is at work. */
void request_wait_later(struct request *, struct ticket, enum stage, int64_t timeout_ms,
                        void (*ready)(struct request *, bool in_time));

/* The answer is complete (`reply` from request_alloc()); it leaves when its turn has come. The
 * request may be gone when this returns. */
void request_answer(struct request *, void *reply);

/* There is no answer; the request is gone when this returns. */
void request_drop(struct request *);

/* Close the connection, with a log line. The request is not answered and must not be touched once
 * the handler has returned. */
void request_fail(struct request *, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The connection is closed, or about to be: nothing more needs to be done for the request. */
bool request_has_failed(const struct request *);

/* A message that lives as long as the request. */
struct bytes request_text(struct request *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Go on with the request in the next turn: for what would take too long in one. What came behind it
 * on its connection starts when it is answered. Call core_defer_cancel() in api->release(). */
struct slice {
    struct deferred deferred;
    struct request *request;
    void (*run)(struct request *);
};
void request_slice(struct request *, struct slice *, void (*run)(struct request *));

/* For the connection: write the answer to the link; free the request, whatever it waits for. */
void request_write(struct request *);
void request_free(struct request *);

#endif
