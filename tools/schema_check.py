#!/usr/bin/env python3
"""Prove that our Kafka schemas say the same as Kafka's own.

    schema_check.py JSON_DIR FILE.schema...

JSON_DIR holds the message definitions that ship in every kafka-clients jar (common/message/*.json).
Compared are keys, versions, flexible versions, and for every version the sequence of fields with
name, type, nullability, tag and default. Struct names are ours and not compared. Each difference is
a line; the exit code is 1 when there are any.
"""

import json
import os
import re
import sys

import wire_schema

TYPES = {"int8": "i8", "int16": "i16", "uint16": "u16", "int32": "i32", "uint32": "u32",
         "int64": "i64", "float64": "f64"}


def load_json(path):
    with open(path, encoding="utf-8") as file:
        lines = [re.sub(r"^\s*//.*", "", line) for line in file]
    return json.loads("".join(lines))


def theirs_range(text, none=(1, 0)):
    return none if text in (None, "none") else wire_schema.parse_versions("json", text)


def theirs_default(field, base):
    """Numbers only: our strings, arrays and structs default to null or empty, which differs from
    theirs only for fields that the version does not carry."""
    text = str(field.get("default", "0") or "0")
    if base not in wire_schema.INTEGER_BITS:
        return 0
    return {"true": 1, "false": 0}.get(text) if base == "bool" and text in ("true", "false") \
        else int(text, 0)


def theirs_fields(fields, structs, version):
    """What one version has on the wire: (name, type, nullable, tag, default, nested)."""
    out = []
    for field in fields:
        low, high = theirs_range(field["versions"])
        if not low <= version <= high:
            continue
        is_array = field["type"].startswith("[]")
        base = field["type"].removeprefix("[]")
        nested = field.get("fields") or structs.get(base)
        base = "struct" if nested else TYPES.get(base, base)
        if field.get("flexibleVersions") == "none":
            base = "string16"
        null = theirs_range(field.get("nullableVersions"))
        tagged = theirs_range(field.get("taggedVersions"))
        out.append((wire_schema.snake(field["name"]), ("[]" if is_array else "") + base,
                    null[0] <= version <= null[1],
                    field["tag"] if tagged[0] <= version <= tagged[1] else -1,
                    theirs_default(field, base) if not is_array else 0,
                    theirs_fields(nested, structs, version) if nested else None))
    return out


def our_fields(schema, message, version):
    out = []
    for f in message.fields:
        if not f.versions[0] <= version <= f.versions[1]:
            continue
        nested = schema.find("struct", f.base)
        base = "struct" if nested else f.base
        out.append((f.name, ("[]" if f.is_array else "") + base,
                    f.null[0] <= version <= f.null[1], f.tag, f.default,
                    our_fields(schema, nested, version) if nested else None))
    return out


def difference(ours, theirs, path):
    """The first difference in words, or None."""
    for index in range(max(len(ours), len(theirs))):
        if index >= len(ours):
            return f"{path}: {theirs[index][0]} is missing"
        if index >= len(theirs):
            return f"{path}: {ours[index][0]} is not Kafka's"
        mine, other = ours[index], theirs[index]
        if mine[:5] != other[:5]:
            return f"{path}: {mine[:5]} is {other[:5]} in Kafka (name, type, null, tag, default)"
        if mine[5] is not None:
            nested = difference(mine[5], other[5], f"{path}.{mine[0]}")
            if nested:
                return nested
    return None


def compare(schema, message, definition):
    versions = theirs_range(definition["validVersions"])
    flexible = theirs_range(definition["flexibleVersions"], (wire_schema.VERSION_MAX,))[0]
    unstable = versions[1] if definition.get("latestVersionUnstable") else None
    yield from (f"{message.snake}: {what} is {mine}, {other} in Kafka" for what, mine, other in (
        ("key", message.attributes.get("key"), definition.get("apiKey")),
        ("versions", message.versions, versions),
        ("flexible", message.flexible, flexible),
        ("unstable", message.attributes.get("unstable"), unstable),
    ) if mine != other and not (message.kind != "request" and what in ("key", "unstable")))
    structs = {s["name"]: s["fields"] for s in definition.get("commonStructs", [])}
    structs |= {name: fields for name, fields in nested_structs(definition["fields"])}
    for version in range(versions[0], versions[1] + 1):
        found = difference(our_fields(schema, message, version),
                           theirs_fields(definition["fields"], structs, version),
                           f"{message.snake} v{version}")
        if found:
            yield found


def nested_structs(fields):
    for field in fields:
        if field.get("fields"):
            yield field["type"].removeprefix("[]"), field["fields"]
            yield from nested_structs(field["fields"])


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        schema = wire_schema.load(sys.argv[2:])
    except wire_schema.SchemaError as error:
        sys.exit(str(error))
    suffix = {"request": "Request", "response": "Response", "header": ""}
    wrong = []
    compared = 0
    for message in schema.messages:
        if message.kind in suffix:
            path = os.path.join(sys.argv[1], message.name + suffix[message.kind] + ".json")
            wrong += compare(schema, message, load_json(path))
            compared += message.versions[1] - message.versions[0] + 1
    print("\n".join(wrong + [f"{compared} versions of messages compared, {len(wrong)} differ"]))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
