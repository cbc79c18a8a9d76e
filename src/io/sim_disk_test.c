/* The simulated disk: what a crash leaves, each fault, and a comparison with a naive model. */
#include "io/sim_disk.h"

#include "base/mem.h"
#include "base/random.h"
#include "base/vec.h"
#include "tests/test.h"

#include <stdlib.h>

static struct file *must_open(struct disk *disk, const char *path, unsigned flags)
{
    struct file *file;
    expect_ok(disk_open(disk, path, flags, &file));
    return file;
}

/* A file of 'a' bytes, synced with its entry; left open. */
static struct file *synced_file(struct disk *disk, const char *path, size_t size)
{
    struct file *file = must_open(disk, path, DISK_CREATE);
    uint8_t *bytes = xmalloc(size);
    memset(bytes, 'a', size);
    expect_ok(file_write_bytes(file, 0, bytes_of(bytes, size)));
    expect_ok(file_sync(file));
    expect_ok(disk_sync_dir(disk, ""));
    free(bytes);
    return file;
}

static void write_fill(struct file *file, uint64_t position, char fill, size_t size)
{
    uint8_t *bytes = xmalloc(size);
    memset(bytes, fill, size);
    expect_ok(file_write_bytes(file, position, bytes_of(bytes, size)));
    free(bytes);
}

static char byte_at(struct disk *disk, const char *path, uint64_t position)
{
    struct file *file = must_open(disk, path, 0);
    char byte;
    expect_ok(file_read(file, position, &byte, 1));
    file_close(file);
    return byte;
}

static uint64_t size_of(struct disk *disk, const char *path)
{
    struct file *file = must_open(disk, path, 0);
    uint64_t size;
    expect_ok(file_size(file, &size));
    file_close(file);
    return size;
}

static bool exists(struct disk *disk, const char *path)
{
    struct file *file;
    if (disk_open(disk, path, 0, &file))
        return false;
    file_close(file);
    return true;
}

/* ---- crashes ---- */

TEST(a_crash_loses_or_keeps_what_was_not_synced)
{
    for (int mode = SIM_KEEP; mode <= SIM_LOSE; mode++) {
        struct disk *disk = sim_disk_new();
        struct file *file = synced_file(disk, "f", 100);
        write_fill(file, 50, 'b', 100);
        expect_ok(file_truncate(file, 140));
        expect_int(byte_at(disk, "f", 60), 'b');
        file_close(file);
        sim_disk_crash(disk);
        sim_disk_restart(disk, (enum sim_restart)mode, 1);
        expect_int(size_of(disk, "f"), mode == SIM_KEEP ? 140 : 100);
        expect_int(byte_at(disk, "f", 60), mode == SIM_KEEP ? 'b' : 'a');
        disk_free(disk);
    }
}

TEST(entries_are_durable_by_the_sync_of_their_directory_only)
{
    struct disk *disk = sim_disk_new();
    expect_ok(disk_make_dir(disk, "d"));
    struct file *file = must_open(disk, "d/f", DISK_CREATE);
    write_fill(file, 0, 'x', 10);
    expect_ok(file_sync(file));
    file_close(file);
    expect_ok(disk_sync_dir(disk, "d"));
    struct disk *copy = sim_disk_clone(disk);
    sim_disk_restart(copy, SIM_LOSE, 1);
    expect_false(exists(copy, "d/f")); /* d itself was not synced in the root */
    expect_err(disk_sync_dir(copy, "d"), E_NOT_FOUND);
    disk_free(copy);

    expect_ok(disk_sync_dir(disk, ""));
    sim_disk_restart(disk, SIM_LOSE, 1);
    expect_int(byte_at(disk, "d/f", 9), 'x');

    expect_ok(disk_rename(disk, "d/f", "d/g"));
    copy = sim_disk_clone(disk);
    sim_disk_restart(copy, SIM_LOSE, 1);
    expect_true(exists(copy, "d/f"));
    expect_false(exists(copy, "d/g"));
    disk_free(copy);
    expect_ok(disk_sync_dir(disk, "d"));
    expect_ok(disk_remove(disk, "d/g"));
    expect_false(exists(disk, "d/g"));
    sim_disk_restart(disk, SIM_LOSE, 1);
    expect_int(byte_at(disk, "d/g", 9), 'x'); /* an unlink that was lost brings the content back */
    disk_free(disk);
}

