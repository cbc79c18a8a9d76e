#include "broker/catalog.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/say.h"
#include "broker/access_internal.h"
#include "broker/catalog_internal.h"
#include "broker/core_internal.h"
#include "broker/exchange_internal.h"
#include "broker/mutant.h"

enum {
    /* Clean when more than twice as many records as objects are there, and this many more. */
    CLEAN_SLACK = 1024,
    CLEAN_SLICE = 256, /* records appended again in one turn: well below a millisecond */
    READ_BYTES = 1 << 20,
};

/* ---- noting changes ---- */

void catalog_put(struct core *core, struct catalog_entry *entry, enum catalog_kind kind)
{
    struct catalog *c = core->catalog;
    if (entry->pending)
        return;
    if (!list_is_linked(&entry->node)) {
        entry->offset = CATALOG_NEVER;
        c->count++;
    }
    entry->kind = (uint8_t)kind;
    entry->pending = true;
    list_remove(&entry->node);
    list_push_back(&c->pending, &entry->node);
}

void catalog_remove(struct core *core, struct catalog_entry *entry)
{
    struct catalog *c = core->catalog;
    if (!list_is_linked(&entry->node))
        return;
    list_remove(&entry->node);
    c->count--;
    entry->pending = false;
    if (entry->offset == CATALOG_NEVER || BROKER_MUTANT == MUTANT_FORGET_REMOVAL)
        return;
    c->key.size = 0;
    catalog_encode_key(entry, &c->key);
    text_put_u32(&c->removed, (uint32_t)c->key.size);
    text_append(&c->removed, text_bytes(&c->key));
    c->removed_count++;
    entry->offset = CATALOG_NEVER;
}

uint64_t catalog_new_log_id(struct core *core)
{
    struct catalog *c = core->catalog;
    if (c->next_log_id == c->reserved_log_id) {
        c->reserved_log_id += CATALOG_LOG_IDS_RESERVED;
        catalog_put(core, &c->meta, CATALOG_META);
    }
    return c->next_log_id++;
}

int64_t catalog_new_producer_id(struct core *core)
{
    struct catalog *c = core->catalog;
    if (c->next_producer_id == c->reserved_producer_id) {
        if (c->next_producer_id > INT64_MAX - CATALOG_PRODUCER_IDS_RESERVED)
            return -1;
        c->reserved_producer_id += CATALOG_PRODUCER_IDS_RESERVED;
        catalog_put(core, &c->meta, CATALOG_META);
    }
    return c->next_producer_id++;
}

static bool is_pending(const struct catalog *c)
{
    return c->removed_count > 0 || !list_is_empty(&c->pending);
}

/* The record will be in the same commit as whatever else is appended in this turn, so a publish to a
 * queue made in this turn needs no more than its own ticket. */
struct ticket catalog_ticket(const struct core *core)
{
    struct log *log = core->catalog->log;
    if (BROKER_MUTANT == MUTANT_ANSWER_EARLY)
        return (struct ticket){0};
    return is_pending(core->catalog) ? log_next_ticket(log) : log_last_ticket(log);
}

enum err catalog_can_change(const struct core *core)
{
    enum { ONE_TURN_BYTES = 1 << 20 };
    return log_can_append(core->catalog->log, ONE_TURN_BYTES);
}

/* ---- writing them ---- */

static void add_removed(struct catalog *c, struct batch_builder *b, int64_t now_ms)
{
    const uint8_t *at = c->removed.data;
    for (size_t i = 0; i < c->removed_count; i++) {
        uint32_t size = get_u32(at);
        batch_builder_add(b, now_ms, bytes_of(at + 4, size), BYTES_NULL, BYTES_NULL, 0);
        at += 4 + size;
    }
}

static void add_entry(struct core *core, struct batch_builder *b, struct catalog_entry *entry)
{
    struct catalog *c = core->catalog;
    c->key.size = c->value.size = 0;
    catalog_encode_key(entry, &c->key);
    catalog_encode_value(core, entry, &c->value);
    batch_builder_add(b, core->wall_ms, text_bytes(&c->key), text_bytes(&c->value), BYTES_NULL, 0);
}

