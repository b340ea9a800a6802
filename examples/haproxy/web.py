#!/usr/bin/env python3
"""The service: any HTTP server would do that knows which revision it is."""
import os
import socket

GREETING = "hello"

server = socket.create_server(("", int(os.environ["PORT"])), backlog=128)
while True:
    client, _ = server.accept()
    with client:
        client.settimeout(5)
        try:
            client.recv(4096)
            body = f"{GREETING} from {os.environ['ROLLCTL_REVISION']}\n".encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            client.sendall(head.encode() + body)
        except OSError:
            pass
