"""What happens to the balancer while Prometheus looks on."""

import http.client
import socket
import ssl
import threading
import time

from .processes import wait_until

# A bound on what one thread asks for; the story ends long before.
MAX_REQUESTS = 20000


class Load:
    """Clients, each a thread, that ask until they are stopped."""

    def __init__(self, balancer, origins):
        self.balancer, self.origins = balancer, origins
        self.ended = threading.Event()
        self.threads = []

    def tell_the_story(self):
        """Everything that the rules and the dashboard are about, once. Returns while the load goes on."""
        ask = self._spawn
        for path in ("/app", "/app", "/fail", "/break", "/none"):
            ask(self._ask, self.balancer.web, path, 0.03)
        for _ in range(7):  # one place, four that may wait: two are refused
            ask(self._ask, self.balancer.web, "/slow", 0.01)
        ask(self._wrong)
        ask(self._shake_hands)
        time.sleep(4)  # two scrapes at least before anything changes
        self.balancer.reload(good=True)
        self.origins.sick.add(2)
        self._wait_for('equipoise_backend_up{pool="crm",backend="app3"} 0')
        time.sleep(2)
        self.origins.sick.clear()
        self._wait_for('equipoise_backend_up{pool="crm",backend="app3"} 1')
        self.balancer.reload(good=False)
        time.sleep(6)  # and some after, within one rate's interval

    def _wait_for(self, line):
        wait_until(line, lambda: line in self.balancer.page("/metrics"))

    def _spawn(self, what, *arguments):
        thread = threading.Thread(target=what, args=arguments, daemon=True)
        thread.start()
        self.threads.append(thread)

    def _rounds(self, pause):
        for _ in range(MAX_REQUESTS):
            if self.ended.wait(pause):
                return
            yield

    def _ask(self, address, path, pause):
        connection = http.client.HTTPConnection(address, timeout=10)
        for _ in self._rounds(pause):
            try:
                connection.request("GET", path)
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                connection.close()

    def _wrong(self):
        """What no backend sees."""
        host, port = self.balancer.web.rsplit(":", 1)
        for _ in self._rounds(0.1):
            try:
                with socket.create_connection((host, int(port)), 5) as wire:
                    wire.sendall(b"GET / HTTP/1.1\r\n\r\n")
                    wire.recv(1000)
            except OSError:
                pass

    def _shake_hands(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        host, port = self.balancer.tls.rsplit(":", 1)
        for _ in self._rounds(0.1):
            connection = http.client.HTTPSConnection(host, int(port), timeout=5, context=context)
            try:
                connection.request("GET", "/app")
                connection.getresponse().read()
            except OSError:
                pass
            connection.close()

    def stop(self):
        """Ends them all."""
        self.ended.set()
        for thread in self.threads:
            thread.join(15)
