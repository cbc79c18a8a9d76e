/* The functions that the table of APIs names; their own files say what they do. */
#ifndef KAFKA_HANDLERS_H
#define KAFKA_HANDLERS_H

#include "kafka/request.h"

enum err produce_prepare(struct request *);
void produce_start(struct request *);

void fetch_start(struct request *);
void fetch_release(struct request *);
void fetch_write(struct request *);

void list_offsets_start(struct request *);
void list_offsets_release(struct request *);

void metadata_start(struct request *);

void api_versions_start(struct request *);

void create_topics_start(struct request *);
void delete_topics_start(struct request *);

void describe_configs_start(struct request *);
void describe_configs_release(struct request *);

#endif
