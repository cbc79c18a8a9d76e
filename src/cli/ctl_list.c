/* The listings of rabbitmqctl: columns by the names that scripts know. */
#include <string.h>

#include "base/bytes.h"
#include "cli/ctl.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define COLUMNS(array) .columns = (array), .column_count = COUNT(array)

static const struct ctl_column queue_columns[] = {
    {"name", NULL, CTL_ANY},
    {"durable", NULL, CTL_ANY},
    {"auto_delete", NULL, CTL_ANY},
    {"arguments", NULL, CTL_ARGUMENTS},
    {"policy", NULL, CTL_ANY},
    {"operator_policy", NULL, CTL_ANY},
    {"effective_policy_definition", NULL, CTL_ARGUMENTS},
    {"pid", NULL, CTL_ANY},
    {"owner_pid", "owner_pid_details.name", CTL_ANY},
    {"exclusive", NULL, CTL_ANY},
    {"exclusive_consumer_pid", NULL, CTL_ANY},
    {"exclusive_consumer_tag", NULL, CTL_ANY},
    {"messages_ready", NULL, CTL_ANY},
    {"messages_unacknowledged", NULL, CTL_ANY},
    {"messages", NULL, CTL_ANY},
    {"messages_ready_ram", NULL, CTL_ANY},
    {"messages_unacknowledged_ram", NULL, CTL_ANY},
    {"messages_ram", NULL, CTL_ANY},
    {"messages_persistent", NULL, CTL_ANY},
    {"message_bytes", NULL, CTL_ANY},
    {"message_bytes_ready", NULL, CTL_ANY},
    {"message_bytes_unacknowledged", NULL, CTL_ANY},
    {"message_bytes_ram", NULL, CTL_ANY},
    {"message_bytes_persistent", NULL, CTL_ANY},
    {"head_message_timestamp", NULL, CTL_ANY},
    {"disk_reads", NULL, CTL_ANY},
    {"disk_writes", NULL, CTL_ANY},
    {"consumers", NULL, CTL_ANY},
    {"consumer_utilisation", NULL, CTL_ANY},
    {"consumer_capacity", NULL, CTL_ANY},
    {"memory", NULL, CTL_ANY},
    {"state", NULL, CTL_ANY},
    {"type", NULL, CTL_ANY},
    {"leader", NULL, CTL_ANY},
    {"members", NULL, CTL_ANY},
    {"online", NULL, CTL_ANY},
};
static const struct ctl_listing queue_listing = {
    .banner = "Listing queues for vhost %s ...",
    .path = "GET queues/%s",
    .defaults = "name messages",
    .is_stream = true,
    COLUMNS(queue_columns),
};

static const struct ctl_column exchange_columns[] = {
    {"name", NULL, CTL_ANY},        {"type", NULL, CTL_ANY},     {"durable", NULL, CTL_ANY},
    {"auto_delete", NULL, CTL_ANY}, {"internal", NULL, CTL_ANY}, {"arguments", NULL, CTL_ARGUMENTS},
    {"policy", NULL, CTL_ANY},
};
static const struct ctl_listing exchange_listing = {
    .banner = "Listing exchanges for vhost %s ...",
    .path = "GET exchanges/%s",
    .defaults = "name type",
    .is_stream = true,
    COLUMNS(exchange_columns),
};

static const struct ctl_column binding_columns[] = {
    {"source_name", "source", CTL_ANY},
    {"source_kind", NULL, CTL_EXCHANGE},
    {"destination_name", "destination", CTL_ANY},
    {"destination_kind", "destination_type", CTL_ANY},
    {"routing_key", NULL, CTL_ANY},
    {"arguments", NULL, CTL_ARGUMENTS},
};
static const struct ctl_listing binding_listing = {
    .banner = "Listing bindings for vhost %s...",
    .path = "GET bindings/%s",
    .defaults = "source_name source_kind destination_name destination_kind routing_key arguments",
    .is_stream = true,
    COLUMNS(binding_columns),
};

