#!/usr/bin/env python3
import os
import socket

server = socket.create_server(("", int(os.environ.get("PORT", "8090"))))
while True:
    client, _ = server.accept()
    client.recv(4096)
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n")
    client.close()
