/*
 * Files and directories of the simulated disk: what is synced, what is visible, and the changes
 * that lead from one to the other. sim_node.c knows what a crash does to them; sim_disk.c knows
 * paths, faults and counts.
 */
#ifndef IO_SIM_NODE_INTERNAL_H
#define IO_SIM_NODE_INTERNAL_H

#include "base/random.h"
#include "base/vec.h"
#include "io/sim_content.h"
#include "io/sim_disk.h"

enum { SIM_NAME_MAX_BYTES = 55 };

struct chunk { /* bytes of a write, shared by clones */
    uint32_t refs;
    size_t size;
    uint8_t bytes[];
};

enum change_kind { CHANGE_WRITE, CHANGE_ZERO, CHANGE_SIZE };

struct change {
    enum change_kind kind;
    bool lost;         /* its sync failed */
    uint64_t from, to; /* CHANGE_SIZE: `to` is the new size */
    struct chunk *chunk;
};

struct entry {
    char name[SIM_NAME_MAX_BYTES + 1];
    struct node *node;
};

struct entry_vec {
    struct entry *items;
    size_t count, capacity;
};

struct dir_change {
    char removed[SIM_NAME_MAX_BYTES + 1]; /* "": none */
    struct entry added;                   /* .node NULL: none */
};

struct node {
    uint32_t refs; /* of entries, synced entries, directory changes and open files */
    bool is_dir;
    struct node *copy; /* while cloning */

    struct content *synced, *visible; /* a file's */
    VEC(struct change) changes;
    bool has_lost;
    uint32_t failed_syncs; /* each open file is told of those since it was opened, once */
    uint32_t link_count;   /* of visible entries */
    uint32_t open_count;

    struct entry_vec synced_entries, entries; /* a directory's */
    VEC(struct dir_change) dir_changes;
};

struct node *node_new(bool is_dir);
struct node *node_ref(struct node *n);
void node_unref(struct node *n);
/* A deep copy; shared nodes stay shared through ->copy, which node_forget_copies() clears. */
struct node *node_clone(struct node *n);
void node_forget_copies(struct node *n);

/* Changes of a file: visible at once, durable by node_sync(). */
void node_write(struct node *n, uint64_t position, const struct iovec *parts, int count,
                size_t size);
void node_zero(struct node *n, uint64_t from, uint64_t to);
void node_set_size(struct node *n, uint64_t size);
void node_sync(struct node *n);
void node_lose_unsynced(struct node *n);

/* Entries of a directory, likewise. */
struct node *node_find(const struct node *dir, const char *name);
void node_change_entries(struct node *dir, const char *removed, const char *added,
                         struct node *node);
void node_sync_entries(struct node *dir);

/* Rebuild from what is synced and from the changes that survive, all the way down. */
void node_restart(struct node *n, enum sim_restart mode, struct random *random);
/* Pages of all visible files below. */
uint64_t node_count_pages(const struct node *n);

#endif
