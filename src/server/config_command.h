/* The commands about configuration, and where the server's and the client's commands get theirs. */
#ifndef SERVER_CONFIG_COMMAND_H
#define SERVER_CONFIG_COMMAND_H

#include "cli/arguments.h"
#include "server/config.h"

/* Fill from the file (`path`, or PABAL_CONFIG, or /etc/pabal/pabal.conf when that exists), the
 * environment and the --set flags. */
must_use enum err config_load(struct config *c, const char *path, const struct flag_list *sets);

int config_show_run(int argc, char **argv);
int config_document_run(int argc, char **argv);

#endif
