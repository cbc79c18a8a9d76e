/* What every disk must do, tried on the operating system's and on the simulated one. */
#include "io/disk.h"

#include "base/mem.h"
#include "io/sim_disk.h"
#include "io/test_dir.h"
#include "tests/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the contract ---- */

static struct file *must_open(struct disk *disk, const char *path, unsigned flags)
{
    struct file *file;
    expect_ok(disk_open(disk, path, flags, &file));
    return file;
}

static void expect_content(struct file *file, uint64_t position, const char *wanted)
{
    char got[64];
    size_t size = strlen(wanted);
    expect_ok(file_read(file, position, got, size));
    expect_bytes(bytes_of(got, size), bytes_from_string(wanted));
}

static void expect_size(struct file *file, uint64_t wanted)
{
    uint64_t size;
    expect_ok(file_size(file, &size));
    expect_int(size, wanted);
}

static void files_are_created_found_and_missing(struct disk *disk)
{
    struct file *file;
    expect_err(disk_open(disk, "a", 0, &file), E_NOT_FOUND);
    expect_err_text("open a");
    file_close(must_open(disk, "a", DISK_CREATE | DISK_EXCLUSIVE));
    expect_err(disk_open(disk, "a", DISK_CREATE | DISK_EXCLUSIVE, &file), E_EXISTS);
    file_close(must_open(disk, "a", DISK_CREATE));
    file_close(must_open(disk, "a", DISK_READ_ONLY));
    expect_err(disk_open(disk, "missing/a", DISK_CREATE, &file), E_NOT_FOUND);
}

static void written_parts_are_read_back(struct disk *disk)
{
    struct file *file = must_open(disk, "w", DISK_CREATE);
    struct iovec parts[] = {{"ab", 2}, {NULL, 0}, {"cdef", 4}};
    expect_ok(file_write(file, 3, parts, 3));
    expect_size(file, 9);
    expect_content(file, 3, "abcdef");
    char got[4];
    expect_ok(file_read(file, 0, got, 4));
    expect_bytes(bytes_of(got, 4), BYTES_LITERAL("\0\0\0a"));
    expect_ok(file_write_bytes(file, 4, BYTES_LITERAL("XY")));
    expect_content(file, 3, "aXYdef");
    expect_ok(file_write(file, 0, parts, 0));
    expect_ok(file_sync(file));
    file_close(file);
}

static void more_parts_than_one_call_takes_are_written(struct disk *disk)
{
    enum { COUNT = 3000 };
    struct file *file = must_open(disk, "parts", DISK_CREATE);
    struct iovec *parts = xmalloc(COUNT * sizeof *parts);
    uint16_t *values = xmalloc(COUNT * sizeof *values);
    for (int i = 0; i < COUNT; i++) {
        values[i] = (uint16_t)i;
        parts[i] = (struct iovec){&values[i], sizeof *values};
    }
    expect_ok(file_write(file, 10, parts, COUNT));
    uint16_t *got = xzalloc(COUNT * sizeof *got);
    expect_ok(file_read(file, 10, got, COUNT * sizeof *got));
    expect_bytes(bytes_of(got, COUNT * sizeof *got), bytes_of(values, COUNT * sizeof *values));
    free(got);
    free(values);
    free(parts);
    file_close(file);
}

static void a_read_behind_the_end_is_out_of_range(struct disk *disk)
{
    struct file *file = must_open(disk, "short", DISK_CREATE);
    char got[8];
    expect_ok(file_write_bytes(file, 0, BYTES_LITERAL("abc")));
    expect_err(file_read(file, 1, got, 3), E_OUT_OF_RANGE);
    expect_err(file_read(file, 100, got, 1), E_OUT_OF_RANGE);
    expect_ok(file_read(file, 3, got, 0));
    file_close(file);
}

static void allocated_space_reads_as_zeros(struct disk *disk, bool written)
{
    struct file *file = must_open(disk, written ? "zeros" : "allocated", DISK_CREATE);
    char got[8192];
    expect_ok(file_write_bytes(file, 0, BYTES_LITERAL("abcdefgh")));
    expect_ok(file_allocate(file, 4, 10000, written));
    expect_size(file, 10000);
    expect_content(file, 0, "abcd");
    memset(got, 1, sizeof got);
    expect_ok(file_read(file, 4, got, sizeof got));
    for (size_t i = 0; i < sizeof got; i++)
        expect_int(got[i], 0);
    expect_ok(file_allocate(file, 100, 200, written)); /* inside: the size stays */
    expect_size(file, 10000);
    expect_ok(file_allocate(file, 5, 5, written));
    file_close(file);
}

