#!/usr/bin/env python3
"""Write <name>_messages.h and .c from schema text: plain structs and the tables that src/wire walks.

    wiregen.py --name kafka --out DIR FILE.schema...

The language is line based; '#' starts a comment; indented lines are fields of the last top-level line.

    request Produce key=0 versions=3-13 flexible=9 [advertise=0] [unstable=13]
      transactional_id  string?        3+                # '?': may be null
      acks              i16            0+
      topic_data        []TopicData    0+   nullable=1+  # may be null in some versions only
      node_endpoints    []NodeEndpoint 10+  tag=0        # tagged field (KIP-482)
      max_bytes         i32            3+   default=-1
    response Produce [header=0]         # key and versions are the request's
    header RequestHeader versions=1-2 flexible=2
    record TopicCreated id=1 versions=0-0                # always flexible
    struct TopicData                    # used by the messages of all files given

    class connection id=10              # AMQP: no versions, no nulls
    method connection.start id=10 from=server sync content
      server_properties table
    properties basic                    # fields in the order of their flags, bit 15 first

Types: bool i8 i16 u16 i32 u32 i64 f64 uuid string string16 bytes records, a struct's name, []T;
AMQP: octet short long longlong timestamp shortstr longstr table bit.
What is wrong is refused with file:line.
"""

import argparse
import os
import re
import sys
from dataclasses import dataclass, field

VERSION_MAX = 32767
# type: (enum, C type)
KAFKA_TYPES = {
    "bool": ("WIRE_BOOL", "bool"),
    "i8": ("WIRE_I8", "int8_t"),
    "i16": ("WIRE_I16", "int16_t"),
    "u16": ("WIRE_U16", "uint16_t"),
    "i32": ("WIRE_I32", "int32_t"),
    "u32": ("WIRE_U32", "uint32_t"),
    "i64": ("WIRE_I64", "int64_t"),
    "f64": ("WIRE_F64", "double"),
    "uuid": ("WIRE_UUID", "struct uuid"),
    "string": ("WIRE_STRING", "struct bytes"),
    "string16": ("WIRE_CLASSIC_STRING", "struct bytes"),
    "bytes": ("WIRE_BYTES", "struct bytes"),
    "records": ("WIRE_RECORDS", "struct bytes"),
}
AMQP_TYPES = {
    "octet": ("WIRE_OCTET", "uint8_t"),
    "short": ("WIRE_SHORT", "uint16_t"),
    "long": ("WIRE_LONG", "uint32_t"),
    "longlong": ("WIRE_LONGLONG", "uint64_t"),
    "timestamp": ("WIRE_TIMESTAMP", "uint64_t"),
    "shortstr": ("WIRE_SHORTSTR", "struct bytes"),
    "longstr": ("WIRE_LONGSTR", "struct bytes"),
    "table": ("WIRE_TABLE", "struct bytes"),
    "bit": ("WIRE_BIT", "bool"),
}
INTEGER_BITS = {"bool": (0, 1), "i8": (1, 8), "i16": (1, 16), "u16": (0, 16), "i32": (1, 32),
                "u32": (0, 32), "i64": (1, 64)}
NULLABLE = ("string", "string16", "bytes", "records")
C_KEYWORDS = set(
    "auto break case char const continue default do double else enum extern float for goto if "
    "inline int long register restrict return short signed sizeof static struct switch typedef "
    "union unsigned void volatile while bool true false NULL".split())
NEVER = (1, 0)  # a range without versions


class SchemaError(Exception):
    pass


@dataclass
class Field:
    where: str
    name: str
    base: str  # type without [] and ?
    is_array: bool
    versions: tuple
    null: tuple
    tag: int = -1
    default: int = 0
    comment: str = ""


@dataclass
class Message:
    """A top-level line with its fields. `kind` is its first word."""

    where: str
    kind: str
    name: str
    attributes: dict
    fields: list = field(default_factory=list)
    versions: tuple = (0, VERSION_MAX)
    flexible: int = VERSION_MAX
    comment: str = ""

    @property
    def snake(self):
        return snake(self.name) + {"request": "_request", "response": "_response",
                                   "properties": "_properties"}.get(self.kind, "")

    @property
    def is_amqp(self):
        return self.kind in ("method", "properties")


