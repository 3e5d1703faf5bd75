"""A receiver verifies every request with the client's own verifier and reports it on standard output, for the Go test to
verify it once more."""

import base64
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from svix.webhooks import Webhook

LIMIT = 120  # seconds until a delivery must be there: a few on an idle machine

_output = threading.Lock()


def report(**line):
    with _output:
        print(json.dumps(line), file=sys.stdout, flush=True)


class Receiver:
    def __init__(self):
        self.secrets = {}  # by path: all that must verify
        self.got = []  # {path, id, headers, body}
        self.changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                raw = self.rfile.read(int(self.headers.get("content-length", "0")))
                receiver.take(self.path[1:], {k.lower(): v for k, v in self.headers.items()}, raw)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, path, headers, raw):
        secrets = list(self.secrets.get(path, []))
        try:
            if not secrets:
                raise ValueError(f"a request to /{path}, where none was expected")
            for secret in secrets:
                Webhook(secret).verify(raw, headers)
        except Exception as error:
            report(kind="bad", path=path, error=repr(error))
        report(kind="request", path=path, secrets=secrets, headers=headers, body=base64.b64encode(raw).decode())
        with self.changed:
            id = headers.get("webhook-id") or headers.get("svix-id")
            self.got.append({"path": path, "id": id, "headers": headers, "body": json.loads(raw)})
            self.changed.notify_all()

    def wait(self, path, id):
        """Returns the request of an event at a path, once it is there."""
        find = lambda: next((r for r in self.got if r["path"] == path and r["id"] == id), None)
        with self.changed:
            self.changed.wait_for(find, LIMIT)
            found = find()
            assert found, f"{id} did not come to /{path}; what came: {[(r['path'], r['id']) for r in self.got]}"
            return found

    def count(self, path, id):
        with self.changed:
            return sum(1 for r in self.got if r["path"] == path and r["id"] == id)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
