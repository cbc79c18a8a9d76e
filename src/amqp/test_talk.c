#include "amqp/test_talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

enum {
    DEFAULT_FRAME_MAX = 131072,
    CHANNELS_MAX = 16,
    LINES_MAX = 256,
    BODY_SHOWN_MAX = 100,
    PATIENCE_MS = 3500
};

struct talker {
    bool is_connected, is_closed;
    uint32_t failed; /* bit n: channel n was closed by the broker, and is to be opened again */
    struct text received;
    size_t taken; /* of received */
    struct hearing hearing;
    uint64_t confirmed[CHANNELS_MAX]; /* bit n: the publish with number n */
};

struct conversation {
    struct talk_broker *broker;
    struct talker talkers[TALKERS_MAX];
    char reply[256]; /* behind amq.rabbitmq.reply-to. */
    int wait_ms;
    bool is_manual;  /* channels are not opened again */
    bool is_patient; /* each answer has time */
    struct text answer;
};

/* ---- the script ---- */

enum line_kind { LINE_TITLE, LINE_SAID, LINE_SAID_ON, LINE_HEARD, LINE_WHY, LINE_OURS };

static enum line_kind kind_of(struct bytes line)
{
    const uint8_t *p = line.data;

    if (line.size == 0 || p[0] == '=' || p[0] == '#')
        return LINE_TITLE;
    if (p[0] == '~')
        return line.size > 1 && p[1] == ' ' ? LINE_WHY : LINE_OURS;
    uint8_t sign = p[0] >= 'a' && line.size > 1 ? p[1] : p[0];
    if (sign == '!' || sign == '>')
        return LINE_SAID;
    if (sign == '+')
        return LINE_SAID_ON;
    check(sign == '<');
    return LINE_HEARD;
}

static struct bytes first_line(struct bytes text)
{
    const uint8_t *end = text.size ? memchr(text.data, '\n', text.size) : NULL;

    return end ? bytes_of(text.data, (size_t)(end - text.data)) : text;
}

static struct bytes behind_line(struct bytes text, struct bytes line)
{
    size_t size = line.size < text.size ? line.size + 1 : line.size;

    return bytes_of(text.data + size, text.size - size);
}

/* The lines of that kind in front. */
static struct bytes take_lines(struct bytes *text, enum line_kind kind)
{
    struct bytes all = *text;

    while (text->size && kind_of(first_line(*text)) == kind)
        *text = behind_line(*text, first_line(*text));
    return bytes_of(all.data, all.size - text->size);
}

/* One line, and those said at once with it. */
static struct bytes take_said(struct bytes *text)
{
    struct bytes all = *text;

    if (text->size && kind_of(first_line(*text)) == LINE_SAID)
        *text = behind_line(*text, first_line(*text));
    take_lines(text, LINE_SAID_ON);
    return bytes_of(all.data, all.size - text->size);
}

static struct talk_step take_step(struct bytes *script)
{
    struct talk_step step;

    step.title = take_lines(script, LINE_TITLE);
    step.said = take_said(script);
    step.heard = take_lines(script, LINE_HEARD);
    step.why = take_lines(script, LINE_WHY);
    step.ours = take_lines(script, LINE_OURS);
    return step;
}

/* ---- saying ---- */

static void say(struct conversation *c, int client, const char *line)
{
    struct text out = {0};
    const char *mark = strstr(line, "$reply");

    if (mark) {
        char *told = xasprintf("%.*samq.rabbitmq.reply-to.%s%s", (int)(mark - line), line, c->reply,
                               mark + strlen("$reply"));
        put_line(&out, told, c->talkers[client].hearing.frame_max);
        free(told);
    } else {
        put_line(&out, line, c->talkers[client].hearing.frame_max);
    }
    c->broker->say(c->broker, client, text_bytes(&out));
    text_reset(&out);
}

