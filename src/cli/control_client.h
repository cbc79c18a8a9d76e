/* The client's end of the control socket (server/control.h has the protocol). */
#ifndef CLI_CONTROL_CLIENT_H
#define CLI_CONTROL_CLIENT_H

#include <jansson.h>

#include "base/err.h"
#include "cli/cli.h"

/* Ask the server on this machine; takes the reference to `request`. *out is the answer's result, a
 * new reference. Errors are the server's own. */
must_use enum err control_ask(const struct common *common, json_t *request, json_t **out);

/* Where to dial for "kafka" or "amqp": --server or PABAL_SERVER, else where the server on this machine
 * says that it listens, else `otherwise`. Valid until the next call. */
const char *control_find_listener(const struct common *common, const char *protocol,
                                  const char *otherwise);

#endif
