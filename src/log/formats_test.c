/* docs/formats.md has bytes with comments: they are what a store writes. */
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/store_internal.h"
#include "log/test_store.h"

/* A line "001000: 50 42 ...  comment" against the file; returns the position behind it. */
static size_t compare_line(const struct text *file, const char *line, size_t expected)
{
    unsigned position, byte;
    int used = 0;
    expect_int(sscanf(line, "%x: %n", &position, &used), 1);
    for (; expected < position; expected++)
        expect_int(file->data[expected], 0); /* lines of zeros are left out */
    for (line += used; sscanf(line, "%2x%n", &byte, &used) == 1 && used == 2; line += 3) {
        expect_true(position < file->size);
        expect_int(file->data[position++], byte);
        if (line[2] != ' ' || line[3] == ' ')
            break;
    }
    return position;
}

/* Every block of bytes whose file lies in `folder`; returns how many lines were compared. */
static int compare_blocks(const struct test_store *t, const char *folder)
{
    char line[256], path[64];
    FILE *document = fopen(FORMATS_DOCUMENT, "r");
    struct text file = {0};
    size_t position = 0;
    int count = 0;
    expect_not_null(document);
    while (fgets(line, sizeof line, document)) {
        if (sscanf(line, "```bytes %63s", path) == 1 &&
            strncmp(path, folder, strlen(folder)) == 0) {
            file = test_file_get(t, path);
            position = 0;
        } else if (line[0] == '`') {
            text_reset(&file);
        } else if (file.data) {
            position = compare_line(&file, line, position);
            count++;
        }
    }
    fclose(document);
    return count;
}

TEST(the_bytes_in_the_document_of_formats_are_what_is_written)
{
    struct test_store t;
    struct ticket ticket;
    test_store_init(&t);
    t.disk->block_bytes = 512;
    t.config.journal_first_bytes = 64 * KIB;
    expect_ok(test_store_open(&t));
    test_store_settle(&t);
    expect_ok(log_append(store_log(t.store, 7, LEVEL_FSYNC), test_batch_at("hello", 1700000000000),
                         &ticket));
    test_store_settle(&t);
    expect_int(compare_blocks(&t, "journal/"), 21);
    t.state = "state";
    test_store_stop(&t);
    expect_int(compare_blocks(&t, "table/"), 12);
    test_store_reset(&t);
}
