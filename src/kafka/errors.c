#include "kafka/errors.h"

#include "base/check.h"

enum kafka_error kafka_error_of(enum err err)
{
    switch (err) {
    case OK: return KAFKA_NONE;
    case E_IO:
    case E_NO_SPACE:
    case E_NO_MEMORY:
    case E_FROZEN: return KAFKA_STORAGE_ERROR; /* retriable: the producer keeps its records */
    case E_FULL:
    case E_LOCKED:
    case E_IN_USE:
    case E_COLD:
    case E_AGAIN:
    case E_TIMEOUT: return KAFKA_REQUEST_TIMED_OUT;
    case E_NOT_FOUND:
    case E_CLOSED: return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    case E_EXISTS: return KAFKA_TOPIC_ALREADY_EXISTS;
    case E_INVALID:
    case E_REFUSED:
    case E_NOT_EMPTY:
    case E_PRECONDITION:
    case E_UNSUPPORTED: return KAFKA_INVALID_REQUEST;
    case E_MALFORMED: return KAFKA_INVALID_RECORD;
    case E_CORRUPT: return KAFKA_CORRUPT_MESSAGE;
    case E_TOO_LARGE: return KAFKA_MESSAGE_TOO_LARGE;
    case E_OUT_OF_RANGE: return KAFKA_OFFSET_OUT_OF_RANGE;
    case E_STALE: return KAFKA_FENCED_LEADER_EPOCH;
    case E_SIMULATED_CRASH: return KAFKA_UNKNOWN_SERVER_ERROR;
    }
    check(false);
}

enum kafka_error kafka_error_of_group(enum group_error error)
{
    switch (error) {
    case GROUP_OK: return KAFKA_NONE;
    case GROUP_INVALID_ID: return KAFKA_INVALID_GROUP_ID;
    case GROUP_INVALID_REQUEST: return KAFKA_INVALID_REQUEST;
    case GROUP_INVALID_SESSION_TIMEOUT: return KAFKA_INVALID_SESSION_TIMEOUT;
    case GROUP_LOADING: return KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
    case GROUP_NOT_AVAILABLE: return KAFKA_COORDINATOR_NOT_AVAILABLE;
    case GROUP_NOT_FOUND: return KAFKA_GROUP_ID_NOT_FOUND;
    case GROUP_NOT_EMPTY: return KAFKA_NON_EMPTY_GROUP;
    case GROUP_FULL: return KAFKA_GROUP_MAX_SIZE_REACHED;
    case GROUP_TOO_LARGE: return KAFKA_UNKNOWN_SERVER_ERROR;
    case GROUP_MEMBER_ID_REQUIRED: return KAFKA_MEMBER_ID_REQUIRED;
    case GROUP_UNKNOWN_MEMBER: return KAFKA_UNKNOWN_MEMBER_ID;
    case GROUP_FENCED_INSTANCE: return KAFKA_FENCED_INSTANCE_ID;
    case GROUP_ILLEGAL_GENERATION: return KAFKA_ILLEGAL_GENERATION;
    case GROUP_REBALANCING: return KAFKA_REBALANCE_IN_PROGRESS;
    case GROUP_INCONSISTENT_PROTOCOL: return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    case GROUP_SUBSCRIBED: return KAFKA_GROUP_SUBSCRIBED_TO_TOPIC;
    case GROUP_OFFSET_TEXT_TOO_LONG: return KAFKA_OFFSET_METADATA_TOO_LARGE;
    }
    check(false);
}