static void dial(struct conversation *c, int client)
{
    struct talker *t = &c->talkers[client];

    hearing_reset(&t->hearing);
    text_reset(&t->received);
    *t = (struct talker){.is_connected = true,
                         .hearing = {.frame_max = DEFAULT_FRAME_MAX,
                                     .body_shown_max = BODY_SHOWN_MAX,
                                     .shows_bytes = t->hearing.shows_bytes}};
    c->broker->dial(c->broker, client);
}

static uint32_t setting(const char *words, const char *name, uint32_t otherwise)
{
    const char *found = strstr(words, name);

    return found ? (uint32_t)strtoul(found + strlen(name), NULL, 10) : otherwise;
}

static void receive(struct conversation *c, int client)
{
    struct talker *t = &c->talkers[client];

    if (!t->is_connected)
        return;
    bool is_open = c->broker->take(c->broker, client, &t->received);
    struct bytes rest = bytes_of(t->received.data + t->taken, t->received.size - t->taken);
    t->taken += hear_frames(&t->hearing, rest);
    if (!is_open && !t->is_closed) {
        text_append_string(&t->hearing.lines, "closed\n");
        t->is_closed = true;
    }
}

static void connect_client(struct conversation *c, int client, const char *words)
{
    static const char capabilities[] =
        "authentication_failure_close/consumer_cancel_notify/connection.blocked/basic.nack/"
        "publisher_confirms";
    struct talker *t = &c->talkers[client];
    const char *user = strstr(words, "user=limited") ? "limited" : "guest";
    char line[512];

    dial(c, client);
    say(c, client, "0 bytes 414d515000000901");
    snprintf(line, sizeof line,
             "0 connection.start_ok mechanism=PLAIN response=^%s^%s locale=en_US "
             "client_properties=capabilities:F:%s",
             user, user, strstr(words, "bare") ? "" : capabilities);
    say(c, client, line);
    t->hearing.frame_max = setting(words, "frame_max=", DEFAULT_FRAME_MAX);
    snprintf(line, sizeof line, "0 connection.tune_ok channel_max=%u frame_max=%u heartbeat=%u",
             setting(words, "channel_max=", 2047), t->hearing.frame_max,
             setting(words, "heartbeat=", 0));
    say(c, client, line);
    say(c, client, "0 connection.open virtual_host=/");
    say(c, client, "1 channel.open");
    c->broker->wait(c->broker, 0);
    receive(c, client);
    text_put_u8(&t->hearing.lines, 0);
    if (strstr(text_string(&t->hearing.lines), "1 channel.open_ok"))
        t->hearing.lines.size = 0; /* it is as always */
    else
        t->hearing.lines.size--;
}

/* As far as the start, which one conversation looks at. */
static void start_client(struct conversation *c, int client)
{
    dial(c, client);
    say(c, client, "0 bytes 414d515000000901");
    c->broker->wait(c->broker, 0);
    receive(c, client);
    c->talkers[client].hearing.lines.size = 0;
}

static int client_of(const char *name)
{
    int client = *name - 'a';

    check(client >= 0);
    check(client < TALKERS_MAX);
    return client;
}

static void direct(struct conversation *c, const char *direction)
{
    const char *words = strchr(direction, ' ');

    words = words ? words + 1 : "a";
    if (strncmp(direction, "wait ", 5) == 0)
        c->wait_ms += (int)strtol(words, NULL, 10);
    else if (strcmp(direction, "manual") == 0)
        c->is_manual = true;
    else if (strcmp(direction, "patient") == 0)
        c->is_patient = true;
    else if (strcmp(direction, "bytes") == 0)
        for (int i = 0; i < TALKERS_MAX; i++)
            c->talkers[i].hearing.shows_bytes = true;
    else if (strncmp(direction, "connect", 7) == 0)
        connect_client(c, client_of(words), words);
    else if (strncmp(direction, "dial", 4) == 0)
        dial(c, client_of(words));
    else if (strncmp(direction, "start", 5) == 0)
        start_client(c, client_of(words));
    else if (strncmp(direction, "drop", 4) == 0)
        c->broker->drop(c->broker, client_of(words)),
            c->talkers[client_of(words)].is_connected = false;
    else
        check_failed(direction, __FILE__, __LINE__);
}

