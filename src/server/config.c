#include "server/config.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "io/process.h"
#include "manage/json.h"

enum { CONFIG_FILE_MAX_BYTES = 1024 * 1024 };

static const char prefix[] = "PABAL_";

/* Names with our prefix that mean something else: the client commands' and the tests', and those
 * that Kubernetes sets for every container when a service is called pabal. */
static const char *const foreign[] = {"PABAL_SERVER", "PABAL_CONFIG",   "PABAL_TEST_",
                                      "PABAL_PORT",   "PABAL_SERVICE_", "PABAL_BIN",
                                      "PABAL_KAFKA",  "PABAL_AMQP=",    "PABAL_BENCH_"};

static void item_put(struct config_item *item, struct option_value value, char *origin)
{
    free(item->value.text);
    free(item->origin);
    item->value = value;
    item->origin = origin;
}

void config_init(struct config *c)
{
    *c = (struct config){0};
    for (int id = 0; id < OPTION_COUNT; id++) {
        struct option_value value;
        const char *text = option_get((enum option_id)id)->default_text;
        enum err err = option_parse((enum option_id)id, bytes_from_string(text), &value);
        check(err == OK); /* a default outside its own bounds is a bug in the table */
        item_put(&c->items[id], value, xstrdup("default"));
    }
}

void config_reset(struct config *c)
{
    for (int id = 0; id < OPTION_COUNT; id++)
        item_put(&c->items[id], (struct option_value){0}, NULL);
}

static enum err unknown_key(struct bytes key)
{
    struct nearest nearest = option_nearest(key);

    if (nearest.name[0])
        return err_set(E_INVALID, "unknown key \"%.*s\"; did you mean \"%s\"?", BYTES_FORMAT(key),
                       nearest.name);
    return err_set(E_INVALID, "unknown key \"%.*s\"", BYTES_FORMAT(key));
}

static struct bytes trim(struct bytes b)
{
    while (b.size && isspace(b.data[0]))
        b = bytes_of(b.data + 1, b.size - 1);
    while (b.size && isspace(b.data[b.size - 1]))
        b.size--;
    return b;
}

/* A '#' begins a comment at the start of a line or behind white space, so values may hold one. */
static struct bytes strip_comment(struct bytes line)
{
    for (size_t i = 0; i < line.size; i++)
        if (line.data[i] == '#' && (i == 0 || isspace(line.data[i - 1])))
            line.size = i;
    return trim(line);
}

/* Split "key = value" at the first '='. */
static enum err split(struct bytes line, struct bytes *key, struct bytes *value)
{
    const uint8_t *equals = line.size ? memchr(line.data, '=', line.size) : NULL;

    if (!equals)
        return err_set(E_INVALID, "\"%.*s\" is not key = value", BYTES_FORMAT(line));
    size_t key_size = (size_t)(equals - line.data);
    *key = trim(bytes_of(line.data, key_size));
    *value = trim(bytes_of(equals + 1, line.size - key_size - 1));
    return OK;
}

static enum err find_and_parse(struct bytes line, enum option_id *id, struct option_value *value)
{
    struct bytes key, text;

    enum err err = split(line, &key, &text);
    if (err)
        return err;
    if (!option_find(key, id))
        return unknown_key(key);
    return option_parse(*id, text, value);
}

static enum err read_line(struct config *c, const char *name, int number, struct bytes line,
                          int *set_at)
{
    enum option_id id;
    struct option_value value;

    enum err err = find_and_parse(line, &id, &value);
    if (err)
        return err_wrap(err, "%s:%d", name, number);
    if (set_at[id]) {
        free(value.text);
        return err_set(E_INVALID, "%s:%d: %s is set already, at line %d", name, number,
                       option_get(id)->name, set_at[id]);
    }
    set_at[id] = number;
    item_put(&c->items[id], value, xasprintf("%s:%d", name, number));
    return OK;
}

enum err config_read_text(struct config *c, const char *name, struct bytes text)
{
    int set_at[OPTION_COUNT] = {0};

    for (int number = 1; text.size; number++) {
        const uint8_t *end = memchr(text.data, '\n', text.size);
        size_t size = end ? (size_t)(end - text.data) : text.size;
        struct bytes line = strip_comment(bytes_of(text.data, size));
        size += end != NULL;
        text = bytes_of(text.data + size, text.size - size);

        enum err err = line.size ? read_line(c, name, number, line, set_at) : OK;
        if (err)
            return err;
    }
    return OK;
}

enum err config_read_file(struct config *c, const char *path)
{
    struct text text = {0};

    enum err err = process_read_file(path, CONFIG_FILE_MAX_BYTES, &text);
    if (err)
        err = err_wrap(err, "configuration %s", path);
    else
        err = config_read_text(c, path, text_bytes(&text));
    text_reset(&text);
    return err;
}

static bool is_foreign(const char *variable)
{
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        if (strncmp(variable, foreign[i], strlen(foreign[i])) == 0)
            return true;
    return false;
}

/* PABAL_AMQP_MESSAGE_MAX_BYTES: an option's name in capitals with '_' for every '.'. Compared the
 * other way round, because aliases of RabbitMQ's have '_' of their own. */
static bool names_option(const char *variable, size_t size, const char *name)
{
    if (strlen(name) != size)
        return false;
    for (size_t i = 0; i < size; i++) {
        int wanted = name[i] == '.' ? '_' : toupper((unsigned char)name[i]);
        if (wanted != (unsigned char)variable[i])
            return false;
    }
    return true;
}

