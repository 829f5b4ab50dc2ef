"""A backend as a process: answers everything after a while, and says who it is.

    backend.py NAME ADDRESS PORT MILLISECONDS

Port 0: the kernel chooses. Prints the port when it listens.
"""

import random
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME, ADDRESS, PORT, DELAY_MS = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])


class Handler(BaseHTTPRequestHandler):
    """200 to all; checks are answered at once."""

    protocol_version = "HTTP/1.1"
    # Head and body in one write: in two, Nagle's algorithm holds the second back for 40 ms.
    wbufsize = -1

    def do_GET(self):
        if self.path != "/healthz":
            time.sleep(DELAY_MS / 1000 * random.uniform(0.5, 1.5))
        body = NAME.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Served-By", NAME)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing."""


class Server(ThreadingHTTPServer):
    """Threads that end with the process."""

    daemon_threads = True
    request_queue_size = 128


server = Server((ADDRESS, PORT), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