static const struct ctl_column connection_columns[] = {
    {"pid", "name", CTL_ANY},
    {"name", NULL, CTL_ANY},
    {"port", NULL, CTL_ANY},
    {"host", NULL, CTL_ANY},
    {"peer_port", NULL, CTL_ANY},
    {"peer_host", NULL, CTL_ANY},
    {"ssl", NULL, CTL_ANY},
    {"ssl_protocol", NULL, CTL_ANY},
    {"ssl_key_exchange", NULL, CTL_ANY},
    {"ssl_cipher", NULL, CTL_ANY},
    {"ssl_hash", NULL, CTL_ANY},
    {"peer_cert_subject", NULL, CTL_ANY},
    {"peer_cert_issuer", NULL, CTL_ANY},
    {"peer_cert_validity", NULL, CTL_ANY},
    {"state", NULL, CTL_ANY},
    {"channels", NULL, CTL_ANY},
    {"protocol", NULL, CTL_ANY},
    {"auth_mechanism", NULL, CTL_ANY},
    {"user", NULL, CTL_ANY},
    {"vhost", NULL, CTL_ANY},
    {"timeout", NULL, CTL_ANY},
    {"frame_max", NULL, CTL_ANY},
    {"channel_max", NULL, CTL_ANY},
    {"client_properties", NULL, CTL_ARGUMENTS},
    {"recv_oct", NULL, CTL_ANY},
    {"recv_cnt", NULL, CTL_ANY},
    {"send_oct", NULL, CTL_ANY},
    {"send_cnt", NULL, CTL_ANY},
    {"send_pend", NULL, CTL_ANY},
    {"connected_at", NULL, CTL_ANY},
};
static const struct ctl_listing connection_listing = {
    .banner = "Listing connections ...",
    .path = "GET connections",
    .defaults = "user peer_host peer_port state",
    .is_stream = true,
    COLUMNS(connection_columns),
};

static const struct ctl_column channel_columns[] = {
    {"pid", "name", CTL_ANY},
    {"connection", "connection_details.name", CTL_ANY},
    {"name", NULL, CTL_ANY},
    {"number", NULL, CTL_ANY},
    {"user", NULL, CTL_ANY},
    {"vhost", NULL, CTL_ANY},
    {"transactional", NULL, CTL_ANY},
    {"confirm", NULL, CTL_ANY},
    {"consumer_count", NULL, CTL_ANY},
    {"messages_unacknowledged", NULL, CTL_ANY},
    {"messages_uncommitted", NULL, CTL_ANY},
    {"acks_uncommitted", NULL, CTL_ANY},
    {"messages_unconfirmed", NULL, CTL_ANY},
    {"prefetch_count", NULL, CTL_ANY},
};
static const struct ctl_listing channel_listing = {
    .banner = "Listing channels ...",
    .path = "GET channels",
    .defaults = "pid user consumer_count messages_unacknowledged",
    .is_stream = true,
    COLUMNS(channel_columns),
};

static const struct ctl_column consumer_columns[] = {
    {"queue_name", "queue.name", CTL_ANY}, {"channel_pid", "channel_details.name", CTL_ANY},
    {"consumer_tag", NULL, CTL_ANY},       {"ack_required", NULL, CTL_ANY},
    {"prefetch_count", NULL, CTL_ANY},     {"active", NULL, CTL_ANY},
    {"activity_status", NULL, CTL_ANY},    {"arguments", NULL, CTL_ARGUMENTS},
};
static const struct ctl_listing consumer_listing = {
    .banner = "Listing consumers in vhost %s ...",
    .path = "GET consumers/%s",
    .defaults = "queue_name channel_pid consumer_tag ack_required prefetch_count active arguments",
    .is_stream = true,
    COLUMNS(consumer_columns),
};

