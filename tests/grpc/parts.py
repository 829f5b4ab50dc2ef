"""The processes of the test: servers of grpcio, and the balancer."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from concurrent import futures
from pathlib import Path

BOUND = 20  # seconds that any call, or any wait, may take


def until(holds):
    """Waits until it holds; says whether it came to that."""
    ends = time.monotonic() + BOUND
    while time.monotonic() < ends:
        if holds():
            return True
        time.sleep(0.02)
    return False


class Server:
    """One gRPC server as a process: this file, run. It tells of itself in a file of numbers."""

    def __init__(self, name, work):
        self.name, self.tells, self.port, self.process = name, work / f"{name}.json", 0, None

    def start(self):
        """Starts it, where it was before if it was."""
        self.tells.unlink(missing_ok=True)
        self.process = subprocess.Popen([sys.executable, __file__, str(self.port), str(self.tells)])
        if not until(self.tells.exists):
            raise RuntimeError(f"{self.name} does not start")
        self.port = self._told()["port"]

    def kill(self):
        """Ends it without a word."""
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def calls(self):
        return self._told()["calls"]

    def canceled(self):
        return self._told()["canceled"]

    def _told(self):
        return json.loads(self.tells.read_text())


class Balancer:
    """The balancer as a process."""

    def __init__(self, binary, work, servers):
        backends = ", ".join(f'{{ name = "{one.name}", address = "127.0.0.1:{one.port}" }}' for one in servers)
        self.log = work / "equipoise.log"
        file = work / "equipoise.toml"
        file.write_text(f"""
[server]
workers = 2
[admin]
bind = "127.0.0.1:0"
[log]
format = "json"
level = "debug"
[[listener]]
name = "web"
bind = "127.0.0.1:0"
protocols = ["h2"]
pool = "calls"
timeouts.body = "1s"
[[listener]]
name = "closed"
bind = "127.0.0.1:0"
protocols = ["h2"]
[[route]]
name = "nothing"
listeners = ["closed"]
match.path_prefix = "/none"
pool = "calls"
[pool.calls]
protocol = "h2"
backends = [{backends}]
[pool.calls.health]
type = "grpc"
interval = "200ms"
timeout = "1s"
""")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([binary, "run", "-c", str(file)], stderr=log)
        if not until(lambda: self._event("ready")):
            raise RuntimeError(f"the balancer does not start:\n{self.log.read_text()}")
        self.admin = self._event("ready")["admin"]
        self.address, self.closed = self._listener("web"), self._listener("closed")
        if not until(lambda: [self.state(one.name) for one in servers] == ["up"] * len(servers)):
            raise RuntimeError("the servers are not up")

    def state(self, name):
        """The state of a backend, as the API shows it."""
        with urllib.request.urlopen(f"http://{self.admin}/api/v1/pools/calls", timeout=BOUND) as answer:
            backends = json.load(answer)["backends"]
        return next(backend["state"] for backend in backends if backend["name"] == name)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def last_words(self):
        return "\n".join(self.log.read_text().splitlines()[-60:])

    def _listener(self, name):
        return next(one["address"] for one in self._events() if one["message"] == "listener opens" and one["listener"] == name)

    def _event(self, message):
        return next((one for one in self._events() if one["message"] == message), None)

    def _events(self):
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{") and line.endswith("}")]


def serve(port, tells):
    """Serves until it is killed."""
    import threading

    import grpc

    told, lock = {"port": port, "calls": 0, "canceled": 0}, threading.Lock()
    serving = [True]

    def tell(what=None):
        with lock:
            if what:
                told[what] += 1
            fresh = tells.with_suffix(f".{os.getpid()}")
            fresh.write_text(json.dumps(told))
            fresh.rename(tells)  # whoever reads finds the whole

    def begin(context):
        tell("calls")
        asked = dict(context.invocation_metadata()).get("x-a")
        if asked:
            context.send_initial_metadata([("x-first", asked)])
            context.set_trailing_metadata([("x-last", asked)])

    def unary(request, context):
        begin(context)
        if request == b"fail":
            context.abort(grpc.StatusCode.NOT_FOUND, "nicht gefunden: 50 % müßig")
        if request == b"sleep":
            time.sleep(2)
        if request == b"health:NOT_SERVING":
            serving[0] = False
        return request

    def up(requests, context):
        begin(context)
        return b"%d" % sum(1 for _ in requests)

    def down(request, context):
        begin(context)
        if request == b"cut":
            yield from (b"1", b"2", b"3")
            context.abort(grpc.StatusCode.DATA_LOSS, "no more")
        if request == b"endless":
            context.add_callback(lambda: tell("canceled"))  # it never ends by itself
            while context.is_active():
                yield b"more"
                time.sleep(0.05)
        else:
            yield from (b"%d" % n for n in range(int(request)))

    def both(requests, context):
        begin(context)
        yield from requests

    def check(request, context):
        return b"\x08\x01" if serving[0] else b"\x08\x02"

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=64))
    server.add_generic_rpc_handlers((
        grpc.method_handlers_generic_handler("test.Test", {
            "Unary": grpc.unary_unary_rpc_method_handler(unary),
            "Up": grpc.stream_unary_rpc_method_handler(up),
            "Down": grpc.unary_stream_rpc_method_handler(down),
            "Both": grpc.stream_stream_rpc_method_handler(both),
        }),
        grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": grpc.unary_unary_rpc_method_handler(check)}),
    ))
    told["port"] = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    tell()
    server.wait_for_termination()


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]))
