"""The program, run as its users do."""
import json
import os
import subprocess


class Cli:
    def __init__(self, broker):
        self.broker = broker
        self.control = os.path.join(broker.data_dir, "control")

    def start(self, *words, **options):
        env = {k: v for k, v in os.environ.items() if not k.startswith("PABAL_")}
        env["PABAL_DATA_DIR"] = self.broker.data_dir
        env.update(options.pop("env", {}))
        return subprocess.Popen([self.broker.program, *words], env=env, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *words, stdin="", code=0, **options):
        process = self.start(*words, **options)
        out, err = process.communicate(stdin, timeout=30)
        assert process.returncode == code, f"{words}: {process.returncode}\n{out}\n{err}"
        self.err = err
        return out

    def json(self, *words, **options):
        return json.loads(self.run(*words, "--output", "json", **options))

    def kafka(self, *words, **options):
        return self.run(*words, "--server", self.broker.kafka, **options)

    def amqp(self, *words, **options):
        return self.run(*words, "--server", self.broker.amqp, **options)
