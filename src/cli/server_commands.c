/* Questions about a running server, and about who is connected to it. */
#include <string.h>

#include "cli/admin.h"
#include "cli/commands.h"
#include "cli/control_client.h"

/* From elsewhere: what the API tells. An alarm is an answer, no failure. */
static enum err ask_health_by_url(const struct common *common, json_t **out)
{
    json_t *overview;

    enum err err = manage_get(common, &overview, "GET overview");
    if (err)
        return err;
    err = manage_ask(common, NULL, NULL, "GET health/checks/local-alarms");
    /* Our own; another product has the other one alone. */
    json_t *version = json_object_get(overview, "pabal_version");
    if (!version)
        version = json_object_get(overview, "product_version");
    if (!err || err == E_IO)
        *out = json_pack("{s:s, s:O*, s:O*, s:O*}", "status", err ? err_text() : "ok", "version",
                         version, "node", json_object_get(overview, "node"), "totals",
                         json_object_get(overview, "object_totals"));
    json_decref(overview);
    return err == E_IO ? OK : err;
}

int health_run(int argc, char **argv)
{
    struct common common;
    const char *positionals[POSITIONALS_MAX];
    const struct flag flags[] = {API_FLAGS(common)};
    const struct arguments a = {
        .synopsis = "health [options]",
        .about =
            "Ask the running server how it is. Exit code 0: it works; 1: it does not answer, or\n"
            "its disk has failed.",
        .examples = "  pabal health --control /var/lib/pabal/control\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
    };
    json_t *result;
    int exit_code;

    common_init(&common);
    if (!cli_begin(&a, argc, argv, positionals, &common, &exit_code))
        return exit_code;
    enum err err = common.url && !common.control
                       ? ask_health_by_url(&common, &result)
                       : control_ask(&common, json_pack("{s:s}", "command", "health"), &result);
    if (err)
        return admin_failed(err);
    const char *status = json_string_value(json_object_get(result, "status"));
    exit_code = status && strcmp(status, "ok") == 0 ? EXIT_CODE_OK : EXIT_CODE_FAILED;
    output_object(result, common_wants_json(&common));
    return exit_code;
}

int metrics_run(int argc, char **argv)
{
    struct common common;
    const char *positionals[POSITIONALS_MAX];
    const struct flag flags[] = {CONTROL_FLAG(common), COMMON_FLAGS(common)};
    const struct arguments a = {
        .synopsis = "metrics [options]",
        .about = "Print what the running server has counted since its start.",
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
    };
    json_t *result;
    int exit_code;

    common_init(&common);
    if (!cli_begin(&a, argc, argv, positionals, &common, &exit_code))
        return exit_code;
    enum err err = control_ask(&common, json_pack("{s:s}", "command", "metrics"), &result);
    if (err)
        return (int)output_error(err);
    output_rows(result, "name value unit help", common_wants_json(&common));
    return EXIT_CODE_OK;
}

/* ---- connections, channels, consumers ---- */

int connection_list_run(int argc, char **argv)
{
    static const struct listing listing = {
        .synopsis = "connection list [options]",
        .about = "List the connections of clients.",
        .collection = "connections",
        .columns =
            "name protocol user vhost state channels client_properties.connection_name:client "
            "recv_oct:received send_oct:sent",
    };

    return listing_run(&listing, argc, argv);
}

int connection_show_run(int argc, char **argv)
{
    static const struct naming naming = {
        .synopsis = "connection show NAME [options]",
        .about = "Show a client's connection: the NAME that `pabal connection list` prints.",
        .kind = "connection",
        .collection = "connections",
    };

    return naming_show_run(&naming, argc, argv);
}

int connection_close_run(int argc, char **argv)
{
    struct common common;
    const char *positionals[POSITIONALS_MAX];
    int exit_code;
    const char *reason = "closed by pabal connection close";
    const struct flag flags[] = {
        {"reason", FLAG_TEXT, "TEXT", "what the client and the log are told", &reason},
        API_FLAGS(common),
    };
    const struct arguments a = {
        .synopsis = "connection close NAME [options]",
        .about = "Close a client's connection: the NAME that `pabal connection list` prints.",
        .examples = "  pabal connection close '127.0.0.1:45648 -> 127.0.0.1:5672'\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        NAME_ARGUMENTS,
    };

    common_init(&common);
    if (!cli_begin(&a, argc, argv, positionals, &common, &exit_code))
        return exit_code;
    struct admin_object connection = {"connection", "connections", NULL, positionals[0]};
    json_t *found;
    enum err err = admin_find(&common, &connection, &found);
    if (!err) {
        json_decref(found);
        err = manage_close_connection(&common, positionals[0], reason);
    }
    return admin_done(&common, err, positionals[0], "closed");
}

int channel_list_run(int argc, char **argv)
{
    static const struct listing listing = {
        .synopsis = "channel list [options]",
        .about = "List the channels of AMQP connections.",
        .collection = "channels",
        .columns = "name user vhost state consumer_count:consumers prefetch_count:prefetch "
                   "messages_unacknowledged:unacked messages_unconfirmed:unconfirmed",
    };

    return listing_run(&listing, argc, argv);
}

int consumer_list_run(int argc, char **argv)
{
    static const struct listing listing = {
        .synopsis = "consumer list [options]",
        .about = "List the consumers of queues.",
        .collection = "consumers",
        .columns =
            "queue.name:queue queue.vhost:vhost consumer_tag:tag channel_details.name:channel "
            "ack_required:acks prefetch_count:prefetch active",
        .takes_vhost = true,
    };

    return listing_run(&listing, argc, argv);
}