def snake(name):
    name = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name.replace(".", "_"))
    return re.sub(r"(?<=[A-Z])([A-Z][a-z])", r"_\1", name).lower()


def fail(where, text):
    raise SchemaError(f"{where}: {text}")


def parse_versions(where, text, word="versions"):
    """'3+', '0-12' or '5' to an inclusive pair."""
    if "," in text:
        fail(where, f"{word} '{text}' have a gap: one range only")
    match = re.fullmatch(r"(\d+)(\+|-(\d+))?", text)
    if not match:
        fail(where, f"{word} '{text}' are not of the form 3+, 0-12 or 5")
    low = int(match[1])
    high = VERSION_MAX if match[2] == "+" else int(match[3] or low)
    if high < low or high > VERSION_MAX:
        fail(where, f"{word} '{text}' are an empty range")
    return low, high


def parse_number(where, text, word):
    try:
        return int(text, 0)
    except ValueError:
        fail(where, f"{word} '{text}' is not a number")


def split_attributes(where, words, allowed):
    """['a=1', 'b'] to {'a': '1', 'b': ''}; refuses what is not allowed or comes twice."""
    found = {}
    for word in words:
        key, _, value = word.partition("=")
        if key not in allowed:
            fail(where, f"unknown attribute '{key}'")
        if key in found:
            fail(where, f"attribute '{key}' comes twice")
        if ("=" in word) != (allowed[key] is not bool):
            fail(where, f"attribute '{key}' {'takes no' if '=' in word else 'needs a'} value")
        found[key] = value
    return found


TOP_LEVEL = {
    "request": {"key": int, "versions": str, "flexible": str, "advertise": int, "unstable": int},
    "response": {"header": int},
    "header": {"versions": str, "flexible": str},
    "record": {"id": int, "versions": str},
    "struct": {},
    "class": {"id": int},
    "method": {"id": int, "from": str, "sync": bool, "content": bool},
    "properties": {},
}
REQUIRED = {"request": ("key", "versions", "flexible"), "header": ("versions", "flexible"),
            "record": ("id", "versions"), "class": ("id",), "method": ("id", "from")}


