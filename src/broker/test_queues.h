/* Queues with rules on a simulated core, for tests. */
#ifndef BROKER_TEST_QUEUES_H
#define BROKER_TEST_QUEUES_H

#include "broker/test_core.h"
#include "wire/amqp_table.h"

static inline struct bytes B(const char *s) {
    return bytes_from_string(s);
}

/* A core that keeps nothing in memory, and a queue "other". */
void test_core_init_cold(struct test_core *t);
/* A core whose memory holds next to nothing, and a queue "q" with `count` messages of 1 KiB that have to be read,
 * in batches of 200 (the first one alone). */
void test_core_init_backlog(struct test_core *t, int count);
/* What comes next is in the journal's next file. */
void test_fill_journal_file(struct test_core *t);

/* Arguments of the queue that is made next. */
void test_with_value(const char *name, const struct amqp_value *value);
void test_with_number(const char *name, int64_t value);
void test_with_string(const char *name, const char *value);
struct queue *test_make_queue(struct test_core *t, const char *name, bool durable);

/* Settle, let time pass, settle again. */
void test_pass_ms(struct test_core *t, int64_t ms);

enum err test_publish_with_ttl(struct test_core *t, const char *queue, const char *body,
                               const char *ttl);
/* What a body says, which may have blanks behind it. */
int test_number_of(struct bytes body);
/* Each letter is a message. */
void test_publish_each(struct test_core *t, const char *queue, const char *bodies);

/* As basic.get without acknowledgement, waiting for what has to be read first. */
enum err test_get(struct test_core *t, const char *name, struct delivery *d);
void test_nothing_more(struct wait *wait); /* for waits that are asked about again anyway */
/* What get would give, one after the other; "!" behind redelivered ones. */
const char *test_drain(struct test_core *t, const char *name);
/* The headers of the one message in the queue, as text. */
const char *test_headers_in(struct test_core *t, const char *name);

#endif
