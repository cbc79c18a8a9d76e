/* rabbitmqctl: vhosts and their limits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ctl.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static enum err put_vhost(const struct ctl *c, const char *name)
{
    return manage_ask(&c->common,
                      json_pack("{s:s*, s:s*, s:s*}", "description", c->o.description, "tags",
                                c->o.tags, "default_queue_type", c->o.queue_type),
                      NULL, "PUT vhosts/%s", name);
}

/* One that is there stays as it is. */
static int add_vhost(struct ctl *c)
{
    if (!ctl_begin(c, "Adding vhost \"%s\" ...", c->arguments[0]))
        return CTL_OK;
    enum err err = manage_ask(&c->common, NULL, NULL, "GET vhosts/%s", c->arguments[0]);
    return ctl_end(c, err == E_NOT_FOUND ? put_vhost(c, c->arguments[0]) : err);
}

static int delete_vhost(struct ctl *c)
{
    if (!ctl_begin(c, "Deleting vhost \"%s\" ...", c->arguments[0]))
        return CTL_OK;
    enum err err = manage_ask(&c->common, NULL, NULL, "DELETE vhosts/%s", c->arguments[0]);
    return err == E_NOT_FOUND ? ctl_no_vhost(c->arguments[0]) : ctl_end(c, err);
}

static int update_vhost(struct ctl *c)
{
    int exit_code;

    if (!c->o.description && !c->o.tags && !c->o.queue_type)
        return ctl_usage(c, CTL_USAGE, "not enough arguments.");
    if (!ctl_begin(c, "Updating metadata of vhost \"%s\" ...", c->arguments[0]))
        return CTL_OK;
    if (!ctl_has_vhost(c, c->arguments[0], &exit_code))
        return exit_code;
    return ctl_end(c, put_vhost(c, c->arguments[0]));
}

static int set_vhost_tags(struct ctl *c)
{
    struct text shown = {0}, tags = {0};
    int exit_code = CTL_OK;

    for (size_t i = 1; i < c->count; i++) {
        text_printf(&shown, "%s%s", i > 1 ? ", " : "", c->arguments[i]);
        text_printf(&tags, "%s%s", i > 1 ? "," : "", c->arguments[i]);
    }
    bool goes_on = ctl_begin(c, "Setting tags for virtual host \"%s\" to [%s] ...", c->arguments[0],
                             text_string(&shown));
    if (goes_on && ctl_has_vhost(c, c->arguments[0], &exit_code)) {
        c->o.tags = text_string(&tags);
        exit_code = ctl_end(c, put_vhost(c, c->arguments[0]));
    }
    text_reset(&shown);
    text_reset(&tags);
    return exit_code;
}

/* ---- limits ---- */

static const struct ctl_column limit_columns[] = {{"vhost", NULL, CTL_ANY},
                                                  {"limits", "value", CTL_JSON}};
static const struct ctl_listing limit_listing = {.columns = limit_columns,
                                                 .column_count = COUNT(limit_columns)};

static int set_vhost_limits(struct ctl *c)
{
    json_error_t error;
    const char *name;
    json_t *limits, *limit;
    int exit_code;

    if (!ctl_begin(c, "Setting vhost limits to \"%s\" for vhost \"%s\" ...", c->arguments[0],
                   c->o.vhost))
        return CTL_OK;
    limits = json_loads(c->arguments[0], 0, &error);
    if (!json_is_object(limits)) {
        json_decref(limits);
        return ctl_error(CTL_UNAVAILABLE, "Could not parse JSON document: %s", c->arguments[0]);
    }
    enum err err = OK;
    bool has_vhost = ctl_has_vhost(c, c->o.vhost, &exit_code);
    json_object_foreach(limits, name, limit)
    {
        if (has_vhost && !err)
            err = manage_ask(&c->common, json_pack("{s:O}", "value", limit), NULL,
                             "PUT vhost-limits/%s/%s", c->o.vhost, name);
    }
    json_decref(limits);
    return has_vhost ? ctl_end(c, err) : exit_code;
}

static int clear_vhost_limits(struct ctl *c)
{
    static const char *const all[] = {"max-connections", "max-queues"};
    enum err err = OK;

    bool goes_on = ctl_begin(c, "Clearing vhost \"%s\" limits ...", c->o.vhost);
    for (size_t i = 0; goes_on && !err && i < COUNT(all); i++) {
        err = manage_ask(&c->common, NULL, NULL, "DELETE vhost-limits/%s/%s", c->o.vhost, all[i]);
        err = err == E_NOT_FOUND ? OK : err;
    }
    return ctl_end(c, err);
}

/* Of one vhost the limits alone are printed. */
static void print_limits(const json_t *rows)
{
    const json_t *value = output_find(json_array_get(rows, 0), "value");
    char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;

    puts(text && json_object_size(value) ? text : "");
    free(text);
}

static int list_vhost_limits(struct ctl *c)
{
    json_t *rows;

    bool goes_on = c->o.global ? ctl_begin(c, "Listing limits for all vhosts ...")
                               : ctl_begin(c, "Listing limits for vhost \"%s\" ...", c->o.vhost);
    if (!goes_on)
        return CTL_OK;
    enum err err = c->o.global ? manage_get(&c->common, &rows, "GET vhost-limits")
                               : manage_get(&c->common, &rows, "GET vhost-limits/%s", c->o.vhost);
    if (err)
        return err == E_NOT_FOUND ? ctl_no_vhost(c->o.vhost) : ctl_failed(c, err);
    if (c->o.global || ctl_is_for_machines(c))
        (void)ctl_print_rows(c, &limit_listing, rows);
    else
        print_limits(rows);
    json_decref(rows);
    return CTL_OK;
}

static const struct ctl_command commands[] = {
    {"add_vhost",
     "<vhost> [--description <description> --tags \"<tag1>,<tag2>,<...>\" --default-queue-type "
     "<quorum|classic|stream>]",
     "Creates a virtual host", "description tags default-queue-type", 1, 1, add_vhost, NULL, false},
    {"delete_vhost", "<vhost>", "Deletes a virtual host", "", 1, 1, delete_vhost, NULL, false},
    {"update_vhost_metadata",
     "<vhost> [--description <description>] [--tags \"<tag1>,<tag2>,<...>\"] "
     "[--default-queue-type <quorum|classic|stream>]",
     "Updates metadata (tags, description, default queue type) a virtual host",
     "description tags default-queue-type", 1, 1, update_vhost, NULL, false},
    {"set_vhost_tags", "<vhost> <tag> [...]", "Sets virtual host tags", "", 1, -1, set_vhost_tags,
     NULL, false},
    {"set_vhost_limits", "[--vhost <vhost>] <definition>", "Sets virtual host limits", "", 1, 1,
     set_vhost_limits, NULL, false},
    {"clear_vhost_limits", "[--vhost <vhost>]", "Clears virtual host limits", "", 0, 0,
     clear_vhost_limits, NULL, false},
    {"list_vhost_limits", "[--vhost <vhost>] [--global] [--no-table-headers]",
     "Displays configured virtual host limits", "global", 0, 0, list_vhost_limits, NULL, false},
};

const struct ctl_commands ctl_vhost_commands = {commands, COUNT(commands)};
