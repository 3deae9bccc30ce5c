import socket
import sys

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("0.0.0.0", int(sys.argv[1])))
clients = {}

while True:
    data, addr = sock.recvfrom(1024)
    text = data.decode()
    if addr not in clients:
        clients[addr] = text
        message = text + " joined"
    else:
        message = clients[addr] + ": " + text
    for other in clients:
        if other != addr:
            sock.sendto(message.encode(), other)
