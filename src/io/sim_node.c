/* What is synced, what is visible, and what a crash leaves of the difference. */
#include "io/sim_node_internal.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdlib.h>

struct node *node_new(bool is_dir)
{
    struct node *n = xzalloc(sizeof *n);
    n->refs = 1;
    n->is_dir = is_dir;
    if (!is_dir) {
        n->synced = content_new();
        n->visible = content_ref(n->synced);
    }
    return n;
}

struct node *node_ref(struct node *n)
{
    n->refs++;
    return n;
}

static void drop_changes(struct node *n)
{
    for (size_t i = 0; i < n->changes.count; i++) {
        struct chunk *chunk = n->changes.items[i].chunk;
        if (chunk && --chunk->refs == 0)
            free(chunk);
    }
    n->changes.count = 0;
    n->has_lost = false;
}

static void drop_entries(struct entry_vec *entries)
{
    for (size_t i = 0; i < entries->count; i++)
        node_unref(entries->items[i].node);
    vec_reset(entries);
}

static void drop_dir_changes(struct node *dir)
{
    for (size_t i = 0; i < dir->dir_changes.count; i++)
        if (dir->dir_changes.items[i].added.node)
            node_unref(dir->dir_changes.items[i].added.node);
    dir->dir_changes.count = 0;
}

void node_unref(struct node *n)
{
    if (--n->refs > 0)
        return;
    drop_changes(n);
    drop_dir_changes(n);
    drop_entries(&n->entries);
    drop_entries(&n->synced_entries);
    vec_reset(&n->changes);
    vec_reset(&n->dir_changes);
    content_unref(n->synced);
    content_unref(n->visible);
    free(n);
}

/* ---- cloning ---- */

static void clone_entries(const struct entry_vec *from, struct entry_vec *to)
{
    vec_reserve(to, from->count);
    for (size_t i = 0; i < from->count; i++) {
        struct entry e = from->items[i];
        e.node = node_clone(e.node);
        vec_push(to, e);
    }
}

struct node *node_clone(struct node *n)
{
    if (n->copy)
        return node_ref(n->copy);
    struct node *copy = xzalloc(sizeof *copy);
    n->copy = copy;
    copy->refs = 1;
    copy->is_dir = n->is_dir;
    copy->link_count = n->link_count;
    copy->has_lost = n->has_lost;
    copy->synced = n->synced ? content_ref(n->synced) : NULL;
    copy->visible = n->visible ? content_ref(n->visible) : NULL;
    for (size_t i = 0; i < n->changes.count; i++) {
        struct change change = n->changes.items[i];
        if (change.chunk)
            change.chunk->refs++;
        vec_push(&copy->changes, change);
    }
    clone_entries(&n->entries, &copy->entries);
    clone_entries(&n->synced_entries, &copy->synced_entries);
    for (size_t i = 0; i < n->dir_changes.count; i++) {
        struct dir_change change = n->dir_changes.items[i];
        if (change.added.node)
            change.added.node = node_clone(change.added.node);
        vec_push(&copy->dir_changes, change);
    }
    return copy;
}

void node_forget_copies(struct node *n)
{
    if (!n->copy)
        return;
    n->copy = NULL;
    for (size_t i = 0; i < n->entries.count; i++)
        node_forget_copies(n->entries.items[i].node);
    for (size_t i = 0; i < n->synced_entries.count; i++)
        node_forget_copies(n->synced_entries.items[i].node);
    for (size_t i = 0; i < n->dir_changes.count; i++)
        if (n->dir_changes.items[i].added.node)
            node_forget_copies(n->dir_changes.items[i].added.node);
}

/* ---- changes of a file ---- */

static void apply(struct content **c, const struct change *change)
{
    switch (change->kind) {
    case CHANGE_WRITE:
        content_write(c, change->from, bytes_of(change->chunk->bytes, change->chunk->size));
        return;
    case CHANGE_ZERO: content_zero(c, change->from, change->to); return;
    case CHANGE_SIZE: content_set_size(c, change->to); return;
    }
    check(false);
}

