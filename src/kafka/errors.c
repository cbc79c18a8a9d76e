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
