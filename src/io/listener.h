/* Listening sockets and the addresses of both ends of a connection. */
#ifndef IO_LISTENER_H
#define IO_LISTENER_H

#include "io/link.h"

struct sockaddr;

/* "HOST:PORT" or "[v6]:PORT" -> a listening socket and the port it got. What has a '/' is the path
 * of a Unix socket, which only its owner may use (mode 0600); its port is 0. */
must_use enum err listener_open(const char *address, int *out_fd, uint16_t *out_port);
void listener_close(int fd);
/* A waiting connection, not blocking; -1 and errno when there is none or it cannot be taken. */
int listener_accept(int fd, struct endpoint *local, struct endpoint *peer);
/* A connection that a library has accepted: nothing comes or goes on it any more, so that the library
 * sees its end and closes it. */
void listener_hang_up(int accepted);
/* An address of a library's own socket, as numbers. */
void listener_describe(const struct sockaddr *address, struct endpoint *out);

#endif
