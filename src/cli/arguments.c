#include "cli/arguments.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/nearest.h"
#include "base/number.h"

enum { NAME_MAX_BYTES = 48, HELP_COLUMN = 26 };

struct parse {
    const struct arguments *a;
    int argc, at;
    char **argv;
    size_t positional_count;
};

/* The synopsis' first words, up to what the user has to fill in: "topic create". */
static int command_size(const char *synopsis)
{
    size_t size = 0;

    while (islower((unsigned char)synopsis[size])) {
        size_t word = strcspn(synopsis + size, " ");
        if (memchr(synopsis + size, '|', word))
            return (int)size - 1;
        size += word;
        if (!synopsis[size] || !islower((unsigned char)synopsis[size + 1]))
            break;
        size++;
    }
    return (int)size;
}

static enum arguments_outcome wrong(const struct parse *p)
{
    fprintf(stderr, "pabal: %s\nTry: pabal %.*s --help\n", err_text(), command_size(p->a->synopsis),
            p->a->synopsis);
    return ARGUMENTS_WRONG;
}

static int name_size(const struct flag *flag)
{
    return (int)strcspn(flag->name, ",");
}

/* 0: it has none. */
static char letter_of(const struct flag *flag)
{
    const char *comma = strchr(flag->name, ',');

    return comma ? comma[1] : 0;
}

static const struct flag *find_flag(const struct arguments *a, const char *name, size_t size)
{
    for (size_t i = 0; i < a->flag_count; i++)
        if ((size_t)name_size(&a->flags[i]) == size && memcmp(a->flags[i].name, name, size) == 0)
            return &a->flags[i];
    return NULL;
}

static const struct flag *find_letter(const struct arguments *a, char letter)
{
    for (size_t i = 0; i < a->flag_count; i++)
        if (letter_of(&a->flags[i]) == letter)
            return &a->flags[i];
    return NULL;
}

static enum err unknown_flag(const struct arguments *a, const char *name, size_t size)
{
    struct bytes wanted = bytes_of(name, size);
    struct nearest nearest = {0};

    for (size_t i = 0; i < a->flag_count; i++)
        nearest_consider(&nearest, wanted,
                         bytes_of(a->flags[i].name, (size_t)name_size(&a->flags[i])));
    if (nearest.name[0])
        return err_set(E_INVALID, "unknown option --%.*s; did you mean --%s?", BYTES_FORMAT(wanted),
                       nearest.name);
    return err_set(E_INVALID, "unknown option --%.*s", BYTES_FORMAT(wanted));
}

static enum err add_to_list(const struct flag *flag, const char *value)
{
    struct flag_list *list = flag->to;

    if (list->count == FLAG_LIST_MAX)
        return err_set(E_INVALID, "--%.*s is given too often", name_size(flag), flag->name);
    list->items[list->count++] = value;
    return OK;
}

static enum err set_flag(const struct flag *flag, const char *value)
{
    struct bytes text = bytes_from_string(value);
    int64_t number = 0;
    bool is_good = true;

    switch (flag->type) {
    case FLAG_BOOL: *(bool *)flag->to = true; return OK;
    case FLAG_TEXT: *(const char **)flag->to = value; return OK;
    case FLAG_LIST: return add_to_list(flag, value);
    case FLAG_INT: is_good = number_parse_i64(text, &number) && number >= 0; break;
    case FLAG_SIZE: is_good = number_parse_size(text, &number); break;
    case FLAG_DURATION: is_good = number_parse_duration(text, 1000000000, &number); break;
    }
    if (!is_good)
        return err_set(E_INVALID, "--%.*s %s: not a valid %s", name_size(flag), flag->name, value,
                       flag->placeholder);
    *(int64_t *)flag->to = number;
    return OK;
}

/* JSON, by which most of it is asked for, could not say it. */
static bool is_no_text(const struct arguments *a, const struct flag *flag, const char *value)
{
    return (flag->type == FLAG_TEXT || flag->type == FLAG_LIST) && !a->takes_bytes &&
           !bytes_are_utf8(bytes_from_string(value));
}

/* Its value is what stands with it, or the next argument. */
static enum err take_value(struct parse *p, const struct flag *flag, const char *value)
{
    if (flag->type == FLAG_BOOL && value)
        return err_set(E_INVALID, "--%.*s takes no value", name_size(flag), flag->name);
    if (flag->type != FLAG_BOOL && !value) {
        if (p->at == p->argc)
            return err_set(E_INVALID, "--%.*s needs a value: %s", name_size(flag), flag->name,
                           flag->placeholder);
        value = p->argv[p->at++];
    }
    if (is_no_text(p->a, flag, value))
        return err_set(E_INVALID, "--%.*s: not UTF-8", name_size(flag), flag->name);
    return set_flag(flag, value);
}

