/* The tables of all routes: one for each file of handlers. */
#ifndef MANAGE_ROUTES_H
#define MANAGE_ROUTES_H

#include "manage/manage.h"

extern const struct manage_routes manage_binding_routes;
extern const struct manage_routes manage_channel_routes;
extern const struct manage_routes manage_connection_routes;
extern const struct manage_routes manage_exchange_routes;
extern const struct manage_routes manage_health_routes;
extern const struct manage_routes manage_metrics_routes;
extern const struct manage_routes manage_message_routes;
extern const struct manage_routes manage_node_routes;
extern const struct manage_routes manage_overview_routes;
extern const struct manage_routes manage_permission_routes;
extern const struct manage_routes manage_queue_routes;
extern const struct manage_routes manage_service_routes;
extern const struct manage_routes manage_user_routes;
extern const struct manage_routes manage_vhost_routes;

#endif
