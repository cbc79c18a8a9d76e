#include "tests/test.h"

#include <stdio.h>
#include <unistd.h>

#include "cli/arguments.h"

struct values {
    bool flag;
    const char *text;
    int64_t number, size, duration;
    struct flag_list list;
};

static const char *positionals[POSITIONALS_MAX];

/* What is said on stderr in the meantime. */
static char said[2000];

static enum arguments_outcome parse(struct values *v, int argc, char **argv)
{
    const struct flag flags[] = {
        {"flag,f", FLAG_BOOL, "", "a flag", &v->flag},
        {"text", FLAG_TEXT, "TEXT", "a text", &v->text},
        {"number,n", FLAG_INT, "N", "a number", &v->number},
        {"size", FLAG_SIZE, "BYTES", "a size", &v->size},
        {"time", FLAG_DURATION, "TIME", "a time", &v->duration},
        {"set", FLAG_LIST, "KEY=VALUE", "many", &v->list},
    };
    const struct arguments a = {
        .synopsis = "test ONE [TWO] [options]",
        .about = "About.",
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        .positional_least = 1,
        .positional_most = 2,
    };
    FILE *out = tmpfile();
    int kept = dup(STDERR_FILENO);

    expect_not_null(out);
    expect_true(dup2(fileno(out), STDERR_FILENO) >= 0);
    enum arguments_outcome outcome = arguments_parse(&a, argc, argv, positionals);
    expect_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    rewind(out);
    said[fread(said, 1, sizeof said - 1, out)] = 0;
    fclose(out);
    return outcome;
}

#define PARSE(v, ...)                                                                              \
    parse(v, (int)(sizeof(char *[]){__VA_ARGS__} / sizeof(char *)), (char *[]){__VA_ARGS__})

static void is_wrong(enum arguments_outcome outcome, const char *reason)
{
    expect_int(outcome, ARGUMENTS_WRONG);
    if (!strstr(said, reason))
        expect_string(said, reason);
}

TEST(flags_take_their_value_behind_a_space_or_an_equals_sign)
{
    struct values v = {0};

    expect_int(PARSE(&v, "one", "--flag", "--text", "a b", "--number=7", "--size", "4k", "--time",
                     "2ms", "two"),
               ARGUMENTS_GO_ON);
    expect_true(v.flag);
    expect_string(v.text, "a b");
    expect_int(v.number, 7);
    expect_int(v.size, 4096);
    expect_int(v.duration, 2000000);
    expect_string(positionals[0], "one");
    expect_string(positionals[1], "two");
    expect_null(positionals[2]);
}

TEST(a_list_collects_what_is_given_many_times)
{
    struct values v = {0};

    expect_int(PARSE(&v, "one", "--set", "a=1", "--set=b=2"), ARGUMENTS_GO_ON);
    expect_int(v.list.count, 2);
    expect_string(v.list.items[1], "b=2");
}

TEST(flags_have_letters)
{
    struct values v = {0};

    expect_int(PARSE(&v, "one", "-f", "-n", "7"), ARGUMENTS_GO_ON);
    expect_true(v.flag);
    expect_int(v.number, 7);
    expect_int(PARSE(&v, "one", "-n8"), ARGUMENTS_GO_ON);
    expect_int(v.number, 8);
    is_wrong(PARSE(&v, "one", "-x"), "unknown option -x");
    is_wrong(PARSE(&v, "one", "-n"), "--number needs a value: N");
    is_wrong(PARSE(&v, "one", "-fg"), "--flag takes no value");
    is_wrong(PARSE(&v, "one", "-nx"), "--number x: not a valid N");
}

TEST(a_number_below_zero_is_an_argument)
{
    struct values v = {0};

    expect_int(PARSE(&v, "one", "-5"), ARGUMENTS_GO_ON);
    expect_string(positionals[1], "-5");
}

TEST(behind_two_dashes_nothing_is_a_flag)
{
    struct values v = {0};

    expect_int(PARSE(&v, "--", "--flag"), ARGUMENTS_GO_ON);
    expect_false(v.flag);
    expect_string(positionals[0], "--flag");
}

TEST(a_dash_alone_is_an_argument)
{
    struct values v = {0};

    expect_int(PARSE(&v, "-"), ARGUMENTS_GO_ON);
    expect_string(positionals[0], "-");
}

TEST(an_unknown_flag_names_the_nearest)
{
    struct values v = {0};

    is_wrong(PARSE(&v, "one", "--numbr", "1"), "unknown option --numbr; did you mean --number?");
    is_wrong(PARSE(&v, "one", "--entirely-else"), "unknown option --entirely-else\n");
    expect_not_null(strstr(said, "Try: pabal test --help"));
}

TEST(wrong_values_are_refused)
{
    struct values v = {0};

    is_wrong(PARSE(&v, "one", "--number", "-1"), "--number -1: not a valid N");
    is_wrong(PARSE(&v, "one", "--number", "x"), "--number x");
    is_wrong(PARSE(&v, "one", "--size", "4q"), "--size 4q");
    is_wrong(PARSE(&v, "one", "--text"), "--text needs a value: TEXT");
    is_wrong(PARSE(&v, "one", "--flag=1"), "--flag takes no value");
    is_wrong(PARSE(&v, "one", "--text", "\xff"), "--text: not UTF-8");
    is_wrong(PARSE(&v, "one", "--set=key=\xc3"), "--set: not UTF-8");
}

TEST(too_few_and_too_many_arguments_are_refused)
{
    struct values v = {0};

    is_wrong(PARSE(&v, "--flag"), "an argument is missing: pabal test ONE");
    is_wrong(PARSE(&v, "one", "two", "three"), "unexpected argument three");
}