static void what_is_begun_changes_nothing(struct disk *disk)
{
    struct file *file = must_open(disk, "begun", DISK_CREATE);
    expect_ok(file_write_bytes(file, 0, BYTES_LITERAL("abcdef")));
    file_start_sync(file, 0, 4);
    file_start_sync(file, 4, 1 << 20); /* beyond its end too */
    file_start_read(file, 2, 1 << 20);
    expect_ok(file_write_out(file, 0, 0));
    expect_ok(file_write_out(file, 2, 6));
    expect_size(file, 6);
    expect_content(file, 0, "abcdef");
    expect_ok(file_sync(file));
    file_close(file);
}

static void what_is_read_in_changes_nothing(struct disk *disk)
{
    struct file *file = must_open(disk, "in", DISK_CREATE);
    expect_ok(file_read_in(file, 0));
    expect_ok(file_write_bytes(file, 0, BYTES_LITERAL("abcdef")));
    expect_ok(file_read_in(file, 6));
    expect_ok(file_allocate(file, 6, 3 << 20, false));
    expect_ok(file_read_in(file, 3 << 20));
    expect_size(file, 3 << 20);
    expect_content(file, 0, "abcdef");
    expect_int(file_read_in(file, 6 << 20), E_OUT_OF_RANGE); /* it has no more */
    file_close(file);
}

static void a_file_cut_and_grown_again_has_zeros(struct disk *disk)
{
    struct file *file = must_open(disk, "cut", DISK_CREATE);
    expect_ok(file_write_bytes(file, 0, BYTES_LITERAL("abcdef")));
    expect_ok(file_truncate(file, 2));
    expect_size(file, 2);
    expect_ok(file_truncate(file, 6));
    char got[6];
    expect_ok(file_read(file, 0, got, 6));
    expect_bytes(bytes_of(got, 6), BYTES_LITERAL("ab\0\0\0\0"));
    file_close(file);
}

static void collect(void *ctx, const char *name)
{
    char *all = ctx;
    if (strcmp(name, "lock") == 0)
        return;
    size_t used = strlen(all);
    snprintf(all + used, 64 - used, "%s ", name);
}

static void expect_list(struct disk *disk, const char *path, const char *wanted)
{
    char all[64] = "";
    expect_ok(disk_list(disk, path, collect, all));
    expect_string(all, wanted);
}

static void directories_list_their_entries(struct disk *disk)
{
    char all[64] = "";
    expect_ok(disk_make_dir(disk, "d"));
    expect_ok(disk_make_dir(disk, "d"));
    expect_ok(disk_make_dir(disk, "d/e"));
    expect_err(disk_make_dir(disk, "x/y"), E_NOT_FOUND);
    expect_list(disk, "d/e", "");
    file_close(must_open(disk, "d/e/one", DISK_CREATE));
    expect_list(disk, "d/e", "one ");
    expect_list(disk, "d", "e ");
    expect_ok(disk_sync_dir(disk, "d/e"));
    expect_ok(disk_sync_dir(disk, ""));
    expect_err(disk_sync_dir(disk, "x"), E_NOT_FOUND);
    expect_err(disk_list(disk, "x", collect, all), E_NOT_FOUND);
    expect_err(disk_remove_dir(disk, "d/e"), E_NOT_EMPTY);
    expect_ok(disk_remove(disk, "d/e/one"));
    expect_ok(disk_remove(disk, "d/e/one")); /* a missing file is fine */
    expect_ok(disk_remove_dir(disk, "d/e"));
    expect_ok(disk_remove_dir(disk, "d/e"));
    expect_list(disk, "d", "");
}

static void a_rename_replaces(struct disk *disk)
{
    struct file *file = must_open(disk, "old", DISK_CREATE);
    expect_ok(file_write_bytes(file, 0, BYTES_LITERAL("old")));
    file_close(file);
    file = must_open(disk, "new", DISK_CREATE);
    expect_ok(file_write_bytes(file, 0, BYTES_LITERAL("new")));
    expect_ok(disk_rename(disk, "new", "old"));
    expect_content(file, 0, "new"); /* an open file keeps its content */
    file_close(file);
    file = must_open(disk, "old", 0);
    expect_content(file, 0, "new");
    file_close(file);
    expect_err(disk_open(disk, "new", 0, &file), E_NOT_FOUND);
    expect_err(disk_rename(disk, "new", "old"), E_NOT_FOUND);
}

