/* docs/formats.md has bytes with comments: they are what a store writes. */
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/store_internal.h"
#include "log/test_store.h"

/* Two hexadecimal digits and no more; -1: something else. */
static int hex_byte(const char *text)
{
    static const char digits[] = "0123456789abcdef";
    const char *high = *text ? strchr(digits, text[0]) : NULL;
    const char *low = high && text[1] ? strchr(digits, text[1]) : NULL;
    return low ? (int)((high - digits) * 16 + (low - digits)) : -1;
}

/* A line "001000: 50 42 ...  comment" against the file; returns the position behind it. */
static size_t compare_line(const struct text *file, const char *line, size_t expected)
{
    char *end;
    size_t position = strtoul(line, &end, 16);
    expect_true(end > line && end[0] == ':' && end[1] == ' ');
    for (; expected < position; expected++)
        expect_int(file->data[expected], 0); /* lines of zeros are left out */
    for (line = end + 2; hex_byte(line) >= 0; line += 3) {
        expect_true(position < file->size);
        expect_int(file->data[position++], hex_byte(line));
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
        static const char head[] = "```bytes ";
        bool is_head = strncmp(line, head, strlen(head)) == 0;
        snprintf(path, sizeof path, "%.*s", is_head ? (int)strcspn(line + strlen(head), " \n") : 0,
                 line + (is_head ? strlen(head) : 0));
        if (is_head && strncmp(path, folder, strlen(folder)) == 0) {
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
