"""A network between client and broker that fails when it is told to."""

import socket
import threading
from contextlib import suppress


class Proxy:
    """Passes TCP connections on to a broker. `cut()` breaks them all, `down()` also refuses new ones until `up()`."""

    host = "127.0.0.1"

    def __init__(self, broker):
        self._target = (broker.host, broker.port)
        self.port = 0
        self._lock = threading.Lock()  # guards the three below
        self._listener = None
        self._pairs = []
        self._accepted = 0
        self.up()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.down()

    @property
    def url(self):
        return f"amqp://guest:guest@{self.host}:{self.port}/%2F"

    @property
    def accepted(self):
        """How many connections have been passed on so far."""
        with self._lock:
            return self._accepted

    def up(self):
        listener = socket.create_server((self.host, self.port))
        self.port = listener.getsockname()[1]
        with self._lock:
            self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def down(self):
        with self._lock:
            listener, self._listener = self._listener, None
        if listener:
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept; close alone would not
            listener.close()
        self.cut()

    def cut(self):
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for one in (end for pair in pairs for end in pair):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener):
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                try:
                    server = socket.create_connection(self._target)
                except OSError:
                    client.close()
                    continue
                with self._lock:
                    if self._listener is not listener:  # went down meanwhile
                        client.close()
                        server.close()
                        return
                    self._pairs.append((client, server))
                    self._accepted += 1
                for source, sink in ((client, server), (server, client)):
                    source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source, sink):
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        source.close()