static void add_change(struct node *n, struct change change)
{
    apply(&n->visible, &change);
    vec_push(&n->changes, change);
}

void node_write(struct node *n, uint64_t position, const struct iovec *parts, int count,
                size_t size)
{
    struct chunk *chunk = xmalloc(sizeof *chunk + size);
    chunk->refs = 1;
    chunk->size = size;
    size_t at = 0;
    for (int i = 0; i < count && at < size; i++) {
        size_t part = parts[i].iov_len < size - at ? parts[i].iov_len : size - at;
        if (part > 0)
            memcpy(chunk->bytes + at, parts[i].iov_base, part);
        at += part;
    }
    check(at == size);
    add_change(n,
               (struct change){
                   .kind = CHANGE_WRITE, .from = position, .to = position + size, .chunk = chunk});
}

void node_zero(struct node *n, uint64_t from, uint64_t to)
{
    add_change(n, (struct change){.kind = CHANGE_ZERO, .from = from, .to = to});
}

void node_set_size(struct node *n, uint64_t size)
{
    add_change(n, (struct change){.kind = CHANGE_SIZE, .to = size});
}

/* What is synced after a failed sync lacks the changes that the failure lost, so it is not what is
 * visible any more. */
void node_sync(struct node *n)
{
    if (!n->has_lost) {
        content_unref(n->synced);
        n->synced = content_ref(n->visible);
        drop_changes(n);
        return;
    }
    for (size_t i = 0; i < n->changes.count; i++)
        if (!n->changes.items[i].lost)
            apply(&n->synced, &n->changes.items[i]);
    drop_changes(n);
    n->has_lost = true;
}

void node_lose_unsynced(struct node *n)
{
    for (size_t i = 0; i < n->changes.count; i++)
        n->changes.items[i].lost = true;
    n->has_lost |= n->changes.count > 0;
}

/* ---- entries of a directory ---- */

static struct entry *find_entry(const struct entry_vec *entries, const char *name)
{
    for (size_t i = 0; i < entries->count; i++)
        if (strcmp(entries->items[i].name, name) == 0)
            return &entries->items[i];
    return NULL;
}

struct node *node_find(const struct node *dir, const char *name)
{
    struct entry *e = find_entry(&dir->entries, name);
    return e ? e->node : NULL;
}

static void remove_entry(struct entry_vec *entries, struct entry *e)
{
    struct node *node = e->node;
    *e = vec_last(entries);
    entries->count--;
    node_unref(node);
}

/* A rename that survives without the change before it must not leave its file under two names. */
static void remove_entries_of(struct entry_vec *entries, const struct node *node)
{
    for (size_t i = entries->count; i-- > 0;)
        if (entries->items[i].node == node)
            remove_entry(entries, &entries->items[i]);
}

static void apply_dir(struct entry_vec *entries, const struct dir_change *change)
{
    struct entry *e = change->removed[0] ? find_entry(entries, change->removed) : NULL;
    if (e)
        remove_entry(entries, e);
    if (!change->added.node)
        return;
    node_ref(change->added.node);
    remove_entries_of(entries, change->added.node);
    e = find_entry(entries, change->added.name);
    if (e)
        remove_entry(entries, e);
    vec_push(entries, change->added);
}

void node_change_entries(struct node *dir, const char *removed, const char *added,
                         struct node *node)
{
    struct dir_change change = {.added.node = node ? node_ref(node) : NULL};
    if (removed)
        memcpy(change.removed, removed, strlen(removed) + 1);
    if (added)
        memcpy(change.added.name, added, strlen(added) + 1);
    apply_dir(&dir->entries, &change);
    vec_push(&dir->dir_changes, change);
}

