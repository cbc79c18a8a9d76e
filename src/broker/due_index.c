#include "broker/due_index.h"

#include "base/check.h"

enum {
    OPEN_AT_ONCE = 1 << 14, /* entries that one call sorts, so that none takes long */
    SAMPLE = 1024,
    AHEAD_MS = 2000, /* the next scan begins so long before the horizon at the latest */
};

void due_index_init(struct due_index *ix, struct due_budget *budget)
{
    *ix = (struct due_index){.budget = budget, .horizon_ms = INT64_MAX};
}

void due_index_reset(struct due_index *ix)
{
    for (int b = 0; b < DUE_BUCKETS; b++)
        vec_reset(&ix->buckets[b]);
    vec_reset(&ix->opening);
    vec_reset(&ix->ripe);
    vec_reset(&ix->blocks);
    ix->budget->count -= ix->count;
    due_index_init(ix, ix->budget);
}

void due_index_check(const struct due_index *ix)
{
    size_t count = ix->opening.count - ix->opened + ix->ripe.count - ix->taken;
    for (int b = 0; b < DUE_BUCKETS; b++)
        count += ix->buckets[b].count;
    check(count == ix->count);
    check(ix->count <= ix->budget->count);
    check(ix->opened <= ix->opening.count);
    check(ix->taken <= ix->ripe.count);
}

/* ---- near ---- */

static int bucket_of(const struct due_index *ix, int64_t due_ms)
{
    return 64 - __builtin_clzll((uint64_t)(due_ms ^ ix->last_ms));
}

/* The earliest time that belongs into the bucket. */
static int64_t bucket_begin(const struct due_index *ix, int b)
{
    return (ix->last_ms >> (b - 1) | 1) * (INT64_C(1) << (b - 1));
}

/* true: it became one with a neighbour. */
static bool push(due_list *list, struct due_entry e)
{
    struct due_entry *last = list->count > 0 ? &vec_last(list) : NULL;
    if (last && last->due_ms == e.due_ms && last->from + (int64_t)last->count == e.from &&
        last->count + e.count <= DUE_COUNT_MAX) {
        last->count += e.count;
        return true;
    }
    vec_push(list, e);
    return false;
}

static due_list *place_of(struct due_index *ix, struct due_entry e)
{
    int64_t due_ms = (int64_t)e.due_ms;
    return due_ms <= ix->last_ms ? &ix->ripe : &ix->buckets[bucket_of(ix, due_ms)];
}

static void dropped(struct due_index *ix, size_t entries)
{
    ix->count -= entries;
    ix->budget->count -= entries;
}

static void append_all(due_list *to, due_list *from)
{
    if (to->count == 0) {
        due_list empty = *to;
        *to = *from;
        *from = empty;
        return;
    }
    vec_reserve(to, from->count);
    for (size_t i = 0; i < from->count; i++)
        to->items[to->count++] = from->items[i];
    vec_reset(from);
}

static void open_some(struct due_index *ix)
{
    size_t end = ix->opening.count - ix->opened > OPEN_AT_ONCE ? ix->opened + OPEN_AT_ONCE
                                                               : ix->opening.count;
    for (; ix->opened < end; ix->opened++) {
        struct due_entry e = ix->opening.items[ix->opened];
        if (push(place_of(ix, e), e))
            dropped(ix, 1);
    }
    if (ix->opened == ix->opening.count) {
        vec_reset(&ix->opening);
        ix->opened = 0;
    }
}

/* Time passes: lower buckets are due as a whole, the one that `now` lies in is sorted anew. */
static void advance(struct due_index *ix, int64_t now_ms)
{
    if (now_ms > DUE_MS_MAX)
        now_ms = DUE_MS_MAX;
    if (ix->opening.count == 0 && now_ms > ix->last_ms) {
        int top = bucket_of(ix, now_ms);
        for (int b = 1; b < top; b++)
            if (ix->buckets[b].count > 0)
                append_all(&ix->ripe, &ix->buckets[b]);
        append_all(&ix->opening, &ix->buckets[top]);
        ix->last_ms = now_ms;
    }
    open_some(ix);
}

