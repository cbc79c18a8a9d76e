/* Temporary directories for tests. */
#include "io/test_dir.h"

#include "base/check.h"
#include "base/mem.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

char *test_dir_new(void)
{
    const char *base = getenv("TMPDIR");
    char *path = xasprintf("%s/pabal-test-XXXXXX", base ? base : "/tmp");
    check(mkdtemp(path));
    return path;
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *place)
{
    (void)s, (void)type, (void)place;
    return remove(path);
}

void test_dir_remove(char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(path);
}
