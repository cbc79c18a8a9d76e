#!/usr/bin/env python3
"""Tests of tools/wire_schema.py and tools/wiregen.py: prints TAP."""

import os
import subprocess
import sys
import tempfile

import schema_check
import wire_schema

TOOLS = os.path.dirname(os.path.abspath(__file__))
GOOD = """request A key=1 versions=0-3 flexible=2
  x  i32  0+
  p  P    1+
response A
  y  string?  0+
struct P
  z  i8  0+  default=-1
"""

# (what is wrong, schema, where, part of the message)
BAD = [
    ("an unknown type", "record R id=1 versions=0-0\n  a  i128  0+\n", 2, "unknown type 'i128'"),
    ("an unknown struct", "record R id=1 versions=0-0\n  a  Q  0+\n", 2, "unknown type 'Q'"),
    ("a nested array", "record R id=1 versions=0-0\n  a  [][]i8  0+\n", 2, "unknown type"),
    ("an AMQP type in Kafka", "record R id=1 versions=0-0\n  a  shortstr  0+\n", 2, "unknown type"),
    ("a Kafka type in AMQP", "class c id=1\nmethod c.m id=1 from=client\n  a  i32\n", 3,
     "unknown type 'i32'"),
    ("a gap in a field's versions", "record R id=1 versions=0-5\n  a  i8  0-1,3+\n", 2, "gap"),
    ("an empty range", "record R id=1 versions=0-5\n  a  i8  3-2\n", 2, "empty range"),
    ("a range of another form", "record R id=1 versions=0-5\n  a  i8  x\n", 2, "not of the form"),
    ("a field that no version has", "record R id=1 versions=0-5\n  a  i8  6+\n", 2, "no version"),
    ("a message without last version", "record R id=1 versions=0+\n", 1, "last version"),
    ("a reused tag", "record R id=1 versions=0-0\n  a  i8  0+  tag=0\n  b  i8  0+  tag=0\n", 3,
     "tag 0 is used twice"),
    ("a gap in tags", "record R id=1 versions=0-0\n  a  i8  0+  tag=1\n", 2, "next tag is 0"),
    ("a tag before flexible", "header H versions=0-3 flexible=2\n  a  i8  1+  tag=0\n", 2,
     "before flexible=2"),
    ("flexible behind the last", "header H versions=0-3 flexible=4\n", 1, "behind the last"),
    ("unstable behind the last",
     "request R key=1 versions=0-3 flexible=2 unstable=4\nresponse R\n", 1, "behind the last"),
    ("a number that cannot be null", "record R id=1 versions=0-0\n  a  i8?  0+\n", 2, "be null"),
    ("null in other versions", "record R id=1 versions=0-5\n  a  bytes  2+  nullable=1+\n", 2,
     "do not have field a"),
    ("null twice", "record R id=1 versions=0-5\n  a  bytes?  0+  nullable=1+\n", 2, "together"),
    ("a struct null in some versions",
     "record R id=1 versions=0-5\n  a  S  0+  nullable=1+\nstruct S\n  b  i8  0+\n", 2,
     "does not go with 'S'"),
    ("a default of a string", "record R id=1 versions=0-0\n  a  string  0+  default=x\n", 2,
     "does not go with"),
    ("a default too large", "record R id=1 versions=0-0\n  a  i8  0+  default=128\n", 2, "fit"),
    ("a default that is no number", "record R id=1 versions=0-0\n  a  i8  0+  default=x\n", 2,
     "not a number"),
    ("an unknown attribute", "record R id=1 versions=0-0\n  a  i8  0+  ignorable=1\n", 2,
     "unknown attribute 'ignorable'"),
    ("an attribute twice", "record R id=1 id=2 versions=0-0\n", 1, "comes twice"),
    ("an attribute without value", "record R id versions=0-0\n", 1, "needs a value"),
    ("a switch with value", "class c id=1\nmethod c.m id=1 from=client sync=1\n", 2, "no value"),
    ("a missing attribute", "record R id=1\n", 1, "needs versions="),
    ("an unknown line", "message M\n", 1, "'message' is none of"),
    ("a message without name", "record\n", 1, "without a name"),
    ("a field of nothing", "  a  i8  0+\n", 1, "before any message"),
    ("a field without versions", "record R id=1 versions=0-0\n  a  i8\n", 2, "needs a name"),
    ("a field twice", "record R id=1 versions=0-0\n  a  i8  0+\n  a  i8  0+\n", 3, "already at"),
    ("a C keyword", "record R id=1 versions=0-0\n  default  i8  0+\n", 2, "a field's name"),
    ("a capital letter", "record R id=1 versions=0-0\n  aB  i8  0+\n", 2, "a field's name"),
    ("a message twice", "struct S\n  a  i8  0+\nstruct S\n", 3, "already at"),
    ("recursion", "record R id=1 versions=0-0\n  a  S  0+\nstruct S\n  b  []S  0+\n", 3,
     "contains itself"),
    ("an unused struct", "struct S\n  b  i8  0+\n", 1, "never used"),
    ("an empty struct", "record R id=1 versions=0-0\n  a  S  0+\nstruct S\n", 3, "no fields"),
    ("a response alone", "response R\n", 1, "before its request"),
    ("a request alone", "request R key=1 versions=0-0 flexible=0\n", 1, "without its response"),
    ("a key twice", GOOD + "request B key=1 versions=0-0 flexible=0\nresponse B\n", 8, "key of B"),
    ("an id twice", "record R id=1 versions=0-0\nrecord S id=1 versions=0-0\n", 2, "id of S"),
    ("a method of no class", "method c.m id=1 from=client\n", 1, "unknown class 'c'"),
    ("a method from nobody", "class c id=1\nmethod c.m id=1 from=me\n", 2, "none of client"),
    ("a method's id twice",
     "class c id=1\nmethod c.m id=1 from=client\nmethod c.n id=1 from=client\n", 3, "id of c.n"),
    ("a field of a class", "class c id=1\n  a  bit\n", 2, "no fields"),
    ("versions in AMQP", "class c id=1\nmethod c.m id=1 from=client\n  a  bit  0+\n", 3,
     "unexpected '0+'"),
    ("too many properties", "class c id=1\nproperties c\n"
     + "".join(f"  p{i}  octet\n" for i in range(15)), 2, "second flags word"),
    ("two C names", "record AB id=1 versions=0-0\nrecord Ab id=2 versions=0-0\n", 2, "C name"),
]