class Schema:
    """Everything read from all files, checked."""

    def __init__(self):
        self.messages = []
        self.by_key = {}  # (kind, name) -> Message

    def find(self, kind, name):
        return self.by_key.get((kind, name))

    def of_kind(self, kind):
        return [m for m in self.messages if m.kind == kind]

    # ---- reading

    def read(self, path):
        current = None
        comment = []
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        for number, line in enumerate(lines, 1):
            where = f"{path}:{number}"
            text, _, remark = line.partition("#")
            if not text.strip():  # a comment in front of a line, or between two by an empty one
                comment = comment + [remark.strip()] if remark else []
                continue
            words = text.split()
            if not line[0].isspace():
                current = self.add_message(where, words, " ".join(comment))
            elif current is None:
                fail(where, "a field before any message")
            else:
                self.add_field(where, current, words, " ".join(comment + [remark.strip()]).strip())
            comment = []

    def add_message(self, where, words, comment):
        kind = words[0]
        if kind not in TOP_LEVEL:
            fail(where, f"'{kind}' is none of {', '.join(TOP_LEVEL)}")
        if len(words) < 2:
            fail(where, f"{kind} without a name")
        attributes = split_attributes(where, words[2:], TOP_LEVEL[kind])
        for key in REQUIRED.get(kind, ()):
            if key not in attributes:
                fail(where, f"{kind} {words[1]} needs {key}=")
        for key, form in TOP_LEVEL[kind].items():
            if form is int and key in attributes:
                attributes[key] = parse_number(where, attributes[key], key)
        message = Message(where, kind, words[1], attributes, comment=comment)
        if (kind, message.name) in self.by_key:
            fail(where, f"{kind} {message.name} is already at {self.find(kind, message.name).where}")
        self.set_versions(message)
        self.messages.append(message)
        self.by_key[kind, message.name] = message
        return message

    def set_versions(self, message):
        where, attributes = message.where, message.attributes
        if message.kind == "response":
            request = self.find("request", message.name)
            if not request:
                fail(where, f"response {message.name} before its request")
            message.versions, message.flexible = request.versions, request.flexible
        elif message.is_amqp:
            message.versions = (0, 0)
        elif "versions" in attributes:
            message.versions = parse_versions(where, attributes["versions"])
            if message.versions[1] == VERSION_MAX:
                fail(where, f"{message.kind} {message.name} needs a last version")
        if message.kind == "record":
            message.flexible = 0
        elif attributes.get("flexible", "none") != "none":
            message.flexible = parse_number(where, attributes["flexible"], "flexible")
            if message.flexible > message.versions[1]:
                fail(where, f"flexible={message.flexible} is behind the last version")
        for key in ("unstable", "advertise"):
            if key in attributes and attributes[key] > message.versions[1]:
                fail(where, f"{key}={attributes[key]} is behind the last version")

    def add_field(self, where, message, words, comment):
        if message.kind == "class":
            fail(where, "a class has no fields")
        if len(words) < (2 if message.is_amqp else 3):
            fail(where, "a field needs a name, a type" + ("" if message.is_amqp else " and versions"))
        name, type_text = words[:2]
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in C_KEYWORDS:
            fail(where, f"'{name}' cannot be a field's name")
        for other in message.fields:
            if other.name == name:
                fail(where, f"field {name} is already at {other.where}")
        if message.is_amqp:
            if len(words) > 2:
                fail(where, f"unexpected '{words[2]}'")
            if type_text not in AMQP_TYPES:
                fail(where, f"unknown type '{type_text}'")
            message.fields.append(
                Field(where, name, type_text, False, (0, 0), NEVER, comment=comment))
        else:
            self.add_kafka_field(where, message, words, comment)

    def add_kafka_field(self, where, message, words, comment):
        name, type_text, versions_text = words[:3]
        attributes = split_attributes(where, words[3:],
                                      {"nullable": str, "tag": int, "default": int})
        match = re.fullmatch(r"(\[\])?([A-Za-z0-9_]+)(\?)?", type_text)
        if not match:
            fail(where, f"unknown type '{type_text}'")
        is_array, base = bool(match[1]), match[2]
        if base not in KAFKA_TYPES and not base[0].isupper():
            fail(where, f"unknown type '{base}'")
        versions = parse_versions(where, versions_text)
        low, high = message.versions
        if versions[0] > high or versions[1] < low:
            fail(where, f"no version of {message.name} has field {name}")

        null = versions if match[3] else NEVER
        if "nullable" in attributes:
            null = parse_versions(where, attributes["nullable"], "nullable")
            if match[3]:
                fail(where, "nullable= and '?' together")
            if null[0] < versions[0] or null[1] > versions[1]:
                fail(where, f"nullable in versions that do not have field {name}")
            if not is_array and base not in NULLABLE:
                fail(where, f"nullable= does not go with '{type_text}'")
        elif match[3] and not is_array and base in KAFKA_TYPES and base not in NULLABLE:
            fail(where, f"'{base}' cannot be null")

        made = Field(where, name, base, is_array, versions, null, comment=comment)
        if "tag" in attributes:
            made.tag = self.check_tag(where, message, versions, attributes["tag"])
        if "default" in attributes:
            made.default = self.check_default(where, made, attributes["default"])
        message.fields.append(made)

    def check_tag(self, where, message, versions, text):
        tag = parse_number(where, text, "tag")
        used = [f.tag for f in message.fields if f.tag >= 0]
        if tag in used:
            fail(where, f"tag {tag} is used twice")
        if tag != len(used):
            fail(where, f"tag {tag} leaves a gap: the next tag is {len(used)}")
        if message.kind != "struct" and max(versions[0], message.versions[0]) < message.flexible:
            fail(where, f"tag {tag} in versions before flexible={message.flexible}")
        return tag

    def check_default(self, where, made, text):
        if made.is_array or made.base not in INTEGER_BITS:
            fail(where, f"default= does not go with '{made.base}'")
        if made.base == "bool":
            text = {"true": "1", "false": "0"}.get(text, text)
        value = parse_number(where, text, "default")
        signed, bits = INTEGER_BITS[made.base]
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        if not low <= value <= high:
            fail(where, f"default {value} does not fit in {made.base}")
        return value

    # ---- checks over everything

    def check(self):
        for message in self.messages:
            for f in message.fields:
                if f.base[0].isupper() and not self.find("struct", f.base):
                    fail(f.where, f"unknown type '{f.base}'")
        self.order = []
        marks = {}
        for message in self.messages:
            if message.kind != "class":
                self.visit(message, marks)
        used = {f.base for m in self.messages for f in m.fields}
        for message in self.of_kind("struct"):
            if message.name not in used:
                fail(message.where, f"struct {message.name} is never used")
            if not message.fields:
                fail(message.where, f"struct {message.name} has no fields")
        self.check_unique("request", lambda m: m.attributes["key"], "key")
        self.check_unique("record", lambda m: m.attributes["id"], "id")
        self.check_unique("class", lambda m: m.attributes["id"], "id")
        self.check_unique("method", self.method_id, "id")
        for request in self.of_kind("request"):
            if not self.find("response", request.name):
                fail(request.where, f"request {request.name} without its response")
        for properties in self.of_kind("properties"):
            if len(properties.fields) > 14:
                fail(properties.where, "more than 14 properties need a second flags word")
        names = {}
        for message in self.messages:
            other = names.setdefault((message.kind == "class", message.snake), message)
            if other is not message:
                fail(message.where, f"{message.snake} is the C name of {other.where} too")

    def check_unique(self, kind, key_of, word):
        seen = {}
        for message in self.of_kind(kind):
            other = seen.setdefault(key_of(message), message)
            if other is not message:
                fail(message.where, f"{word} of {message.name} is that of {other.name} too")

    def method_id(self, method):
        name = method.name.partition(".")[0]
        owner = self.find("class", name)
        if not owner:
            fail(method.where, f"method {method.name} of unknown class '{name}'")
        if method.attributes["from"] not in ("client", "server", "both"):
            fail(method.where, "from= is none of client, server, both")
        return owner.attributes["id"] << 16 | method.attributes["id"]

    def visit(self, message, marks):
        """Depth first, so that C sees a struct before its use; refuses recursion."""
        if marks.get(id(message)) == "done":
            return
        if marks.get(id(message)) == "open":
            fail(message.where, f"struct {message.name} contains itself")
        marks[id(message)] = "open"
        for f in message.fields:
            if f.base[0].isupper():
                self.visit(self.find("struct", f.base), marks)
        marks[id(message)] = "done"
        self.order.append(message)

    def struct_has_default(self, message):
        return any(self.field_has_default(f) for f in message.fields)

    def field_has_default(self, f):
        if f.base[0].isupper() and not f.is_array and f.null == NEVER:
            return self.struct_has_default(self.find("struct", f.base))
        return f.default != 0


