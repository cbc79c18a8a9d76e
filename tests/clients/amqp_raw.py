"""Just enough of AMQP 0-9-1 to send what no client library would."""
import socket
import struct

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
PROTOCOL = b"AMQP\x00\x00\x09\x01"


def frame(kind, channel, payload, size=None, end=0xCE):
    size = len(payload) if size is None else size
    return struct.pack(">BHI", kind, channel, size) + payload + bytes([end])


def method(channel, class_id, method_id, arguments=b""):
    return frame(METHOD, channel, struct.pack(">HH", class_id, method_id) + arguments)


def short(value):
    return bytes([len(value)]) + value


def long(value, size=None):
    return struct.pack(">I", len(value) if size is None else size) + value


def start_ok(properties=b"", response=b"\0guest\0guest", size=None):
    return method(0, 10, 11, long(properties, size) + short(b"PLAIN") + long(response) + short(b"en_US"))


def header(channel, body_size, class_id=60, flags=0, rest=b""):
    return frame(HEADER, channel, struct.pack(">HHQH", class_id, 0, body_size, flags) + rest)


def publish(channel, exchange, key):
    return method(channel, 60, 40, struct.pack(">H", 0) + short(exchange) + short(key) + b"\0")


def queue_declare(channel, name, flags=0, arguments=b""):
    return method(channel, 50, 10, struct.pack(">H", 0) + short(name) + bytes([flags]) + long(arguments))


class Connection:
    """A logged-in connection with channel 1 open."""

    def __init__(self, address, timeout_s=10, heartbeat_s=0):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(PROTOCOL)
        assert self.receive()[2][:4] == struct.pack(">HH", 10, 10)
        self.socket.sendall(start_ok())
        tune = self.receive()[2]
        assert tune[:4] == struct.pack(">HH", 10, 30), tune
        self.channel_max, self.frame_max, _ = struct.unpack(">HIH", tune[4:12])
        self.socket.sendall(method(0, 10, 31, struct.pack(">HIH", self.channel_max, self.frame_max, heartbeat_s)))
        self.socket.sendall(method(0, 10, 40, short(b"/") + short(b"") + b"\0"))
        assert self.receive()[2][:4] == struct.pack(">HH", 10, 41)
        self.socket.sendall(method(1, 20, 10, short(b"")))
        assert self.receive()[2][:4] == struct.pack(">HH", 20, 11)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.socket.close()

    def receive(self):
        """(type, channel, payload), or None at the end."""
        head = self._exactly(7)
        if head is None:
            return None
        kind, channel, size = struct.unpack(">BHI", head)
        payload = self._exactly(size + 1)
        return None if payload is None else (kind, channel, payload[:-1])

    def _exactly(self, count):
        out = b""
        while len(out) < count:
            try:
                part = self.socket.recv(count - len(out))
            except ConnectionResetError:
                return None
            if not part:
                return None
            out += part
        return out

    def close_code(self):
        """Read on until the broker closes the channel or the connection: (class.method, code)."""
        while True:
            got = self.receive()
            if got is None:
                return None
            if got[0] == METHOD and got[2][:4] in (b"\x00\x0a\x00\x32", b"\x00\x14\x00\x28"):
                kind = "connection" if got[2][1] == 10 else "channel"
                return kind, struct.unpack(">H", got[2][4:6])[0]
