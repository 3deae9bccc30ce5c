import socket
import sys
import threading

clients = {}  # socket -> name
history = []


def broadcast(message, sender=None):
    history.append(message)
    if len(history) > 10:
        history.pop(0)
    for client in clients:
        if client != sender:
            try:
                client.send((message + "\n").encode())
            except OSError:
                del clients[client]


def handle(client):
    client.send("Enter your name: ".encode())
    name = client.recv(1024).decode().strip()
    while name in clients.values():
        client.send("Name is taken, enter another: ".encode())
        name = client.recv(1024).decode().strip()
    if history:
        client.send(("\n".join(history) + "\n").encode())
    clients[client] = name
    broadcast(f"*** {name} has joined the chat ***", client)
    while True:
        try:
            message = client.recv(1024).decode()
        except OSError:
            message = ""
        if not message:
            break
        broadcast(f"{name}: {message.strip()}", client)
    del clients[client]
    client.close()
    broadcast(f"*** {name} has left the chat ***")


def main():
    server = socket.socket()
    server.bind(("", int(sys.argv[1])))
    server.listen()
    print("Waiting for clients...")
    try:
        while True:
            client, address = server.accept()
            threading.Thread(target=handle, args=(client,), daemon=True).start()
    except KeyboardInterrupt:
        for client in clients:
            client.send("SERVER_SHUTDOWN".encode())
        server.close()


main()
