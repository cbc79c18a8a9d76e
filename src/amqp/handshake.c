#include "amqp/handshake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/amqp.h"
#include "amqp/amqp_messages.h"
#include "amqp/door.h"
#include "amqp/method.h"
#include "amqp/send.h"
#include "base/mem.h"
#include "base/say.h"
#include "wire/amqp_table.h"

static struct amqp_config configuration;

void amqp_config_default(struct amqp_config *config)
{
    *config = (struct amqp_config){
        .product = "Pabal",
        .version = "4.2.0",
        .own_version = "0.1.0",
        .message_max_bytes = 16 << 20,
        .channel_max = 2047,
        .heartbeat_s = 60,
    };
}

void amqp_configure(const struct amqp_config *config)
{
    configuration = *config;
}

const struct amqp_config *amqp_configuration(void)
{
    if (!configuration.product)
        amqp_config_default(&configuration);
    return &configuration;
}

/* ---- start ---- */

/* RabbitMQ 4.2's, all of them: client libraries choose what they do by this table. */
static const char *const capabilities[] = {
    "publisher_confirms",           "exchange_exchange_bindings", "basic.nack",
    "consumer_cancel_notify",       "connection.blocked",         "consumer_priorities",
    "authentication_failure_close", "per_consumer_qos",           "direct_reply_to",
};

static void put_server_properties(const struct core *core, struct text *out)
{
    const struct amqp_config *config = amqp_configuration();
    struct text nested = {0};

    for (size_t i = 0; i < sizeof capabilities / sizeof *capabilities; i++)
        amqp_table_put_bool(&nested, capabilities[i], true);
    amqp_table_put_table(out, "capabilities", text_bytes(&nested));
    amqp_table_put_string(
        out, "cluster_name",
        bytes_from_string(config->cluster_name ? config->cluster_name : core->config.cluster_id));
    amqp_table_put_string(out, "copyright", BYTES_LITERAL("The Pabal authors"));
    amqp_table_put_string(out, "information",
                          BYTES_LITERAL("Licensed under the Apache License 2.0"));
    amqp_table_put_string(out, "pabal_version", bytes_from_string(config->own_version));
    amqp_table_put_string(out, "platform", BYTES_LITERAL("C"));
    amqp_table_put_string(out, "product", bytes_from_string(config->product));
    amqp_table_put_string(out, "version", bytes_from_string(config->version));
    text_reset(&nested);
}

void handshake_start(struct connection *c)
{
    struct text properties = {0};

    put_server_properties(c->core, &properties);
    send_method(c, 0, AMQP_CONNECTION_START,
                &(struct amqp_connection_start){
                    .version_major = 0,
                    .version_minor = 9,
                    .server_properties = text_bytes(&properties),
                    .mechanisms = bytes_from_string(amqp_configuration()->anonymous_user
                                                        ? "PLAIN AMQPLAIN ANONYMOUS"
                                                        : "PLAIN AMQPLAIN"),
                    .locales = BYTES_LITERAL("en_US"),
                });
    text_reset(&properties);
    c->state = CONNECTION_STARTING;
}

/* ---- start-ok: log in ---- */

static bool capability_of(struct bytes client_properties, const char *name)
{
    struct amqp_value value;

    return amqp_table_find(client_properties, "capabilities", &value) && value.tag == 'F' &&
           amqp_table_find(value.bytes, name, &value) && value.tag == 't' && value.number;
}

/* The name that the client gives this connection, or what it says it is. */
static char *client_name(struct bytes client_properties)
{
    struct amqp_value value;

    if ((amqp_table_find(client_properties, "connection_name", &value) && value.tag == 'S') ||
        (amqp_table_find(client_properties, "product", &value) && value.tag == 'S'))
        return xasprintf("%.*s", BYTES_FORMAT(value.bytes));
    return NULL;
}

