"""The side of a Python driver that speaks lines of JSON; ../README.md has the language.

A driver gives serve() its classes for producer, consumer and admin, and how it tells Kafka's error code
of an exception. Each handle lives in a thread of its own, so that one that waits holds up no other. A
consumer's thread polls all the time, as an application would; what came is taken from outside.
"""
import hashlib
import inspect
import json
import queue
import sys
import threading
import traceback

LONG = 1000  # bytes; of a longer value only the digest goes over the line
_printing = threading.Lock()


def value_of(record):
    value = record.get("value")
    return None if value is None else (value * record.get("repeat", 1)).encode()


def key_of(record):
    key = record.get("key")
    return None if key is None else key.encode()


def shown(data):
    if data is None:
        return None
    return data.decode() if len(data) <= LONG else "md5:" + hashlib.md5(data).hexdigest()


def seen(topic, partition, offset, key, value, time_ms):
    return {"topic": topic, "partition": partition, "offset": offset, "key": shown(key),
            "value": shown(value), "time": time_ms}


def named(partitions):
    """Partitions as one word: t/0,t/1."""
    return ",".join(sorted(f"{one.topic}/{one.partition}" for one in partitions))


def answer(request, **fields):
    with _printing:
        print(json.dumps({"id": request["id"], **fields}), flush=True)


class Handle(threading.Thread):
    def __init__(self, kind, code_of, request):
        super().__init__(daemon=True)
        self.kind, self.code_of = kind, code_of
        self.todo = queue.Queue()
        self.lock = threading.Lock()
        self.records, self.events, self.errors = [], [], []
        self.todo.put(request)
        self.loop = None

    def run(self):
        self.thing = None
        while True:
            polls = self.thing is not None and hasattr(self.thing, "poll")
            try:
                request = self.todo.get(block=not polls)
            except queue.Empty:
                self.poll()
                continue
            self.execute(request)
            if request["op"] in ("close", "abandon"):
                return

    def execute(self, request):
        arguments = {k: v for k, v in request.items() if k not in ("id", "on", "op")}
        try:
            if self.thing is None:
                self.thing = self.wait(self.open(arguments))
                result = None
            else:
                result = self.wait(getattr(self.thing, request["op"])(**arguments))
            answer(request, **(result or {}))
        except Exception as error:
            answer(request, error=self.described(error))

    def open(self, arguments):
        self.thing = self.kind(**arguments)
        self.thing.handle = self
        started = self.thing.start() if hasattr(self.thing, "start") else None
        if not inspect.iscoroutine(started):
            return self.thing
        thing, self.thing = self.thing, None  # nothing polls it before it has started

        async def start():
            await started
            return thing

        return start()

    def wait(self, result):
        """The value of what may be a coroutine."""
        if not inspect.iscoroutine(result):
            return result
        if self.loop is None:
            import asyncio
            self.loop = asyncio.Runner()
        return self.loop.run(result)

    def poll(self):
        try:
            records = self.wait(self.thing.poll())
        except Exception as error:
            self.failed(error)
            return
        with self.lock:
            self.records += records

    def failed(self, error):
        with self.lock:
            if len(self.errors) < 100:
                self.errors.append(self.described(error))

    def happened(self, event):
        with self.lock:
            self.events.append(event)

    def described(self, error):
        code = self.code_of(error)
        if code is None:
            traceback.print_exception(error, file=sys.stderr)
        return {"code": code, "text": f"{type(error).__name__}: {error}"}

    def take(self):
        with self.lock:
            taken = {"records": self.records, "events": self.events, "errors": self.errors}
            self.records, self.events, self.errors = [], [], []
        return taken


def serve(code_of, **kinds):
    handles = {}
    for text in sys.stdin:
        request = json.loads(text)
        name, op = request["on"], request["op"]
        if op in kinds:
            handles[name] = Handle(kinds[op], code_of, request)
            handles[name].start()
        elif op == "take":
            answer(request, **handles[name].take())
        else:
            handles[name].todo.put(request)
