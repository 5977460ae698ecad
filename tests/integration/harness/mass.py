"""A target for thousands of connections at once: its own process, one epoll loop.

Run as a program: mass.py echo|stall|talk [SOURCE-COUNT]. Prints its port. Raises its descriptor limit.
"""

import os
import select
import socket
import subprocess
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from harness.base import raise_descriptor_limit
else:
    from .base import raise_descriptor_limit


class Mass:
    """The target as a child process."""

    def __init__(self, kind):
        self.process = subprocess.Popen([sys.executable, __file__, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        self.name = f"127.0.0.1:{self.port}"
        self.query = "/?target=" + self.name

    def close(self):
        self.process.stdin.close()  # its loop watches this
        self.process.wait(10)
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def main(kind):
    raise_descriptor_limit()
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listener.setblocking(False)
    print(listener.getsockname()[1], flush=True)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    poll.register(0, select.EPOLLIN)
    peers, backlog = {}, {}
    block = b"x" * 65536

    def drop(fd):
        peers.pop(fd).close()
        backlog.pop(fd, None)

    def push(fd):
        waiting = backlog[fd]
        sent = peers[fd].send(waiting)
        backlog[fd] = waiting[sent:]
        more = len(backlog[fd])
        poll.modify(fd, select.EPOLLOUT if more else select.EPOLLIN)

    def ready(fd, what):
        if kind == "flood":
            if what & select.EPOLLOUT:
                peers[fd].send(block)
            elif what & select.EPOLLIN:
                if not peers[fd].recv(65536):
                    drop(fd)
        elif backlog.get(fd):
            push(fd)
        else:
            got = peers[fd].recv(65536)
            if not got:
                drop(fd)
            else:
                backlog[fd] = backlog.get(fd, b"") + got
                push(fd)

    while True:
        for fd, what in poll.poll():
            if fd == 0:
                return
            if fd == listener.fileno():
                while True:
                    try:
                        sock, _ = listener.accept()
                    except BlockingIOError:
                        break
                    sock.setblocking(False)
                    peers[sock.fileno()] = sock
                    if kind != "stall":
                        poll.register(sock, select.EPOLLIN | (select.EPOLLOUT if kind == "flood" else 0))
                continue
            if fd in peers:
                try:
                    ready(fd, what)
                except BlockingIOError:
                    pass
                except OSError:
                    drop(fd)


if __name__ == "__main__":
    main(sys.argv[1])
