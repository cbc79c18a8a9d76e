#include "cli/http_client.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define LIBRARY "libcurl.so.4"

enum { ANSWER_MAX_BYTES = 256 * 1024 * 1024 };

/* What is called of the library, by its own types. */
#define CURL_FUNCTIONS(X)                                                                          \
    X(easy_init)                                                                                   \
    X(easy_setopt)                                                                                 \
    X(easy_perform)                                                                                \
    X(easy_getinfo)                                                                                \
    X(easy_cleanup)                                                                                \
    X(easy_strerror)                                                                               \
    X(slist_append)                                                                                \
    X(slist_free_all)

#undef curl_easy_setopt
#undef curl_easy_getinfo

static struct {
#define CURL_POINTER(name) __typeof__(curl_##name) *name;
    CURL_FUNCTIONS(CURL_POINTER)
#undef CURL_POINTER
} curl;

static enum err open_library(void)
{
    static void *library;

    if (library)
        return OK;
    void *opened = dlopen(LIBRARY, RTLD_NOW);
    if (!opened)
        return err_set(E_UNSUPPORTED, "--url needs libcurl: %s", dlerror());
#define CURL_FIND(name)                                                                            \
    *(void **)&curl.name = dlsym(opened, "curl_" #name);                                           \
    if (!curl.name)                                                                                \
        return err_set(E_UNSUPPORTED, "%s has no curl_" #name, LIBRARY);
    CURL_FUNCTIONS(CURL_FIND)
#undef CURL_FIND
    library = opened;
    return OK;
}

static size_t take_body(char *data, size_t one, size_t size, void *to)
{
    struct text *body = to;

    (void)one; /* always 1 */
    if (body->size + size > ANSWER_MAX_BYTES)
        return 0;
    text_append(body, bytes_of(data, size));
    return size;
}

static enum err code_of(CURLcode code)
{
    switch ((int)code) {
    case CURLE_OPERATION_TIMEDOUT: return E_TIMEOUT;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL: return E_INVALID;
    case CURLE_WRITE_ERROR: return E_TOO_LARGE;
    default: return E_CLOSED;
    }
}

static void set_options(CURL *easy, const struct http_request *r, struct curl_slist *headers,
                        char *error, struct text *body)
{
    curl.easy_setopt(easy, CURLOPT_URL, r->url);
    curl.easy_setopt(easy, CURLOPT_CUSTOMREQUEST, r->method);
    curl.easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl.easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(r->timeout_ns / 1000000));
    curl.easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl.easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
    curl.easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl.easy_setopt(easy, CURLOPT_WRITEDATA, body);
    if (r->user) {
        curl.easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl.easy_setopt(easy, CURLOPT_USERNAME, r->user);
        curl.easy_setopt(easy, CURLOPT_PASSWORD, r->password ? r->password : "");
    }
    if (r->body.data) {
        curl.easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.size);
        curl.easy_setopt(easy, CURLOPT_POSTFIELDS, r->body.data);
    }
}

/* A line of its own would be another header. */
static struct curl_slist *add_reason(struct curl_slist *headers, const char *reason)
{
    char *line = xasprintf("X-Reason: %.*s", (int)strcspn(reason, "\r\n"), reason);

    headers = curl.slist_append(headers, line);
    free(line);
    return headers;
}

enum err http_ask(const struct http_request *request, long *out_status, struct text *out_body)
{
    char error[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = NULL;

    enum err err = open_library();
    if (err)
        return err;
    CURL *easy = curl.easy_init();
    if (!easy)
        return err_set(E_NO_MEMORY, "libcurl gives no handle");
    headers = curl.slist_append(headers, "Content-Type: application/json");
    headers = curl.slist_append(headers, "Expect:"); /* large bodies go at once */
    if (request->reason)
        headers = add_reason(headers, request->reason);
    set_options(easy, request, headers, error, out_body);
    CURLcode code = curl.easy_perform(easy);
    if (code == CURLE_OK)
        curl.easy_getinfo(easy, CURLINFO_RESPONSE_CODE, out_status);
    else
        err = err_set(code_of(code), "%s: %s", request->url,
                      *error ? error : curl.easy_strerror(code));
    curl.slist_free_all(headers);
    curl.easy_cleanup(easy);
    return err;
}
