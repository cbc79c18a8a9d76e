/*
 * Definitions: all that is declared as one JSON document, in RabbitMQ's format: exported, and
 * imported again, here or elsewhere. An import adds to what is there: it never deletes, and what is
 * there already stays as it is where it cannot be changed (queues, exchanges). Both go on over many
 * turns.
 *
 * Also the JSON of objects that are told by themselves too: policies, parameters.
 */
#ifndef MANAGE_DEFINITIONS_H
#define MANAGE_DEFINITIONS_H

#include <jansson.h>

#include "broker/parameter.h"
#include "broker/policy.h"

/* ---- importing ---- */

struct definitions_import;

/* `json` is borrowed until it is freed. */
struct definitions_import *definitions_import_new(struct core *core, json_t *json);
void definitions_import_free(struct definitions_import *import); /* accepts NULL */
/* Import about as many objects as fit into a turn; `vhost` not NULL: all of it belongs to this one.
 * *out_done: that was all. The first object that
 * cannot be imported ends it; those before it stay. E_INVALID, E_NOT_FOUND, E_UNSUPPORTED, ... */
must_use enum err definitions_import_some(struct definitions_import *import, struct vhost *vhost,
                                          bool *out_done);
/* The same of a file's content. E_INVALID, with the line: it is not JSON. */
must_use enum err definitions_import_read(struct core *core, struct bytes text,
                                          struct definitions_import **out);

/* ---- single objects ---- */

/* `vhost` NULL: leave it out. */
json_t *manage_policy_json(const struct vhost *vhost, const struct policy *policy);
/* Creates or changes what the members of `json` say. */
must_use enum err manage_policy_set(struct vhost *vhost, enum policy_author author,
                                    struct bytes name, const json_t *json, bool *out_created);

/* All that count as parameters of the vhost: stored ones, operator policies, the vhost's limits.
 * component NULL data: of all components. */
void manage_parameters_put(struct vhost *vhost, struct bytes component, bool with_vhost,
                           json_t *rows);
must_use enum err manage_parameter_set(struct vhost *vhost, struct bytes component,
                                       struct bytes name, const json_t *value, bool *out_created);
/* Global ones; `all`: those too that only this broker means anything to. */
void manage_global_parameters_put(struct core *core, bool all, json_t *rows);
must_use enum err manage_global_parameter_set(struct core *core, struct bytes name,
                                              const json_t *value, bool *out_created);

/* The file in a form: RabbitMQ's web page uploads definitions in one. NULL data: there is none. */
struct bytes multipart_file(struct bytes content_type, struct bytes body);

#endif
