/*
 * The properties that every message of every schema must have, for the unit tests of all folders
 * that have schemas: what is encoded decodes to the same, cut short it is refused, damaged it does
 * no harm. A failed property fails the running test and names message, version and seed.
 */
#ifndef WIRE_ROUND_TRIP_H
#define WIRE_ROUND_TRIP_H

#include "wire/amqp_wire.h"

/* `count` random messages of one version, or of all versions of the schema. */
void round_trip_version(const struct wire_schema *schema, int version, int count);
void round_trip(const struct wire_schema *schema, int count);

/* Of a method's arguments or a property list. */
void round_trip_amqp(const struct wire_schema *schema, int count);

#endif