/* Append what the builder has. The control bit keeps the log out of everything that reads messages,
 * and lets a deletion in when the disk is full. */
static bool append_batch(struct core *core, struct batch_builder *b)
{
    struct ticket ignored;
    enum err err = log_append(core->catalog->log, batch_builder_end(b), &ignored);
    if (err)
        say_error("catalog", "a change of the catalog cannot be written: %s", err_text());
    else
        core->internal->committing = true;
    return !err;
}

/* Write this turn's changes. A deletion comes first: the same name may have been made again. */
static void write_changes(struct core *core)
{
    struct catalog *c = core->catalog;
    struct batch_builder *b = &core->internal->builder;
    batch_builder_begin(b, BATCH_CONTROL);
    add_removed(c, b, core->wall_ms);
    list_each (node, &c->pending)
        add_entry(core, b, container_of(node, struct catalog_entry, node));

    int64_t offset = c->log->end + (int64_t)c->removed_count;
    if (!append_batch(core, b))
        return; /* frozen: no ticket will ever be done, so nobody is told */
    struct list *node;
    while ((node = list_pop_front(&c->pending))) {
        struct catalog_entry *entry = container_of(node, struct catalog_entry, node);
        entry->offset = offset++;
        entry->pending = false;
        list_push_back(&c->entries, node);
    }
    c->removed.size = 0;
    c->removed_count = 0;
}

static struct catalog_entry *oldest(const struct catalog *c)
{
    return list_is_empty(&c->entries) ? NULL
                                      : container_of(c->entries.next, struct catalog_entry, node);
}

static void clean_slice(struct core *core)
{
    struct catalog *c = core->catalog;
    struct batch_builder *b = &core->internal->builder;
    struct list again, *node;
    list_init(&again);
    batch_builder_begin(b, BATCH_CONTROL);
    for (int i = 0; i < CLEAN_SLICE && (node = list_pop_front(&c->entries)); i++) {
        add_entry(core, b, container_of(node, struct catalog_entry, node));
        list_push_back(&again, node);
    }
    int64_t offset = c->log->end;
    bool written = append_batch(core, b);
    for (int i = 0; (node = list_pop_front(&again)); i++) {
        if (written)
            container_of(node, struct catalog_entry, node)->offset = offset + i;
        list_push_back(&c->entries, node);
    }
    struct ticket ignored;
    if (written && oldest(c)->offset > c->log->start)
        log_trim(c->log, oldest(c)->offset, &ignored);
}

void catalog_flush(struct core *core)
{
    struct catalog *c = core->catalog;
    if (store_is_frozen(core->store))
        return;
    if (is_pending(c))
        write_changes(core);
    if (!list_is_empty(&c->entries) &&
        c->log->end - oldest(c)->offset > 2 * (int64_t)c->count + CLEAN_SLACK)
        clean_slice(core);
}

/* ---- reading it back ---- */

struct load {
    struct core *core;
    struct map by_key;    /* of struct catalog_loaded */
    struct list in_order; /* the same */
    struct list of_kind[CATALOG_KIND_END];
    struct arena memory; /* of them all */
};

static void load_init(struct load *load, struct core *core)
{
    *load = (struct load){.core = core};
    list_init(&load->in_order);
    for (int kind = 0; kind < CATALOG_KIND_END; kind++)
        list_init(&load->of_kind[kind]);
    arena_init(&load->memory, SIZE_MAX);
}

static void load_reset(struct load *load)
{
    map_reset(&load->by_key);
    arena_reset(&load->memory);
}

/* What a later record replaces or removes. */
static void drop_loaded(struct catalog_loaded *l)
{
    if (!l)
        return;
    list_remove(&l->node);
    list_remove(&l->of_kind);
}

static enum err load_record(struct load *load, const struct record *r)
{
    int kind;
    bool ignored;
    enum err err = catalog_key_kind(r->key, &kind, &ignored);
    if (err || ignored)
        return err;
    if (!r->value.data) {
        drop_loaded(map_remove(&load->by_key, r->key));
        return OK;
    }

