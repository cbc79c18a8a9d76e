/* The management API over a core with a simulated disk, for tests. */
#ifndef MANAGE_TEST_MANAGE_H
#define MANAGE_TEST_MANAGE_H

#include "broker/test_core.h"
#include "manage/manage.h"

struct test_manage {
    struct test_core core;
    struct manage *manage;
    const char *user, *password; /* NULL: trusted, as the control socket */
    /* of the last call */
    int status;
    json_t *json;     /* NULL: no JSON */
    struct text body; /* as it is sent */
    struct manage_call *call;
    bool is_done;
};

void test_manage_init(struct test_manage *t);
void test_manage_end(struct test_manage *t);
void test_manage_crash(
    struct test_manage *t); /* test_core_crash(); calls go on with what is left */

/* Run a call to its end, over as many turns as it takes; returns the status. `body` may be NULL. */
int test_call(struct test_manage *t, const char *method, const char *target, const char *body);
/* The same in two steps: not a turn goes by; t->is_done says whether it has ended. */
void test_call_start(struct test_manage *t, const char *method, const char *target,
                     const char *body);
void test_call_end(struct test_manage *t);

/* A member of the last answer, which must be there: "items.0.name", "message_stats.publish". */
json_t *test_json(const struct test_manage *t, const char *path);
const char *test_json_text(const struct test_manage *t, const char *path);
int64_t test_json_int(const struct test_manage *t, const char *path);
/* The header of the last answer, or NULL. Valid until the next call. */
const char *test_header(const struct test_manage *t, const char *name);

#endif
