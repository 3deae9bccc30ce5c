import os
import socket
import sys
import threading


def receive(sock):
    while True:
        message = sock.recv(1024).decode()
        if message == "SERVER_SHUTDOWN" or not message:
            print("The server has shut down.")
            os._exit(0)
        sys.stdout.write(message)
        sys.stdout.flush()


def main():
    sock = socket.socket()
    sock.connect((sys.argv[1], int(sys.argv[2])))
    threading.Thread(target=receive, args=(sock,), daemon=True).start()
    for line in sys.stdin:
        if line.strip() == "/quit":
            break
        sock.send(line.encode())
    sock.close()


main()
