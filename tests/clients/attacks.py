"""First words of a connection that no honest client says, by protocol."""
import struct

import amqp_raw
import kafka_raw

HTTP = b"GET / HTTP/1.1\r\nHost: broker\r\nUser-Agent: curl\r\n\r\n"
TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(193))
GARBAGE = bytes((i * 167 + 13) % 256 for i in range(20_000))


def request(api, version, body, size=None, client=b"\x00\x03raw"):
    head = struct.pack(">hhi", api, version, 7) + client
    return struct.pack(">i", len(head) + len(body) if size is None else size) + head + body


KAFKA_ATTACKS = {
    "http": HTTP,
    "tls": TLS_HELLO,
    "garbage": GARBAGE,
    "negative length": struct.pack(">i", -1) + b"x" * 100,
    "largest length": struct.pack(">i", 0x7FFFFFFF) + b"x" * 100,
    "length over the limit": struct.pack(">i", 200_000_000) + b"x" * 100,
    "too short for a header": struct.pack(">i", 3) + b"abc",
    "unknown api": request(4711, 0, b""),
    "negative api": request(-3, 0, b""),
    "client id longer than the request": request(3, 1, b"", client=b"\x7f\xff"),
    "count beyond the request": request(3, 1, struct.pack(">i", 0x7FFFFFFF)),
    "count that would overflow": request(3, 1, struct.pack(">i", 0x10000001) + b"\0" * 64),
    "varint without an end": request(3, 9, b"\0" + b"\xff" * 64),
    "string beyond the request": request(3, 1, struct.pack(">i", 1) + b"\x70\x00abc"),
    "records beyond the request": request(
        0, 7, struct.pack(">hhi", -1, -1, 1000) + struct.pack(">i", 1) + kafka_raw.text("t")
        + struct.pack(">iii", 1, 0, 0x7FFFFFF0)),
}


def amqp_after_start(payload):
    return amqp_raw.PROTOCOL + payload


def nested_table(depth):
    """A table in a table in a table."""
    inner = b""
    for _ in range(depth):
        inner = amqp_raw.short(b"a") + b"F" + struct.pack(">I", len(inner)) + inner
    return inner


AMQP_ATTACKS = {
    "http": HTTP,
    "tls": TLS_HELLO,
    "garbage": GARBAGE,
    "another protocol": b"AMQP\x09\x09\x09\x09",
    "frame of 4 GiB": amqp_after_start(struct.pack(">BHI", 1, 0, 0xFFFFFFFF) + b"x" * 100),
    "frame over the first limit": amqp_after_start(struct.pack(">BHI", 1, 0, 5_000_000) + b"x" * 100),
    "unknown frame type": amqp_after_start(amqp_raw.frame(99, 0, b"abcd")),
    "wrong frame end": amqp_after_start(amqp_raw.frame(1, 0, struct.pack(">HH", 10, 11), end=0)),
    "method cut short": amqp_after_start(amqp_raw.frame(1, 0, b"\x00")),
    "wrong method first": amqp_after_start(amqp_raw.method(0, 10, 40, b"\x01/\x00\x00")),
    "table longer than its frame": amqp_after_start(amqp_raw.start_ok(b"", size=0x7FFFFFFF)),
    "deep tables": amqp_after_start(amqp_raw.start_ok(nested_table(600))),
    "unknown field type": amqp_after_start(amqp_raw.start_ok(b"\x01a\x07abc")),
}


def against(broker):
    """All of them: [(address, payload)]."""
    both = ((broker.kafka, KAFKA_ATTACKS), (broker.amqp, AMQP_ATTACKS))
    return [(address, payload) for address, attacks in both if address for payload in attacks.values()]
