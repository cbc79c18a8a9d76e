"""kcat: the librdkafka that Debian ships. Each reader is a kcat that runs on."""
import json
import os
import re
import subprocess
import tempfile
import threading
import time

import line

CODES = {
    "Broker: Message size too large": 10,
    "Broker: Not enough in-sync replicas": 19,
    "Broker: Invalid timestamp": 32,
    "Broker: Broker failed to validate record": 87,
}


class Failed(Exception):
    pass


def code_of(error):
    return next((code for text, code in CODES.items() if text in str(error)), None)


def options(**config):
    return [part for key, value in config.items() if value is not None
            for part in ("-X", f"{key.replace('_', '.')}={value}")]


class Producer:
    def __init__(self, servers, name, acks="all", codec="none", idempotent=False, linger_ms=5, max_bytes=None,
                 retries=None):
        self.command = ["kcat", "-P", "-E", "-b", servers, "-z", codec, *options(
            client_id=name, acks=acks, enable_idempotence=str(idempotent).lower(), linger_ms=linger_ms,
            message_max_bytes=max_bytes, retries=retries)]

    def send(self, topic, records):
        """One kcat for each partition asked for; it tells of no offsets."""
        partitions = {record.get("partition") for record in records}
        try:
            for partition in partitions:
                self.send_to(topic, partition, [r for r in records if r.get("partition") == partition])
        except Failed as error:
            return {"results": [self.handle.described(error) for _ in records]}
        return {"results": [{"partition": -1, "offset": -1} for _ in records]}

    def send_to(self, topic, partition, records):
        command = [*self.command, "-t", topic, *(["-p", str(partition)] if partition is not None else [])]
        if any("repeat" in record for record in records):
            for record in records:
                self.send_file(command, line.value_of(record))
            return
        if any("key" in record for record in records):
            command += ["-K", "\t"]
        lines = (b"\t".join(part for part in (line.key_of(r), line.value_of(r)) if part is not None)
                 for r in records)
        self.run(command, b"\n".join(lines) + b"\n")

    def send_file(self, command, value):
        """A value of many lines' length comes out of a file."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(value)
            file.flush()
            self.run([*command, file.name], b"")

    def run(self, command, input):
        done = subprocess.run(command, input=input, capture_output=True, timeout=60)
        if done.returncode or b"Delivery failed" in done.stderr:
            raise Failed(done.stderr.decode())

    def close(self):
        pass


class Consumer:
    def __init__(self, servers, name, group=None, topics=None, assign=None, reset="earliest", auto_commit=False,
                 instance=None, strategy="range", session_ms=6000, min_bytes=1, wait_ms=500, fetch_bytes=None):
        config = options(client_id=name, group_instance_id=instance, fetch_min_bytes=min_bytes,
                         fetch_wait_max_ms=wait_ms, max_partition_fetch_bytes=fetch_bytes,
                         receive_message_max_bytes=fetch_bytes and fetch_bytes + (64 << 20))
        command = ["kcat", "-E", "-b", servers, "-J", "-u", *config]
        if group:
            command += [*options(auto_offset_reset="error" if reset == "none" else reset,
                                 auto_commit_interval_ms=200,
                                 session_timeout_ms=session_ms, heartbeat_interval_ms=500,
                                 partition_assignment_strategy={"cooperative": "cooperative-sticky"}.get(
                                     strategy, strategy)), "-G", group, *topics]
        else:
            topic, partition, offset = assign
            start = {"earliest": "beginning", "latest": "end"}.get(offset, offset)
            command += ["-C", "-t", topic, "-p", str(partition), "-o", str(start)]
        self.inner = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      preexec_fn=die_with_parent)

    def start(self):
        threading.Thread(target=self.read, daemon=True).start()
        threading.Thread(target=self.listen, daemon=True).start()

    def read(self):
        for text in self.inner.stdout:
            one = json.loads(text)
            record = line.seen(one["topic"], one["partition"], one["offset"], encoded(one["key"]),
                               encoded(one["payload"]), one["ts"])
            with self.handle.lock:
                self.handle.records.append(record)

    def listen(self):
        for text in self.inner.stderr:
            text = text.decode(errors="replace").strip()
            moved = re.match(r"% Group \S+ rebalanced.*(assign|revo).*: (.*)", text)
            if moved:
                partitions = re.sub(r" \[(\d+)\]", r"/\1", moved.group(2)).replace(" ", "")
                self.handle.happened(("+" if moved.group(1) == "assign" else "-") + partitions)
            elif "ERROR" in text and "Disconnected" not in text and "Connection refused" not in text:
                self.handle.failed(Failed(text))

    def commit(self):
        """It commits every 0.2 s, never when asked."""
        time.sleep(0.6)

    def close(self):
        self.inner.terminate()
        self.inner.wait(10)


def encoded(text):
    return None if text is None else text.encode()


def die_with_parent():
    """So that killing the driver kills its kcats, as the death of an application would."""
    import ctypes
    import signal
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() == 1:
        os._exit(1)


line.serve(code_of, producer=Producer, consumer=Consumer)
