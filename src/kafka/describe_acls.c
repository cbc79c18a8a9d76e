/* DescribeAcls: without an authorizer there is nothing to describe, and Kafka says so by an error. */
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

void describe_acls_start(struct request *r)
{
    struct kafka_describe_acls_response *reply =
        request_new(r, &kafka_describe_acls_response_schema, 1);
    if (!reply)
        return;
    reply->error_code = KAFKA_SECURITY_DISABLED;
    reply->error_message = BYTES_LITERAL("No Authorizer is configured on the broker");
    request_answer(r, reply);
}
