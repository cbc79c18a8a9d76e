"""Just enough of Kafka's protocol to send and see exact bytes, which client libraries hide."""
import socket
import struct
import time

PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS = 0, 1, 2, 3, 18

_table = []
for _n in range(256):
    for _ in range(8):
        _n = (_n >> 1) ^ (0x82F63B78 if _n & 1 else 0)
    _table.append(_n)


def crc32c(data):
    value = 0xFFFFFFFF
    for byte in data:
        value = (value >> 8) ^ _table[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def varint(value):
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def text(value):
    return struct.pack(">h", -1) if value is None else struct.pack(">h", len(value)) + value.encode()


def blob(value):
    return struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value


def record(index, value, key=None):
    body = b"\0" + varint(0) + varint(index)
    body += varint(-1) if key is None else varint(len(key)) + key
    body += varint(len(value)) + value + varint(0)
    return varint(len(body)) + body


def batch(values, timestamp_ms=None, attributes=0, payload=None, count=None):
    """A v2 record batch. `payload`: the records section, for compressed or broken ones."""
    count = len(values) if count is None else count
    timestamp_ms = int(time.time() * 1000) if timestamp_ms is None else timestamp_ms
    if payload is None:
        payload = b"".join(record(i, value) for i, value in enumerate(values))
    covered = struct.pack(">hiqqqhii", attributes, max(count - 1, 0), timestamp_ms, timestamp_ms,
                          -1, -1, -1, count) + payload
    after_length = struct.pack(">ibI", -1, 2, crc32c(covered)) + covered
    return struct.pack(">qi", 0, len(after_length)) + after_length


class Connection:
    def __init__(self, address, timeout_s=10):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.correlation = 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.socket.close()

    def send(self, api, version, body):
        self.correlation += 1
        head = struct.pack(">hhi", api, version, self.correlation) + text("raw")
        self.socket.sendall(struct.pack(">i", len(head) + len(body)) + head + body)
        return self.correlation

    def receive(self):
        """(correlation id, the rest of the answer); None when the broker has hung up."""
        size = self._exactly(4)
        if size is None:
            return None
        answer = self._exactly(struct.unpack(">i", size)[0])
        return struct.unpack(">i", answer[:4])[0], answer[4:]

    def _exactly(self, count):
        out = b""
        while len(out) < count:
            part = self.socket.recv(count - len(out))
            if not part:
                return None
            out += part
        return out

    def call(self, api, version, body):
        wanted = self.send(api, version, body)
        correlation, answer = self.receive()
        assert correlation == wanted
        return answer


def produce_body(topic, partition, records, acks=-1, timeout_ms=10_000):
    return (text(None) + struct.pack(">hi", acks, timeout_ms) + struct.pack(">i", 1) + text(topic)
            + struct.pack(">ii", 1, partition) + blob(records))


def produce(connection, topic, partition, records, acks=-1):
    """Produce v7 of one partition's records: (error code, base offset)."""
    answer = connection.call(PRODUCE, 7, produce_body(topic, partition, records, acks))
    at = 4 + 2 + len(topic) + 4 + 4
    return struct.unpack(">hq", answer[at:at + 10])


def fetch(connection, topic, partition, offset, max_bytes=1 << 20, wait_ms=100):
    """Fetch v4 of one partition: (error code, high watermark, record bytes)."""
    body = struct.pack(">iiiib", -1, wait_ms, 1, max_bytes, 0) + struct.pack(">i", 1) + text(topic)
    body += struct.pack(">iiqi", 1, partition, offset, max_bytes)
    answer = connection.call(FETCH, 4, body)
    at = 4 + 4 + 2 + len(topic) + 4 + 4
    error, high, _, aborted = struct.unpack(">hqqi", answer[at:at + 22])
    at += 22 + max(aborted, 0) * 16
    size = struct.unpack(">i", answer[at:at + 4])[0]
    return error, high, answer[at + 4:at + 4 + max(size, 0)]
