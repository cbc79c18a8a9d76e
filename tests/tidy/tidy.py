#!/usr/bin/env python3
"""Tests over the source text itself: layers, includes, sizes, and calls that do not belong.

    tidy.py               check the tree this file lies in; exit status 1 when something is untidy
    tidy.py --self-test   show each check a bad and a good example
    tidy.py --layers      print the picture of the layers for docs/architecture.md
    tidy.py --tap         as the first two together, as TAP, for the test runner

A check is a function that takes a Tree and yields Complaints. Its decorator registers it and holds
its examples; a new check needs nothing else.
"""

import argparse
import re
import sys
from functools import cached_property
from pathlib import Path
from typing import Iterator, NamedTuple

# Who may include whom. docs/architecture.md shows the same table as a picture (--layers).
LAYERS = {
    "base": [],
    "io": ["base"],
    "wire": ["base"],
    "log": ["base", "io"],
    "broker": ["base", "io", "wire", "log"],
    "kafka": ["base", "io", "wire", "log", "broker"],
    "amqp": ["base", "io", "wire", "log", "broker"],
    "manage": ["base", "io", "wire", "log", "broker"],
    "http": ["base", "io", "wire", "log", "broker", "manage"],
    "cli": ["base", "io", "wire", "log", "kafka", "amqp"],
    "server": ["base", "io", "wire", "log", "broker", "kafka", "amqp", "manage", "http", "cli"],
}

FUNCTION_MAX_LINES = 70
FILE_MAX_LINES = 1000

# Calls to the system, threads, locks, clocks: only in src/io, and in tests.
SYSTEM_CALLS = set(
    """
    accept accept4 access bind chdir chmod chown clock close connect creat dup dup2 dup3 eventfd
    execv execve execvp fallocate fchmod fcntl fdatasync flock fopen fork freopen fstat fstatat
    fsync ftruncate getenv getpeername getpid getrandom getsockname getsockopt gettid gettimeofday
    inotify_init ioctl isatty kill link listen lseek lstat madvise mkdir mkdirat mkstemp mlock mmap
    mprotect munmap nanosleep open openat opendir pipe pipe2 poll popen posix_fadvise
    posix_fallocate ppoll pread preadv prlimit pwrite pwritev raise read readdir readlink readv
    realpath recv recvfrom recvmsg remove rename renameat rmdir sched_yield secure_getenv select
    send sendfile sendmsg sendto setenv setrlimit getrlimit setsockopt shutdown sigaction sigaddset
    sigemptyset signal signalfd sigprocmask sleep socket socketpair splice stat statvfs
    sync_file_range syscall sysconf system time timerfd_create tmpfile truncate uname unlink
    unlinkat usleep vfork wait waitpid write writev exit _exit
    """.split()
)
SYSTEM_PREFIXES = ("pthread_", "sem_", "mtx_", "cnd_", "thrd_", "atomic_", "__atomic_", "__sync_",
                   "epoll_", "io_uring_", "clock_get", "clock_set", "clock_nanosleep", "timerfd_")  # fmt: skip
SYSTEM_WORDS = ("_Atomic", "errno")  # also without a call
SYSTEM_HEADERS = set(
    """
    arpa/inet.h dirent.h errno.h fcntl.h liburing.h netdb.h netinet/in.h netinet/tcp.h poll.h pthread.h
    semaphore.h signal.h stdatomic.h sys/epoll.h sys/eventfd.h sys/file.h sys/ioctl.h sys/mman.h
    sys/resource.h sys/select.h sys/signalfd.h sys/socket.h sys/stat.h sys/statvfs.h sys/syscall.h
    sys/time.h sys/timerfd.h sys/types.h sys/uio.h sys/un.h sys/wait.h termios.h threads.h
    unistd.h
    """.split()
)
# Where some of them are right all the same: a path, or the beginning of one.
SYSTEM_EXCEPTIONS = {
    "src/base/metrics.": {"__atomic_"},  # one row of cells for each thread, summed by any
    "src/base/say.c": {"__atomic_"},  # the level, changed at run time
    "src/cli/": {"getenv", "exit"},
    "src/server/": {"getenv", "exit"},
}

