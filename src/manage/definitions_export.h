/* Definitions written over many turns: see definitions.h. */
#ifndef MANAGE_DEFINITIONS_EXPORT_H
#define MANAGE_DEFINITIONS_EXPORT_H

#include <jansson.h>

struct core;
struct vhost;
struct definitions_export;

/* What is told of where they come from. */
struct definitions_origin {
    const char *version; /* RabbitMQ's, by which a reader knows the format */
    const char *product, *product_version;
    const char *cluster;
};

/* `only` NULL: of all vhosts. */
struct definitions_export *definitions_export_new(struct core *core, struct vhost *only,
                                                  const struct definitions_origin *origin);
void definitions_export_free(struct definitions_export *e); /* accepts NULL */
/* As much as fits into a turn. The document, a new reference, when that was all; otherwise NULL. */
json_t *definitions_export_some(struct definitions_export *e, struct vhost *only);

#endif