# ---- writing C


class Writer:
    def __init__(self, schema, name, sources):
        self.schema = schema
        self.name = name
        self.upper = name.upper()
        self.sources = sources

    def head(self):
        return f"/* Written by tools/wiregen.py from {', '.join(self.sources)}. Do not edit. */\n"

    def c_name(self, message):
        return f"{self.name}_{message.snake}"

    def c_type(self, f):
        if f.base[0].isupper():
            return f"struct {self.c_name(self.schema.find('struct', f.base))}"
        return (KAFKA_TYPES.get(f.base) or AMQP_TYPES[f.base])[1]

    def is_pointer(self, f):
        return f.base[0].isupper() and not f.is_array and f.null != NEVER

    def member(self, f):
        base = self.c_type(f)
        if f.is_array:
            return (f"    struct {{\n        {base} *items;\n        int32_t count;\n"
                    f"    }} {f.name};")
        return f"    {base} {'*' if self.is_pointer(f) else ''}{f.name};"

    def struct(self, message):
        lines = []
        if message.comment:
            lines.append(f"/* {message.comment} */")
        lines.append(f"struct {self.c_name(message)} {{")
        if message.kind == "properties":
            lines.append(f"    uint16_t flags; /* {self.upper}_{message.snake.upper()}_... */")
        for f in message.fields:
            note = [] if message.is_amqp else [range_text(f.versions)]
            note += [f"tag {f.tag}"] if f.tag >= 0 else []
            note += [f"null in {range_text(f.null)}"] if f.null != NEVER else []
            note += [f.comment] if f.comment else []
            lines.append(self.member(f) + (f" /* {'; '.join(note)} */" if note else ""))
        if not message.fields and message.kind != "properties":
            lines.append("    char nothing; /* C has no empty structs */")
        return "\n".join(lines + ["};\n"])

    def header(self):
        guard = f"{self.upper}_MESSAGES_H"
        out = [self.head(), f"#ifndef {guard}", f"#define {guard}\n", '#include "wire/amqp_wire.h"'
               if self.schema.of_kind("method") else '#include "wire/wire.h"', ""]
        out += self.enums()
        for message in self.schema.order:
            out.append(self.struct(message))
        for message in self.schema.order:
            if message.kind != "struct":
                out.append(f"extern const struct wire_schema {self.c_name(message)}_schema;")
        out += ["", "/* For wire_new() and wire_init() of array items. */"]
        for message in self.schema.order:
            if message.kind == "struct":
                out.append(f"extern const struct wire_schema {self.c_name(message)}_schema;")
        out += ["", *self.table_declarations(), "#endif"]
        return "\n".join(out) + "\n"

    def tables(self):
        """(kind, C type, plural) of each table that these files fill."""
        for kind, ctype, plural in (("request", "wire_api", "apis"),
                                    ("record", "wire_record", "records"),
                                    ("method", "wire_method", "methods")):
            if self.schema.of_kind(kind):
                yield kind, ctype, plural

    def table_declarations(self):
        out = []
        for kind, ctype, plural in self.tables():
            count = f"{self.upper}_{plural.upper()[:-1]}_COUNT"
            out += [f"enum {{ {count} = {len(self.schema.of_kind(kind))} }};",
                    f"extern const struct {ctype} {self.name}_{plural}[{count}]; /* sorted */", ""]
        return out

    def enums(self):
        out = []
        for kind, number, enum in (("request", lambda m: m.attributes["key"], "api_key"),
                                   ("record", lambda m: m.attributes["id"], "record_id"),
                                   ("class", lambda m: m.attributes["id"], "class_id"),
                                   ("method", self.schema.method_id, "method_id")):
            members = sorted(self.schema.of_kind(kind), key=number)
            if members:
                word = {"class": "CLASS_", "record": "RECORD_"}.get(kind, "")
                rows = [f"    {self.upper}_{word}{snake(m.name).upper()} = "
                        + (f"{number(m):#x}" if kind == "method" else str(number(m))) + ","
                        for m in members]
                out += [f"enum {self.name}_{enum} {{", *rows, "};", ""]
        for message in self.schema.of_kind("properties"):
            prefix = f"{self.upper}_{snake(message.name).upper()}_HAS_"
            rows = [f"    {prefix}{f.name.upper()} = 1 << {15 - i},"
                    for i, f in enumerate(message.fields)]
            out += [f"enum {self.name}_{snake(message.name)}_flag {{", *rows, "};", ""]
        return out

    # ---- the tables

    def field_row(self, message, f, tag):
        struct = self.schema.find("struct", f.base)
        types = KAFKA_TYPES | AMQP_TYPES
        base = "WIRE_STRUCT" if struct else types[f.base][0]
        row = {
            "name": f'"{f.name}"',
            "schema": f"&{self.c_name(struct)}_schema" if struct else None,
            "offset": f"offsetof(struct {self.c_name(message)}, {f.name})",
            "min": f.versions[0], "max": f.versions[1],
            "null_min": f.null[0], "null_max": f.null[1],
            "tag": tag,
            "type": "WIRE_ARRAY" if f.is_array else base,
            "item_type": base if f.is_array else None,
            "default_number": number_literal(f.default) if f.default else None,
            "has_default": "true" if self.schema.field_has_default(f) else None,
        }
        return "    {" + ", ".join(f".{k} = {v}" for k, v in row.items() if v is not None) + "},"

    def schema_table(self, message):
        name = self.c_name(message)
        plain = [f for f in message.fields if f.tag < 0]
        tagged = sorted((f for f in message.fields if f.tag >= 0), key=lambda f: f.tag)
        is_properties = message.kind == "properties"
        out = []
        if message.fields:
            rows = [self.field_row(message, f, 15 - i if is_properties else f.tag)
                    for i, f in enumerate(plain + tagged)]
            out += [f"static const struct wire_field {name}_fields[] = {{", *rows, "};", ""]
        title = message.name if message.is_amqp else message.snake
        row = {
            "name": f'"{title}"',
            "fields": f"{name}_fields" if message.fields else None,
            "plain_count": len(plain), "field_count": len(message.fields),
            "size": f"sizeof(struct {name})",
            "min": message.versions[0], "max": message.versions[1],
            "flexible_since": message.flexible,
            "has_flags": "true" if is_properties else None,
        }
        text = ", ".join(f".{k} = {v}" for k, v in row.items() if v is not None)
        return "\n".join(out + [f"const struct wire_schema {name}_schema = {{{text}}};\n"])

    def api_row(self, request):
        response = self.schema.find("response", request.name)
        a = request.attributes
        plain = "true" if response.attributes.get("header") == 0 else "false"
        return (f'    {{.name = "{request.name}", .request = &{self.c_name(request)}_schema, '
                f".response = &{self.c_name(response)}_schema, .key = {a['key']}, "
                f".min = {request.versions[0]}, .max = {request.versions[1]}, "
                f".advertise_min = {a.get('advertise', request.versions[0])}, "
                f".stable_max = {a.get('unstable', request.versions[1] + 1) - 1}, "
                f".flexible_since = {request.flexible}, .plain_response_header = {plain}}},")

    def record_row(self, record):
        return (f'    {{.name = "{record.name}", .schema = &{self.c_name(record)}_schema, '
                f".id = {record.attributes['id']}, .min = {record.versions[0]}, "
                f".max = {record.versions[1]}}},")

    def method_row(self, method):
        number = self.schema.method_id(method)
        a = method.attributes
        sides = {"client": "WIRE_FROM_CLIENT", "server": "WIRE_FROM_SERVER",
                 "both": "WIRE_FROM_CLIENT | WIRE_FROM_SERVER"}[a["from"]]
        return (f'    {{.name = "{method.name}", .schema = &{self.c_name(method)}_schema, '
                f".id = {number:#x}, .from = {sides}, "
                f".is_synchronous = {str('sync' in a).lower()}, "
                f".has_content = {str('content' in a).lower()}}},")

    def source(self):
        out = [self.head(), f'#include "{self.name}_messages.h"\n']
        out += [self.schema_table(message) for message in self.schema.order]
        makers = {"request": (self.api_row, lambda m: m.attributes["key"]),
                  "record": (self.record_row, lambda m: m.attributes["id"]),
                  "method": (self.method_row, self.schema.method_id)}
        for kind, ctype, plural in self.tables():
            row, number = makers[kind]
            count = f"{self.upper}_{plural.upper()[:-1]}_COUNT"
            rows = [row(m) for m in sorted(self.schema.of_kind(kind), key=number)]
            out += [f"const struct {ctype} {self.name}_{plural}[{count}] = {{", *rows, "};", ""]
        return "\n".join(out)


def range_text(versions):
    low, high = versions
    return f"{low}+" if high == VERSION_MAX else str(low) if low == high else f"{low}-{high}"


def number_literal(value):
    """INT64_MIN has no literal of its own in C."""
    return "INT64_MIN" if value == -(1 << 63) else f"{value}LL" if abs(value) >> 31 else str(value)


def load(paths):
    schema = Schema()
    for path in paths:
        schema.read(path)
    schema.check()
    return schema


def write_if_new(path, text):
    """Leave an unchanged file alone, so that what includes it is not built again."""
    try:
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return
    except FileNotFoundError:
        pass
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def main():
    parser = argparse.ArgumentParser(description="schema text to C structs and tables")
    parser.add_argument("--name", required=True, help="prefix of all C names")
    parser.add_argument("--out", required=True, help="folder of <name>_messages.{h,c}")
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    try:
        schema = load(args.files)
    except SchemaError as error:
        sys.exit(str(error))
    writer = Writer(schema, args.name, sorted(os.path.basename(path) for path in args.files))
    base = os.path.join(args.out, f"{args.name}_messages")
    write_if_new(base + ".h", writer.header())
    write_if_new(base + ".c", writer.source())


if __name__ == "__main__":
    main()
