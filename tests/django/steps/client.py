"""Those who use the CRM without a browser: curl, and a steady load of GETs and POSTs."""

import hashlib
import http.client
import re
import subprocess
import threading
import time
import urllib.parse
import uuid
from dataclasses import dataclass

from steps.servers import HOST, PASSWORD, USER

LIST = "/admin/crm/customer/"
ADD = "/admin/crm/customer/add/"
LOGIN = "/admin/login/"


class Curl:
    """One curl user with a cookie jar."""

    def __init__(self, work, port, name="curl"):
        self.base = f"http://{HOST}:{port}"
        self.jar = work / f"{name}-{port}.jar"
        self.body = work / f"{name}-{port}.body"
        self.common = ["curl", "-sS", "--noproxy", "*", "--max-time", "30", "--resolve", f"{HOST}:{port}:127.0.0.1"]
        self.common += ["-b", self.jar, "-c", self.jar, "-o", self.body, "-w", "%{http_code}"]

    def get(self, path):
        """The status of a GET; 0 where curl got no answer."""
        return self._run([self.base + path])

    def post(self, path, fields, file=None):
        """The status of a POST with the CSRF token of the jar; multipart where a file is given."""
        fields = {"csrfmiddlewaretoken": self._csrf_token(), **fields}
        if file is None:
            form = [word for key, value in fields.items() for word in ("--data-urlencode", f"{key}={value}")]
        else:
            form = [word for key, value in fields.items() for word in ("--form-string", f"{key}={value}")]
            form += ["-F", f"document=@{file}"]
        return self._run([*form, self.base + path])

    def post_in_background(self, path, fields):
        """Starts a POST and returns a function that waits for its status."""
        fields = {"csrfmiddlewaretoken": self._csrf_token(), **fields}
        form = [word for key, value in fields.items() for word in ("--data-urlencode", f"{key}={value}")]
        command = [*self.common, *form, self.base + path]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return lambda: int(process.communicate()[0] or 0)

    def login(self):
        """The statuses of the form and of its POST: 200 and 302 where all is well."""
        form = self.get(LOGIN)
        return form, self.post(LOGIN, {"username": USER, "password": PASSWORD, "next": LIST})

    def text(self):
        """The last body."""
        return self.body.read_text(errors="replace")

    def digest(self):
        """The SHA-256 of the last body."""
        return hashlib.sha256(self.body.read_bytes()).hexdigest()

    def _csrf_token(self):
        return re.search(r"\tcsrftoken\t(\S+)", self.jar.read_text())[1]

    def _run(self, arguments):
        done = subprocess.run([*self.common, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        return int(done.stdout or 0)


@dataclass
class Answer:
    """What came of one request of the load."""

    status: int | str
    began: float
    ended: float
    token: str | None = None
    served_by: str | None = None

    def __str__(self):
        return f"{self.status} after {self.ended - self.began:.3f} s" + (f" (token {self.token})" if self.token else "")


class Load:
    """Two users who read and one who writes, each on one kept-alive connection, with a short rest after each answer."""

    PAUSE = 0.01

    def __init__(self, port):
        self.port = port
        self.ended = threading.Event()
        self.logged_in = threading.Semaphore(0)
        self.gets, self.posts, self.broken = [], [], []
        jobs = [self._read, self._read, self._write]
        self.threads = [threading.Thread(target=self._guarded, args=[job], daemon=True) for job in jobs]

    def start(self):
        """Begins the load; returns when all users have logged in (or their errors are noted)."""
        for thread in self.threads:
            thread.start()
        for _ in self.threads:
            self.logged_in.acquire(timeout=60)

    def stop(self):
        """Ends the load and waits for its last answers."""
        self.ended.set()
        for thread in self.threads:
            thread.join(timeout=60)

    def _guarded(self, job):
        try:
            try:
                session = _Session(self.port)
            finally:
                self.logged_in.release()
            job(session)
        except Exception as error:  # an error of a thread must fail the test, not vanish
            self.broken.append(repr(error))

    def _read(self, session):
        while not self.ended.wait(self.PAUSE):
            self.gets.append(session.send("GET", LIST))

    def _write(self, session):
        while not self.ended.wait(self.PAUSE):
            token = uuid.uuid4().hex
            self.posts.append(session.send("POST", ADD, {"name": "load", "token": token}, token))


class _Session:
    """A logged-in user on one connection."""

    def __init__(self, port):
        self.port = port
        self.connection = None
        self.cookies = {}
        self._expect(self.send("GET", LOGIN), 200)
        self._expect(self.send("POST", LOGIN, {"username": USER, "password": PASSWORD, "next": LIST}), 302)

    def send(self, method, path, fields=None, token=None):
        body = None
        headers = {"Host": f"{HOST}:{self.port}", "Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())}
        if fields is not None:
            body = urllib.parse.urlencode({"csrfmiddlewaretoken": self.cookies["csrftoken"], **fields})
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        served_by = None
        began = time.monotonic()
        try:
            status, served_by = self._exchange(method, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            status = repr(error)
            self.connection = None
        return Answer(status, began, time.monotonic(), token, served_by)

    def _exchange(self, method, path, body, headers):
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        response.read()
        for line in response.headers.get_all("Set-Cookie") or []:
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return response.status, response.headers["X-Served-By"]

    @staticmethod
    def _expect(answer, status):
        if answer.status != status:
            raise RuntimeError(f"log-in of the load: {answer}, not {status}")