static enum err take_name(struct parse *p, const char *name)
{
    size_t size = strcspn(name, "=");
    const struct flag *flag = find_flag(p->a, name, size);

    if (!flag)
        return unknown_flag(p->a, name, size);
    return take_value(p, flag, name[size] ? name + size + 1 : NULL);
}

static enum err take_letter(struct parse *p, const char *argument)
{
    const struct flag *flag = find_letter(p->a, argument[1]);

    if (!flag)
        return err_set(E_INVALID, "unknown option -%c", argument[1]);
    return take_value(p, flag, argument[2] ? argument + 2 : NULL);
}

static enum err take_flag(struct parse *p, const char *argument)
{
    return argument[1] == '-' ? take_name(p, argument + 2) : take_letter(p, argument);
}

static enum err take_positional(struct parse *p, const char *value, const char **positionals)
{
    if (p->positional_count == p->a->positional_most)
        return err_set(E_INVALID, "unexpected argument %s", value);
    positionals[p->positional_count++] = value;
    return OK;
}

static void print_help(const struct arguments *a)
{
    printf("Usage: pabal %s\n\n%s\n", a->synopsis, a->about);
    if (a->flag_count)
        printf("\nOptions:\n");
    for (size_t i = 0; i < a->flag_count; i++) {
        const struct flag *flag = &a->flags[i];
        char name[NAME_MAX_BYTES * 2], letter[] = "-x, ";
        letter[1] = letter_of(flag);
        snprintf(name, sizeof name, "%s--%.*s %s", letter[1] ? letter : "", name_size(flag),
                 flag->name, flag->placeholder);
        printf("  %-*s %s\n", HELP_COLUMN, name, flag->help);
    }
    if (*a->examples)
        printf("\nExamples:\n%s", a->examples);
}

/* ---- the manual ---- */

static bool is_manual;

void arguments_help_as_manual(void)
{
    is_manual = true;
}

/* Text for man(7): what would be a request or an escape is none. */
static void put_manual(const char *text, size_t size)
{
    bool is_line_start = true;

    for (size_t i = 0; i < size; i++) {
        if (is_line_start && (text[i] == '.' || text[i] == '\''))
            fputs("\\&", stdout);
        if (text[i] == '\\')
            fputs("\\e", stdout);
        else if (text[i] == '-')
            fputs("\\-", stdout);
        else
            putchar(text[i]);
        is_line_start = text[i] == '\n';
    }
}

static void put_manual_text(const char *text)
{
    put_manual(text, strlen(text));
}

static void print_manual(const struct arguments *a)
{
    printf(".SS pabal ");
    put_manual_text(a->synopsis);
    printf("\n");
    put_manual_text(a->about);
    printf("\n");
    for (size_t i = 0; i < a->flag_count; i++) {
        const struct flag *flag = &a->flags[i];
        printf(".TP\n\\fB");
        if (letter_of(flag))
            printf("\\-%c\\fR, \\fB", letter_of(flag));
        printf("\\-\\-");
        put_manual(flag->name, (size_t)name_size(flag));
        printf("\\fR %s%s%s\n", *flag->placeholder ? "\\fI" : "", flag->placeholder,
               *flag->placeholder ? "\\fR" : "");
        put_manual_text(flag->help);
        printf("\n");
    }
    if (!*a->examples)
        return;
    printf(".PP\n.nf\n");
    put_manual_text(a->examples);
    printf(".fi\n");
}

enum arguments_outcome arguments_parse(const struct arguments *a, int argc, char **argv,
                                       const char *positionals[POSITIONALS_MAX])
{
    struct parse p = {.a = a, .argc = argc, .argv = argv};
    bool flags_ended = false;

    check(a->positional_most <= POSITIONALS_MAX);
    for (size_t i = 0; i < POSITIONALS_MAX; i++)
        positionals[i] = NULL;
    while (p.at < argc) {
        const char *argument = argv[p.at++];
        bool is_flag = !flags_ended && argument[0] == '-' && argument[1] != 0 &&
                       !isdigit((unsigned char)argument[1]);

        if (is_flag && strcmp(argument, "--") == 0) {
            flags_ended = true;
            continue;
        }
        if (is_flag && (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0)) {
            if (is_manual)
                print_manual(a);
            else
                print_help(a);
            return ARGUMENTS_HELP;
        }
        enum err err =
            is_flag ? take_flag(&p, argument) : take_positional(&p, argument, positionals);
        if (err)
            return wrong(&p);
    }
    if (p.positional_count < a->positional_least) {
        (void)err_set(E_INVALID, "an argument is missing: pabal %s", a->synopsis);
        return wrong(&p);
    }
    return ARGUMENTS_GO_ON;
}
