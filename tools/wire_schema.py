"""Schema text of messages: read it, check it.

The language is line based; '#' starts a comment; indented lines are fields of the last line that is
not.

    request Produce key=0 versions=3-13 flexible=9 [advertise=0] [unstable=13]
      transactional_id  string?        3+                # '?': may be null
      acks              i16            0+
      topic_data        []TopicData    0+   nullable=1+  # may be null in some versions only
      node_endpoints    []NodeEndpoint 10+  tag=0        # tagged field (KIP-482)
      max_bytes         i32            3+   default=-1
    response Produce [header=0]         # key and versions are the request's
    header RequestHeader versions=1-2 flexible=2
    record TopicCreated id=1 versions=0-0 [flexible=1]   # flexible from the first version on
    struct TopicData                    # used by the messages of all files given

    class connection id=10              # AMQP: no versions, no nulls
    method connection.start id=10 from=server sync content
      server_properties table
    properties basic                    # fields in the order of their flags, bit 15 first

Types: bool i8 i16 u16 i32 u32 i64 f64 uuid string string16 bytes records, a struct's name, []T;
AMQP: octet short long longlong timestamp shortstr longstr table bit.
What is wrong raises SchemaError with file:line.
"""

import re
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
    "record": {"id": int, "versions": str, "flexible": str},
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
            other = self.find(kind, message.name)
            fail(where, f"{kind} {message.name} is already at {other.where}")
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
        if message.kind == "record" and "flexible" not in attributes:
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
            fail(where, f"a field needs a name, a type{'' if message.is_amqp else ' and versions'}")
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


def load(paths):
    schema = Schema()
    for path in paths:
        schema.read(path)
    schema.check()
    return schema
