"""The processes of the test: backends, the balancer, Prometheus."""

import asyncio
import json
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

# Straight to the loopback, whatever proxy the environment names.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(url, data=None, accept="*/*"):
    """Status and text of a request."""
    request = urllib.request.Request(url, data=data, headers={"X-Equipoise": "1", "Accept": accept})
    try:
        with _direct.open(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def wait_until(what, condition, seconds=20.0):
    """Waits until `condition()` is true and returns its value; an error of it counts as not yet."""
    deadline, reason = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            value = condition()
            if value:
                return value
        except OSError as error:
            reason = error
        time.sleep(0.05)
    raise TimeoutError(f"waited {seconds} s in vain: {what} (last: {reason})")


class Origins:
    """Three backends in a thread of their own. What a path is asked for says how it is answered."""

    def __init__(self, count=3):
        self.sick = set()
        self.ports = []
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()

        async def serve():
            for number in range(count):
                server = await asyncio.start_server(lambda r, w, n=number: self._answer(n, r, w), "127.0.0.1", 0)
                self.ports.append(server.sockets[0].getsockname()[1])
            ready.set()

        def run():
            asyncio.set_event_loop(self.loop)
            self.serving = self.loop.create_task(serve())
            self.loop.run_forever()

        threading.Thread(target=run, daemon=True).start()
        ready.wait(10)

    async def _answer(self, number, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1]
                status, wait = b"200 OK", 0.0
                if path.startswith(b"/slow"):
                    wait = 0.15
                elif path.startswith(b"/fail"):
                    status = b"500 No"
                elif path.startswith(b"/break") or number in self.sick:
                    break
                await asyncio.sleep(wait)
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\nwell\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def stop(self):
        """Ends them."""

        def end():
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.call_soon(self.loop.call_soon, self.loop.stop)  # once they have heard of it

        self.loop.call_soon_threadsafe(end)


class Balancer:
    """A running Equipoise with something of everything in its file."""

    def __init__(self, binary, work, origins):
        self.work, self.origins = work, origins
        self.file, self.log = work / "equipoise.toml", work / "equipoise.log"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "7",
             "-subj", "/CN=crm.test", "-addext", "subjectAltName=DNS:crm.test", "-keyout", work / "key.pem",
             "-out", work / "cert.pem"], check=True, capture_output=True, timeout=20)
        self.text = self._text()
        self.file.write_text(self.text)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([binary, "run", "-c", self.file], stdout=log, stderr=log)
        ready = wait_until("Equipoise is ready", lambda: self._event(lambda e: e["message"] == "ready"))
        self.admin = ready["admin"]
        self.web, self.tls = (self._event(lambda e, n=name: e.get("listener") == n)["address"] for name in ("web", "tls"))

    def _text(self):
        first, second, third = (f"127.0.0.1:{port}" for port in self.origins.ports)
        return f"""
[server]
workers = 2
state_file = "{self.work}/state.json"
[admin]
bind = "127.0.0.1:0"
[log]
format = "json"
[log.access]
format = "json"
path = "{self.work}/access.log"
[[listener]]
name = "web"
bind = "127.0.0.1:0"
[[listener]]
name = "tls"
bind = "127.0.0.1:0"
pool = "crm"
tls.certificates = [{{ cert = "{self.work}/cert.pem", key = "{self.work}/key.pem" }}]
[[route]]
name = "narrow"
match.path_prefix = "/slow"
pool = "narrow"
[[route]]
name = "none"
match.path_prefix = "/none"
pool = "none"
[[route]]
name = "app"
match.path_prefix = ["/app", "/fail", "/break"]
pool = "crm"
slo = {{ availability = 99.9, latency = "100ms", latency_ratio = 99.0, window = "30d" }}
[pool.crm]
backends = [{{ name = "app1", address = "{first}" }}, {{ name = "app2", address = "{second}" }}, {{ name = "app3", address = "{third}" }}]
health = {{ path = "/healthz", interval = "300ms", rise = 1, fall = 1 }}
slo = {{ availability = 99.9, latency = "100ms", latency_ratio = 99.0, window = "30d" }}
retry = {{ on = ["connect", "reset", 500], budget = 0.01 }}
passive = {{ consecutive_failures = 3, eject_for = "1s" }}
[pool.narrow]
backends = [{{ name = "only", address = "{first}" }}]
max_connections = 1
queue = {{ max = 4, timeout = "400ms" }}
[pool.none]
backends = [{{ name = "gone", address = "127.0.0.1:1" }}]
health = {{ interval = "300ms", rise = 1, fall = 1 }}
"""

    def _event(self, fits):
        events = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return next((event for event in events if fits(event)), None)

    def page(self, path):
        """A page of the admin endpoint."""
        return fetch(f"http://{self.admin}{path}")[1]

    def reload(self, good):
        """Reloads; where it shall not be good, with a file that is wrong."""
        self.file.write_text(self.text if good else self.text + "nonsense = 1\n")
        status, said = fetch(f"http://{self.admin}/-/reload", data=b"")
        assert status == (200 if good else 422), said

    def stop(self):
        """Ends it."""
        stop(self.process)


class Prometheus:
    """A Prometheus of our own, with its data below `work`."""

    def __init__(self, work, target, rules):
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rule) for rule in rules],
            "scrape_configs": [{"job_name": "equipoise", "static_configs": [{"targets": [target]}]}],
        }
        file = work / "prometheus.yml"
        file.write_text(json.dumps(config))  # JSON is YAML
        for _ in range(5):  # somebody may take the port before it does
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.address = "127.0.0.1:%d" % probe.getsockname()[1]
            with (work / "prometheus.log").open("ab") as log:
                self.process = subprocess.Popen(
                    ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={work}/data",
                     f"--web.listen-address={self.address}"], stdout=log, stderr=log)
            wait_until("Prometheus is ready or has ended", lambda: self.process.poll() is not None or self.is_ready())
            if self.process.poll() is None:
                # It takes some seconds to look at its targets at all.
                wait_until("the first scrape", lambda: self.query("equipoise_ready"))
                return
        raise RuntimeError("Prometheus does not start: see prometheus.log")

    def is_ready(self):
        """Whether it answers."""
        return fetch(f"http://{self.address}/-/ready")[0] == 200

    def api(self, path):
        """What its API says."""
        status, text = fetch(f"http://{self.address}/api/v1/{path}")
        if status != 200:
            raise RuntimeError(f"{path}: {status} {text}")
        return json.loads(text)["data"]

    def query(self, expression):
        """The samples of an expression that are numbers; an error of it is none."""
        try:
            found = self.api("query?query=" + urllib.parse.quote(expression))["result"]
        except RuntimeError as error:
            print(error)
            return []
        return [sample for sample in found if sample["value"][1] != "NaN"]

    def alerts(self):
        """Alerts that fire or are about to."""
        return self.api("alerts")["alerts"]

    def stop(self):
        """Ends it."""
        stop(self.process)


def stop(process):
    """Ends a process of ours, in the end by force."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
