/* Addresses of Unix sockets by path, also of paths that are longer than a socket's address: those
 * go through an open descriptor of their directory. */
#ifndef IO_UNIX_ADDRESS_H
#define IO_UNIX_ADDRESS_H

#include <sys/un.h>

#include "base/err.h"

struct unix_address {
    struct sockaddr_un socket;
    int directory; /* the descriptor, or -1 */
};

/* `path` has a '/'. E_NOT_FOUND when its directory is missing. */
must_use enum err unix_address_open(const char *path, struct unix_address *out);
void unix_address_close(struct unix_address *);

#endif