    struct catalog_loaded *l =
        arena_zalloc(&load->memory, 1, sizeof *l + r->key.size + r->value.size);
    uint8_t *bytes = (uint8_t *)(l + 1);
    memcpy(bytes, r->key.data, r->key.size);
    if (r->value.size)
        memcpy(bytes + r->key.size, r->value.data, r->value.size);
    l->key = bytes_of(bytes, r->key.size);
    l->value = bytes_of(bytes + r->key.size, r->value.size);
    l->kind = kind;
    l->offset = r->offset;
    drop_loaded(map_put(&load->by_key, l->key, l));
    list_push_back(&load->in_order, &l->node);
    list_push_back(&load->of_kind[kind], &l->of_kind);
    return OK;
}

static enum err load_batch(struct load *load, const struct log_batch *lb)
{
    struct batch b;
    struct record_reader reader;
    struct record record;
    enum err err = batch_parse(lb->raw, &b);
    if (err)
        return err;
    record_reader_init(&reader, &b, lb->base_offset,
                       bytes_of(b.raw.data + BATCH_HEADER_BYTES, b.raw.size - BATCH_HEADER_BYTES));
    while (!err && record_reader_next(&reader, &record))
        err = load_record(load, &record);
    if (!err && reader.left > 0)
        err = err_set(E_CORRUPT, "batch at %lld ends early", (long long)lb->base_offset);
    return err;
}

struct piece {
    struct log_read read;
    bool is_done;
};

static void piece_is_read(struct log_read *read)
{
    ((struct piece *)read->ctx)->is_done = true;
}

static void read_piece(struct log *log, int64_t at, struct piece *piece)
{
    *piece = (struct piece){.read = {.kind = READ_FROM,
                                     .from = at,
                                     .limit = log->end,
                                     .max_bytes = READ_BYTES,
                                     .done = piece_is_read,
                                     .ctx = piece}};
    log_read(log, &piece->read);
}

/* Before the loop there is nothing else to do than to wait for the read. */
static enum err await_piece(struct core *core, struct piece *piece)
{
    while (!piece->is_done)
        jobs_poll(core->internal->jobs);
    return piece->read.err;
}

/* Where the next piece begins; a piece without batches has found nothing but holes. */
static enum err find_next_piece(const struct piece *piece, int64_t *out_at)
{
    const struct log_read *read = &piece->read;
    struct batch b;
    *out_at = read->limit;
    if (read->count == 0)
        return OK;
    const struct log_batch *last = &read->batches[read->count - 1];
    enum err err = batch_parse(last->raw, &b);
    if (!err)
        *out_at = last->base_offset + b.last_offset_delta + 1;
    return err;
}

/* While a piece is looked at, the next one is read. */
static enum err load_log(struct load *load, struct log *log)
{
    struct piece *pieces = xzalloc(2 * sizeof *pieces);
    struct piece *now = &pieces[0], *next = &pieces[1];
    int64_t at = log->start;
    enum err err = OK;
    if (at < log->end)
        read_piece(log, at, now);
    while (at < log->end && !err) {
        err = await_piece(load->core, now);
        if (!err)
            err = find_next_piece(now, &at);
        bool more = !err && at < log->end;
        if (more)
            read_piece(log, at, next);
        for (size_t i = 0; i < now->read.count && !err; i++)
            err = load_batch(load, &now->read.batches[i]);
        log_read_end(&now->read);
        if (err && more) {
            (void)await_piece(load->core, next);
            log_read_end(&next->read);
        }
        struct piece *spare = now;
        now = next;
        next = spare;
    }
    free(pieces);
    return err;
}

static enum err apply_kind(struct load *load, int kind)
{
    list_each (node, &load->of_kind[kind]) {
        struct catalog_loaded *l = container_of(node, struct catalog_loaded, of_kind);
        enum err err = catalog_apply(load->core, l);
        if (err)
            return err_wrap(err, "catalog record at %lld", (long long)l->offset);
        l->entry->kind = (uint8_t)kind;
        l->entry->offset = l->offset;
    }
    return OK;
}

