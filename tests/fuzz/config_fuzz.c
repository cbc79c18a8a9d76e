/*
 * Any bytes as configuration. Input: slices; an even kind is a file's text, an odd one an assignment
 * of --set or, from 128 on, an environment variable. What is accepted lies within its bounds, can be
 * written down and read again as the same, and makes settings of it for any machine.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "server/config.h"
#include "server/settings.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/slices.h"

static char *string_of(const char *prefix, struct bytes b)
{
    size_t size = b.size ? strnlen((const char *)b.data, b.size) : 0;
    return xasprintf("%s%.*s", prefix, (int)size, b.size ? (const char *)b.data : "");
}

static enum err take(struct config *c, struct slice *p)
{
    struct bytes rest = slice_rest(p);
    if (p->kind % 2 == 0)
        return config_read_text(c, "file", rest);
    char *text = string_of(p->kind < 128 ? "" : "PABAL_", rest);
    char *environment[] = {text, NULL};
    enum err err = p->kind < 128 ? config_set(c, text) : config_read_environment(c, environment);
    free(text);
    return err;
}

/* Every value as its text, read again from a file. Where a '#' or a space stands a file would end the
 * value. */
static void check_written(const struct config *c)
{
    struct config again;
    struct text text = {0};
    for (int id = 0; id < OPTION_COUNT; id++)
        if (strpbrk(config_text(c, (enum option_id)id), "# "))
            return;
    config_init(&again);
    for (int id = 0; id < OPTION_COUNT; id++)
        text_printf(&text, "%s = %s\n", option_get((enum option_id)id)->name,
                    config_text(c, (enum option_id)id));
    check(config_read_text(&again, "again", text_bytes(&text)) == OK);
    for (int id = 0; id < OPTION_COUNT; id++) {
        check(strcmp(again.items[id].value.text, c->items[id].value.text) == 0);
        check(again.items[id].value.number == c->items[id].value.number);
    }
    text_reset(&text);
    config_reset(&again);
}

static void check_settings(const struct config *c)
{
    static const struct machine machines[] = {
        {1, UINT64_C(64) << 20, 64},
        {4, UINT64_C(8) << 30, 1024},
        {512, UINT64_C(1) << 50, UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++) {
        struct settings s;
        settings_make(c, &machines[i], &s);
        check(s.core.store.journal_first_bytes <= s.core.store.journal_max_bytes);
        check(s.core.store.segment_bytes <= UINT32_MAX);
        check(memchr(s.advertised_host, 0, sizeof s.advertised_host));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader in = reader_of(bytes_of(data, size));
    struct config config;
    struct slice p;
    enum err err = OK;

    config_init(&config);
    while (!err && slice_next(&in, &p)) {
        err_clear();
        err = take(&config, &p);
        check(!err || *err_text());
    }
    if (!err) {
        json_t *json = config_json(&config);
        check(json_object_size(json) == OPTION_COUNT);
        json_decref(json);
        check_written(&config);
        check_settings(&config);
        err = config_check(&config);
        check(!err || *err_text());
    }
    config_reset(&config);
    return 0;
}