static const struct ctl_column vhost_columns[] = {
    {"name", NULL, CTL_ANY},    {"description", NULL, CTL_ANY},
    {"tags", NULL, CTL_ANY},    {"default_queue_type", NULL, CTL_ANY},
    {"tracing", NULL, CTL_ANY}, {"cluster_state", NULL, CTL_ANY},
};
static const struct ctl_listing vhost_listing = {
    .banner = "Listing vhosts ...",
    .path = "GET vhosts",
    .defaults = "name",
    COLUMNS(vhost_columns),
};

static const struct ctl_column user_columns[] = {
    {"user", "name", CTL_ANY},
    {"tags", NULL, CTL_ANY},
};
static const struct ctl_listing user_listing = {
    .banner = "Listing users ...",
    .path = "GET users",
    COLUMNS(user_columns),
};

static const struct ctl_column permission_columns[] = {
    {"user", NULL, CTL_ANY},
    {"configure", NULL, CTL_ANY},
    {"write", NULL, CTL_ANY},
    {"read", NULL, CTL_ANY},
};
static const struct ctl_listing permission_listing = {
    .banner = "Listing permissions for vhost \"%s\" ...",
    .path = "GET vhosts/%s/permissions",
    COLUMNS(permission_columns),
};

static const struct ctl_column user_permission_columns[] = {
    {"vhost", NULL, CTL_ANY},
    {"configure", NULL, CTL_ANY},
    {"write", NULL, CTL_ANY},
    {"read", NULL, CTL_ANY},
};
static const struct ctl_listing user_permission_listing = {
    .banner = "Listing permissions for user \"%s\" ...",
    .path = "GET users/%s/permissions",
    .is_of_argument = true,
    COLUMNS(user_permission_columns),
};

static const struct ctl_column topic_permission_columns[] = {
    {"user", NULL, CTL_ANY},
    {"exchange", NULL, CTL_ANY},
    {"write", NULL, CTL_ANY},
    {"read", NULL, CTL_ANY},
};
static const struct ctl_listing topic_permission_listing = {
    .banner = "Listing topic permissions for vhost \"%s\" ...",
    .path = "GET vhosts/%s/topic-permissions",
    COLUMNS(topic_permission_columns),
};

static const struct ctl_column user_topic_permission_columns[] = {
    {"vhost", NULL, CTL_ANY},
    {"exchange", NULL, CTL_ANY},
    {"write", NULL, CTL_ANY},
    {"read", NULL, CTL_ANY},
};
static const struct ctl_listing user_topic_permission_listing = {
    .banner = "Listing topic permissions for user \"%s\" ...",
    .path = "GET users/%s/topic-permissions",
    .is_of_argument = true,
    .has_no_header = true,
    COLUMNS(user_topic_permission_columns),
};

static const struct ctl_column policy_columns[] = {
    {"vhost", NULL, CTL_ANY},    {"name", NULL, CTL_ANY},        {"pattern", NULL, CTL_ANY},
    {"apply-to", NULL, CTL_ANY}, {"definition", NULL, CTL_JSON}, {"priority", NULL, CTL_ANY},
};
static const struct ctl_listing policy_listing = {
    .banner = "Listing policies for vhost \"%s\" ...",
    .path = "GET policies/%s",
    COLUMNS(policy_columns),
};
static const struct ctl_listing operator_policy_listing = {
    .banner = "Listing operator policy overrides for vhost \"%s\" ...",
    .path = "GET operator-policies/%s",
    COLUMNS(policy_columns),
};

static const struct ctl_column parameter_columns[] = {
    {"component", NULL, CTL_ANY},
    {"name", NULL, CTL_ANY},
    {"value", NULL, CTL_JSON},
};
static const struct ctl_listing parameter_listing = {
    .banner = "Listing runtime parameters for vhost \"%s\" ...",
    .path = "GET parameters",
    .is_of_all_vhosts = true,
    COLUMNS(parameter_columns),
};