TEST(a_file_is_never_under_two_names_after_a_crash)
{
    bool seen[8] = {false};
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct disk *disk = sim_disk_new();
        file_close(must_open(disk, "a", DISK_CREATE));
        expect_ok(disk_rename(disk, "a", "b"));
        expect_ok(disk_rename(disk, "b", "c"));
        sim_disk_restart(disk, SIM_SUBSET, seed);
        int names = exists(disk, "a") | exists(disk, "b") << 1 | exists(disk, "c") << 2;
        expect_true(names == 0 || names == 1 || names == 2 || names == 4);
        seen[names] = true;
        disk_free(disk);
    }
    expect_true(seen[0]);
    expect_true(seen[1]);
    expect_true(seen[2]);
    expect_true(seen[4]);
}

TEST(a_crash_in_an_operation_stops_everything_until_the_restart)
{
    struct disk *disk = sim_disk_new();
    struct file *file = synced_file(disk, "f", 100);
    uint64_t operation = sim_disk_stats(disk)->operations + 2;
    sim_disk_crash_at(disk, operation, 7);
    write_fill(file, 0, 'b', 10);
    expect_err(file_write_bytes(file, 20, BYTES_LITERAL("cccccccccc")), E_SIMULATED_CRASH);
    expect_true(sim_disk_has_crashed(disk));
    char byte;
    uint64_t n;
    struct file *other;
    expect_err(file_read(file, 0, &byte, 1), E_SIMULATED_CRASH);
    expect_err(file_size(file, &n), E_SIMULATED_CRASH);
    expect_err(file_sync(file), E_SIMULATED_CRASH);
    expect_err(file_write_bytes(file, 0, BYTES_LITERAL("x")), E_SIMULATED_CRASH);
    expect_err(file_truncate(file, 0), E_SIMULATED_CRASH);
    expect_err(file_allocate(file, 0, 10, false), E_SIMULATED_CRASH);
    expect_err(disk_open(disk, "f", 0, &other), E_SIMULATED_CRASH);
    expect_err(disk_remove(disk, "f"), E_SIMULATED_CRASH);
    expect_err(disk_remove_dir(disk, "f"), E_SIMULATED_CRASH);
    expect_err(disk_rename(disk, "f", "g"), E_SIMULATED_CRASH);
    expect_err(disk_make_dir(disk, "f"), E_SIMULATED_CRASH);
    expect_err(disk_sync_dir(disk, ""), E_SIMULATED_CRASH);
    expect_err(disk_list(disk, "", NULL, NULL), E_SIMULATED_CRASH);
    expect_err(disk_free_bytes(disk, &n), E_SIMULATED_CRASH);
    expect_err(disk_total_bytes(disk, &n), E_SIMULATED_CRASH);

    sim_disk_restart(disk, SIM_KEEP, 1);
    expect_err(file_read(file, 0, &byte, 1), E_SIMULATED_CRASH); /* a file of the run before */
    file_close(file);
    expect_int(byte_at(disk, "f", 9), 'b');
    expect_int(byte_at(disk, "f", 26), 'c'); /* seven bytes of it */
    expect_int(byte_at(disk, "f", 27), 'a');
    disk_free(disk);
}

