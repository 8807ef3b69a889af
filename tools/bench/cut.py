# SPDX-License-Identifier: LGPL-2.1-or-later
"""Forwards TCP connections to a port of 127.0.0.1 and cuts those there are after a while, once.

usage: cut.py PORT SECONDS. Prints the port it listens on. The clock starts with the first
connection that has carried 64 KiB: connections that only look at the target do not count.
"""
import select
import socket
import struct
import sys
import time


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def main():
    target, seconds = int(sys.argv[1]), float(sys.argv[2])
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    other, carried, cut_at = {}, 0, None
    while True:
        wait = None if not cut_at else max(0, cut_at - time.monotonic())
        ready = select.select([listener, *other], [], [], wait)[0]
        if cut_at and time.monotonic() >= cut_at:
            for sock in other:
                reset(sock)
            other, cut_at = {}, float("inf")
            continue
        for sock in ready:
            if sock is listener:
                client = listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", target))
                for end in client, server:
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                other[client], other[server] = server, client
            elif sock in other:
                try:
                    data = sock.recv(1 << 18)
                    other[sock].sendall(data)
                except OSError:
                    data = b""
                carried += len(data)
                if not data:
                    peer = other.pop(sock)
                    del other[peer]
                    sock.close()
                    peer.close()
                elif carried > 1 << 16 and cut_at is None:
                    cut_at = time.monotonic() + seconds


main()