static const struct ctl_column global_parameter_columns[] = {
    {"name", NULL, CTL_ANY},
    {"value", NULL, CTL_JSON},
};
static const struct ctl_listing global_parameter_listing = {
    .banner = "Listing global runtime parameters ...",
    .path = "GET global-parameters",
    COLUMNS(global_parameter_columns),
};

static const struct ctl_column feature_columns[] = {
    {"name", NULL, CTL_ANY},        {"state", NULL, CTL_ANY}, {"stability", NULL, CTL_ANY},
    {"provided_by", NULL, CTL_ANY}, {"desc", NULL, CTL_ANY},  {"doc_url", NULL, CTL_ANY},
};
static const struct ctl_listing feature_listing = {
    .banner = "Listing feature flags ...",
    .path = "GET feature-flags",
    .defaults = "name state",
    COLUMNS(feature_columns),
};

static const struct ctl_column deprecated_columns[] = {
    {"name", NULL, CTL_ANY}, {"deprecation_phase", NULL, CTL_ANY}, {"provided_by", NULL, CTL_ANY},
    {"desc", NULL, CTL_ANY}, {"doc_url", NULL, CTL_ANY},
};
static const struct ctl_listing deprecated_listing = {
    .banner = "Listing deprecated features ...",
    .path = "GET deprecated-features",
    .defaults = "name deprecation_phase",
    COLUMNS(deprecated_columns),
};

/* ---- the command ---- */

static const struct ctl_column *find_column(const struct ctl_listing *l, struct bytes name)
{
    for (size_t i = 0; i < l->column_count; i++)
        if (bytes_equal_string(name, l->columns[i].name))
            return &l->columns[i];
    return NULL;
}

/* Of "name,messages" or "name messages"; what is unknown goes to `unknown`. */
static void choose(const struct ctl_listing *l, const char *words, struct ctl_chosen *out,
                   struct text *unknown)
{
    while (*words) {
        struct bytes word = bytes_of(words, strcspn(words, " ,"));
        const struct ctl_column *column = find_column(l, word);
        if (column && out->count < CTL_ARGUMENTS_MAX)
            out->columns[out->count++] = column;
        else if (word.size)
            text_printf(unknown, "%s%.*s", unknown->size ? "," : "", BYTES_FORMAT(word));
        words += word.size + (words[word.size] != 0);
    }
}

static int choose_columns(const struct ctl *c, const struct ctl_listing *l, struct ctl_chosen *out)
{
    struct text unknown = {0};
    int exit_code = CTL_OK;

    if (!l->defaults)
        ctl_choose_all(l, out);
    else if (c->count == 0)
        choose(l, l->defaults, out, &unknown);
    for (size_t i = 0; l->defaults && i < c->count; i++)
        choose(l, c->arguments[i], out, &unknown);
    if (unknown.size)
        exit_code =
            ctl_usage(c, CTL_USAGE, "Info key(s) %s are not supported", text_string(&unknown));
    text_reset(&unknown);
    return exit_code;
}

static void keep_vhost(json_t *rows, const char *vhost)
{
    for (size_t i = json_array_size(rows); i-- > 0;) {
        const char *of = json_string_value(json_object_get(json_array_get(rows, i), "vhost"));
        if (!of || strcmp(of, vhost) != 0)
            json_array_remove(rows, i);
    }
}

static int list_missing(const struct ctl *c, const struct ctl_listing *l,
                        const struct ctl_chosen *chosen)
{
    if (l->is_of_argument)
        return ctl_error(CTL_UNAVAILABLE, "{:no_such_user, \"%s\"}", c->arguments[0]);
    if (!l->is_stream)
        return ctl_no_vhost(c->o.vhost);
    return ctl_print_chosen(c, l, chosen, NULL);
}