TEST(an_operation_that_crashes_has_no_effect)
{
    struct disk *disk = sim_disk_new();
    struct file *file = synced_file(disk, "f", 100);
    write_fill(file, 0, 'b', 10);
    sim_disk_crash_at(disk, sim_disk_stats(disk)->operations + 1, 99);
    expect_err(file_sync(file), E_SIMULATED_CRASH);
    file_close(file);
    sim_disk_restart(disk, SIM_LOSE, 1);
    expect_int(byte_at(disk, "f", 0), 'a');
    sim_disk_crash_at(disk, sim_disk_stats(disk)->operations + 1, 0);
    expect_err(disk_open(disk, "g", DISK_CREATE, &file), E_SIMULATED_CRASH);
    sim_disk_restart(disk, SIM_KEEP, 1);
    expect_false(exists(disk, "g"));
    disk_free(disk);
}

/* Sectors are whole: old or new, and a torn write shows both kinds for some seed. */
TEST(a_torn_write_is_torn_at_sectors)
{
    enum { SECTORS = 8 };
    int torn_count = 0, whole_count = 0, lost_count = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct disk *disk = sim_disk_new();
        struct file *file = synced_file(disk, "f", SECTORS * SIM_SECTOR_BYTES);
        write_fill(file, 100, 'b', (SECTORS - 1) * SIM_SECTOR_BYTES);
        file_close(file);
        sim_disk_restart(disk, SIM_SUBSET, seed);
        char got[SECTORS * SIM_SECTOR_BYTES];
        file = must_open(disk, "f", 0);
        expect_ok(file_read(file, 0, got, sizeof got));
        file_close(file);
        int new_count = 0;
        for (int i = 0; i < SECTORS; i++) {
            const char *sector = got + i * SIM_SECTOR_BYTES;
            int from = i == 0 ? 100 : 0, to = i == SECTORS - 1 ? 100 : SIM_SECTOR_BYTES;
            for (int at = 0; at < SIM_SECTOR_BYTES; at++)
                expect_int(sector[at], at >= from && at < to ? sector[from] : 'a');
            new_count += sector[from] == 'b';
        }
        torn_count += new_count > 0 && new_count < SECTORS;
        whole_count += new_count == SECTORS;
        lost_count += new_count == 0;
        disk_free(disk);
    }
    expect_true(torn_count > 50);
    expect_true(whole_count > 50);
    expect_true(lost_count > 50);
}

TEST(a_sector_never_has_a_later_write_without_the_earlier_one)
{
    int both = 0, first_only = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct disk *disk = sim_disk_new();
        struct file *file = synced_file(disk, "f", 1024);
        write_fill(file, 0, 'b', 10);
        write_fill(file, 10, 'c', 10);
        file_close(file);
        sim_disk_restart(disk, SIM_SUBSET, seed);
        char first = byte_at(disk, "f", 0), second = byte_at(disk, "f", 10);
        expect_true(first == 'b' || second == 'a');
        both += second == 'c';
        first_only += first == 'b' && second == 'a';
        disk_free(disk);
    }
    expect_true(both > 20);
    expect_true(first_only > 20);
}

TEST(a_seed_repeats_a_crash)
{
    struct disk *disk = sim_disk_new();
    struct file *file = synced_file(disk, "f", 64 * 512);
    for (uint64_t i = 0; i < 20; i++)
        write_fill(file, i * 1500, (char)('b' + i), 2000);
    file_close(file);
    char *one = xmalloc(64 * 512), *two = xmalloc(64 * 512);
    for (uint64_t seed = 0; seed < 20; seed++) {
        for (int i = 0; i < 2; i++) {
            struct disk *copy = sim_disk_clone(disk);
            sim_disk_restart(copy, SIM_SUBSET, seed);
            file = must_open(copy, "f", 0);
            expect_ok(file_read(file, 0, i ? two : one, 64 * 512));
            file_close(file);
            disk_free(copy);
        }
        expect_bytes(bytes_of(one, 64 * 512), bytes_of(two, 64 * 512));
    }
    free(one);
    free(two);
    disk_free(disk);
}

