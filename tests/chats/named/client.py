import socket
import sys
import threading

name = input("What is your name? ")
server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
server.connect((sys.argv[1], int(sys.argv[2])))
server.send(name.encode())


def listen():
    while True:
        try:
            message = server.recv(2048).decode()
            if message:
                print(message)
        except:
            continue


threading.Thread(target=listen, daemon=True).start()
print("Welcome " + name)
while True:
    message = input()
    server.send(message.encode())