/* PLAIN: authorization id, NUL, name, NUL, password (RFC 4616); the first is ignored. */
static bool read_plain(struct bytes response, struct bytes *out_name, struct bytes *out_password)
{
    const uint8_t *end = response.data + response.size;
    const uint8_t *first = response.size ? memchr(response.data, 0, response.size) : NULL;
    const uint8_t *second = first ? memchr(first + 1, 0, (size_t)(end - first - 1)) : NULL;

    if (!second)
        return false;
    *out_name = bytes_of(first + 1, (size_t)(second - first - 1));
    *out_password = bytes_of(second + 1, (size_t)(end - second - 1));
    return true;
}

/* AMQPLAIN: a field table without its length. */
static bool read_amqplain(struct bytes response, struct bytes *out_name, struct bytes *out_password)
{
    struct amqp_value name, password;

    if (amqp_table_validate(response, AMQP_TABLE_DEPTH_MAX) ||
        !amqp_table_find(response, "LOGIN", &name) || name.tag != 'S' ||
        !amqp_table_find(response, "PASSWORD", &password) || password.tag != 'S')
        return false;
    *out_name = name.bytes;
    *out_password = password.bytes;
    return true;
}

/* ANONYMOUS (RFC 4505): whatever the client says of itself, it is the user of the configuration. */
static bool read_anonymous(struct bytes response, struct bytes *out_name,
                           struct bytes *out_password)
{
    const struct amqp_config *config = amqp_configuration();

    (void)response;
    *out_name = bytes_from_string(config->anonymous_user);
    *out_password = bytes_from_string(config->anonymous_password);
    return true;
}

static const struct mechanism {
    const char *name;
    /* False: the response means nothing. */
    bool (*read)(struct bytes response, struct bytes *out_name, struct bytes *out_password);
} mechanisms[] = {
    {"PLAIN", read_plain},
    {"AMQPLAIN", read_amqplain},
    {"ANONYMOUS", read_anonymous},
};

/* NULL: none that is offered. */
static const struct mechanism *find_mechanism(struct bytes name)
{
    size_t count = sizeof mechanisms / sizeof *mechanisms;

    if (!amqp_configuration()->anonymous_user)
        count--; /* the last */
    for (size_t i = 0; i < count; i++)
        if (bytes_equal_string(name, mechanisms[i].name))
            return &mechanisms[i];
    return NULL;
}

static void refuse_login(struct connection *c, const char *mechanism)
{
    say_warn("amqp", "log-in refused: %s mechanism=%s peer=%s:%u", err_text(), mechanism,
             c->link->peer.host, c->link->peer.port);
    if (c->client_takes_auth_failure) {
        connection_fail(c, REPLY_ACCESS_REFUSED, 0,
                        "Login was refused using authentication mechanism %s. For details see "
                        "the broker logfile.",
                        mechanism);
        return;
    }
    c->state = CONNECTION_CLOSED; /* silence is what older clients take for a wrong password */
    link_close(c->link);
}

static void log_in(struct connection *c, const char *mechanism, struct bytes name,
                   struct bytes password)
{
    struct user *user;

    if (user_authenticate(c->core, name, password, c->link->peer.loopback, &user)) {
        refuse_login(c, mechanism);
        return;
    }
    c->mechanism = mechanism;
    session_log_in(&c->session, user);
    door_leave(c);
    c->state = CONNECTION_TUNING;
    send_method(c, 0, AMQP_CONNECTION_TUNE,
                &(struct amqp_connection_tune){
                    .channel_max = amqp_configuration()->channel_max,
                    .frame_max = AMQP_FRAME_MAX_BYTES,
                    .heartbeat = amqp_configuration()->heartbeat_s,
                });
}

/* The method came in a state that does not expect it. */
static bool is_misplaced(struct connection *c, const struct command *command,
                         enum connection_state expected)
{
    if (c->state == expected)
        return false;
    connection_fail_misplaced(c, command);
    return true;
}