TEST(a_clone_goes_its_own_way)
{
    struct disk *disk = sim_disk_new();
    struct file *file = synced_file(disk, "f", 10000);
    write_fill(file, 0, 'b', 10);
    struct disk *copy = sim_disk_clone(disk);
    write_fill(file, 0, 'c', 10);
    expect_ok(file_sync(file));
    file_close(file);
    file = must_open(copy, "f", 0);
    write_fill(file, 5000, 'd', 10);
    file_close(file);
    expect_ok(disk_remove(disk, "f"));
    expect_int(byte_at(copy, "f", 0), 'b');
    expect_int(byte_at(copy, "f", 5000), 'd');
    sim_disk_restart(copy, SIM_LOSE, 1);
    expect_int(byte_at(copy, "f", 0), 'a');
    disk_free(copy);
    sim_disk_restart(disk, SIM_LOSE, 1);
    expect_int(byte_at(disk, "f", 0), 'c');
    expect_int(byte_at(disk, "f", 5000), 'a');
    disk_free(disk);
}

/* ---- faults ---- */

TEST(after_a_failed_sync_the_data_is_read_but_lost_in_a_crash)
{
    struct disk *disk = sim_disk_new();
    struct file *file = synced_file(disk, "f", 100);
    write_fill(file, 0, 'b', 10);
    sim_disk_fail(disk, SIM_SYNC, 1, E_IO);
    expect_err(file_sync(file), E_IO);
    expect_int(byte_at(disk, "f", 0), 'b');
    write_fill(file, 50, 'c', 10);
    expect_ok(file_sync(file)); /* lies about the first write, as Linux does */
    file_close(file);
    struct disk *copy = sim_disk_clone(disk);
    for (int mode = SIM_KEEP; mode <= SIM_SUBSET; mode++) {
        sim_disk_restart(copy, (enum sim_restart)mode, 1);
        expect_int(byte_at(copy, "f", 0), 'a');
        expect_int(byte_at(copy, "f", 50), 'c');
    }
    disk_free(copy);
    disk_free(disk);
}

TEST(each_handle_that_was_open_is_told_once_of_a_sync_that_failed)
{
    struct disk *disk = sim_disk_new();
    struct file *file = synced_file(disk, "f", 100), *other, *later;
    expect_ok(disk_open(disk, "f", 0, &other));
    write_fill(file, 0, 'b', 10);
    sim_disk_fail(disk, SIM_SYNC, 1, E_IO);
    expect_err(file_sync(file), E_IO);
    expect_ok(disk_open(disk, "f", 0, &later));
    expect_err(file_sync(other), E_IO);
    expect_ok(file_sync(other));
    expect_ok(file_sync(file));
    expect_ok(file_sync(later));
    file_close(file);
    file_close(other);
    file_close(later);
    disk_free(disk);
}

TEST(each_kind_of_call_can_fail_once_at_the_nth_time)
{
    struct disk *disk = sim_disk_new();
    struct file *file = synced_file(disk, "f", 100), *other;
    char byte;
    sim_disk_fail(disk, SIM_READ, 2, E_IO);
    expect_ok(file_read(file, 0, &byte, 1));
    expect_err(file_read(file, 0, &byte, 1), E_IO);
    expect_ok(file_read(file, 0, &byte, 1));
    sim_disk_fail(disk, SIM_OPEN, 1, E_FULL);
    expect_err(disk_open(disk, "f", 0, &other), E_FULL);
    sim_disk_fail(disk, SIM_ALLOCATE, 1, E_IO);
    expect_err(file_allocate(file, 0, 10, true), E_IO);
    sim_disk_fail(disk, SIM_TRUNCATE, 1, E_IO);
    expect_err(file_truncate(file, 0), E_IO);
    sim_disk_fail(disk, SIM_REMOVE, 1, E_IO);
    expect_err(disk_remove(disk, "f"), E_IO);
    sim_disk_fail(disk, SIM_RENAME, 1, E_IO);
    expect_err(disk_rename(disk, "f", "g"), E_IO);
    sim_disk_fail(disk, SIM_MAKE_DIR, 1, E_IO);
    expect_err(disk_make_dir(disk, "d"), E_IO);
    sim_disk_fail(disk, SIM_SYNC_DIR, 1, E_IO);
    expect_err(disk_sync_dir(disk, ""), E_IO);
    expect_err_text("simulated fault");
    sim_disk_fail(disk, SIM_WRITE, 1, E_IO);
    expect_err(file_write_bytes(file, 0, BYTES_LITERAL("bbbb")), E_IO);
    expect_int(byte_at(disk, "f", 1), 'b'); /* half of it happened */
    expect_int(byte_at(disk, "f", 2), 'a');
    expect_int(size_of(disk, "f"), 100);
    file_close(file);
    disk_free(disk);
}

