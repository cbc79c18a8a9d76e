/*
 * Names that nobody can guess who has seen others: a digest of the core's secret and a draw. The
 * core's random numbers alone are no secret: a few names that were made of them tell the next ones.
 */
#ifndef BROKER_SECRET_H
#define BROKER_SECRET_H

#include "broker/core.h"

enum { SECRET_NAME_SIZE = 22 }; /* 132 bits: letters, digits, '-' and '_' */

void secret_name(struct core *core, char out[SECRET_NAME_SIZE + 1]);

#endif
