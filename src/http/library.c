#include "http/library.h"

#include <dlfcn.h>

#define LIBRARY_FILE "libmicrohttpd.so.12"

enum err http_library_open(struct http_library *out)
{
    void *opened = dlopen(LIBRARY_FILE, RTLD_NOW);

    if (!opened)
        return err_set(E_NOT_FOUND, "%s", dlerror());
#define LIBRARY_TAKE(name)                                                                         \
    *(void **)&out->name = dlsym(opened, "MHD_" #name);                                            \
    if (!out->name)                                                                                \
        return err_set(E_NOT_FOUND, LIBRARY_FILE " has no MHD_" #name);
    HTTP_LIBRARY_TABLE(LIBRARY_TAKE)
#undef LIBRARY_TAKE
    return OK;
}