static void a_removed_file_lives_while_it_is_open(struct disk *disk)
{
    struct file *file = must_open(disk, "gone", DISK_CREATE);
    expect_ok(file_write_bytes(file, 0, BYTES_LITERAL("still")));
    expect_ok(disk_remove(disk, "gone"));
    expect_content(file, 0, "still");
    file_close(file);
}

static void direct_files_take_whole_blocks(struct disk *disk)
{
    size_t block = disk->block_bytes;
    struct file *file = must_open(disk, "direct", DISK_CREATE | DISK_DIRECT);
    uint8_t *a = aligned_alloc(block, 4 * block);
    memset(a, 'a', 2 * block);
    memset(a + 2 * block, 0, 2 * block);
    expect_ok(file_allocate(file, 0, 8 * block, true));
    struct iovec parts[] = {{a, block}, {a + block, block}};
    expect_ok(file_write(file, 3 * block, parts, 2));
    expect_ok(file_sync(file));
    expect_ok(file_read(file, 4 * block, a + 2 * block, block));
    expect_bytes(bytes_of(a + 2 * block, block), bytes_of(a, block));
    free(a);
    file_close(file);
}

static void uncached_files_keep_what_is_written(struct disk *disk)
{
    struct file *file = must_open(disk, "uncached", DISK_CREATE | DISK_UNCACHED);
    expect_ok(file_write_bytes(file, 0, BYTES_LITERAL("one ")));
    expect_ok(file_sync(file));
    expect_ok(file_write_bytes(file, 4, BYTES_LITERAL("two")));
    expect_content(file, 0, "one two");
    file_close(file);
}

static void free_space_is_told(struct disk *disk)
{
    uint64_t bytes, total;
    expect_ok(disk_free_bytes(disk, &bytes));
    expect_ok(disk_total_bytes(disk, &total));
    expect_true(bytes > 0);
    expect_true(total >= bytes);
}

static void a_large_file_is_removed_in_steps(struct disk *disk)
{
    struct file *file = must_open(disk, "large", DISK_CREATE);
    uint64_t size = (5 << 20) + 1;
    expect_ok(file_write_bytes(file, size - 1, BYTES_LITERAL("x")));
    file_close(file);
    expect_int(file_step_below(size), 4 << 20);
    expect_int(file_step_below(4 << 20), 2 << 20);
    expect_int(file_step_below(2 << 20), 0);
    expect_int(file_step_below(0), 0);
    struct unnamed_file unnamed;
    expect_ok(disk_unname(disk, "large", &unnamed));
    expect_int(unnamed.size, size);
    expect_err(disk_open(disk, "large", 0, &file), E_NOT_FOUND);
    file_give_back(disk, &unnamed);
    expect_null(unnamed.file);
    expect_ok(disk_unname(disk, "large", &unnamed));
    expect_null(unnamed.file);
    expect_int(unnamed.size, 0);
    file_give_back(disk, &unnamed);
}

static void keeps_the_contract(struct disk *disk)
{
    files_are_created_found_and_missing(disk);
    written_parts_are_read_back(disk);
    more_parts_than_one_call_takes_are_written(disk);
    a_read_behind_the_end_is_out_of_range(disk);
    allocated_space_reads_as_zeros(disk, false);
    allocated_space_reads_as_zeros(disk, true);
    what_is_begun_changes_nothing(disk);
    what_is_read_in_changes_nothing(disk);
    a_file_cut_and_grown_again_has_zeros(disk);
    directories_list_their_entries(disk);
    a_rename_replaces(disk);
    a_removed_file_lives_while_it_is_open(disk);
    direct_files_take_whole_blocks(disk);
    uncached_files_keep_what_is_written(disk);
    a_large_file_is_removed_in_steps(disk);
    free_space_is_told(disk);
}

TEST(the_real_disk_keeps_the_contract)
{
    char *root = test_dir_new();
    struct disk *disk;
    expect_ok(disk_real_new(root, &disk));
    keeps_the_contract(disk);
    disk_free(disk);
    test_dir_remove(root);
}