static void copy_entries(const struct entry_vec *from, struct entry_vec *to)
{
    struct entry_vec old = *to;
    memset(to, 0, sizeof *to);
    vec_reserve(to, from->count);
    for (size_t i = 0; i < from->count; i++) {
        node_ref(from->items[i].node);
        vec_push(to, from->items[i]);
    }
    drop_entries(&old);
}

void node_sync_entries(struct node *dir)
{
    copy_entries(&dir->entries, &dir->synced_entries);
    drop_dir_changes(dir);
}

/* ---- the crash ---- */

struct sectors { /* those that have stopped changing: a later write to one is lost too */
    uint8_t *bits;
    size_t count;
};

static bool sector_is_stopped(const struct sectors *s, uint64_t sector)
{
    return sector < s->count && (s->bits[sector / 8] >> (sector % 8) & 1);
}

static void stop_sector(struct sectors *s, uint64_t sector)
{
    if (sector >= s->count) {
        size_t count = round_up(sector + 1, 4096);
        s->bits = xrealloc(s->bits, count / 8);
        memset(s->bits + s->count / 8, 0, (count - s->count) / 8);
        s->count = count;
    }
    s->bits[sector / 8] |= (uint8_t)(1 << sector % 8);
}

/* Keep of a write what the draw of each sector says. Its size survives with its last sector, or on
 * its own, since file systems write it apart from the data. */
static void apply_torn(struct content **c, const struct change *change, struct sectors *stopped,
                       struct random *random)
{
    enum { ALL, NONE, TORN };
    uint64_t fate = random_below(random, 3);
    for (uint64_t at = change->from; at < change->to;) {
        uint64_t sector = at / SIM_SECTOR_BYTES, end = (sector + 1) * SIM_SECTOR_BYTES;
        end = end < change->to ? end : change->to;
        bool kept = fate == ALL || (fate == TORN && random_below(random, 2));
        if (!kept)
            stop_sector(stopped, sector);
        else if (!sector_is_stopped(stopped, sector))
            content_write(c, at, bytes_of(change->chunk->bytes + (at - change->from), end - at));
        at = end;
    }
    if (fate == TORN && content_size(*c) < change->to && random_below(random, 2))
        content_set_size(c, change->to);
}

static void restart_file(struct node *n, enum sim_restart mode, struct random *random)
{
    struct sectors stopped = {0};
    for (size_t i = 0; i < n->changes.count && mode != SIM_LOSE; i++) {
        const struct change *change = &n->changes.items[i];
        if (change->lost)
            continue;
        if (mode == SIM_SUBSET && change->kind == CHANGE_WRITE)
            apply_torn(&n->synced, change, &stopped, random);
        else if (mode == SIM_KEEP || random_below(random, 2))
            apply(&n->synced, change);
    }
    free(stopped.bits);
    drop_changes(n);
    content_unref(n->visible);
    n->visible = content_ref(n->synced);
}

static void restart_dir(struct node *dir, enum sim_restart mode, struct random *random)
{
    for (size_t i = 0; i < dir->dir_changes.count && mode != SIM_LOSE; i++)
        if (mode == SIM_KEEP || random_below(random, 2))
            apply_dir(&dir->synced_entries, &dir->dir_changes.items[i]);
    copy_entries(&dir->synced_entries, &dir->entries);
    drop_dir_changes(dir);
    for (size_t i = 0; i < dir->entries.count; i++)
        node_restart(dir->entries.items[i].node, mode, random);
}

void node_restart(struct node *n, enum sim_restart mode, struct random *random)
{
    n->link_count = 1;
    n->open_count = 0;
    if (n->is_dir)
        restart_dir(n, mode, random);
    else
        restart_file(n, mode, random);
}

uint64_t node_count_pages(const struct node *n)
{
    if (!n->is_dir)
        return content_allocated_pages(n->visible);
    uint64_t count = 0;
    for (size_t i = 0; i < n->entries.count; i++)
        count += node_count_pages(n->entries.items[i].node);
    return count;
}
