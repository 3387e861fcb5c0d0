"""The audit sink of a service: a thread that hands its entries to an address, and tries again when it can not."""
import logging
import socket
import threading


class Audit(threading.Thread):
    """`retry_s` is the pause after a refusal: an operator who sets it to almost nothing gets a line for every try."""

    def __init__(self, role, address, retry_s):
        super().__init__(daemon=True)
        host, _, port = address.rpartition(":")
        self.to, self.retry_s = (host, int(port)), retry_s
        self.log = logging.getLogger(role + ".audit")
        self.entries = self.tries = 0
        self.stop_event = threading.Event()
        self.start()

    def run(self):
        while not self.stop_event.wait(self.retry_s):
            if not self.entries:
                continue
            self.tries += 1
            try:
                with socket.create_connection(self.to, timeout=2) as sock:
                    count, self.entries = self.entries, 0
                    sock.sendall(b"audit %d\n" % count)
            except OSError as err:
                self.log.error("audit sink %s:%d refused %d entries, try %d: %s",
                               *self.to, self.entries, self.tries, err)

    def end(self):
        self.stop_event.set()
