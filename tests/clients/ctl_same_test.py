"""rabbitmqctl and ours, call by call against one RabbitMQ: --broker=rabbitmq."""
import os
import subprocess

import pytest

import brokers

# In this order: what one call makes, a later one finds. Ours and the real one take turns at going first.
PAIRS = """
list_users
list_users -q
list_users --formatter json
list_vhosts name description tags
list_vhosts --silent
list_permissions
list_permissions -p nowhere
list_user_permissions guest
list_user_permissions nobody
list_topic_permissions
list_policies
list_policies --formatter json
list_policies -p nowhere
list_operator_policies -q
list_connections
list_connections --formatter json
list_channels
list_consumers
list_consumers --formatter json
list_queues
list_queues -p nowhere
list_queues --formatter json
list_queues nonsense
list_queues --nonsense
list_queues -p
list_queues -t soon
list_users name
add_user
add_user a b c
add_user guest x
set_user_tags nobody x
change_password nobody x
authenticate_user guest guest
authenticate_user guest wrong
delete_user nobody
set_permissions guest .* .* .*
set_permissions nobody a b c
set_permissions -p nowhere guest a b c
set_permissions guest a b
clear_permissions nobody
add_vhost v
add_vhost v --description d
delete_vhost nowhere
set_vhost_limits -p nowhere {"max-queues":1}
set_vhost_limits -p v {"max-queues":1}
list_vhost_limits -p v
list_vhost_limits --global
clear_vhost_limits -p v
set_user_limits guest {"max-channels":100}
list_user_limits --user guest
list_user_limits --global
list_user_limits --user nobody
clear_user_limits guest all
set_policy p ^a {"max-length":10} --priority 3 --apply-to queues
list_policies
list_policies --formatter json
list_policies --formatter csv
set_policy p ^a {"max-length":1} --apply-to nonsense
set_policy p ^a
set_policy -p nowhere p ^a {"max-length":10}
clear_policy nobody
set_operator_policy o ^a {"max-length":10}
list_operator_policies
set_global_parameter g {"a":1}
clear_global_parameter nobody
purge_queue nobody
delete_queue nobody
ping -q
list_feature_flags
list_feature_flags nonsense
list_deprecated_features
enable_feature_flag user_limits
enable_feature_flag nosuch
await_startup
node_health_check
trace_on
list_vhosts name tracing
trace_off
trace_off -p v
set_vm_memory_high_watermark
set_vm_memory_high_watermark x
set_vm_memory_high_watermark absolute
set_disk_free_limit x
close_all_connections
close_all_connections why
close_all_connections --global why
list_quues
""".strip().splitlines()


def said(words, run):
    code, out, err = run(words)
    return code, sorted(out.splitlines()), err.strip()


@pytest.fixture(scope="module")
def rabbit_itself():
    """Without it there is nothing to compare: conftest.py leaves these tests out."""
    with brokers.Rabbit() as one:
        brokers.wait_until(lambda: brokers.accepts(f"127.0.0.1:{one.port + 1}"), 30, what="management")
        yield one


@pytest.mark.parametrize("line", PAIRS)
def test_both_say_the_same(rabbit_itself, line):
    url = f"http://guest:guest@127.0.0.1:{rabbit_itself.port + 1}"

    def run(command, **options):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                              **options)
        return done.returncode, done.stdout, done.stderr

    def ours(words):
        return run([brokers.pabal_program(), "rabbitmqctl", *words], env={**os.environ, "PABAL_URL": url})

    def theirs(words):
        return run([os.path.join(brokers.PEERS, "rabbit"), "ctl", rabbit_itself.dir, str(rabbit_itself.port), *words])

    words = line.split(" ")
    first, second = (ours, theirs) if PAIRS.index(line) % 2 else (theirs, ours)
    assert said(words, first) == said(words, second)
