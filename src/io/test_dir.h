/* A directory of its own for a test, and its removal. */
#ifndef IO_TEST_DIR_H
#define IO_TEST_DIR_H

/* A new empty directory. */
char *test_dir_new(void);
void test_dir_remove(char *path); /* with all that is in it; frees the path */

#endif
