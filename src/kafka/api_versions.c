/*
 * ApiVersions: what every client asks first (KIP-35, KIP-511). A version that we do not know is
 * answered in version 0 with UNSUPPORTED_VERSION and the whole list, so that the client can ask
 * again. No features are finalized, so none is told; later features come with their own levels.
 */
#include "kafka/api.h"
#include "kafka/connection.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

static bool is_alphanumeric(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])? (KIP-511) */
static bool software_is_legal(struct bytes name)
{
    if (name.size == 0 || !is_alphanumeric(name.data[0]) ||
        !is_alphanumeric(name.data[name.size - 1]))
        return false;
    for (size_t i = 0; i < name.size; i++)
        if (!is_alphanumeric(name.data[i]) && name.data[i] != '-' && name.data[i] != '.')
            return false;
    return true;
}

static void list_apis(struct request *r, struct kafka_api_versions_response *reply)
{
    reply->api_keys.items =
        request_new(r, &kafka_api_versions_response_key_schema, KAFKA_API_COUNT);
    if (!reply->api_keys.items)
        return;
    for (size_t i = 0; i < KAFKA_API_COUNT; i++) {
        const struct wire_api *wire;
        if (!api_find(kafka_apis[i].key, &wire))
            continue;
        struct kafka_api_versions_response_key *out =
            &reply->api_keys.items[reply->api_keys.count++];
        out->api_key = wire->key;
        out->min_version = wire->advertise_min;
        out->max_version = wire->stable_max;
    }
}

void api_versions_start(struct request *r)
{
    const struct kafka_api_versions_request *in = r->body;
    struct kafka_api_versions_response *reply =
        request_new(r, &kafka_api_versions_response_schema, 1);
    if (!reply)
        return;
    if (!in) {
        r->version = 0;
        reply->error_code = KAFKA_UNSUPPORTED_VERSION;
        list_apis(r, reply);
    } else if (r->version >= 3 && (!software_is_legal(in->client_software_name) ||
                                   !software_is_legal(in->client_software_version))) {
        reply->error_code = KAFKA_INVALID_REQUEST;
    } else {
        connection_set_client(r->connection, in->client_software_name, in->client_software_version);
        list_apis(r, reply);
    }
    request_answer(r, reply);
}
