#!/usr/bin/env python3
"""The service: it takes the socket that systemd holds, and on SIGTERM answers what it has taken before it ends."""
import os
import select
import signal
import socket

GREETING = "hello"
FIRST_FD = 3  # sd_listen_fds(3)

ending = []
signal.signal(signal.SIGTERM, lambda *_: ending.append(True))

server = socket.socket(fileno=FIRST_FD)
server.setblocking(False)
while not ending:
    if not select.select([server], [], [], 0.2)[0]:
        continue
    try:
        client, _ = server.accept()
    except BlockingIOError:
        continue
    with client:
        client.settimeout(5)
        try:
            client.recv(4096)
            body = f"{GREETING} from {os.environ['ROLLCTL_REVISION']}\n".encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            client.sendall(head.encode() + body)
        except OSError:
            pass
