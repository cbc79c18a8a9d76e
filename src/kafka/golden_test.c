/*
 * Bytes written by Kafka's own serialiser, kept in tests/golden/kafka: our decoder must see in them
 * what the file says, and our encoder write them again. A file holds comments (#), message and
 * version, the bytes in hex, an empty line, and the dump.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/number.h"
#include "kafka/kafka_messages.h"
#include "tests/test.h"

enum { FILES_MIN = 43, LINE_MAX_BYTES = 256 };

struct golden {
    const struct wire_schema *schema;
    int64_t version;
    struct text bytes;
    struct text dump;
};

static const struct wire_schema *find_schema(const char *name)
{
    for (int i = 0; i < KAFKA_API_COUNT; i++) {
        if (strcmp(kafka_apis[i].request->name, name) == 0)
            return kafka_apis[i].request;
        if (strcmp(kafka_apis[i].response->name, name) == 0)
            return kafka_apis[i].response;
    }
    return strcmp(name, "request_header") == 0 ? &kafka_request_header_schema
                                               : &kafka_response_header_schema;
}

/* "metadata_request v1\n" */
static void read_title(struct golden *g, char *line)
{
    char *version = strstr(line, " v");
    expect_not_null(version);
    line[strlen(line) - 1] = '\0';
    *version = '\0';
    g->schema = find_schema(line);
    expect_string(g->schema->name, line);
    expect_true(number_parse_i64(bytes_from_string(version + 2), &g->version));
}

static void read_hex(struct golden *g, const char *line)
{
    char *end;
    for (unsigned long v = strtoul(line, &end, 16); end != line; v = strtoul(line, &end, 16)) {
        text_put_u8(&g->bytes, (uint8_t)v);
        line = end;
    }
}

static void read_file(struct golden *g, const char *path)
{
    char line[LINE_MAX_BYTES];
    bool in_dump = false;
    FILE *file = fopen(path, "r");
    expect_not_null(file);
    while (fgets(line, sizeof line, file)) {
        if (in_dump)
            text_append_string(&g->dump, line);
        else if (line[0] == '\n')
            in_dump = true;
        else if (line[0] != '#' && !g->schema)
            read_title(g, line);
        else if (line[0] != '#')
            read_hex(g, line);
    }
    fclose(file);
}

static void expect_golden(const struct golden *g)
{
    struct reader r = reader_of(text_bytes(&g->bytes));
    struct arena arena;
    struct text dump = {0}, encoded = {0};
    void *message = xmalloc(g->schema->size);
    int version = (int)g->version;
    arena_init(&arena, 1 << 20);

    expect_ok(wire_decode(g->schema, version, &r, &arena, message));
    expect_int(reader_left(&r), 0);
    wire_dump(g->schema, version, message, &dump);
    expect_string((char *)dump.data, (char *)g->dump.data);
    expect_ok(wire_encode(g->schema, version, message, &encoded));
    expect_bytes(text_bytes(&encoded), text_bytes(&g->bytes));

    text_reset(&dump);
    text_reset(&encoded);
    free(message);
    arena_reset(&arena);
}

TEST(kafka_messages_equal_those_of_kafkas_own_serialiser)
{
    DIR *dir = opendir(GOLDEN_DIR);
    int count = 0;
    expect_not_null(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (!strstr(entry->d_name, ".golden"))
            continue;
        struct golden g = {0};
        char *path = xasprintf("%s/%s", GOLDEN_DIR, entry->d_name);
        print_message("# %s\n", entry->d_name); /* the last one said is the one that failed */
        read_file(&g, path);
        expect_golden(&g);
        free(path);
        text_reset(&g.bytes);
        text_reset(&g.dump);
        count++;
    }
    closedir(dir);
    expect_true(count >= FILES_MIN);
}