void method_connection_start_ok(struct connection *c, const struct command *command)
{
    const struct amqp_connection_start_ok *in = command->arguments;
    struct bytes name, password;
    const struct mechanism *mechanism = find_mechanism(in->mechanism);

    if (is_misplaced(c, command, CONNECTION_STARTING))
        return;
    c->client_takes_auth_failure =
        capability_of(in->client_properties, "authentication_failure_close");
    c->client_takes_cancel = capability_of(in->client_properties, "consumer_cancel_notify");
    c->client_takes_blocked = capability_of(in->client_properties, "connection.blocked");
    c->session.client = client_name(in->client_properties);
    if (in->client_properties.size <= CLIENT_PROPERTIES_MAX_BYTES)
        c->client_properties = bytes_dup(in->client_properties);
    if (!mechanism)
        connection_fail(c, REPLY_COMMAND_INVALID, command->method_id,
                        "unknown authentication mechanism '%.*s'", BYTES_FORMAT(in->mechanism));
    else if (!mechanism->read(in->response, &name, &password))
        connection_fail(c, REPLY_SYNTAX_ERROR, command->method_id, "malformed %.*s response",
                        BYTES_FORMAT(in->mechanism));
    else
        log_in(c, mechanism->name, name, password);
}

/* ---- tune-ok ---- */

/* A value may be at most the server's, and 0 means without limit. */
static bool is_agreed(struct connection *c, const struct command *command, const char *field,
                      uint32_t value, uint32_t least, uint32_t most)
{
    if (value != 0 && value < least) {
        connection_fail(c, REPLY_NOT_ALLOWED, command->method_id,
                        "negotiated %s = %u is lower than the minimum allowed value (%u)", field,
                        value, least);
        return false;
    }
    if (value == 0 || value > most) {
        connection_fail(c, REPLY_NOT_ALLOWED, command->method_id,
                        "negotiated %s = %u%s is higher than the maximum allowed value (%u)", field,
                        value, value ? "" : " (no limit)", most);
        return false;
    }
    return true;
}

void method_connection_tune_ok(struct connection *c, const struct command *command)
{
    const struct amqp_connection_tune_ok *in = command->arguments;

    if (is_misplaced(c, command, CONNECTION_TUNING) ||
        !is_agreed(c, command, "frame_max", in->frame_max, AMQP_FRAME_MIN_BYTES,
                   AMQP_FRAME_MAX_BYTES) ||
        !is_agreed(c, command, "channel_max", in->channel_max, 1,
                   amqp_configuration()->channel_max))
        return;
    c->frame_max = in->frame_max;
    c->channel_max = in->channel_max;
    c->heartbeat_s = in->heartbeat;
    c->state = CONNECTION_OPENING;
}

/* ---- open ---- */

/* False: not in this vhost, by this user, or not one more. */
static bool may_open(struct connection *c, struct bytes name)
{
    const struct user *user = c->session.account;

    c->vhost = vhost_find(c->core, name);
    if (!c->vhost)
        (void)err_set(E_NOT_FOUND, "vhost %.*s not found", BYTES_FORMAT(name));
    return c->vhost && !vhost_can_connect(c->vhost, user->name) && !user_can_connect(user) &&
           !access_check_vhost(user, c->vhost);
}

void method_connection_open(struct connection *c, const struct command *command)
{
    const struct amqp_connection_open *in = command->arguments;

    if (is_misplaced(c, command, CONNECTION_OPENING))
        return;
    if (!may_open(c, in->virtual_host)) {
        connection_fail(c, REPLY_NOT_ALLOWED, command->method_id, "%s", err_text());
        return;
    }
    session_enter(&c->session, c->vhost);
    access_init(&c->access, c->session.account, c->vhost);
    c->state = CONNECTION_RUNNING;
    send_simple(c, 0, AMQP_CONNECTION_OPEN_OK);
    connection_start_heartbeats(c);
}
