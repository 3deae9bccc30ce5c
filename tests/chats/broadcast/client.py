import socket
import sys
import threading


def receive():
    while True:
        data = sock.recv(1024)
        if not data:
            break
        print(data.decode(), end="")
        print("\n> ", end="", flush=True)


sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
sock.connect((sys.argv[1], int(sys.argv[2])))
threading.Thread(target=receive, daemon=True).start()
print("Connected! Type your messages.")
while True:
    text = input("> ")
    if text == "quit":
        break
    sock.send(text.encode())
sock.close()
