/* Listening sockets and the addresses of both ends of a connection. */
#ifndef IO_LISTENER_H
#define IO_LISTENER_H

#include "io/link.h"

/* "HOST:PORT" or "[v6]:PORT" -> a listening socket and the port it got. What has a '/' is the path of
 * a Unix socket, which only its owner may use (mode 0600); its port is 0. */
must_use enum err listener_open(const char *address, int *out_fd, uint16_t *out_port);
/* Both ends of a connected socket; empty where the system does not say. */
void listener_endpoints(int fd, struct endpoint *local, struct endpoint *peer);

#endif
