# SPDX-License-Identifier: LGPL-2.1-or-later
"""A bad network between a TCP client and a port of 127.0.0.1.

usage: tcp_proxy.py [--cut-after SECONDS | --cut-every SECONDS] [--flip-every BYTES] [--answers]
                    [--from BYTES] PORT

Prints the port it listens on. What is counted are the bytes in both directions of all connections;
nothing happens before --from bytes (65536) were carried, so that connections that only look at the
target are left alone.
  --cut-after   SECONDS from then on all connections are reset, once
  --cut-every   the same, again and again
  --flip-every  a bit of each so many bytes is changed
  --answers     only in what the target says; no other bytes count for --flip-every
"""
import argparse
import select
import socket
import struct
import time


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Proxy:
    def __init__(self, options):
        self.options = options
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.other = {}
        self.servers = set()
        self.carried = self.passed = 0
        self.flip_at = options.flip_every and options.start + options.flip_every
        self.cut_at = None
        self.cut_wait = options.cut_every or options.cut_after

    def accept(self):
        client = self.listener.accept()[0]
        try:
            server = socket.create_connection(("127.0.0.1", self.options.port))
        except OSError:
            client.close()
            return
        for end in client, server:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.other[client], self.other[server] = server, client
        self.servers.add(server)

    def drop(self, sock):
        peer = self.other.pop(sock)
        del self.other[peer]
        self.servers -= {sock, peer}
        sock.close()
        peer.close()

    def flip(self, data):
        begin, self.passed = self.passed, self.passed + len(data)
        while self.flip_at and begin <= self.flip_at < self.passed:
            data[self.flip_at - begin] ^= 0x10
            self.flip_at += self.options.flip_every

    def forward(self, sock):
        try:
            data = bytearray(sock.recv(1 << 18))
            self.carried += len(data)
            if sock in self.servers or not self.options.answers:
                self.flip(data)
            self.other[sock].sendall(data)
        except OSError:
            data = b""
        if not data:
            self.drop(sock)
        elif self.cut_wait is not None and self.cut_at is None:
            if self.carried > self.options.start:
                self.cut_at = time.monotonic() + self.cut_wait

    def cut(self):
        for sock in self.other:
            reset(sock)
        every = self.options.cut_every
        self.servers.clear()
        self.other, self.cut_at = {}, time.monotonic() + every if every else float("inf")

    def run(self):
        print(self.listener.getsockname()[1], flush=True)
        while True:
            wait = None
            if self.cut_at and self.cut_at != float("inf"):
                wait = max(0, self.cut_at - time.monotonic())
            ready = select.select([self.listener, *self.other], [], [], wait)[0]
            if self.cut_at and time.monotonic() >= self.cut_at:
                self.cut()
                continue
            for sock in ready:
                if sock is self.listener:
                    self.accept()
                elif sock in self.other:
                    self.forward(sock)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--cut-after", type=float)
    parser.add_argument("--cut-every", type=float)
    parser.add_argument("--flip-every", type=int, default=0)
    parser.add_argument("--answers", action="store_true")
    parser.add_argument("--from", dest="start", type=int, default=65536)
    Proxy(parser.parse_args()).run()


main()