def load(text):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.schema")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        try:
            return wire_schema.load([path]), None
        except wire_schema.SchemaError as error:
            return None, str(error).replace(folder + os.sep, "")


def refused(text, line, part):
    _, error = load(text)
    assert error is not None, "nothing was refused"
    assert error.startswith(f"x.schema:{line}: "), error
    assert part in error, error


def a_good_schema_is_read():
    schema, error = load(GOOD)
    assert error is None, error
    request = schema.find("request", "A")
    assert request.versions == (0, 3) and request.flexible == 2
    assert schema.find("response", "A").versions == (0, 3)
    assert [m.name for m in schema.order] == ["P", "A", "A"], "structs come before their use"
    assert schema.struct_has_default(request), "the default is inside of p"


def a_struct_may_lie_in_another_file():
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("a", "b")]
        for path, text in zip(paths, GOOD.split("struct P")):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text if path.endswith("a") else "struct P" + text)
        wire_schema.load(paths)


def names_become_snake_case():
    for name, wanted in (("ApiVersions", "api_versions"), ("DescribeAcls", "describe_acls"),
                         ("connection.start_ok", "connection_start_ok"), ("X", "x")):
        assert wire_schema.snake(name) == wanted, name


def run(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


def the_generator_fails_with_place_and_writes_nothing():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.schema")
        with open(path, "w", encoding="utf-8") as file:
            file.write("record R id=1 versions=0-0\n  a  i128  0+\n")
        done = run(os.path.join(TOOLS, "wiregen.py"), "--name", "x", "--out", folder, path)
        assert done.returncode == 1 and "x.schema:2: unknown type" in done.stderr, done.stderr
        assert os.listdir(folder) == ["x.schema"]


def the_generator_leaves_an_unchanged_file_alone():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.schema")
        with open(path, "w", encoding="utf-8") as file:
            file.write(GOOD)
        header = os.path.join(folder, "x_messages.h")
        arguments = (os.path.join(TOOLS, "wiregen.py"), "--name", "x", "--out", folder, path)
        assert run(*arguments).returncode == 0
        os.utime(header, (1, 1))
        assert run(*arguments).returncode == 0
        assert os.stat(header).st_mtime == 1


KAFKA_A = {
    "apiKey": 1, "validVersions": "0-3", "flexibleVersions": "2+",
    "fields": [{"name": "X", "type": "int32", "versions": "0+"},
               {"name": "P", "type": "Pee", "versions": "1+",
                "fields": [{"name": "Z", "type": "int8", "versions": "0+", "default": "-1"}]}],
}


def compared(ours, change):
    definition = {**KAFKA_A, **change}
    schema, error = load(ours)
    assert error is None, error
    return list(schema_check.compare(schema, schema.find("request", "A"), definition))


def schema_check_finds_nothing_in_equal_schemas():
    assert compared(GOOD, {}) == []


def schema_check_finds_every_kind_of_difference():
    assert compared(GOOD, {"apiKey": 2}) == ["a_request: key is 1, 2 in Kafka"]
    assert "versions is" in compared(GOOD, {"validVersions": "1-3"})[0]
    assert "flexible is" in compared(GOOD, {"flexibleVersions": "none"})[0]
    assert "unstable is" in compared(GOOD, {"latestVersionUnstable": True})[0]
    assert "is missing" in compared(GOOD.replace("  x  i32  0+\n  p  P    1+\n", "  x  i32  0+\n")
                                    .replace("struct P\n  z  i8  0+  default=-1\n", ""), {})[0]
    assert "is not Kafka's" in compared(GOOD.replace("  x  i32", "  p2  i8  0+  tag=0\n  x  i32")
                                        .replace("flexible=2", "flexible=0"),
                                        {"flexibleVersions": "0+", "fields": []})[0]
    for old, new in (("x  i32", "x  i64"), ("x  i32", "w  i32"), ("default=-1", "default=1"),
                     ("p  P    1+", "p  P    0+"), ("p  P ", "p  P?"), ("x  i32", "x  []i32")):
        assert compared(GOOD.replace(old, new), {}), (old, new)


def main():
    tests = [(f"refuses {what}", refused, case) for what, *case in BAD]
    tests += [(test.__name__, test, ()) for test in (
        a_good_schema_is_read, a_struct_may_lie_in_another_file, names_become_snake_case,
        the_generator_fails_with_place_and_writes_nothing,
        the_generator_leaves_an_unchanged_file_alone, schema_check_finds_nothing_in_equal_schemas,
        schema_check_finds_every_kind_of_difference)]
    print(f"1..{len(tests)}")
    failed = 0
    for number, (name, test, arguments) in enumerate(tests, 1):
        try:
            test(*arguments)
            print(f"ok {number} - {name}")
        except Exception as error:  # a test may fail in any way; the others still run
            failed += 1
            print(f"not ok {number} - {name}\n# {type(error).__name__}: {error}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
