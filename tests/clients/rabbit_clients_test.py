"""What people use RabbitMQ with: the clients of other languages than Python, Spring, Celery, and the tests
that some of them bring along. Some of those look for RabbitMQ's name before they try what it can do."""
import os
import re
import subprocess

import pytest

import brokers
import clients
from conftest import installed

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "drivers")


@pytest.fixture(scope="module")
def like_rabbit(broker_settings):
    with brokers.Pabal(settings={**broker_settings, "amqp.product": "RabbitMQ"}) as broker:
        yield broker
        assert broker.stop() == 0, broker.log()[-5000:]


def run(command, timeout_s=100, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, **options)
    return done.returncode, done.stdout + done.stderr


# ---- drivers: they print "ok NAME" or "not ok NAME: why" for each case ----

def check_driver(broker, count, *command, **options):
    code, text = run([*command, *broker.amqp.split(":")], **options)
    assert len(re.findall(r"^ok ", text, re.M)) == count and "not ok" not in text and code == 0, text[-3000:]


def from_debian(command, path, package):
    """The command, when its client is there."""
    if os.path.exists(path):
        return command
    pytest.fail(f"{package} is not installed") if os.environ.get("CI") else pytest.skip(package)


def test_bunny(broker):
    command = from_debian("ruby", "/usr/share/doc/ruby-bunny", "ruby-bunny")
    check_driver(broker, 10, command, os.path.join(HERE, "amqp", "bunny_driver.rb"))


def test_php_amqplib(broker):
    command = from_debian("php", "/usr/share/php/PhpAmqpLib", "php-amqplib")
    check_driver(broker, 8, command, os.path.join(HERE, "amqp", "php_driver.php"))


def test_lapin(broker):
    program, = installed("rust/debug/lapin-driver")
    check_driver(broker, 8, program)


@pytest.mark.timeout(150)
def test_spring_amqp_and_spring_cloud_stream(broker):
    classes, jars = installed("spring-classes", "spring")
    check_driver(broker, 8, "java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m", "-cp",
                 f"{classes}:{jars}/*", "driver.SpringDriver", timeout_s=140)


# ---- the clients' own tests ----

# Writes to the log of a test that has ended, when the broker is quick: a race that ends the program.
GO_RACE = "TestChannelExceptionWithCloseIssue43"


@pytest.mark.timeout(150)
def test_amqp091_go_passes_its_own_tests(like_rabbit):
    program, = installed("amqp091.test")
    env = dict(os.environ, AMQP_URL=f"amqp://guest:guest@{like_rabbit.amqp}/")
    code, text = run([program, "-test.v", "-test.skip", GO_RACE], env=env, timeout_s=100)
    failed = re.findall(r"^--- FAIL: (\S+)", text, re.M)
    assert code == 0 or failed, text[-3000:]
    # Some give themselves a millisecond, which a busy machine may take; those are asked again.
    for name in [GO_RACE, *failed]:
        assert any(run([program, "-test.run", f"^{name}$"], env=env)[0] == 0 for _ in range(5)), text[-3000:]
    # What is skipped is about a memory alarm, which there is none of.
    assert len(re.findall(r"^--- PASS: ", text, re.M)) + len(failed) == 128
    assert re.findall(r"^--- SKIP: (\S+)", text, re.M) == ["TestConnection_Close_WhenMemoryAlarmIsActive"]


def python_tests(folder, arguments, env, timeout_s):
    """Tests of an installed source distribution; its Python has what they need."""
    python, source = installed("celery/bin/python", folder)
    path = os.path.dirname(python) + os.pathsep + os.environ["PATH"]
    return run([python, "-m", "pytest", "-q", *arguments], cwd=source,
               env=dict(os.environ, PATH=path, **env), timeout_s=timeout_s)


@pytest.mark.timeout(200)
def test_kombu_passes_its_own_tests(like_rabbit):
    host, port = like_rabbit.amqp.split(":")
    code, text = python_tests("kombu-5.7.0", ["t/integration/test_py_amqp.py"],
                              {"RABBITMQ_HOST": host, "RABBITMQ_5672_TCP": port}, 190)
    assert code == 0 and re.search(r"\b51 passed", text), text[-3000:]


@pytest.fixture
def redis():
    """HOST, PORT of a server that keeps Celery's results."""
    port = brokers.free_ports(1)
    process = subprocess.Popen(["redis-server", "--port", str(port), "--save", ""], stdout=subprocess.DEVNULL)
    brokers.wait_until(lambda: brokers.accepts(f"127.0.0.1:{port}"), what="redis-server")
    yield "127.0.0.1", str(port)
    process.kill()
    process.wait()


# Left out: those that use other brokers and databases, and what fails with RabbitMQ here, too: two that look
# into the log of a worker that other tests have used, and the worker's, which depend on what ran before.
CELERY = ["-p", "celery.contrib.pytest", "t/integration/test_tasks.py", "t/integration/test_inspect.py",
          "--deselect", "t/integration/test_tasks.py::test_trace_log_arguments"]


@pytest.mark.timeout(500)
def test_celery_passes_its_own_tests(like_rabbit, redis):
    host, port = redis
    env = {"TEST_BROKER": f"pyamqp://guest:guest@{like_rabbit.amqp}//",
           "TEST_BACKEND": f"redis://{host}:{port}", "REDIS_HOST": host, "REDIS_PORT": port}
    code, _ = python_tests("celery-5.7.0", [*CELERY, "--timeout=100"], env, 400)
    if code:  # its tests wait for short times; what fails on a busy machine is asked again
        code, text = python_tests("celery-5.7.0", [*CELERY, "--timeout=100", "--last-failed"], env, 90)
        assert code == 0, text[-5000:]
