#include "tests/test.h"

#include "cli/ctl.h"

/* What fails before anything is asked; standard output belongs to the tests. */
static int run(int argc, ...)
{
    char *argv[8];
    va_list words;

    va_start(words, argc);
    for (int i = 0; i < argc; i++)
        argv[i] = va_arg(words, char *);
    va_end(words);
    return ctl_main("/usr/sbin/rabbitmqctl", argc, argv);
}

TEST(the_program_is_known_by_the_end_of_its_path)
{
    expect_true(ctl_is_program("rabbitmqctl"));
    expect_true(ctl_is_program("/usr/sbin/rabbitmq-diagnostics"));
    expect_false(ctl_is_program("/opt/rabbitmqctl/pabal"));
    expect_false(ctl_is_program("rabbitmq"));
}

TEST(wrong_words_are_usage_errors)
{
    expect_int(run(1, "list_quues"), CTL_USAGE);
    expect_int(run(1, "no_such_command_at_all"), CTL_USAGE);
    expect_int(run(0), CTL_USAGE);
    expect_int(run(1, "add_user"), CTL_USAGE);
    expect_int(run(4, "add_user", "a", "b", "c"), CTL_USAGE);
    expect_int(run(2, "list_queues", "--nonsense"), CTL_USAGE);
    expect_int(run(2, "list_queues", "-z"), CTL_USAGE);
    expect_int(run(2, "list_queues", "-p"), CTL_USAGE);
    expect_int(run(3, "list_queues", "-t", "soon"), CTL_USAGE);
    expect_int(run(2, "list_queues", "--quiet=yes"), CTL_USAGE);
    expect_int(run(3, "list_queues", "--priority", "1"), CTL_USAGE);
    expect_int(run(2, "list_queues", "nonsense"), CTL_USAGE);
    expect_int(run(3, "list_queues", "--formatter", "erlang"), CTL_USAGE);
    expect_int(run(2, "list_users", "name"), CTL_USAGE);
    expect_int(run(2, "help", "nonsense"), CTL_USAGE);
    expect_int(run(3, "add_user", "a", "\xff"), CTL_USAGE);
    expect_int(run(1, "wait"), CTL_USAGE);
    expect_int(run(2, "update_vhost_metadata", "v"), CTL_USAGE);
    expect_int(run(4, "export_definitions", "f", "--format", "erlang"), CTL_USAGE);
}

TEST(what_the_other_program_has_is_no_command)
{
    char *words[] = {"check_running", "--control", "/nonexistent/control", "-q"};

    expect_int(run(1, "check_running"), CTL_USAGE);
    expect_int(ctl_main("rabbitmq-diagnostics", 4, words), CTL_UNAVAILABLE);
}

TEST(without_a_server_the_service_is_unavailable)
{
    expect_int(run(4, "-q", "list_queues", "--control", "/nonexistent/control"), CTL_UNAVAILABLE);
    expect_int(run(5, "--control", "/nonexistent/control", "-q", "delete_user", "a"),
               CTL_UNAVAILABLE);
    expect_int(run(5, "--silent", "list_vhosts", "--url", "http://127.0.0.1:1", "name"),
               CTL_UNAVAILABLE);
    expect_int(run(6, "await_startup", "-q", "-t", "1", "--control", "/nonexistent/control"),
               CTL_TIMEOUT);
}

TEST(a_dry_run_asks_nothing)
{
    expect_int(run(6, "-q", "delete_vhost", "v", "--dry-run", "--control", "/nonexistent/control"),
               CTL_OK);
}

TEST(what_makes_no_sense_here_says_so)
{
    expect_int(run(2, "eval", "1."), CTL_UNAVAILABLE);
    expect_int(run(1, "stop_app"), CTL_UNAVAILABLE);
    expect_int(run(1, "reset"), CTL_UNAVAILABLE);
}

TEST(limits_are_fractions_or_bytes_with_the_units_of_rabbitmq)
{
    static const char *const wrong[] = {"x", "-1", "1.1", "", "nan"};
    static const char *const wrong_bytes[] = {"x", "0", "1.5GB", "1TB", "99999999999GB", "-1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect_int(run(2, "set_vm_memory_high_watermark", wrong[i]), CTL_DATA);
    for (size_t i = 0; i < sizeof wrong_bytes / sizeof *wrong_bytes; i++)
        expect_int(run(3, "set_vm_memory_high_watermark", "absolute", wrong_bytes[i]), CTL_DATA);
    expect_int(run(2, "set_vm_memory_high_watermark", "absolute"), CTL_USAGE);
    expect_int(run(3, "set_vm_memory_high_watermark", "0.4", "0.5"), CTL_USAGE);
    expect_int(run(4, "-q", "--dry-run", "set_vm_memory_high_watermark", "0.4"), CTL_OK);
    expect_int(run(5, "-q", "--dry-run", "set_vm_memory_high_watermark", "absolute", "1GiB"),
               CTL_OK);
    expect_int(run(2, "set_disk_free_limit", "x"), CTL_DATA);
    expect_int(run(3, "set_disk_free_limit", "1", "2"), CTL_USAGE);
    expect_int(run(2, "set_disk_free_limit", "mem_relative"), CTL_USAGE);
    expect_int(run(3, "set_disk_free_limit", "mem_relative", "x"), CTL_DATA);
    expect_int(run(5, "-q", "--dry-run", "set_disk_free_limit", "mem_relative", "1.5"), CTL_OK);
    expect_int(run(4, "-q", "--dry-run", "set_disk_free_limit", "50MB"), CTL_OK);
}

TEST(who_stops_a_server_that_does_not_run_is_told_unless_that_is_fine)
{
    expect_int(run(3, "stop", "--control", "/nonexistent/control"), CTL_UNAVAILABLE);
    expect_int(run(3, "shutdown", "--control", "/nonexistent/control"), CTL_UNAVAILABLE);
    expect_int(run(5, "-q", "stop", "--idempotent", "--control", "/nonexistent/control"), CTL_OK);
    expect_int(run(3, "stop", "--url", "http://127.0.0.1:1"), CTL_UNAVAILABLE);
}