/* The key as the file would spell it, for finding the nearest. */
static struct bytes file_spelling(const char *variable, size_t size, char *out, size_t capacity)
{
    if (size > capacity)
        size = capacity;
    for (size_t i = 0; i < size; i++)
        out[i] = variable[i] == '_' ? '.' : (char)tolower((unsigned char)variable[i]);
    return bytes_of(out, size);
}

static enum err read_variable(struct config *c, const char *variable)
{
    const char *rest = variable + sizeof prefix - 1;
    const char *equals = strchr(rest, '=');
    struct option_value value;
    char spelling[128];
    int id = 0;

    if (!equals || is_foreign(variable))
        return OK;
    size_t size = (size_t)(equals - rest);
    while (id < OPTION_COUNT && !names_option(rest, size, option_get((enum option_id)id)->name))
        id++;
    enum err err = id < OPTION_COUNT
                       ? option_parse((enum option_id)id, bytes_from_string(equals + 1), &value)
                       : unknown_key(file_spelling(rest, size, spelling, sizeof spelling));
    if (err)
        return err_wrap(err, "environment %.*s", (int)(equals - variable), variable);
    item_put(&c->items[id], value,
             xasprintf("environment %.*s", (int)(equals - variable), variable));
    return OK;
}

enum err config_read_environment(struct config *c, char **environment)
{
    for (; *environment; environment++) {
        if (strncmp(*environment, prefix, sizeof prefix - 1) != 0)
            continue;
        enum err err = read_variable(c, *environment);
        if (err)
            return err;
    }
    return OK;
}

enum err config_set(struct config *c, const char *assignment)
{
    enum option_id id;
    struct option_value value;

    enum err err = find_and_parse(bytes_from_string(assignment), &id, &value);
    if (err)
        return err_wrap(err, "--set %s", assignment);
    item_put(&c->items[id], value, xstrdup("--set"));
    return OK;
}

bool config_address_is_loopback(const char *address)
{
    size_t digits = strspn(address, "0123456789.");

    if (strncmp(address, "127.", 4) == 0 && address[digits] == ':')
        return true;
    return strncmp(address, "localhost:", 10) == 0 || strncmp(address, "[::1]:", 6) == 0;
}

enum err config_check(const struct config *c)
{
    const char *kafka = config_text(c, OPT_LISTENER_KAFKA);

    if (config_is_word(c, OPT_LISTENER_KAFKA) || config_address_is_loopback(kafka) ||
        config_number(c, OPT_ALLOW_ANONYMOUS))
        return OK;
    return err_set(
        E_REFUSED,
        "listener.kafka = %s would let in everybody who reaches it, because Kafka clients "
        "cannot log in yet; set allow.anonymous = true if that is wanted",
        kafka);
}

const char *config_text(const struct config *c, enum option_id id)
{
    return c->items[id].value.text;
}

int64_t config_number(const struct config *c, enum option_id id)
{
    check(option_get(id)->type != OPTION_TEXT && option_get(id)->type != OPTION_ADDRESS);
    return c->items[id].value.number;
}

bool config_is_word(const struct config *c, enum option_id id)
{
    return c->items[id].value.number == OPTION_WORD;
}

json_t *config_json(const struct config *c)
{
    json_t *all = json_object();

    for (int id = 0; id < OPTION_COUNT; id++) {
        const struct config_item *item = &c->items[id];
        const struct option *o = option_get((enum option_id)id);
        const char *shown = o->type == OPTION_SECRET ? "(not shown)" : item->value.text;
        json_object_set_new(all, o->name,
                            json_pack("{s:o, s:s}", "value", manage_json(bytes_from_string(shown)),
                                      "origin", item->origin));
    }
    return all;
}

static void document_option(const struct option *o, struct text *out)
{
    text_printf(out, "\n## `%s`\n\n%s\n\n- Type: %s; ", o->name, o->help,
                option_type_name(o->type));
    option_describe_range(o, out);
    text_printf(out, "\n- Default: `%s`\n- Changes: %s\n", o->default_text,
                o->change == AT_START ? "at the next start" : "while running");
    if (!*o->aliases)
        return;
    text_append_string(out, "- Also accepted as: `");
    for (const char *at = o->aliases; *at; at++)
        text_append(out, *at == ' ' ? BYTES_LITERAL("`, `") : bytes_of(at, 1));
    text_append_string(out, "`\n");
}

void config_document(struct text *out)
{
    text_append_string(
        out,
        "# Options\n\n"
        "Written by `pabal config document`; change `src/server/options.h`, not this page.\n\n"
        "A file has lines `key = value`; a `#` at the start of a line or behind white space begins "
        "a comment. An environment variable has the key in capitals with `_` for `.`: "
        "`PABAL_DATA_DIR`. On the command line: `--set data.dir=/var/lib/pabal`. The command line "
        "wins over the environment, the environment over the file. Unknown keys are refused. "
        "`pabal config show --origin` tells where each value comes from.\n\n"
        "Sizes take `k`, `m`, `g`, `t` (powers of 1024, `MiB` and the like too), durations `ms`, "
        "`s`, `m`, `h`, `d`.\n");
    for (int id = 0; id < OPTION_COUNT; id++)
        document_option(option_get((enum option_id)id), out);
}
