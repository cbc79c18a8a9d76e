/* What a handler reads from the query and the body. */
#include "base/number.h"
#include "manage/json.h"
#include "manage/manage.h"

const char *manage_query(const struct manage_call *call, const char *name)
{
    return json_string_value(json_object_get(call->query, name));
}

bool manage_query_is_true(const struct manage_call *call, const char *name)
{
    const char *value = manage_query(call, name);

    return value && bytes_equal_string(bytes_from_string(value), "true");
}

/* NULL: absent or null. */
static json_t *member(const struct manage_call *call, const char *name)
{
    json_t *value = json_object_get(call->body, name);

    return json_is_null(value) ? NULL : value;
}

bool manage_body_has(const struct manage_call *call, const char *name)
{
    return member(call, name) != NULL;
}

enum err manage_body_string(const struct manage_call *call, const char *name, struct bytes *out)
{
    const json_t *value = member(call, name);

    if (!value)
        return OK;
    if (!json_is_string(value))
        return err_set(E_INVALID, "%s must be a string", name);
    *out = manage_bytes_of(value);
    return OK;
}

/* RabbitMQ takes "true" and "false" too: forms send text. */
enum err manage_body_bool(const struct manage_call *call, const char *name, bool *out)
{
    const json_t *value = member(call, name);

    if (!value)
        return OK;
    if (json_is_boolean(value))
        *out = json_is_true(value);
    else if (json_is_string(value) && bytes_equal_string(manage_bytes_of(value), "true"))
        *out = true;
    else if (json_is_string(value) && bytes_equal_string(manage_bytes_of(value), "false"))
        *out = false;
    else
        return err_set(E_INVALID, "%s must be true or false", name);
    return OK;
}

enum err manage_body_int(const struct manage_call *call, const char *name, int64_t *out)
{
    const json_t *value = member(call, name);

    if (!value)
        return OK;
    if (json_is_integer(value))
        *out = json_integer_value(value);
    else if (!json_is_string(value) || !number_parse_i64(manage_bytes_of(value), out))
        return err_set(E_INVALID, "%s must be an integer", name);
    return OK;
}
