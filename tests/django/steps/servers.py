"""The processes of the test: three gunicorn instances over one database, and the balancer before them."""

import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

HOST = "crm.localhost"
USER, PASSWORD = "keeper", "a-long-passphrase"
INSTANCES = ["app1", "app2", "app3"]
HERE = Path(__file__).resolve().parent.parent

_given_ports = set()
# Straight to the loopback, whatever proxy the environment names.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port():
    """A port below the range from which the kernel takes local ports for outgoing connections: while an instance is
    dead, nobody else can take its port by chance."""
    for _ in range(200):
        port = random.randrange(20000, 30000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _given_ports:
            _given_ports.add(port)
            return port
    raise RuntimeError("no free port found")


def wait_until(what, condition, seconds=20.0):
    """Waits until `condition()` is true and returns its value; an error of it counts as not yet."""
    deadline = time.monotonic() + seconds
    reason = None
    while time.monotonic() < deadline:
        try:
            value = condition()
            if value:
                return value
        except OSError as error:  # refused, reset, timed out, a bad status (urllib's errors are OSErrors)
            reason = error
        time.sleep(0.05)
    raise TimeoutError(f"waited {seconds} s in vain: {what} (last: {reason})")


def fetch(port, path, host=HOST):
    """The status and body of a GET that goes straight to `port`."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": host})
    try:
        with _direct.open(request, timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


class Application:
    """The CRM: one database, three instances that can be killed and started again."""

    def __init__(self, work):
        self.work = work
        self.database = work / "data" / "crm.sqlite3"
        self.ports = {name: free_port() for name in INSTANCES}
        self.processes = {}
        (work / "data" / "in-flight").mkdir(parents=True)

    def prepare(self):
        """Makes the tables and the user."""
        for arguments in (["migrate", "--run-syncdb", "-v0"], ["createsuperuser", "--noinput", "--email=k@crm.localhost"]):
            subprocess.run(
                [sys.executable, "-m", "django", *arguments],
                cwd=HERE,
                env=self._environment("none")
                | {"DJANGO_SUPERUSER_USERNAME": USER, "DJANGO_SUPERUSER_PASSWORD": PASSWORD},
                stdin=subprocess.DEVNULL,
                check=True,
            )

    def start(self, name):
        """Starts an instance without waiting for it."""
        log = open(self.work / f"{name}.log", "a")
        command = [sys.executable, "-m", "gunicorn", "crm.wsgi:application", "--bind", f"127.0.0.1:{self.ports[name]}"]
        command += ["--workers", "1", "--worker-class", "gthread", "--threads", "4", "--keep-alive", "2", "--no-control-socket"]
        self.processes[name] = subprocess.Popen(
            command,
            cwd=HERE,
            env=self._environment(name),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # a process group of its own: the master and its worker die together
        )

    def wait_for(self, name):
        """Waits until an instance answers by itself."""
        wait_until(f"{name} answers", lambda: fetch(self.ports[name], "/healthz")[0] == 200)

    def kill(self, name):
        """Kills master and worker at once, as a crash or the kernel's memory killer would."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        wait_until(f"{name} is gone", lambda: not _listens(self.ports[name]))

    def stop(self):
        """Ends all instances."""
        for process in self.processes.values():
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        self.processes.clear()

    def rows_with(self, token):
        """How many rows the POST with this token has made."""
        with sqlite3.connect(self.database, timeout=20) as connection:
            return connection.execute("SELECT count(*) FROM crm_customer WHERE token = ?", [token]).fetchone()[0]

    def row_of(self, token):
        """The id and document of the one row of this token."""
        with sqlite3.connect(self.database, timeout=20) as connection:
            query = "SELECT id, document FROM crm_customer WHERE token = ?"
            return connection.execute(query, [token]).fetchone()

    def instance_at_work_on(self, token):
        """Waits until a slow POST is committed but not answered, and names the instance that holds it."""
        marker = self.work / "data" / "in-flight" / token
        wait_until("the slow POST is in flight", marker.exists)
        return marker.read_text()

    def _environment(self, name):
        return os.environ | {
            "CRM_DATA": str(self.work / "data"),
            "CRM_INSTANCE": name,
            "DJANGO_SETTINGS_MODULE": "crm.settings",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(self.work),
        }


class Balancer:
    """One run of `equipoise run`."""

    def __init__(self, binary, work, balance, ports):
        self.port, self.admin_port = free_port(), free_port()
        self.work, self.balance = work, balance
        config = work / f"{balance}.toml"
        config.write_text(configuration(balance, self.port, self.admin_port, ports))
        self.log = work / f"{balance}.log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [binary, "run", "-c", config], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def wait_ready(self):
        """Waits until it takes traffic and has found all instances up."""
        wait_until("the balancer is ready", lambda: self._running() and fetch(self.admin_port, "/-/ready")[0] == 200)
        for name in INSTANCES:
            self.wait_state(name, up=True)

    def wait_state(self, name, up):
        """Waits until health checks have found the instance up or down."""
        line = re.compile(rf'^equipoise_backend_up{{[^}}]*backend="{name}"[^}}]*}} {int(up)}$', re.MULTILINE)
        what = f"{name} is {'up' if up else 'down'}"
        wait_until(what, lambda: line.search(fetch(self.admin_port, "/metrics")[1]))

    def stop(self):
        """Drains it as an operator would, and returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return "did not end within 20 s"

    def _running(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"the balancer ended at its start:\n{self.log.read_text()}")
        return True


def configuration(balance, port, admin_port, ports):
    """The balancer's file. docs/crm-walkthrough.md explains it line by line."""
    weights = {"app1": 3} if balance == "weighted-round-robin" else {}
    backends = "".join(
        f'  {{ name = "{name}", address = "127.0.0.1:{at}", weight = {weights.get(name, 1)} }},\n'
        for name, at in ports.items()
    )
    hash_key = 'hash_key = "cookie:sessionid"\n' if balance == "hash" else ""
    return f"""\
[server]
workers = 2
drain_timeout = "5s"

[admin]
bind = "127.0.0.1:{admin_port}"

[[listener]]
name = "web"
bind = "127.0.0.1:{port}"
pool = "crm"

[pool.crm]
balance = "{balance}"
{hash_key}backends = [
{backends}]

[pool.crm.health]
path = "/healthz"
host = "{HOST}"
interval = "2s"
fast_interval = "250ms"
down_interval = "500ms"
timeout = "2s"
"""


def _listens(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