# Never, also in tests: what to take instead.
FORBIDDEN_CALLS = {
    "alloca": "an arena",
    "asprintf": "xasprintf",
    "atof": "base/number.h",
    "atoi": "base/number.h",
    "atol": "base/number.h",
    "atoll": "base/number.h",
    "gets": "io",
    "longjmp": "an error code",
    "rand": "base/random.h",
    "random": "base/random.h",
    "setjmp": "an error code",
    "sprintf": "snprintf or text_printf",
    "srand": "base/random.h",
    "sscanf": "base/number.h",
    "stpcpy": "snprintf or text_append",
    "strcat": "snprintf or text_append",
    "strcpy": "snprintf or text_append",
    "strdup": "xstrdup",
    "strncat": "snprintf or text_append",
    "strncpy": "memcpy with a checked size",
    "strtok": "a struct bytes that moves",
    "vsprintf": "vsnprintf or text_printf",
}

# What only tests use, by design; everything else that is exported has a user in the program.
FOR_TESTS = {
    "amqp_table_next": "reads again what was found valid",
    "amqp_table_put_named": "builds tables of all types",
    "amqp_wire_dump": "golden messages",
    "amqp_wire_random": "properties of all methods",
    "bytes_hash_set_seed": "fixes the order of maps in simulations",
    "config_read_text": "a configuration without a file",
    "exit_code_of": "the table of exit codes",
    "log_truncate": "a follower will cut its log; the simulator does already",
    "output_render": "a table without a terminal",
    "say_set_sink": "a simulation of crashes says nothing",
    "wire_dump": "golden messages",
    "wire_random": "properties of all messages",
}
FOR_TESTS_HEADERS = ("src/io/sim_", "src/io/test_", "src/wire/golden", "src/wire/round_trip",
                     "src/log/test_", "src/broker/test_", "src/manage/test_")  # beginnings of paths

FORBIDDEN_WORDS = {
    r"\b(FIXME|XXX|HACK)\b": "open work belongs into an issue",
    r"\bTODO\b(?!\(#\d+\))": "a TODO names its issue: TODO(#123)",
    r"^(<<<<<<<|>>>>>>>) ": "left over from a merge",
    r"/home/\w|/root/\w|C:\\\\": "a path of one machine",
}


class Complaint(NamedTuple):
    path: str
    line: int
    text: str


