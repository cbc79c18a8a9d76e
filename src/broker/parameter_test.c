#include "broker/parameter.h"

#include "tests/test.h"

#include "broker/test_queues.h"

static void set(struct test_core *t, struct vhost *vhost, const char *component, const char *name,
                const char *value, bool is_new)
{
    bool created;
    expect_ok(parameter_set(t->core, vhost, B(component), B(name), B(value), &created));
    expect_int(created, is_new);
}

static void expect_kept(struct test_core *t, struct vhost *vhost, const char *component,
                        const char *name, const char *value)
{
    const struct parameter *p = parameter_find(t->core, vhost, B(component), B(name));
    expect_int(p != NULL, value != NULL);
    if (p)
        expect_bytes(p->value, B(value));
}

static void count(void *ctx, const struct parameter *p)
{
    (void)p;
    ++*(int *)ctx;
}

TEST(parameters_are_kept_by_vhost_component_and_name)
{
    struct test_core t;
    int seen = 0;
    test_core_init(&t);
    set(&t, test_vhost(&t), "shovel", "a", "{\"x\":1}", true);
    set(&t, test_vhost(&t), "shovel", "b", "2", true);
    set(&t, NULL, "", "a", "3", true);
    set(&t, test_vhost(&t), "shovel", "a", "4", false);
    test_core_settle(&t);
    test_core_crash(&t);
    expect_kept(&t, test_vhost(&t), "shovel", "a", "4");
    expect_kept(&t, test_vhost(&t), "shovel", "b", "2");
    expect_kept(&t, NULL, "", "a", "3");
    expect_kept(&t, NULL, "", "b", NULL);
    expect_kept(&t, test_vhost(&t), "shovela", "", NULL);
    parameter_each(t.core, count, &seen);
    expect_int(seen, 3);
    expect_ok(parameter_delete(t.core, parameter_find(t.core, NULL, B(""), B("a"))));
    test_core_settle(&t);
    test_core_reopen(&t);
    expect_kept(&t, NULL, "", "a", NULL);
    parameters_drop(test_vhost(&t));
    expect_kept(&t, test_vhost(&t), "shovel", "a", NULL);
    test_core_end(&t);
}

TEST(a_parameter_without_a_name_is_refused)
{
    struct test_core t;
    bool created;
    test_core_init(&t);
    expect_err(parameter_set(t.core, NULL, B(""), B(""), B("1"), &created), E_INVALID);
    test_core_end(&t);
}