/* Drop the answer to what the script did not say. */
static void forget_open_ok(struct talker *t)
{
    const char *found;

    text_put_u8(&t->hearing.lines, 0);
    t->hearing.lines.size--;
    while ((found = strstr(text_string(&t->hearing.lines), " channel.open_ok\n")) != NULL) {
        struct text *lines = &t->hearing.lines;
        size_t end = (size_t)(found - text_string(lines)) + strlen(" channel.open_ok\n");
        size_t start = end - strlen(" channel.open_ok\n");
        while (start && lines->data[start - 1] != '\n')
            start--;
        memmove(lines->data + start, lines->data + end, lines->size - end + 1);
        lines->size -= end - start;
    }
}

/* Channels that were closed for an error are opened again. */
static void open_again(struct conversation *c, int client)
{
    struct talker *t = &c->talkers[client];
    char line[32];

    if (!t->failed || c->is_manual || !t->is_connected)
        return;
    for (int channel = 1; channel < CHANNELS_MAX; channel++) {
        snprintf(line, sizeof line, "%d again", channel);
        if (t->failed >> channel & 1)
            say(c, client, line);
    }
    t->failed = 0;
    c->broker->wait(c->broker, 0);
    receive(c, client);
    forget_open_ok(t);
}

static void perform(struct conversation *c, const char *line)
{
    for (int i = 0; i < TALKERS_MAX; i++)
        open_again(c, i);
    if (*line == '!') {
        direct(c, line + 2);
        return;
    }
    int client = *line == '>' || *line == '+' ? 0 : client_of(line);
    if (!c->talkers[client].is_connected)
        connect_client(c, client, "");
    say(c, client, strchr(line, ' ') + 1);
}

/* ---- hearing ---- */

/* Behind each `mark` as many characters as are in `set` become one '*'. The last is kept in `out`. */
static void mask(struct text *text, const char *mark, const char *set, char *out, size_t out_size)
{
    struct text masked = {0};
    const char *at = text_string(text), *found;

    while ((found = strstr(at, mark)) != NULL) {
        const char *value = found + strlen(mark);
        size_t size = strspn(value, set);
        text_append(&masked, bytes_of(at, (size_t)(value - at)));
        if (size)
            text_append_string(&masked, "*");
        if (size && out)
            snprintf(out, out_size, "%.*s", (int)size, value);
        at = value + size;
    }
    text_append_string(&masked, at);
    text_put_u8(&masked, 0);
    text_reset(text);
    *text = masked;
}

#define DIGITS "0123456789"
#define NAME_CHARACTERS DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_+/=."

/* The numbers an ack or nack of the broker is about, added to what it has confirmed. */
static uint64_t newly_confirmed(struct talker *t, unsigned channel, const char *line)
{
    uint64_t tag = strtoull(strstr(line, "delivery_tag=") + strlen("delivery_tag="), NULL, 10);
    bool multiple = strstr(line, "multiple=true") != NULL;

    check(tag > 0);
    check(tag < 63);
    check(channel < CHANNELS_MAX);
    uint64_t all = multiple ? (UINT64_C(2) << tag) - 2 : UINT64_C(1) << tag;
    uint64_t is_new = all & ~t->confirmed[channel];
    t->confirmed[channel] |= all;
    return is_new;
}

static void put_confirmed(struct text *out, unsigned channel, const char *word, uint64_t tags)
{
    text_printf(out, "%u %s", channel, word);
    for (unsigned tag = 1; tag < 64; tag++)
        if (tags >> tag & 1)
            text_printf(out, " %u", tag);
    text_append_string(out, "\n");
}

