/* The tables of all routes: one for each file of handlers. */
#ifndef MANAGE_ROUTES_H
#define MANAGE_ROUTES_H

#include "manage/manage.h"

extern const struct manage_routes manage_health_routes;
extern const struct manage_routes manage_node_routes;
extern const struct manage_routes manage_overview_routes;
extern const struct manage_routes manage_service_routes;

#endif
