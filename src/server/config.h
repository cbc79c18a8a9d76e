/*
 * Configuration: a value and its origin for every option. Sources in the order in which the later
 * one wins: default, file (`key = value` lines, '#' begins a comment), environment (PABAL_DATA_DIR
 * is data.dir), command line (--set data.dir=/x). Read at start, before there are threads.
 *
 * An unknown key, a value out of its bounds and a key set twice in one file are refused: a
 * misspelled option that is silently ignored is found out too late.
 */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include <jansson.h>

#include "server/options.h"

struct config_item {
    struct option_value value;
    char *origin; /* "default", "pabal.conf:3", "environment PABAL_DATA_DIR", "--set" */
};

struct config {
    struct config_item items[OPTION_COUNT];
};

/* Every option at its default. */
void config_init(struct config *c);
void config_reset(struct config *c);

/* Take over a file's text; `name` is for messages. On an error some keys may be taken over. */
must_use enum err config_read_text(struct config *c, const char *name, struct bytes text);
must_use enum err config_read_file(struct config *c, const char *path);
/* Strings "NAME=value", ended by NULL, as main() gets them. Names that do not begin with PABAL_ are
 * not ours; a few that do are not options (config.c lists them). */
must_use enum err config_read_environment(struct config *c, char **environment);
/* "key=value" from the command line. */
must_use enum err config_set(struct config *c, const char *assignment);
/* What no single option can tell: E_REFUSED for a listener that would be open to strangers. */
must_use enum err config_check(const struct config *c);

const char *config_text(const struct config *c, enum option_id id);
int64_t config_number(const struct config *c, enum option_id id);
/* Is it "auto", "none" or the like, instead of a number or an address? */
bool config_is_word(const struct config *c, enum option_id id);

/* Does a HOST:PORT name a loopback address? By its text; "localhost" counts. */
bool config_address_is_loopback(const char *address);

/* {"data.dir": {"value": "data", "origin": "default"}, ...}; a new reference. */
json_t *config_json(const struct config *c);
/* docs/options.md. */
void config_document(struct text *out);

#endif
