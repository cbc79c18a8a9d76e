"""A proxy before a broker that loses answers: the broker did what it was asked, the client cannot know."""
import select
import socket
import struct
import threading

PRODUCE = 0


class Flaky:
    """Every `nth` answer to Produce is dropped and its connection closed. The broker's own port is replaced
    in what it tells of itself, so that a client comes back here."""

    def __init__(self, broker, nth=7):
        host, port = broker.rsplit(":", 1)
        self.broker, self.nth = (host, int(port)), nth
        self.dropped = self.answered = 0
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.told = host.encode() + struct.pack(">i", int(port))
        self.tell = host.encode() + struct.pack(">i", self.listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                one, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    def _serve(self, client):
        with client, socket.create_connection(self.broker) as broker:
            buffers, asked = {client: b"", broker: b""}, {}
            while True:
                for side in select.select([client, broker], [], [])[0]:
                    try:
                        data = side.recv(1 << 20)
                    except OSError:
                        return
                    if not data:
                        return
                    frames, buffers[side] = whole_frames(buffers[side] + data)
                    for frame in frames:
                        if side is client:
                            api, _, correlation = struct.unpack(">hhi", frame[4:12])
                            asked[correlation] = api
                            broker.sendall(frame)
                        elif self._is_lost(asked.pop(struct.unpack(">i", frame[4:8])[0], None)):
                            return
                        else:
                            client.sendall(frame.replace(self.told, self.tell))

    def _is_lost(self, api):
        if api != PRODUCE:
            return False
        with self.lock:
            self.answered += 1
            lost = self.answered % self.nth == 0
            self.dropped += lost
        return lost


def whole_frames(data):
    frames = []
    while len(data) >= 4:
        size = 4 + struct.unpack(">i", data[:4])[0]
        if len(data) < size:
            break
        frames.append(data[:size])
        data = data[size:]
    return frames, data