/* /dev/shm is a file system that knows neither ZERO_RANGE nor, on older systems, O_DIRECT. */
TEST(the_real_disk_keeps_the_contract_in_memory_file_systems)
{
    char root[] = "/dev/shm/pabal-test-XXXXXX";
    if (!mkdtemp(root))
        skip();
    struct disk *disk;
    expect_ok(disk_real_new(root, &disk));
    keeps_the_contract(disk);
    disk_free(disk);
    test_dir_remove(xstrdup(root));
}

TEST(the_simulated_disk_keeps_the_contract)
{
    struct disk *disk = sim_disk_new();
    keeps_the_contract(disk);
    disk_free(disk);
}

/* ---- the real disk alone ---- */

TEST(a_data_directory_is_made_private_and_belongs_to_one_process)
{
    char *base = test_dir_new();
    char *root = xasprintf("%s/data", base);
    struct disk *first, *second;
    expect_ok(disk_real_new(root, &first));
    struct stat s;
    expect_int(stat(root, &s), 0);
    expect_int(s.st_mode & 0777, 0700);
    expect_true(first->block_bytes == 512 || first->block_bytes == 4096 ||
                first->block_bytes == 1024 || first->block_bytes == 2048);

    expect_err(disk_real_new(root, &second), E_LOCKED);
    expect_err_text(root);
    disk_free(first);
    expect_ok(disk_real_new(root, &second)); /* the lock ends with its holder */
    disk_free(second);
    free(root);
    test_dir_remove(base);
}

/* A step that ended inside a folio of the page cache would clear the folio's other part. */
TEST(what_a_socket_has_of_a_file_stays_when_the_file_is_made_shorter)
{
    enum { SIZE = 6 << 20, SENT = 64 << 10 };
    char *root = test_dir_new();
    struct disk *disk;
    int ends[2];
    expect_ok(disk_real_new(root, &disk));
    expect_int(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    struct text bytes = {0}, got = {0};
    memset(text_reserve(&bytes, SIZE), 'x', SIZE);
    struct file *file = must_open(disk, "f", DISK_CREATE);
    expect_ok(file_write_bytes(file, 0, bytes_of(bytes.data, SIZE)));
    for (uint64_t size = SIZE; size > 0;) {
        size = file_step_below(size);
        off_t at = (off_t)size;
        expect_int(sendfile(ends[0], file_descriptor(file), &at, SENT), SENT);
        expect_ok(file_truncate(file, size));
        expect_int(recv(ends[1], text_reserve(&got, SENT), SENT, MSG_WAITALL), SENT);
        expect_int(memcmp(got.data, bytes.data, SENT), 0);
    }
    file_close(file);
    close(ends[0]);
    close(ends[1]);
    text_reset(&bytes);
    text_reset(&got);
    disk_free(disk);
    test_dir_remove(root);
}

TEST(a_data_directory_that_cannot_be_is_an_error)
{
    struct disk *disk;
    expect_err(disk_real_new("/proc/nowhere/data", &disk), E_NOT_FOUND);
    expect_err_text("data directory /proc/nowhere/data");
    expect_err(disk_real_new("/dev/null", &disk), E_NOT_FOUND); /* not a directory */
    disk_free(NULL);
    file_close(NULL);
}

/* /dev/full fails each write as a full disk does; links lead to it from inside the root. */
TEST(a_full_disk_says_no_space)
{
    char *root = test_dir_new();
    char *link = xasprintf("%s/full", root);
    expect_int(symlink("/dev/full", link), 0);
    struct disk *disk;
    expect_ok(disk_real_new(root, &disk));
    struct file *file = must_open(disk, "full", 0);
    expect_err(file_write_bytes(file, 0, BYTES_LITERAL("x")), E_NO_SPACE);
    expect_err_text("pwritev");
    expect_err(file_sync(file), E_INVALID); /* a device without storage cannot be synced */
    expect_err(file_sync(file), E_IO);      /* and is never asked again */
    expect_err_text("failed before");
    expect_err(file_truncate(file, 5), E_INVALID);
    file_close(file);
    disk_free(disk);
    free(link);
    test_dir_remove(root);
}

TEST(a_read_only_file_refuses_writes)
{
    char *root = test_dir_new();
    struct disk *disk;
    expect_ok(disk_real_new(root, &disk));
    file_close(must_open(disk, "a", DISK_CREATE));
    struct file *file = must_open(disk, "a", DISK_READ_ONLY);
    expect_err(file_write_bytes(file, 0, BYTES_LITERAL("x")), E_IO);
    file_close(file);
    disk_free(disk);
    test_dir_remove(root);
}
