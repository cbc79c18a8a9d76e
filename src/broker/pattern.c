#define PCRE2_CODE_UNIT_WIDTH 8
#include "broker/pattern.h"

#include <pcre2.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/say.h"

enum {
    /* Steps of one search. A name of 255 bytes takes some hundred of an ordinary pattern; so many
     * take about a millisecond. */
    MATCH_STEPS_MAX = 20000,
    MATCH_HEAP_KIB = 256,
    NESTING_MAX = 50,
};

struct pattern_code {
    pcre2_code *compiled;
    pcre2_match_data *match_data;
    pcre2_match_context *limits;
    bool is_told; /* that it takes too long */
};

static void code_free(struct pattern_code *code)
{
    if (!code)
        return;
    pcre2_code_free(code->compiled);
    pcre2_match_data_free(code->match_data);
    pcre2_match_context_free(code->limits);
    free(code);
}

/* PCRE2 10.42 reads the byte behind a pattern that ends in "(*LIMIT_MATCH=1", and believes a
 * parenthesis that it finds there: so it gets a copy with a NUL behind it. */
static pcre2_code *compile_copy(struct bytes text, int *out_error, PCRE2_SIZE *out_position)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    struct text copy = {0};
    check(context);
    text_append(&copy, text);
    pcre2_set_parens_nest_limit(context, NESTING_MAX);
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)text_string(&copy), copy.size,
                                         PCRE2_NEVER_BACKSLASH_C, out_error, out_position, context);
    pcre2_compile_context_free(context);
    text_reset(&copy);
    return compiled;
}

static enum err compile(struct bytes text, struct pattern_code **out)
{
    int error;
    PCRE2_SIZE position;
    pcre2_code *compiled = compile_copy(text, &error, &position);
    if (!compiled) {
        char why[120];
        pcre2_get_error_message(error, (PCRE2_UCHAR *)why, sizeof why);
        return err_set(E_INVALID, "%s at position %zu", why, (size_t)position);
    }

    struct pattern_code *code = xzalloc(sizeof *code);
    code->compiled = compiled;
    code->match_data = pcre2_match_data_create(1, NULL);
    code->limits = pcre2_match_context_create(NULL);
    check(code->match_data);
    check(code->limits);
    pcre2_set_match_limit(code->limits, MATCH_STEPS_MAX);
    pcre2_set_heap_limit(code->limits, MATCH_HEAP_KIB);
    *out = code;
    return OK;
}

/* Patterns that match every name, in the spellings that are in use. Names may hold line ends, which
 * a dot does not match; but what is found anywhere is found in front of one. */
static bool is_all(struct bytes text)
{
    return bytes_equal_string(text, ".*") || bytes_equal_string(text, "^.*") ||
           bytes_equal_string(text, "");
}

enum err pattern_init(struct pattern *out, struct bytes text)
{
    struct pattern_code *code = NULL;
    if (text.size > PATTERN_MAX_BYTES)
        return err_set(E_INVALID, "a pattern of %zu bytes, the limit is %d", text.size,
                       PATTERN_MAX_BYTES);
    enum err err = is_all(text) ? OK : compile(text, &code);
    if (err)
        return err;
    out->text = bytes_dup(text);
    out->kind = code ? PATTERN_REGEX : PATTERN_ALL;
    out->code = code;
    return OK;
}

enum err pattern_init_permission(struct pattern *out, struct bytes text)
{
    if (text.size && !bytes_equal_string(text, "^$"))
        return pattern_init(out, text);
    *out = (struct pattern){.text = bytes_dup(text), .kind = PATTERN_EMPTY};
    return OK;
}

void pattern_reset(struct pattern *p)
{
    bytes_free(p->text);
    code_free(p->code);
    *p = (struct pattern){0};
}

enum err pattern_search(const struct pattern *p, struct bytes name, bool *out_found)
{
    const uint8_t *start = name.data ? name.data : (const uint8_t *)"";
    *out_found = p->kind == PATTERN_ALL || (p->kind == PATTERN_EMPTY && name.size == 0);
    if (p->kind != PATTERN_REGEX)
        return OK;
    int found = pcre2_match(p->code->compiled, start, name.size, 0, 0, p->code->match_data,
                            p->code->limits);
    *out_found = found >= 0;
    return found >= 0 || found == PCRE2_ERROR_NOMATCH
               ? OK
               : err_set(E_OUT_OF_RANGE, "the pattern takes too long: '%.*s' code=%d",
                         BYTES_FORMAT(p->text), found);
}

/* Once is enough: clients choose how often this happens. */
static void tell_failure(const struct pattern *p)
{
    if (!p->code->is_told)
        say_warn("access", "%s, so it matches nothing", err_text());
    p->code->is_told = true;
}

bool pattern_matches(const struct pattern *p, struct bytes name)
{
    bool found;
    if (pattern_search(p, name, &found))
        tell_failure(p);
    return found;
}

bool pattern_is_slow(const struct pattern *p)
{
    return p->kind == PATTERN_REGEX && p->code->is_told;
}
