/* We answer as RabbitMQ does: the conversations of golden/. */
#include "amqp/test_talk.h"

#include <stdio.h>

#include "amqp/test_peer.h"
#include "broker/access.h"
#include "broker/policy.h"
#include "broker/user.h"
#include "broker/vhost.h"
#include "io/process.h"

struct against_us {
    struct talk_broker talk;
    struct test_broker broker;
    bool is_open;
    struct peer *peers[TALKERS_MAX];
    size_t taken[TALKERS_MAX];
    int wrong;
};

static struct against_us *us_of(struct talk_broker *talk)
{
    return container_of(talk, struct against_us, talk);
}

/* User "limited" and vhost "other", as golden/access.txt says. */
static void admit_limited(struct core *core)
{
    struct user_spec spec = {.password = password_hash_of(&core->random, BYTES_LITERAL("limited"))};
    struct vhost *root = vhost_find(core, BYTES_LITERAL("/")), *other;
    struct bytes name = BYTES_LITERAL("limited"), own = BYTES_LITERAL("^own");
    struct bytes own_and_topic = BYTES_LITERAL("^own|^amq\\.topic$");
    struct user *user;
    bool created;

    expect_ok(user_put(core, name, &spec, &user, &created));
    expect_ok(vhost_create(core, BYTES_LITERAL("other"), &(struct vhost_spec){0}, &other));
    expect_ok(permission_put(user, root, own, own_and_topic, own_and_topic, &created));
    expect_ok(topic_permission_put(user, root, BYTES_LITERAL("amq.topic"), own, own, &created));
}

/* Those that golden/policies.txt speaks of. */
static void set_policies(struct core *core)
{
    struct vhost *root = vhost_find(core, BYTES_LITERAL("/"));
    struct text definition = {0};
    struct policy_spec spec = {.name = BYTES_LITERAL("police"),
                               .pattern = BYTES_LITERAL("^policed"),
                               .apply_to = BYTES_LITERAL("queues")};
    bool created;

    amqp_table_put(&definition, "max-length", &(struct amqp_value){.tag = 'l', .number = 1});
    amqp_table_put_string(&definition, "dead-letter-exchange", BYTES_LITERAL(""));
    amqp_table_put_string(&definition, "dead-letter-routing-key", BYTES_LITERAL("dead"));
    spec.definition = text_bytes(&definition);
    expect_ok(policy_set(root, POLICY_USER, &spec, &created));
    definition.size = 0;
    amqp_table_put(&definition, "message-ttl", &(struct amqp_value){.tag = 'l', .number = 3000});
    spec.definition = text_bytes(&definition);
    expect_ok(policy_set(root, POLICY_OPERATOR, &spec, &created));
    text_reset(&definition);
}

static void begin(struct talk_broker *talk)
{
    struct against_us *us = us_of(talk);

    if (us->is_open)
        broker_close(&us->broker);
    broker_open(&us->broker);
    admit_limited(us->broker.core);
    set_policies(us->broker.core);
    commit(&us->broker);
    us->is_open = true;
    memset(us->peers, 0, sizeof us->peers);
}

static void dial(struct talk_broker *talk, int client)
{
    struct against_us *us = us_of(talk);

    us->peers[client] = peer_new(&us->broker);
    us->taken[client] = 0;
}

static void drop(struct talk_broker *talk, int client)
{
    peer_close(us_of(talk)->peers[client]);
}

static void say_to_us(struct talk_broker *talk, int client, struct bytes b)
{
    say_bytes(us_of(talk)->peers[client], b);
}

static void wait_for_us(struct talk_broker *talk, int ms)
{
    struct against_us *us = us_of(talk);

    commit(&us->broker);
    for (int passed = 0; passed < ms + 20; passed += 10) {
        advance(&us->broker, 10);
        commit(&us->broker);
    }
}

static bool take(struct talk_broker *talk, int client, struct text *out)
{
    struct against_us *us = us_of(talk);
    struct sim_link *link = us->peers[client]->link;
    struct bytes all = sim_link_output(link);

    text_append(out, bytes_of(all.data + us->taken[client], all.size - us->taken[client]));
    us->taken[client] = all.size;
    return !sim_link_is_gone(link);
}

/* Lines of "~< ..." as they are heard. */
static void strip(struct bytes ours, struct text *out)
{
    for (size_t i = 0; i < ours.size; i++)
        if (ours.data[i] != '~' || (i && ours.data[i - 1] != '\n'))
            text_put_u8(out, ours.data[i]);
}

static void compare(void *ctx, const struct talk_step *step, struct bytes heard)
{
    struct against_us *us = ctx;
    struct text ours = {0};

    if (step->why.size)
        strip(step->ours, &ours);
    struct bytes wanted = step->why.size ? text_bytes(&ours) : step->heard;
    bool is_as_listed = !step->why.size || !bytes_equal(step->heard, heard);
    if (!bytes_equal(wanted, heard) || !is_as_listed) {
        fprintf(stderr, "%s\n%.*s%.*swanted:\n%.*sPabal:\n%.*s\n",
                is_as_listed ? "different" : "listed as different, but equal",
                BYTES_FORMAT(step->title), BYTES_FORMAT(step->said), BYTES_FORMAT(wanted),
                BYTES_FORMAT(heard));
        us->wrong++;
    }
    text_reset(&ours);
}

static void run(const char *name)
{
    struct against_us us = {.talk = {.begin = begin,
                                     .dial = dial,
                                     .drop = drop,
                                     .say = say_to_us,
                                     .wait = wait_for_us,
                                     .take = take}};
    struct text script = {0};
    char path[512];

    snprintf(path, sizeof path, "%s/%s.txt", AMQP_TALKS, name);
    expect_ok(process_read_file(path, 4 << 20, &script));
    talk(&us.talk, text_bytes(&script), compare, &us);
    broker_close(&us.broker);
    text_reset(&script);
    expect_int(us.wrong, 0);
}

TEST(we_answer_about_queues_as_rabbitmq_does)
{
    run("queues");
}

TEST(we_answer_about_exchanges_as_rabbitmq_does)
{
    run("exchanges");
}

TEST(we_answer_about_messages_as_rabbitmq_does)
{
    run("basic");
}

TEST(we_answer_about_prefetch_as_rabbitmq_does)
{
    run("prefetch");
}

TEST(we_answer_about_confirms_and_transactions_as_rabbitmq_does)
{
    run("confirms");
}

TEST(we_answer_about_dead_letters_as_rabbitmq_does)
{
    run("dead_letters");
}

TEST(we_answer_about_connections_as_rabbitmq_does)
{
    run("connection");
}

TEST(we_answer_to_broken_frames_as_rabbitmq_does)
{
    run("frames");
}

TEST(we_answer_about_tables_as_rabbitmq_does)
{
    run("tables");
}

TEST(we_answer_about_permissions_as_rabbitmq_does)
{
    run("access");
}

TEST(we_answer_about_policies_as_rabbitmq_does)
{
    run("policies");
}
