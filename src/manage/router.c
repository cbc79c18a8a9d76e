#include <string.h>

#include "base/check.h"
#include "manage/call_internal.h"
#include "manage/routes.h"

static const struct manage_routes *const tables[] = {
#define TABLE_OF(name) &manage_##name##_routes,
    MANAGE_ROUTES(TABLE_OF)
#undef TABLE_OF
};

enum { TABLE_COUNT = sizeof tables / sizeof tables[0] };

/* Cut the next segment off a route's path. False at its end. */
static bool next_segment(const char **path, struct bytes *out)
{
    const char *end = strchrnul(*path, '/');

    if (!**path)
        return false;
    *out = bytes_of(*path, (size_t)(end - *path));
    *path = *end ? end + 1 : end;
    return true;
}

static bool is_below_api(const struct manage_route *route)
{
    return route->path[0] != '/';
}

static bool route_fits(const struct manage_route *route, const struct manage_call_internal *c)
{
    const char *path = route->path + (is_below_api(route) ? 0 : 1);
    struct bytes segment;
    size_t i = 0;

    if (is_below_api(route) != c->below_api)
        return false;
    for (; next_segment(&path, &segment); i++) {
        if (i == c->segment_count)
            return false;
        if (segment.data[0] != ':' && !bytes_equal(segment, c->segments[i]))
            return false;
    }
    return i == c->segment_count;
}

/* Has `a` a fixed segment where `b`, which fits the same path, takes any text? */
static bool route_is_closer(const struct manage_route *a, const struct manage_route *b)
{
    const char *path_a = a->path, *path_b = b->path;
    struct bytes of_a, of_b;

    while (next_segment(&path_a, &of_a) && next_segment(&path_b, &of_b)) {
        bool fixed_a = of_a.size == 0 || of_a.data[0] != ':';
        bool fixed_b = of_b.size == 0 || of_b.data[0] != ':';
        if (fixed_a != fixed_b)
            return fixed_a;
    }
    return false;
}

/* The route that fits the path best among those of any method, and then its sibling of the call's
 * method: so "queues/detailed" is never taken for a vhost. */
static const struct manage_route *closest(const struct manage_call *call)
{
    const struct manage_route *best = NULL;

    for (size_t t = 0; t < TABLE_COUNT; t++)
        for (size_t i = 0; i < tables[t]->count; i++) {
            const struct manage_route *route = &tables[t]->items[i];
            if (route_fits(route, call->internal) && (!best || route_is_closer(route, best)))
                best = route;
        }
    return best;
}

static enum manage_method method_of(const struct manage_route *route)
{
    return (enum manage_method)(route->method & (MANAGE_ANY_BODY - 1));
}

static bool is_sibling(const struct manage_route *a, const struct manage_route *b)
{
    return !route_is_closer(a, b) && !route_is_closer(b, a);
}

const struct manage_route *manage_find_route(const struct manage_call *call, unsigned *out_methods)
{
    const struct manage_route *best = closest(call), *found = NULL;

    *out_methods = 0;
    if (!best)
        return NULL;
    for (size_t t = 0; t < TABLE_COUNT; t++)
        for (size_t i = 0; i < tables[t]->count; i++) {
            const struct manage_route *route = &tables[t]->items[i];
            if (!route_fits(route, call->internal) || !is_sibling(route, best))
                continue;
            *out_methods |= 1u << method_of(route);
            if (call->internal->is_known && method_of(route) == call->method)
                found = route;
        }
    return found;
}

struct bytes manage_param(const struct manage_call *call, const char *name)
{
    const struct manage_route *route = call->internal->route;
    const char *path = route->path + (is_below_api(route) ? 0 : 1);
    struct bytes segment;

    for (size_t i = 0; next_segment(&path, &segment); i++)
        if (segment.data[0] == ':' &&
            bytes_equal_string(bytes_of(segment.data + 1, segment.size - 1), name))
            return call->internal->segments[i];
    check(false); /* the route has no such segment */
    return BYTES_NULL;
}
