#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/lines.h"

static void open_text(struct lines *l, const char *text, size_t size)
{
    char path[] = "/tmp/lines_test.XXXXXX";
    int fd = mkstemp(path);

    expect_true(fd >= 0);
    expect_int(write(fd, text, size), size);
    close(fd);
    expect_ok(lines_open(l, path));
    unlink(path);
}

static void expect_line(struct lines *l, const char *wanted)
{
    struct bytes line;

    expect_ok(lines_next(l, &line));
    expect_bytes(line, bytes_from_string(wanted));
}

TEST(lines_come_one_by_one_also_empty_ones_and_the_last_without_an_end)
{
    struct lines l;
    struct bytes line;

    open_text(&l, "one\n\nthree\nlast", 15);
    expect_line(&l, "one");
    expect_false(lines_must_wait(&l));
    expect_line(&l, "");
    expect_line(&l, "three");
    expect_line(&l, "last");
    expect_err(lines_next(&l, &line), E_NOT_FOUND);
    expect_err(lines_next(&l, &line), E_NOT_FOUND);
    lines_close(&l);
}

TEST(a_line_may_be_longer_than_what_is_read_at_once)
{
    enum { SIZE = 300000 };
    char *text = malloc(SIZE);
    struct lines l;
    struct bytes line;

    expect_not_null(text);
    memset(text, 'x', SIZE);
    text[SIZE - 5] = '\n';
    open_text(&l, text, SIZE);
    expect_ok(lines_next(&l, &line));
    expect_int(line.size, SIZE - 5);
    expect_line(&l, "xxxx");
    lines_close(&l);
    free(text);
}

TEST(a_missing_file_is_not_found)
{
    struct lines l;

    expect_err(lines_open(&l, "/nonexistent/file"), E_NOT_FOUND);
}