class Source:
    """One file. `code` is its text with comments and literals blanked, lines kept."""

    def __init__(self, path: str, text: str):
        self.path = path
        self.text = text
        self.name = path.rpartition("/")[2]
        self.is_c = path.endswith((".c", ".h"))
        self.is_header = path.endswith(".h")
        self.is_test = not path.startswith("src/") or '#include "tests/' in text
        parts = path.split("/")
        self.layer = parts[1] if parts[0] == "src" and len(parts) > 2 else None

    BLANKED = re.compile(r"""/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.S)

    @cached_property
    def code(self) -> str:
        def blank(match):
            found = match[0]
            if found[0] in "\"'":
                return found[0] * 2
            return " " + "\n" * found.count("\n")

        return self.BLANKED.sub(blank, self.text)

    @cached_property
    def words(self) -> set[str]:
        return set(re.findall(r"\w+", self.code))

    @cached_property
    def includes(self) -> list[tuple[int, str, bool]]:
        """(line, path, in quotes)"""
        found = []
        for match in re.finditer(r'^\s*#\s*include\s*(?:"([^"]*)"|<([^>]*)>)', self.text, re.M):
            line = self.text.count("\n", 0, match.end()) + 1
            found.append((line, match[1] or match[2], match[1] is not None))
        return found

    @cached_property
    def calls(self) -> list[tuple[int, str]]:
        """(line, name) of what looks like a call of a plain name."""
        found = []
        for number, line in enumerate(self.code.split("\n"), 1):
            for match in re.finditer(r"(?<![\w.>])(\w+)\(", line):
                found.append((number, match[1]))
        return found

    @cached_property
    def functions(self) -> list[tuple[int, str, int]]:
        """(line, name, lines) of the functions defined here; as clang-format writes them."""
        found, start = [], None
        lines = self.code.split("\n")
        for number, line in enumerate(lines, 1):
            if line == "{":
                start = number
            elif line == "}" and start:
                found.append((start, function_name(lines, start), number - start + 1))
                start = None
        return found

    @cached_property
    def declared(self) -> list[tuple[int, str]]:
        """(line, name) of the functions that a header declares for others."""
        code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", "", self.code, flags=re.M)
        code = re.sub(r"__attribute__\(\((?:[^()]|\([^()]*\))*\)\)", "", code)
        for _ in range(10):  # innermost braces first
            code, changed = re.subn(r"\{[^{}]*\}", ";", code)
            if not changed:
                break
        found = []
        for statement in code.split(";"):
            match = re.match(r"(?!typedef\b|static\b)[\w\s*]*?\b(\w+)\s*\((?!\*)",
                             statement.strip())  # fmt: skip
            if match and match[1] not in ("static_assert", "_Static_assert"):
                found.append((self.line_of(match[1]), match[1]))
        return found

    def line_of(self, word: str) -> int:
        match = re.search(rf"\b{word}\(", self.code)
        return self.code.count("\n", 0, match.start()) + 1 if match else 1

    def defines(self, function: str) -> bool:
        return any(name == function for _, name, _ in self.functions)


def function_name(lines: list[str], start: int) -> str:
    """The name in front of the first parenthesis of the signature that ends above `start`."""
    first = start - 1
    while first > 0 and lines[first - 1].strip() and not re.match(r"[};#]", lines[first - 1]):
        first -= 1
    signature = re.sub(r"__attribute__\(\((?:[^()]|\([^()]*\))*\)\)", "",
                       " ".join(lines[first : start - 1]))  # fmt: skip
    match = re.search(r"(\w+)\s*\(", signature)
    if match and match[1] == "TEST":
        match = re.search(r"\(\s*(\w+)", signature)
    return match[1] if match else "?"


class Tree:
    ROOTS = ("src", "tests", "bench", "tools", "docs", "packaging", "ui")
    SUFFIXES = (".c", ".h", ".py", ".md", ".build", ".schema", ".sh", ".conf")

    def __init__(self, texts: dict[str, str]):
        self.sources = [Source(path, text) for path, text in sorted(texts.items())]
        self.by_path = {source.path: source for source in self.sources}

    @classmethod
    def read(cls, root: Path) -> "Tree":
        texts = {}
        for folder in cls.ROOTS:
            for path in (root / folder).rglob("*"):
                parts = path.relative_to(root).parts
                if path.suffix not in cls.SUFFIXES or {"node_modules", ".venv"} & set(parts):
                    continue
                texts["/".join(parts)] = path.read_text(encoding="utf-8", errors="replace")
        for path in root.glob("*"):
            if path.suffix in cls.SUFFIXES:
                texts[path.name] = path.read_text(encoding="utf-8", errors="replace")
        return cls(texts)

    @property
    def c(self) -> Iterator[Source]:
        return (source for source in self.sources if source.is_c)

    @property
    def program(self) -> Iterator[Source]:
        return (source for source in self.c if not source.is_test)


CHECKS = []


def check(bad: dict[str, str], good: dict[str, str], says: str):
    """Register a check. It must say `says` of the files `bad`, and nothing of the files `good`."""

    def register(function):
        CHECKS.append((function, bad, good, says))
        return function

    return register


@check(
    bad={"src/io/disk.c": '#include "log/segment.h"\n'},
    good={
        "src/log/segment.c": '#include "io/disk.h"\n',
        "tests/sim/crash.c": '#include "log/segment.h"\n',
        "src/io/disk_test.c": '#include "tests/test.h"\n#include "base/random.h"\n',
    },
    says="io must not include log",
)
def includes_point_down(tree: Tree) -> Iterator[Complaint]:
    """What includes tests/test.h is a test, and may."""
    for source in tree.c:
        if source.layer is None:
            continue
        if source.layer not in LAYERS:
            yield Complaint(source.path, 1, f"{source.layer} is no layer: add it to LAYERS")
            continue
        for line, path, quoted in source.includes:
            other = path.split("/")[0]
            if not quoted or "/" not in path:
                continue
            if other not in (source.layer, "tests", *LAYERS[source.layer]):
                text = f"{source.layer} must not include {other}: {path}"
                yield Complaint(source.path, line, text)


@check(
    bad={"src/log/journal.c": '#include "journal.h"\n#include "../log/segment.h"\n'},
    good={"src/log/journal.c": '#include "log/journal.h"\n\n#include <stdio.h>\n'},
    says='not "folder/file.h"',
)
def includes_name_folder_and_file(tree: Tree) -> Iterator[Complaint]:
    for source in tree.c:
        for line, path, quoted in source.includes:
            if quoted and not re.fullmatch(r"\w+(/\w+)+\.h", path):
                yield Complaint(source.path, line, f'"{path}" is not "folder/file.h"')
            if not quoted and path.split("/")[0] in LAYERS and f"src/{path}" in tree.by_path:
                yield Complaint(source.path, line, f"<{path}> is ours: use quotes")


@check(
    bad={
        "src/log/journal.h": "",
        "src/log/journal.c": '#include <stdio.h>\n\n#include "log/journal.h"\n',
    },
    good={
        "src/log/journal.h": "",
        "src/log/journal.c": '#include "log/journal.h"\n\n#include <stdio.h>\n',
        "src/log/append.c": "#include <stdio.h>\n",
    },
    says="own header comes first",
)
def own_header_comes_first(tree: Tree) -> Iterator[Complaint]:
    """So that each header is compiled once with nothing in front of it."""
    for source in tree.program:
        own = source.path.removesuffix(".c") + ".h"
        if source.is_header or own not in tree.by_path or not source.includes:
            continue
        line, path, _ = source.includes[0]
        if f"src/{path}" not in (own, own.replace(".h", "_internal.h")):
            yield Complaint(source.path, line, f"its own header comes first: {own}")


@check(
    bad={"src/broker/queue.c": '#include "log/store_internal.h"\n'},
    good={
        "src/log/append.c": '#include "log/store_internal.h"\n',
        "tests/sim/crash.c": '#include "log/store_internal.h"\n',
    },
    says="private to src/log",
)
def private_headers_stay_in_their_folder(tree: Tree) -> Iterator[Complaint]:
    for source in tree.c:
        for line, path, quoted in source.includes:
            folder = path.rpartition("/")[0]
            if quoted and path.endswith("_internal.h") and not source.is_test:
                if source.path.rpartition("/")[0] != f"src/{folder}":
                    yield Complaint(source.path, line, f"{path} is private to src/{folder}")


@check(
    bad={
        "src/log/a.h": '#include "log/b.h"\n',
        "src/log/b.h": '#include "log/c.h"\n',
        "src/log/c.h": '#include "log/a.h"\n',
    },
    good={
        "src/log/a.h": '#include "log/b.h"\n#include "log/c.h"\n',
        "src/log/b.h": '#include "log/c.h"\n',
    },
    says="include cycle: log/a.h -> log/b.h -> log/c.h -> log/a.h",
)
def includes_have_no_cycle(tree: Tree) -> Iterator[Complaint]:
    edges = {
        source.path.removeprefix("src/"): [path for _, path, quoted in source.includes if quoted]
        for source in tree.program
        if source.is_header
    }
    done: set[str] = set()

    def walk(path: str, above: list[str]) -> Iterator[list[str]]:
        if path in above:
            yield above[above.index(path) :] + [path]
        elif path not in done:
            for other in edges.get(path, []):
                yield from walk(other, above + [path])
            done.add(path)

    for path in edges:
        for cycle in walk(path, []):
            yield Complaint(f"src/{cycle[0]}", 1, "include cycle: " + " -> ".join(cycle))


@check(
    bad={
        "src/log/a.h": "#ifndef LOG_A_H\n#define LOG_A_H\n#endif\n",
        "src/log/b.h": "#ifndef LOG_A_H\n#define LOG_A_H\n#endif\n",
    },
    good={
        "src/log/a.h": "/* text */\n#ifndef LOG_A_H\n#define LOG_A_H\n#endif\n",
        "src/log/b.h": "#ifndef LOG_B_H\n#define LOG_B_H\n#endif\n",
    },
    says="LOG_A_H is the guard of src/log/a.h",
)
def headers_have_guards_of_their_own(tree: Tree) -> Iterator[Complaint]:
    owners: dict[str, str] = {}
    for source in tree.program:
        if not source.is_header:
            continue
        match = re.search(r"^#ifndef (\w+)\n#define \1\n", source.text, re.M)
        if not match:
            yield Complaint(source.path, 1, "a header without a guard")
        elif match[1] in owners:
            text = f"{match[1]} is the guard of {owners[match[1]]}"
            yield Complaint(source.path, 1, text)
        else:
            owners[match[1]] = source.path


@check(
    bad={"src/log/a.c": "void log_long(void)\n{\n" + "    work();\n" * 69 + "}\n"},
    good={"src/log/a.c": "void log_long(void)\n{\n" + "    work();\n" * 68 + "}\n"},
    says="log_long has 71 lines",
)
def functions_are_short(tree: Tree) -> Iterator[Complaint]:
    for source in tree.c:
        for line, name, lines in source.functions:
            if lines > FUNCTION_MAX_LINES:
                text = f"{name} has {lines} lines, more than {FUNCTION_MAX_LINES}"
                yield Complaint(source.path, line, text)


@check(
    bad={"src/log/a.c": "int x;\n" * 1001},
    good={"src/log/a.c": "int x;\n" * 1000},
    says="1001 lines",
)
def files_are_short(tree: Tree) -> Iterator[Complaint]:
    for source in tree.sources:
        lines = source.text.count("\n")
        if lines > FILE_MAX_LINES and source.path.endswith((".c", ".h", ".py")):
            text = f"{lines} lines, more than {FILE_MAX_LINES}"
            yield Complaint(source.path, FILE_MAX_LINES + 1, text)


def system_allowed(path: str, word: str) -> bool:
    for beginning, words in SYSTEM_EXCEPTIONS.items():
        if path.startswith(beginning) and any(word.startswith(allowed) for allowed in words):
            return True
    return False


def is_system_call(name: str) -> bool:
    return name in SYSTEM_CALLS or name.startswith(SYSTEM_PREFIXES)


@check(
    bad={"src/broker/queue.c": "void f(void)\n{\n    close(queue->fd);\n}\n"},
    good={
        "src/broker/queue.c": "void f(void)\n{\n    file->close(file); /* close(fd) */\n"
        '    queue_close(q, "close(fd)");\n}\n',
        "src/io/disk.c": "void f(void)\n{\n    close(fd);\n}\n",
        "src/broker/queue_test.c": '#include "tests/test.h"\n'
        "void f(void)\n{\n    close(fd);\n}\n",
        "src/cli/main.c": 'void f(void)\n{\n    getenv("A");\n}\n',
    },
    says="close belongs into src/io",
)
def system_calls_are_in_io(tree: Tree) -> Iterator[Complaint]:
    for source in tree.program:
        if source.layer == "io":
            continue
        for line, name in source.calls:
            if is_system_call(name) and not system_allowed(source.path, name):
                yield Complaint(source.path, line, f"{name} belongs into src/io")


@check(
    bad={"src/log/journal.c": "#include <pthread.h>\nstatic _Atomic int fd;\n"},
    good={"src/io/ring.c": "#include <stdatomic.h>\nstatic _Atomic int fd;\n"},
    says="pthread.h belongs into src/io",
)
def threads_and_errno_are_in_io(tree: Tree) -> Iterator[Complaint]:
    for source in tree.program:
        if source.layer == "io":
            continue
        for line, path, quoted in source.includes:
            if not quoted and path in SYSTEM_HEADERS:
                yield Complaint(source.path, line, f"{path} belongs into src/io")
        for word in SYSTEM_WORDS:
            for match in re.finditer(rf"\b{word}\b", source.code):
                line = source.code.count("\n", 0, match.start()) + 1
                yield Complaint(source.path, line, f"{word} belongs into src/io")


@check(
    bad={"tests/sim/crash.c": "void f(void)\n{\n    strcpy(a, b);\n}\n"},
    good={"src/log/a.c": "void f(void)\n{\n    snprintf(a, 1, b);\n    text->random(a);\n}\n"},
    says="strcpy is never used here; take snprintf",
)
def dangerous_calls_are_nowhere(tree: Tree) -> Iterator[Complaint]:
    for source in tree.c:
        for line, name in source.calls:
            if name in FORBIDDEN_CALLS:
                text = f"{name} is never used here; take {FORBIDDEN_CALLS[name]}"
                yield Complaint(source.path, line, text)


@check(
    bad={
        "src/log/a.h": "/* a_used() */\nint a_used(void);\n\n"
        "must_use enum err a_unused(int b, void (*f)(int))\n"
        "    __attribute__((format(printf, 1, 2)));\n",
        "src/log/a.c": "int a_used(void)\n{\n    a_unused();\n}\n\n"
        "enum err\na_unused(int b)\n{\n}\n",
        "src/log/a_test.c": '#include "tests/test.h"\n'
        "TEST(x)\n{\n    a_unused();\n}\n",
        "src/log/b.c": "int b(void)\n{\n    return a_used(); /* a_unused */\n}\n",
    },
    good={
        "src/log/a.h": "int a_used(void);\nvoid a_at(int b);\n#define a_macro(b) a_at(b)\n"
        "static inline int a_in(void)\n{\n    return 1;\n}\n",
        "src/log/a_internal.h": "int a_for_test(void);\n",
        "src/log/a.c": "int a_used(void)\n{\n}\n\nvoid a_at(int b)\n{\n}\n\n"
        "int a_for_test(void)\n{\n}\n",
        "src/log/a_test.c": '#include "tests/test.h"\n'
        "TEST(x)\n{\n    a_for_test();\n}\n",
        "src/log/b.c": "int b(void)\n{\n    return a_used();\n}\n",
    },
    says="a_unused is exported and has no user",
)
def exported_functions_have_users(tree: Tree) -> Iterator[Complaint]:
    """A user is another .c file of the program, a macro or inline function, or a generator. Tests
    count for private headers and for what FOR_TESTS names."""
    generated = {word for source in tree.sources if source.path.startswith("tools/")
                 for word in re.findall(r"\w+", source.text)}  # fmt: skip
    for header in tree.program:
        if not header.is_header or header.path.startswith(FOR_TESTS_HEADERS):
            continue
        sources = list(tree.c if header.name.endswith("_internal.h") else tree.program)
        for line, name in header.declared:
            if name in FOR_TESTS or name in generated:
                continue
            if not any(uses(source, name) for source in sources):
                yield Complaint(header.path, line, f"{name} is exported and has no user")


def uses(source: Source, name: str) -> bool:
    """Declaring and defining is no use."""
    if name not in source.words:
        return False
    if not source.is_header:
        return not source.defines(name)
    return bool(re.search(rf"^(?:[ \t]|#define).*\b{name}\b", source.code, re.M))


@check(
    bad={"src/log/a.h": "typedef struct segment segment_t;\n"},
    good={"src/log/a.h": "typedef void shard_fn(void *arg);\ntypedef int (*compare_fn)(int a);\n"},
    says="typedef",
)
def typedefs_are_for_functions(tree: Tree) -> Iterator[Complaint]:
    for source in tree.c:
        for match in re.finditer(r"^\s*typedef\b[^;{]*", source.code, re.M):
            if "(" not in match[0]:
                line = source.code.count("\n", 0, match.start()) + 1
                yield Complaint(source.path, line, "a typedef hides a struct or enum: name it")


@check(
    bad={"src/log/a.c": "    goto again;\n"},
    good={"src/log/a.c": "    goto fail;\n    goto out;\n"},
    says="goto again",
)
def goto_is_for_cleaning_up(tree: Tree) -> Iterator[Complaint]:
    for source in tree.c:
        for number, line in enumerate(source.code.split("\n"), 1):
            match = re.search(r"\bgoto (?!fail;|out;)(\w+)", line)
            if match:
                yield Complaint(source.path, number, f"goto {match[1]}: only fail and out")


@check(
    bad={"docs/plan.md": "Some text.\nFIXME later\n"},
    good={"src/log/a.c": "/* TODO(#12): cut it in slices. */\n"},
    says="open work belongs into an issue",
)
def words_are_ours(tree: Tree) -> Iterator[Complaint]:
    for source in tree.sources:
        if source.path.startswith("tests/tidy/"):
            continue  # has them all
        for pattern, why in FORBIDDEN_WORDS.items():
            for match in re.finditer(pattern, source.text, re.M):
                line = source.text.count("\n", 0, match.start()) + 1
                yield Complaint(source.path, line, f"{match[0]!r}: {why}")


@check(
    bad={"src/log/codes.h": "/* Written by make_codes.py: do not edit. */\n"},
    good={"src/log/codes.h": "/* The codes. */\n"},
    says="not checked in",
)
def generated_files_are_not_checked_in(tree: Tree) -> Iterator[Complaint]:
    for source in tree.c:
        match = re.search(r"(?i)\bdo not edit\b|@generated\b", source.text)
        if match:
            line = source.text.count("\n", 0, match.start()) + 1
            yield Complaint(source.path, line, "generated files are not checked in")


@check(
    bad={"src/log/meson.build": "files('journal.c')\n", "src/log/journal_test.c": ""},
    good={"src/log/meson.build": "files('journal.c')\n", "src/log/journal.c": ""},
    says="src/log/meson.build does not name it",
)
def sources_are_built(tree: Tree) -> Iterator[Complaint]:
    """A test that is not built never fails."""
    for source in tree.c:
        build = tree.by_path.get(source.path.removesuffix(source.name) + "meson.build")
        names = (source.name, source.name.removesuffix("_fuzz.c"))
        if build and not source.is_header and not any(f"'{name}'" in build.text for name in names):
            yield Complaint(source.path, 1, f"{build.path} does not name it")


@check(
    bad={"src/log/journal.c": ""},
    good={"src/log/journal.c": "", "src/log/README.md": "# log\n"},
    says="no README.md",
)
def layers_have_a_readme(tree: Tree) -> Iterator[Complaint]:
    for layer in sorted({source.layer for source in tree.program if source.layer}):
        if f"src/{layer}/README.md" not in tree.by_path:
            yield Complaint(f"src/{layer}", 1, "no README.md")


@check(
    bad={"src/log/a.c": "int a;\t/* b */\n"},
    good={"src/log/a.c": "int a; /* b */\n"},
    says="tab",
)
def whitespace_is_plain(tree: Tree) -> Iterator[Complaint]:
    for source in tree.sources:
        if not source.path.endswith((".c", ".h", ".py", ".build")):
            continue
        for number, line in enumerate(source.text.split("\n"), 1):
            if "\t" in line or "\r" in line:
                yield Complaint(source.path, number, "a tab or carriage return")
            elif line.endswith(" "):
                yield Complaint(source.path, number, "a space at the end of the line")


def layers_picture() -> str:
    """Mermaid text. What is reached by a longer way gets no arrow of its own."""
    lines = ["flowchart TD"]
    for layer, below in LAYERS.items():
        indirect = {third for other in below for third in LAYERS[other]}
        lines += [f"    {layer} --> {other}" for other in reversed(below) if other not in indirect]
    return "\n".join(lines) + "\n"


@check(
    bad={"docs/architecture.md": "```mermaid\nflowchart TD\n    base --> io\n```\n"},
    good={"docs/architecture.md": f"```mermaid\n{layers_picture()}```\n"},
    says="--layers",
)
def architecture_shows_the_layers(tree: Tree) -> Iterator[Complaint]:
    page = tree.by_path.get("docs/architecture.md")
    if page and layers_picture() not in page.text:
        yield Complaint(page.path, 1, "lacks the picture that tidy.py --layers prints")


@check(
    bad={"docs/rules.md": "| 1 | Rain falls down. | `rain_falls_down`, `test_rain` |\n",
         "src/log/rain_test.c": "TEST(rain_falls_down)\n"},
    good={"docs/rules.md": "| 1 | Rain falls down. | `rain_falls_down`, `test_rain` |\n",
          "src/log/rain_test.c": "TEST(rain_falls_down)\n", "tests/clients/rain_test.py": "def test_rain():\n"},
    says="test_rain is no test",
)
def rules_have_their_tests(tree: Tree) -> Iterator[Complaint]:
    page = tree.by_path.get("docs/rules.md")
    if not page:
        return
    tests = {name for source in tree.sources if source.path.endswith(("_test.c", "_test.py"))
             for name in re.findall(r"^(?:TEST\(|def )(\w+)", source.text, re.M)}
    for number, line in enumerate(page.text.split("\n"), 1):
        for name in re.findall(r"`(\w+)`", line):
            if name not in tests:
                yield Complaint(page.path, number, f"{name} is no test")


def self_test(function, bad, good, says) -> str:
    """What is wrong with the check, or nothing."""
    found = list(function(Tree(bad)))
    if not any(says in complaint.text for complaint in found):
        return f"{function.__name__} does not say {says!r} of its bad example but {found}"
    found = list(function(Tree(good)))
    return f"{function.__name__} complains of its good example: {found}" if found else ""


def run(tree: Tree, with_self_test: bool, with_tree: bool, tap: bool) -> bool:
    failed = number = 0
    if tap:
        print(f"1..{len(CHECKS)}")
    for function, bad, good, says in CHECKS:
        problems = []
        if with_self_test:
            problems += filter(None, [self_test(function, bad, good, says)])
        if with_tree:
            problems += [f"{c.path}:{c.line}: {c.text}" for c in function(tree)]
        failed += bool(problems)
        number += 1
        if tap:
            print("not ok" if problems else "ok", number, "-", function.__name__)
        for problem in problems:
            print(f"# {problem}" if tap else problem)
    return failed == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--layers", action="store_true")
    parser.add_argument("--tap", action="store_true")
    parser.add_argument("root", nargs="?", default=Path(__file__).resolve().parents[2], type=Path)
    options = parser.parse_args()
    if options.layers:
        print(layers_picture(), end="")
        return 0
    tree = Tree({}) if options.self_test else Tree.read(options.root)
    is_tidy = run(tree, options.self_test or options.tap, not options.self_test, options.tap)
    return 0 if is_tidy else 1


if __name__ == "__main__":
    sys.exit(main())