static int compare_due(const void *left, const void *right)
{
    const struct due_entry *a = left, *b = right;
    if (a->due_ms != b->due_ms)
        return a->due_ms < b->due_ms ? -1 : 1;
    return (a->from > b->from) - (a->from < b->from);
}

size_t due_index_take(struct due_index *ix, int64_t now_ms, struct due_entry *out, size_t max)
{
    advance(ix, now_ms);
    size_t left = ix->ripe.count - ix->taken;
    size_t count = left < max ? left : max;
    if (count == 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        out[i] = ix->ripe.items[ix->taken++];
    dropped(ix, count);
    ix->spill_at = 0;
    if (ix->taken == ix->ripe.count) {
        vec_reset(&ix->ripe);
        ix->taken = 0;
    }
    qsort(out, count, sizeof *out, compare_due);
    return count;
}

/* A bucket of few is looked through; of many, where it begins is near enough. */
static int64_t first_in(const struct due_index *ix, int b)
{
    enum { FEW = 64 };
    const due_list *list = &ix->buckets[b];
    int64_t first_ms = INT64_MAX;
    if (list->count > FEW)
        return bucket_begin(ix, b);
    for (size_t i = 0; i < list->count; i++)
        if ((int64_t)list->items[i].due_ms < first_ms)
            first_ms = (int64_t)list->items[i].due_ms;
    return first_ms;
}

int64_t due_index_next(const struct due_index *ix, int64_t now_ms)
{
    enum { NO_ROOM_MS = 100 }; /* for a scan: look again so much later */
    if (ix->ripe.count > ix->taken || ix->opening.count > 0)
        return now_ms;
    int64_t scan_ms = INT64_MAX;
    if (ix->horizon_ms < INT64_MAX && !ix->is_scanning)
        scan_ms =
            ix->horizon_ms - AHEAD_MS > now_ms ? ix->horizon_ms - AHEAD_MS : now_ms + NO_ROOM_MS;
    for (int b = 1; b < DUE_BUCKETS; b++) {
        if (ix->buckets[b].count == 0)
            continue;
        int64_t first_ms = first_in(ix, b);
        return first_ms < scan_ms ? first_ms : scan_ms;
    }
    return scan_ms;
}

void due_index_sweep(struct due_index *ix, size_t entries,
                     bool (*is_done)(const void *ctx, int64_t offset), const void *ctx)
{
    enum { AT_ONCE = 64 }; /* offsets of one entry */
    for (size_t i = 0; i < entries; i++) {
        due_list *list = &ix->buckets[ix->sweep_bucket];
        if (ix->sweep_at >= list->count) {
            ix->sweep_bucket = (ix->sweep_bucket + 1) % DUE_BUCKETS;
            ix->sweep_at = 0;
            continue;
        }
        struct due_entry *e = &list->items[ix->sweep_at];
        for (int k = 0; k < AT_ONCE && e->count > 0 && is_done(ctx, e->from); k++) {
            e->from++;
            e->count--;
        }
        if (e->count > 0) {
            ix->sweep_at++;
            continue;
        }
        *e = vec_pop(list);
        dropped(ix, 1);
    }
}

/* ---- blocks ---- */

static struct due_block *block_at(struct due_index *ix, int64_t number)
{
    if (ix->blocks.count == 0)
        ix->first_block = number;
    size_t front = 0;
    while (number < ix->first_block) { /* offsets of the past, unknown after a start */
        vec_insert(&ix->blocks, front, ((struct due_block){INT64_MAX, INT64_MAX}));
        ix->first_block--;
    }
    while (number >= ix->first_block + (int64_t)ix->blocks.count)
        vec_push(&ix->blocks, ((struct due_block){INT64_MAX, INT64_MAX}));
    return &ix->blocks.items[number - ix->first_block];
}

/* Beyond the horizon: the block knows the earliest. */
static void leave_to_block(struct due_index *ix, int64_t from, int64_t count, int64_t due_ms)
{
    int64_t last = (from + count - 1) / DUE_BLOCK_OFFSETS;
    for (int64_t number = from / DUE_BLOCK_OFFSETS; number <= last; number++) {
        struct due_block *block = block_at(ix, number);
        if (due_ms < block->due_ms)
            block->due_ms = due_ms;
    }
}

static int compare_ms(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

/* A time that about half of the entries are due before, by a sample. */
static int64_t middle_of(const struct due_index *ix)
{
    int64_t sample[SAMPLE];
    size_t count = 0, step = ix->count / (SAMPLE / 2) + 1, skip = 0;
    for (int b = 1; b < DUE_BUCKETS; b++) {
        const due_list *list = &ix->buckets[b];
        for (; skip < list->count && count < SAMPLE; skip += step)
            sample[count++] = (int64_t)list->items[skip].due_ms;
        skip = skip < list->count ? 0 : skip - list->count;
    }
    if (count == 0)
        return INT64_MAX;
    qsort(sample, count, sizeof *sample, compare_ms);
    int64_t middle_ms = sample[count / 2];
    return middle_ms > sample[0] ? middle_ms : middle_ms + 1;
}

static void spill_bucket(struct due_index *ix, due_list *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct due_entry e = list->items[i];
        if ((int64_t)e.due_ms < ix->horizon_ms)
            list->items[kept++] = e;
        else
            leave_to_block(ix, e.from, (int64_t)e.count, (int64_t)e.due_ms);
    }
    dropped(ix, list->count - kept);
    list->count = kept;
    if (kept == 0)
        vec_reset(list);
}

static void spill(struct due_index *ix)
{
    int64_t horizon_ms = middle_of(ix);
    if (horizon_ms < ix->horizon_ms) {
        ix->horizon_ms = horizon_ms;
        for (int b = bucket_of(ix, horizon_ms); b < DUE_BUCKETS; b++)
            spill_bucket(ix, &ix->buckets[b]);
    }
    ix->kept = ix->count;
    ix->spill_at = ix->count + DUE_NEAR_MIN;
}

static void put(struct due_index *ix, int64_t offset, int64_t due_ms)
{
    struct due_entry e = {.due_ms = (uint64_t)due_ms & DUE_MS_MAX, .count = 1, .from = offset};
    if (!push(place_of(ix, e), e)) {
        ix->count++;
        ix->budget->count++;
    }
    if (ix->count > DUE_NEAR_MIN && ix->budget->count > ix->budget->max &&
        ix->count >= ix->spill_at && ix->opening.count == 0)
        spill(ix);
}

static int64_t within_limits(int64_t due_ms)
{
    return due_ms < 0 ? 0 : due_ms > DUE_MS_MAX ? DUE_MS_MAX : due_ms;
}

void due_index_add(struct due_index *ix, int64_t offset, int64_t due_ms)
{
    due_ms = within_limits(due_ms);
    if (due_ms < ix->horizon_ms)
        put(ix, offset, due_ms);
    else
        leave_to_block(ix, offset, 1, due_ms);
}

void due_index_again(struct due_index *ix, int64_t offset, int64_t due_ms)
{
    put(ix, offset, within_limits(due_ms));
}

/* ---- scanning the log ---- */

void due_index_unknown(struct due_index *ix, int64_t from, int64_t to)
{
    if (from >= to)
        return;
    leave_to_block(ix, from, to - from, 0);
    ix->horizon_ms = 0;
}

static bool wants_scan(const struct due_index *ix, int64_t now_ms)
{
    if (ix->horizon_ms == INT64_MAX || ix->opening.count > 0)
        return false;
    bool has_room = ix->count < DUE_NEAR_MIN / 2 || ix->budget->count < ix->budget->max / 4 * 3;
    return has_room && (ix->horizon_ms - AHEAD_MS <= now_ms || ix->count < ix->kept / 4);
}

/* What is known of blocks that the scan will pass is put aside; what is added meanwhile is not. */
static void begin_scan(struct due_index *ix, int64_t floor, int64_t end)
{
    ix->is_scanning = true;
    ix->scan_from_ms = ix->horizon_ms;
    ix->horizon_ms = INT64_MAX;
    ix->scan_at = ix->first_block * DUE_BLOCK_OFFSETS;
    ix->scan_at = ix->scan_at > floor ? ix->scan_at : floor;
    ix->scan_end = end;
    for (size_t i = 0; i < ix->blocks.count; i++) {
        struct due_block *block = &ix->blocks.items[i];
        block->before_ms = block->due_ms;
        block->due_ms = INT64_MAX;
    }
}

/* Blocks in front that have nothing to tell any more. */
static void drop_blocks(struct due_index *ix, int64_t floor)
{
    size_t gone = 0;
    while (gone < ix->blocks.count &&
           ((ix->first_block + (int64_t)gone + 1) * DUE_BLOCK_OFFSETS <= floor ||
            ix->blocks.items[gone].due_ms == INT64_MAX))
        gone++;
    if (gone == 0)
        return;
    ix->blocks.count -= gone;
    memmove(ix->blocks.items, ix->blocks.items + gone, ix->blocks.count * sizeof *ix->blocks.items);
    ix->first_block += (int64_t)gone;
    if (ix->blocks.count == 0)
        vec_reset(&ix->blocks);
}

static void end_scan(struct due_index *ix, int64_t floor)
{
    int64_t first_ms = INT64_MAX;
    ix->is_scanning = false;
    drop_blocks(ix, floor);
    for (size_t i = 0; i < ix->blocks.count; i++)
        if (ix->blocks.items[i].due_ms < first_ms)
            first_ms = ix->blocks.items[i].due_ms;
    ix->horizon_ms = first_ms;
    ix->kept = ix->count;
}

/* Has the scan to look into this block? If not, what was put aside counts again. */
static bool is_to_scan(struct due_index *ix, struct due_block *block)
{
    if (block->before_ms < ix->horizon_ms)
        return true;
    if (block->before_ms < block->due_ms)
        block->due_ms = block->before_ms;
    block->before_ms = INT64_MAX;
    return false;
}

bool due_index_scan(struct due_index *ix, int64_t now_ms, int64_t floor, int64_t end,
                    int64_t *out_from, int64_t *out_to)
{
    if (!ix->is_scanning && !wants_scan(ix, now_ms))
        return false;
    if (!ix->is_scanning)
        begin_scan(ix, floor, end);
    while (ix->scan_at < ix->scan_end) {
        int64_t number = ix->scan_at / DUE_BLOCK_OFFSETS, next = (number + 1) * DUE_BLOCK_OFFSETS;
        bool is_known =
            number >= ix->first_block && number < ix->first_block + (int64_t)ix->blocks.count;
        if (is_known && is_to_scan(ix, block_at(ix, number))) {
            *out_from = ix->scan_at;
            *out_to = next < ix->scan_end ? next : ix->scan_end;
            return true;
        }
        ix->scan_at = next;
    }
    end_scan(ix, floor);
    return false;
}

void due_index_found(struct due_index *ix, int64_t offset, int64_t due_ms)
{
    due_ms = within_limits(due_ms);
    if (due_ms >= ix->scan_from_ms)
        due_index_add(ix, offset, due_ms);
}

void due_index_scanned(struct due_index *ix, int64_t to)
{
    check(ix->is_scanning);
    check(to >= ix->scan_at);
    ix->scan_at = to;
    if (to % DUE_BLOCK_OFFSETS == 0 || to >= ix->scan_end)
        block_at(ix, (to - 1) / DUE_BLOCK_OFFSETS)->before_ms = INT64_MAX;
}