TEST(a_full_disk_refuses_only_what_needs_new_space)
{
    struct disk *disk = sim_disk_new();
    uint64_t bytes;
    sim_disk_set_capacity(disk, 4 * 4096);
    struct file *file = must_open(disk, "f", DISK_CREATE);
    expect_ok(file_allocate(file, 0, 3 * 4096, true));
    expect_err(file_allocate(file, 2 * 4096, 6 * 4096, true), E_NO_SPACE);
    expect_ok(disk_free_bytes(disk, &bytes));
    expect_int(bytes, 4096);
    expect_ok(disk_total_bytes(disk, &bytes));
    expect_int(bytes, 4 * 4096);

    struct file *other = must_open(disk, "g", DISK_CREATE);
    uint8_t two_pages[8192] = {0};
    expect_err(file_write_bytes(other, 0, bytes_of(two_pages, 8192)), E_NO_SPACE);
    expect_int(size_of(disk, "g"), 4096); /* what fitted */
    expect_ok(file_write_bytes(file, 4096, bytes_of(two_pages, 8192)));
    expect_ok(file_sync(file));

    expect_ok(disk_remove(disk, "g")); /* still open: its space stays taken */
    expect_err(file_write_bytes(file, 3 * 4096, bytes_of(two_pages, 1)), E_NO_SPACE);
    file_close(other);
    expect_ok(file_write_bytes(file, 3 * 4096, bytes_of(two_pages, 1)));
    expect_ok(file_truncate(file, 4096));
    expect_ok(disk_free_bytes(disk, &bytes));
    expect_int(bytes, 3 * 4096);

    other = must_open(disk, "h", DISK_CREATE);
    expect_ok(file_write_bytes(other, 0, bytes_of(two_pages, 4096)));
    file_close(other);
    expect_ok(disk_rename(disk, "h", "f")); /* replaced, but still open */
    expect_ok(disk_free_bytes(disk, &bytes));
    expect_int(bytes, 2 * 4096);
    file_close(file);
    expect_ok(disk_free_bytes(disk, &bytes));
    expect_int(bytes, 3 * 4096);
    disk_free(disk);
}

TEST(a_crash_may_take_back_allocated_space)
{
    struct disk *disk = sim_disk_new();
    struct file *file = synced_file(disk, "f", 100);
    expect_ok(file_allocate(file, 0, 3 * 4096, true));
    file_close(file);
    sim_disk_restart(disk, SIM_LOSE, 1);
    sim_disk_set_capacity(disk, 4096);
    file = must_open(disk, "f", 0);
    expect_err(file_write_bytes(file, 4096, BYTES_LITERAL("x")), E_NO_SPACE);
    file_close(file);
    disk_free(disk);
}

TEST(a_flipped_bit_is_seen_and_survives)
{
    struct disk *disk = sim_disk_new();
    struct file *file = synced_file(disk, "f", 100);
    expect_ok(sim_disk_flip(disk, "f", 50));
    expect_int(byte_at(disk, "f", 50), 'a' ^ 0x10);
    file_close(file);
    sim_disk_restart(disk, SIM_LOSE, 1);
    expect_int(byte_at(disk, "f", 50), 'a' ^ 0x10);
    expect_int(byte_at(disk, "f", 51), 'a');
    expect_err(sim_disk_flip(disk, "f", 100), E_OUT_OF_RANGE);
    expect_err(sim_disk_flip(disk, "nothing", 0), E_NOT_FOUND);
    disk_free(disk);
}

