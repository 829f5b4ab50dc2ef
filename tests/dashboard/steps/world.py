"""The processes around the browser: backends, the balancer, and somebody who sends requests."""

import http.client
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Straight to the loopback, whatever proxy the environment names.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def wait_until(what, condition, seconds=15.0):
    """Waits until `condition()` is true and returns its value; an error of the network counts as not yet."""
    deadline = time.monotonic() + seconds
    reason = None
    while time.monotonic() < deadline:
        try:
            value = condition()
            if value:
                return value
        except (OSError, http.client.HTTPException) as error:
            reason = error
        time.sleep(0.02)
    raise TimeoutError(f"waited {seconds} s in vain: {what} (last: {reason})")


class Backend:
    """One backend process; it keeps its port over a death."""

    def __init__(self, name, milliseconds, address="127.0.0.1"):
        self.name, self.milliseconds, self.address = name, milliseconds, address
        self.port, self.process = 0, None
        self.start()

    def start(self):
        """Starts it and waits until it listens."""
        command = [sys.executable, str(HERE / "backend.py"), self.name, self.address, str(self.port), str(self.milliseconds)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def kill(self):
        """Kills it as a crash would."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None


class Balancer:
    """One run of `equipoise run`; the kernel chooses its ports."""

    def __init__(self, binary, folder, text):
        folder.mkdir(parents=True, exist_ok=True)
        self.binary, self.file, self.log = binary, folder / "equipoise.toml", folder / "equipoise.log"
        self.start(text)

    def start(self, text):
        """Starts it and waits until it is ready."""
        self.file.write_text(text)
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [Path(self.binary).resolve(), "run", "-c", self.file.name],
                cwd=self.file.parent,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        ready = wait_until("the balancer is ready", lambda: self._logged("ready"))
        self.admin = ready["admin"]
        self.web = self._logged("listener opens")["address"]

    def get(self, path):
        """What the admin endpoint says, as JSON."""
        with _direct.open(f"http://{self.admin}{path}", timeout=5) as answer:
            return json.load(answer)

    def fields(self, path):
        """The header fields of a page."""
        with _direct.open(f"http://{self.admin}{path}", timeout=5) as answer:
            return answer.headers

    def state(self, name):
        """The state of a backend of the first pool, by the API."""
        return next(one["state"] for one in self.get("/api/v1/pools")["pools"][0]["backends"] if one["name"] == name)

    def stop(self):
        """Drains it as an operator would, and returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return "did not end within 15 s"

    def _logged(self, message):
        if self.process.poll() is not None:
            raise RuntimeError(f"the balancer ended at its start:\n{self.log.read_text()}")
        events = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{") and line.endswith("}"))
        return next((event for event in events if event.get("message") == message), None)


class Load:
    """Requests, evenly in time, whatever becomes of them."""

    def __init__(self, address, per_second, threads=4):
        self.address, self.pause = address, threads / per_second
        self.served, self.failed = [], 0
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def by(self, name, since):
        """Requests that this backend answered and that began after a moment of time.monotonic()."""
        return sum(1 for began, who in list(self.served) if who == name and began >= since)

    def stop(self):
        """Ends it."""
        self._ended.set()
        for thread in self._threads:
            thread.join(timeout=10)

    def _work(self):
        connection = http.client.HTTPConnection(self.address, timeout=10)
        while not self._ended.wait(self.pause):
            began = time.monotonic()
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                answer.read()
                self.served.append((began, answer.getheader("X-Served-By")))
                self.failed += answer.status != 200
            except (OSError, http.client.HTTPException):
                self.failed += 1
                connection.close()


def configuration(work, backends):
    """The balancer's file: one pool, a listener in clear and one with TLS."""
    lines = "".join(f'  {{ name = "{one.name}", address = "127.0.0.1:{one.port}" }},\n' for one in backends)
    return f"""\
[server]
workers = 2
drain_timeout = "2s"

[admin]
bind = "127.0.0.1:0" # admin

[log]
format = "json"

[[listener]]
name = "web"
bind = "127.0.0.1:0"
pool = "crm"

[[listener]]
name = "secure"
bind = "127.0.0.1:0"
pool = "crm"
tls.certificates = [{{ cert = "{work}/crm.pem", key = "{work}/crm.key" }}]

[pool.crm]
slo = {{ availability = 99.9 }}
backends = [
{lines}]

[pool.crm.health]
path = "/healthz"
interval = "1s"
fast_interval = "250ms"
down_interval = "250ms"
timeout = "1s"
"""


def certificate(work):
    """Of a name, for 30 days."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    command += ["-subj", "/CN=crm.test", "-addext", "subjectAltName=DNS:crm.test"]
    command += ["-keyout", work / "crm.key", "-out", work / "crm.pem"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
