/*
 * `pabal consume`: the messages of a topic (Kafka's protocol) or of a queue (AMQP's), one a line:
 * the value alone, or as --format says, or with --output json all there is to know of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/consume_internal.h"
#include "io/clock.h"
#include "io/process.h"

bool consume_is_done(const struct consume *c)
{
    const struct consume_options *o = c->options;

    if (o->count && c->count >= (uint64_t)o->count)
        return true;
    if (o->group && process_should_stop())
        return true;
    return o->idle_ns && clock_now_ns() >= c->last_ns + o->idle_ns;
}

void consume_print(struct consume *c, struct bytes message)
{
    fwrite(message.data, 1, message.size, stdout);
    putchar('\n');
    c->count++;
    c->last_ns = clock_now_ns();
}

void consume_print_json(struct consume *c, json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT);

    consume_print(c, bytes_from_string(text));
    free(text);
    json_decref(object);
}

/* ---- the command ---- */

struct words {
    const char *from, *offset; /* two names for one thing */
    bool from_beginning;
};

static enum err choose_place(struct consume_options *o, const struct words *words)
{
    int given = !!words->from + !!words->offset + words->from_beginning;

    if (given > 1)
        return err_set(E_INVALID, "one of --from, --offset and --from-beginning");
    o->place = (struct place){words->from_beginning ? PLACE_BEGINNING : PLACE_END, 0};
    if (words->from)
        return place_parse("--from", words->from, clock_wall_ms(), &o->place);
    if (words->offset)
        return place_parse("--offset", words->offset, clock_wall_ms(), &o->place);
    return OK;
}

static enum err choose_source(struct consume_options *o, const char *topic)
{
    o->topic = topic;
    if (!topic == !o->queue)
        return err_set(E_INVALID, "what? TOPIC or --queue NAME");
    if (o->queue && strlen(o->queue) > UINT8_MAX)
        return err_set(E_INVALID, "a queue's name has at most %d bytes", UINT8_MAX);
    if (o->prefetch > UINT16_MAX)
        return err_set(E_INVALID, "--prefetch is at most %d", UINT16_MAX);
    if (o->queue && (o->group || o->format || o->stops_at_end))
        return err_set(E_INVALID, "--group, --format and --exit go with a topic");
    if (o->group && o->partition >= 0)
        return err_set(E_INVALID, "--partition or --group: a group gives its members partitions");
    if (o->format && common_wants_json(&o->common))
        return err_set(E_INVALID, "--format or --output json, not both");
    enum err err = consume_ack_parse(o->ack, &o->ack_mode);
    return !err && o->format ? format_check(o->format) : err;
}

static int run(struct consume_options *o)
{
    struct consume c = {.options = o, .last_ns = clock_now_ns()};

    enum err err = o->queue ? consume_queue(&c) : consume_topic(&c);
    text_reset(&c.line);
    return err ? (int)output_error(err) : EXIT_CODE_OK;
}

int consume_run(int argc, char **argv)
{
    struct consume_options o = {.login = {"guest", "guest", "/"}, .ack = "ack", .partition = -1};
    struct words words = {0};
    const char *positionals[POSITIONALS_MAX];
    int exit_code;
    const struct flag flags[] = {
        {"from", FLAG_TEXT, "PLACE", "beginning, end, OFFSET, -N, 10m, 2026-11-21T07:00:00Z [end]",
         &words.from},
        {"offset,o", FLAG_TEXT, "PLACE", "the same", &words.offset},
        {"from-beginning", FLAG_BOOL, "", "--from beginning", &words.from_beginning},
        {"partition,p", FLAG_INT, "N", "this one only", &o.partition},
        {"group,g", FLAG_TEXT, "NAME", "as a member of the group, and commit", &o.group},
        {"format,f", FLAG_TEXT, "FORMAT",
         "%t topic, %p partition, %o offset, %k key, %s value, ...", &o.format},
        {"exit,e", FLAG_BOOL, "", "stop at the end of the topic", &o.stops_at_end},
        {"queue", FLAG_TEXT, "NAME", "consume this queue, by AMQP", &o.queue},
        {"ack", FLAG_TEXT, "MODE", "auto, ack, reject, requeue at the end, or none [ack]", &o.ack},
        {"prefetch", FLAG_INT, "N", "of the queue at a time [1000]", &o.prefetch},
        {"count,c", FLAG_INT, "N", "stop after N messages", &o.count},
        {"idle", FLAG_DURATION, "TIME", "stop when nothing has come for so long", &o.idle_ns},
        {"user", FLAG_TEXT, "NAME", "by AMQP [guest]", &o.login.user},
        {"password", FLAG_TEXT, "TEXT", "by AMQP [guest]", &o.login.password},
        {"vhost", FLAG_TEXT, "NAME", "by AMQP [/]", &o.login.vhost},
        SERVER_FLAG(o.common),
        CONTROL_FLAG(o.common),
        COMMON_FLAGS(o.common),
    };
    const struct arguments a = {
        .synopsis = "consume TOPIC|--queue NAME [options]",
        .about =
            "Print messages, one a line, until interrupted, or until --count, --idle or --exit\n"
            "says so. A format knows %t topic, %p partition, %o offset, %T time, %k key, %K its\n"
            "size, %s value, %S its size, %h headers, %%, and \\n \\t \\xHH.",
        .examples = "  pabal consume orders --from beginning --exit\n"
                    "  pabal consume orders --from 10m -f '%p %o %k: %s\\n'\n"
                    "  pabal consume orders --group billing --output json\n"
                    "  pabal consume --queue tasks --count 1\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        .positional_most = 1,
    };

    common_init(&o.common);
    if (!cli_begin(&a, argc, argv, positionals, &o.common, &exit_code))
        return exit_code;
    enum err err = choose_source(&o, positionals[0]);
    if (!err)
        err = choose_place(&o, &words);
    if (err) {
        output_error(err);
        return EXIT_CODE_USAGE;
    }
    return run(&o);
}
