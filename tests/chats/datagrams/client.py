import socket
import sys
import threading

server = (sys.argv[1], int(sys.argv[2]))
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.sendto(sys.argv[3].encode(), server)


def receive():
    while True:
        data, _ = sock.recvfrom(1024)
        print(data.decode())


threading.Thread(target=receive, daemon=True).start()
while True:
    text = input()
    sock.sendto(text.encode(), server)
