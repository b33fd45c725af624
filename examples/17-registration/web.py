"""The web's end of it: ``python web.py PORT``.

POST /users is answered when the work is in the queues, not when it is done.
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import warrenmq


class Users(BaseHTTPRequestHandler):
    def do_POST(self):
        user = json.loads(self.rfile.read(int(self.headers["content-length"])))
        registrations.publish(user, persistent=True)  # the broker answers for it now
        self.send_response(202)
        self.end_headers()
        self.wfile.write(json.dumps({"welcome": user["name"]}).encode())

    def log_message(self, *_):
        pass


with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    registrations = mq.exchange("registrations", "fanout", durable=True)
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Users)
    print("ready")
    server.serve_forever()