/* Write the lines of one channel; confirms that follow one another are one. */
static void put_channel(struct talker *t, unsigned channel, char **lines, size_t count,
                        const char *prefix, struct text *out)
{
    uint64_t tags = 0;
    const char *word = NULL;

    for (size_t i = 0; i <= count; i++) {
        if (i < count && strtoul(lines[i], NULL, 10) != channel)
            continue;
        bool is_ack = i < count && strstr(lines[i], " basic.ack ") != NULL;
        bool is_nack = i < count && strstr(lines[i], " basic.nack ") != NULL;
        const char *new_word = is_ack ? "confirmed" : is_nack ? "refused" : NULL;
        if (word && word != new_word) {
            text_append_string(out, prefix);
            put_confirmed(out, channel, word, tags);
            tags = 0;
        }
        word = new_word;
        if (word)
            tags |= newly_confirmed(t, channel, lines[i]);
        else if (i < count)
            text_printf(out, "%s%s\n", prefix, lines[i]);
        if (i < count && strstr(lines[i], " channel.close "))
            t->failed |= 1u << channel;
    }
}

static void put_heard(struct conversation *c, int client)
{
    struct talker *t = &c->talkers[client];
    char prefix[] = {(char)('a' + client), '<', ' ', 0}, *lines[LINES_MAX], *save;
    size_t count = 0;

    text_put_u8(&t->hearing.lines, 0);
    for (char *line = strtok_r((char *)t->hearing.lines.data, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        check(count < LINES_MAX);
        if (count == 0 || strcmp(line, "heartbeat") != 0 || strcmp(lines[count - 1], line) != 0)
            lines[count++] = line; /* how many heartbeats there are is a matter of time */
    }
    for (unsigned channel = 0; channel < CHANNELS_MAX; channel++)
        put_channel(t, channel, lines, count, client ? prefix : prefix + 1, &c->answer);
    t->hearing.lines.size = 0;
}

static void hear(struct conversation *c)
{
    c->broker->wait(c->broker, c->wait_ms + (c->is_patient ? PATIENCE_MS : 0));
    c->wait_ms = 0;
    c->answer.size = 0;
    for (int i = 0; i < TALKERS_MAX; i++) {
        receive(c, i);
        if (c->talkers[i].hearing.lines.size)
            put_heard(c, i);
    }
    text_put_u8(&c->answer, 0);
    mask(&c->answer, "amq.gen-", NAME_CHARACTERS, NULL, 0);
    mask(&c->answer, "amq.ctag-", NAME_CHARACTERS, NULL, 0);
    mask(&c->answer, "time: T ", DIGITS, NULL, 0);
    mask(&c->answer, "amq.rabbitmq.reply-to.", NAME_CHARACTERS, c->reply, sizeof c->reply);
    c->answer.size--;
}

/* ---- the whole ---- */

static void begin(struct conversation *c)
{
    for (int i = 0; i < TALKERS_MAX; i++) {
        hearing_reset(&c->talkers[i].hearing);
        text_reset(&c->talkers[i].received);
        c->talkers[i] = (struct talker){0};
    }
    c->is_manual = c->is_patient = false;
    c->broker->begin(c->broker);
}

static void perform_all(struct conversation *c, struct bytes said)
{
    while (said.size) {
        struct bytes line = first_line(said);
        said = behind_line(said, line);
        char *copy = xasprintf("%.*s", BYTES_FORMAT(line));
        perform(c, copy);
        free(copy);
    }
}

void talk(struct talk_broker *broker, struct bytes script, talk_each *each, void *ctx)
{
    struct conversation c = {.broker = broker};

    while (script.size) {
        struct talk_step step = take_step(&script);
        if (memmem(step.title.data, step.title.size, "=== ", 4))
            begin(&c);
        perform_all(&c, step.said);
        hear(&c);
        each(ctx, &step, text_bytes(&c.answer));
    }
    begin(&c);
    text_reset(&c.answer);
}