TEST(the_mutant_that_ignores_syncs_loses_synced_data)
{
    struct disk *disk = sim_disk_new();
    file_close(synced_file(disk, "f", 10));
    sim_disk_ignore_sync(disk, true);
    struct file *file = must_open(disk, "f", 0);
    write_fill(file, 0, 'b', 10);
    expect_ok(file_sync(file));
    file_close(file);
    file_close(must_open(disk, "g", DISK_CREATE));
    expect_ok(disk_sync_dir(disk, ""));
    sim_disk_restart(disk, SIM_LOSE, 1);
    expect_int(byte_at(disk, "f", 0), 'a');
    expect_false(exists(disk, "g"));
    disk_free(disk);
}

TEST(the_simulated_disk_has_the_refusals_of_a_real_one)
{
    struct disk *disk = sim_disk_new();
    struct file *file;
    expect_ok(disk_make_dir(disk, "d"));
    expect_err(disk_open(disk, "d", 0, &file), E_INVALID);
    expect_err(disk_remove(disk, "d"), E_INVALID);
    file_close(must_open(disk, "f", DISK_CREATE));
    expect_err(disk_remove_dir(disk, "f"), E_INVALID);
    expect_err(disk_rename(disk, "f", "d/f"), E_UNSUPPORTED);
    expect_ok(disk_rename(disk, "f", "f"));
    expect_true(exists(disk, "f"));
    const char *long_name = "0123456789012345678901234567890123456789012345678901234567890";
    expect_err(disk_open(disk, long_name, DISK_CREATE, &file), E_NOT_FOUND);
    disk_free(disk);
}

TEST(calls_and_bytes_are_counted)
{
    struct disk *disk = sim_disk_new();
    struct file *file = synced_file(disk, "f", 100);
    char got[30];
    expect_ok(file_read(file, 0, got, 30));
    const struct sim_disk_stats *stats = sim_disk_stats(disk);
    expect_int(stats->operations, 4); /* create, write, sync, sync of the directory */
    expect_int(stats->calls[SIM_OPEN], 1);
    expect_int(stats->calls[SIM_WRITE], 1);
    expect_int(stats->calls[SIM_SYNC], 1);
    expect_int(stats->calls[SIM_SYNC_DIR], 1);
    expect_int(stats->calls[SIM_READ], 1);
    expect_int(stats->write_bytes, 100);
    expect_int(stats->read_bytes, 30);
    file_close(file);
    disk_free(disk);
}

/* ---- against a naive model ---- */

enum { MODEL_BYTES = 40000, MODEL_STEPS = 60 };

/* One file as plain arrays: synced, visible, and all that was visible in between. */
struct model {
    uint8_t synced[MODEL_BYTES], visible[MODEL_BYTES];
    uint64_t synced_size, visible_size;
    bool sized;              /* a truncate or an allocation waits for the sync */
    VEC(uint8_t *) versions; /* of all of `visible`, since the last sync, oldest first */
};

static void model_note_version(struct model *m)
{
    vec_push(&m->versions, xmemdup(m->visible, MODEL_BYTES));
}

static void model_drop_versions(struct model *m)
{
    for (size_t i = 0; i < m->versions.count; i++)
        free(m->versions.items[i]);
    vec_clear(&m->versions);
}

static void model_sync(struct model *m)
{
    memcpy(m->synced, m->visible, MODEL_BYTES);
    m->synced_size = m->visible_size;
    m->sized = false;
    model_drop_versions(m);
}

