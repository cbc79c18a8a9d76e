#include "tests/test.h"

#include "cli/url.h"

static void expect_url(const char *url, const char *base, const char *user, const char *password)
{
    struct url parsed;

    expect_ok(url_parse(url, &parsed));
    expect_string(parsed.base, base);
    expect_string(parsed.user ? parsed.user : "(none)", user);
    expect_string(parsed.password ? parsed.password : "(none)", password);
    url_reset(&parsed);
}

TEST(a_url_is_taken_apart)
{
    expect_url("http://guest:secret@host:15672", "http://host:15672", "guest", "secret");
    expect_url("https://host/mq/", "https://host/mq", "(none)", "(none)");
    expect_url("http://guest@host", "http://host", "guest", "(none)");
    expect_url("http://a%40b:p%3a%2F%zz@host/", "http://host", "a@b", "p:/%zz");
    expect_url("http://u:p@ss@host/x@y", "http://host/x@y", "u", "p@ss");
    expect_url("http://:p@[::1]:15672", "http://[::1]:15672", "", "p");
}

TEST(what_is_no_http_url_is_refused)
{
    struct url parsed;

    expect_err(url_parse("localhost:15672", &parsed), E_INVALID);
    expect_err_text("must be http://USER:PASSWORD@HOST:15672");
    expect_err(url_parse("file:///etc/passwd", &parsed), E_INVALID);
    expect_err(url_parse("http://", &parsed), E_INVALID);
}

TEST(names_in_paths_are_percent_encoded)
{
    struct text path = {0};

    url_put_path(&path, "queues/%s/%s?if-empty=true", "/", "a b\xc3\xa4-._~?");
    expect_string(text_string(&path), "queues/%2F/a%20b%C3%A4-._~%3F?if-empty=true");
    text_reset(&path);
}

TEST(the_host_ends_at_the_port_or_the_path)
{
    expect_int(url_host_size("host:15672/x"), 4);
    expect_int(url_host_size("host/x:y"), 4);
    expect_int(url_host_size("[::1]:15672"), 5);
    expect_int(url_host_size("[::1"), 4);
}
