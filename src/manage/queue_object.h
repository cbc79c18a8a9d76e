/* A queue as RabbitMQ's API shows it. */
#ifndef MANAGE_QUEUE_OBJECT_H
#define MANAGE_QUEUE_OBJECT_H

#include "broker/queue.h"
#include "manage/manage.h"

/* `is_whole`: with its consumers, and what a list leaves out. */
json_t *queue_object(const struct manage_call *call, struct queue *queue, bool is_whole);

#endif
