/* What the files of io share. */
#ifndef IO_INTERNAL_H
#define IO_INTERNAL_H

#include "io/disk.h"

/* Turn errno into an error with the text "<what>: <the system's words>". */
enum err io_error(const char *what);

/* A file opened with DISK_DIRECT is read and written in whole blocks from aligned memory, whether
 * or not the file system under it insists. */
void disk_check_direct(const struct disk *disk, uint64_t position, const struct iovec *parts,
                       int count);

/* The descriptor of a file that bypasses the page cache; -1: this one does not. */
int disk_real_direct_descriptor(struct file *);
/* What was to be made durable was not: it is in doubt, and file_sync() fails from now on. */
void disk_real_sync_failed(struct file *);

#endif