static int list(struct ctl *c)
{
    const struct ctl_listing *l = c->command->listing;
    const char *of = l->is_of_argument ? c->arguments[0] : c->o.vhost;
    struct ctl_chosen chosen = {0};
    json_t *rows;

    int exit_code = choose_columns(c, l, &chosen);
    if (exit_code)
        return exit_code;
    if (l == &queue_listing)
        (void)ctl_begin(c, "Timeout: %lld.0 seconds ...", (long long)ctl_timeout_s(c, 60));
    if (!ctl_begin(c, l->banner, of))
        return CTL_OK;
    enum err err = manage_get(&c->common, &rows, l->path, of);
    if (err == E_NOT_FOUND)
        return list_missing(c, l, &chosen);
    if (err)
        return ctl_failed(c, err);
    if (l->is_of_all_vhosts)
        keep_vhost(rows, c->o.vhost);
    exit_code = ctl_print_chosen(c, l, &chosen, rows);
    json_decref(rows);
    return exit_code;
}

#define LIST(name, usage, about, options, most, listing)                                           \
    {                                                                                              \
        name, usage, about, options, 0, most, list, listing, false                                 \
    }
#define VHOST_USAGE "[--vhost <vhost>] [--no-table-headers]"

static const struct ctl_command commands[] = {
    LIST("list_queues",
         "[--vhost <vhost>] [--online] [--offline] [--local] [--no-table-headers] [<column>, ...] "
         "[--timeout <timeout>]",
         "Lists queues and their properties", "online offline local", -1, &queue_listing),
    LIST("list_exchanges", VHOST_USAGE " [<column> ...]", "Lists exchanges", "", -1,
         &exchange_listing),
    LIST("list_bindings", VHOST_USAGE " [<column> ...]", "Lists all bindings on a vhost", "", -1,
         &binding_listing),
    LIST("list_connections", "[--no-table-headers] [<column> ...]",
         "Lists AMQP 0.9.1 connections for the node", "", -1, &connection_listing),
    LIST("list_channels", "[--no-table-headers] [<column> ...]", "Lists all channels in the node",
         "", -1, &channel_listing),
    LIST("list_consumers", VHOST_USAGE " [<column> ...]", "Lists all consumers for a vhost", "", -1,
         &consumer_listing),
    LIST("list_vhosts", "[--no-table-headers] [<column> ...]", "Lists virtual hosts", "", -1,
         &vhost_listing),
    LIST("list_users", "[--no-table-headers] [--timeout <timeout>]", "List user names and tags", "",
         0, &user_listing),
    LIST("list_permissions", VHOST_USAGE, "Lists user permissions in a virtual host", "", 0,
         &permission_listing),
    {"list_user_permissions", "<username>", "Lists permissions of a user across all virtual hosts",
     "", 1, 1, list, &user_permission_listing, false},
    LIST("list_topic_permissions", VHOST_USAGE, "Lists topic permissions in a virtual host", "", 0,
         &topic_permission_listing),
    {"list_user_topic_permissions", "<username>", "Lists user topic permissions", "", 1, 1, list,
     &user_topic_permission_listing, false},
    LIST("list_policies", VHOST_USAGE, "Lists all policies in a virtual host", "", 0,
         &policy_listing),
    LIST("list_operator_policies", VHOST_USAGE,
         "Lists operator policy overrides for a virtual host", "", 0, &operator_policy_listing),
    LIST("list_parameters", VHOST_USAGE, "Lists runtime parameters for a virtual host", "", 0,
         &parameter_listing),
    LIST("list_feature_flags", "[<column> ...] [--timeout <timeout>]", "Lists feature flags", "",
         -1, &feature_listing),
    LIST("list_deprecated_features", "[<column> ...]", "Lists deprecated features", "", -1,
         &deprecated_listing),
    LIST("list_global_parameters", "[--no-table-headers]", "Lists global runtime parameters", "", 0,
         &global_parameter_listing),
};

const struct ctl_commands ctl_list_commands = {commands, COUNT(commands)};
