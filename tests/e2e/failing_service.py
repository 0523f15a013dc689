"""A service that really fails: its one worker dies of a bad order, orders pile up, and only a new worker helps.

| request         | answer                                                                    |
|-----------------|---------------------------------------------------------------------------|
| POST /orders    | 202; the order `poison` kills the worker                                   |
| GET  /healthz   | 200 while the worker works, else 503                                       |
| GET  /metrics   | worker_alive, orders_done_total, recycles_total                            |
| POST /recycle   | a new worker; a repeated `Idempotency-Key` does nothing                    |
"""

import queue
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Shop:
    def __init__(self) -> None:
        self.orders: queue.Queue[bytes] = queue.Queue()
        self.done = 0
        self.keys: list[str] = []
        self.turn = threading.Lock()
        self.worker = self._hire()

    def _hire(self) -> threading.Thread:
        worker = threading.Thread(target=self._work, daemon=True)
        worker.start()
        return worker

    def _work(self) -> None:
        while (order := self.orders.get()) != b"poison":
            self.done += bool(order)

    def recycle(self, key: str) -> None:
        with self.turn:
            if key in self.keys:
                return
            self.keys.append(key)
            self.worker = self._hire()


SHOP = Shop()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        alive = SHOP.worker.is_alive()
        if self.path == "/healthz":
            self._say(200 if alive else 503, "")
        elif self.path == "/metrics":
            lines = [f"worker_alive {int(alive)}", f"orders_done_total {SHOP.done}", f"recycles_total {len(SHOP.keys)}"]
            self._say(200, "\n".join(lines) + "\n")
        else:
            self._say(404, "")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path == "/orders":
            SHOP.orders.put(body)
            self._say(202, "")
        elif self.path == "/recycle":
            SHOP.recycle(self.headers.get("Idempotency-Key", ""))
            self._say(200, "")
        else:
            self._say(404, "")

    def _say(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        return None


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()
