#include "wire/golden.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/number.h"
#include "tests/test.h"

enum { LINE_MAX_BYTES = 256 };

/* "metadata_request v1\n" */
static void read_title(struct golden *g, char *line)
{
    int64_t number = 0;
    line[strlen(line) - 1] = '\0';
    char *version = strstr(line, " v");
    if (version) {
        expect_true(number_parse_i64(bytes_from_string(version + 2), &number));
        *version = '\0';
    }
    g->version = (int)number;
    snprintf(g->name, sizeof g->name, "%s", line);
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
        else if (line[0] != '#' && !g->name[0])
            read_title(g, line);
        else if (line[0] != '#')
            read_hex(g, line);
    }
    fclose(file);
}

void golden_each(const char *folder, int files_min, void (*check)(const struct golden *))
{
    DIR *dir = opendir(folder);
    int count = 0;
    expect_not_null(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (!strstr(entry->d_name, ".golden"))
            continue;
        struct golden g = {0};
        char *path = xasprintf("%s/%s", folder, entry->d_name);
        print_message("# %s\n", entry->d_name); /* the last one said is the one that failed */
        read_file(&g, path);
        check(&g);
        free(path);
        text_reset(&g.bytes);
        text_reset(&g.dump);
        count++;
    }
    closedir(dir);
    expect_true(count >= files_min);
}