static void random_step(struct model *m, struct file *file, struct random *random)
{
    uint64_t from = random_below(random, MODEL_BYTES - 1);
    uint64_t to = from + random_below(random, MODEL_BYTES - from);
    uint8_t fill = (uint8_t)(1 + random_below(random, 255));
    switch (random_below(random, 8)) {
    case 0:
        expect_ok(file_truncate(file, from));
        if (from < m->visible_size)
            memset(m->visible + from, 0, MODEL_BYTES - from);
        m->visible_size = from;
        m->sized = true;
        break;
    case 1:
        expect_ok(file_allocate(file, from, to, random_below(random, 2)));
        memset(m->visible + from, 0, to - from);
        m->visible_size = to > m->visible_size && to > from ? to : m->visible_size;
        m->sized = true;
        break;
    case 2:
        expect_ok(file_sync(file));
        model_sync(m);
        return;
    default:
        to = from + (to - from) % 3000;
        write_fill(file, from, (char)fill, to - from);
        memset(m->visible + from, fill, to - from);
        m->visible_size = to > m->visible_size && to > from ? to : m->visible_size;
    }
    model_note_version(m);
}

static void expect_file(struct disk *disk, const uint8_t *bytes, uint64_t size)
{
    static uint8_t got[MODEL_BYTES];
    struct file *file = must_open(disk, "f", 0);
    expect_int(size_of(disk, "f"), size);
    expect_ok(file_read(file, 0, got, size));
    file_close(file);
    expect_bytes(bytes_of(got, size), bytes_of(bytes, size));
}

/* Each sector is as synced or as it was after some step since; only for runs of plain writes, where
 * sizes cannot move zeros about. */
static void expect_sectors_of_some_version(struct disk *disk, const struct model *m)
{
    static uint8_t got[MODEL_BYTES];
    uint64_t size = size_of(disk, "f");
    struct file *file = must_open(disk, "f", 0);
    expect_ok(file_read(file, 0, got, size));
    file_close(file);
    expect_true(size >= m->synced_size);
    expect_true(size <= m->visible_size);
    for (uint64_t at = 0; at < size; at += SIM_SECTOR_BYTES) {
        size_t n = size - at < SIM_SECTOR_BYTES ? size - at : SIM_SECTOR_BYTES;
        bool known = memcmp(got + at, m->synced + at, n) == 0;
        for (size_t i = 0; i < m->versions.count && !known; i++)
            known = memcmp(got + at, m->versions.items[i] + at, n) == 0;
        expect_true(known);
    }
}

static void try_model(uint64_t seed)
{
    static struct model m;
    memset(&m, 0, sizeof m);
    struct random random;
    random_init(&random, seed);
    struct disk *disk = sim_disk_new();
    struct file *file = must_open(disk, "f", DISK_CREATE);
    expect_ok(disk_sync_dir(disk, ""));
    for (uint64_t i = random_below(&random, MODEL_STEPS); i > 0; i--)
        random_step(&m, file, &random);
    expect_file(disk, m.visible, m.visible_size);
    file_close(file);

    struct disk *copies[3];
    for (int mode = SIM_KEEP; mode <= SIM_SUBSET; mode++) {
        copies[mode] = sim_disk_clone(disk);
        sim_disk_restart(copies[mode], (enum sim_restart)mode, seed);
    }
    expect_file(copies[SIM_KEEP], m.visible, m.visible_size);
    expect_file(copies[SIM_LOSE], m.synced, m.synced_size);
    if (!m.sized)
        expect_sectors_of_some_version(copies[SIM_SUBSET], &m);
    for (int mode = SIM_KEEP; mode <= SIM_SUBSET; mode++)
        disk_free(copies[mode]);
    expect_file(disk, m.visible, m.visible_size);
    disk_free(disk);
    model_drop_versions(&m);
    vec_reset(&m.versions);
}

TEST(the_simulated_disk_behaves_as_a_naive_model)
{
    for (uint64_t i = 0; i < 1500; i++)
        try_model(test_seed() + i);
}
