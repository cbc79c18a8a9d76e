/*
 * The tables of all routes: one for each file of handlers, which defines
 * `const struct manage_routes manage_<name>_routes`.
 */
#ifndef MANAGE_ROUTES_H
#define MANAGE_ROUTES_H

#include "manage/manage.h"

#define MANAGE_ROUTES(X)                                                                           \
    X(binding)                                                                                     \
    X(channel)                                                                                     \
    X(connection)                                                                                  \
    X(definition)                                                                                  \
    X(exchange)                                                                                    \
    X(health)                                                                                      \
    X(message)                                                                                     \
    X(metrics)                                                                                     \
    X(node)                                                                                        \
    X(overview)                                                                                    \
    X(parameter)                                                                                   \
    X(permission)                                                                                  \
    X(policy)                                                                                      \
    X(queue)                                                                                       \
    X(service)                                                                                     \
    X(user)                                                                                        \
    X(vhost)

#define MANAGE_ROUTES_EXTERN(name) extern const struct manage_routes manage_##name##_routes;
MANAGE_ROUTES(MANAGE_ROUTES_EXTERN)
#undef MANAGE_ROUTES_EXTERN

#endif