/* Kinds refer only to kinds before them. Entries are linked in the order of the log. */
static enum err apply(struct load *load)
{
    struct catalog *c = load->core->catalog;
    for (int kind = CATALOG_META; kind < CATALOG_KIND_END; kind++) {
        enum err err = apply_kind(load, kind);
        if (err)
            return err;
    }
    list_each (node, &load->in_order) {
        struct catalog_loaded *l = container_of(node, struct catalog_loaded, node);
        list_push_back(&c->entries, &l->entry->node);
        c->count++;
    }
    return OK;
}

static void count_other(void *ctx, struct log *log)
{
    if (log->id != CATALOG_LOG_ID)
        (*(size_t *)ctx)++;
}

/* 128 random bits as 22 characters, as Kafka writes its uuids. */
static void make_cluster_id(struct core *core)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char *id = core->config.cluster_id;
    for (int i = 0; i < 22; i++)
        id[i] = digits[random_below(&core->random, i < 21 ? 64 : 4) * (i < 21 ? 1 : 16)];
    id[22] = 0;
}

/* The vhost and the user that every RabbitMQ begins with. */
static enum err create_defaults(struct core *core)
{
    const struct core_config *config = &core->config;
    struct bytes tag = BYTES_LITERAL("administrator"), all = BYTES_LITERAL(".*");
    struct bytes name = bytes_from_string(config->default_user ? config->default_user : "guest");
    struct bytes password =
        bytes_from_string(config->default_password ? config->default_password : "guest");
    struct vhost_spec vhost_spec = {.description = BYTES_LITERAL("Default virtual host")};
    struct user_spec user_spec = {
        .tags = &tag, .tag_count = 1, .password = password_hash_of(&core->random, password)};
    struct vhost *vhost;
    struct user *user;
    bool created;
    enum err err =
        vhost_create(core, bytes_from_string(config->default_vhost ? config->default_vhost : "/"),
                     &vhost_spec, &vhost);
    if (!err)
        err = user_put(core, name, &user_spec, &user, &created);
    if (!err)
        err = permission_put(user, vhost, all, all, all, &created);
    return err;
}

/* A first start: what a data directory has from its beginning. */
static enum err create(struct core *core)
{
    struct catalog *c = core->catalog;
    size_t others = 0;
    store_each(core->store, count_other, &others);
    if (others > 0 || c->log->end > 0)
        return err_set(E_CORRUPT, "the store has %zu logs, but no catalog that names them", others);
    if (!core->config.cluster_id[0])
        make_cluster_id(core);
    c->next_log_id = c->reserved_log_id = CATALOG_LOG_ID + 1;
    catalog_put(core, &c->meta, CATALOG_META);
    return create_defaults(core);
}

/* The first release had users without permissions, who might do everything. Their records are
 * written anew, and with them the permissions that say so. */
static void rewrite_user(void *ctx, struct user *user)
{
    catalog_put(ctx, &user->entry, CATALOG_USER);
}

static void upgrade(struct core *core)
{
    say_info("catalog", "users of an earlier release are given permissions for everything");
    permissions_grant_all(core);
    user_each(core, rewrite_user, core);
}

enum err catalog_open(struct core *core)
{
    struct catalog *c = core->catalog = xzalloc(sizeof *c);
    struct load load;
    load_init(&load, core);
    list_init(&c->entries);
    list_init(&c->pending);
    c->log = store_log(core->store, CATALOG_LOG_ID, LEVEL_FSYNC);
    log_stay_in_journal(c->log); /* or a deletion of a log could overtake the record behind it */
    c->owner.kind = OWNER_CATALOG;
    c->log->owner = &c->owner;

    enum err err = load_log(&load, c->log);
    if (!err)
        err = apply(&load);
    if (!err && c->meta.kind != CATALOG_META)
        err = create(core);
    if (!err && c->is_without_permissions)
        upgrade(core);

    load_reset(&load);
    idmap_reset(&c->claimed);
    return err_wrap(err, "read the catalog");
}

void catalog_free(struct catalog *c)
{
    if (!c)
        return;
    text_reset(&c->removed);
    text_reset(&c->key);
    text_reset(&c->value);
    free(c);
}
