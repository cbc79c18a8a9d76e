#!/usr/bin/env python3
"""Write <name>_messages.h and .c from schema text: plain structs, and the tables src/wire walks.

    wiregen.py --name kafka --out DIR FILE.schema...

tools/wire_schema.py tells the language. What is wrong in a schema is refused with file:line.
"""

import argparse
import os
import sys

from wire_schema import AMQP_TYPES, KAFKA_TYPES, NEVER, VERSION_MAX, SchemaError, load, snake



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
        title += ".properties" if is_properties else ""
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
