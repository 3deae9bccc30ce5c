import socket
import sys
import threading

clients = []


def broadcast(message, sender):
    for client in clients:
        if client is not sender:
            client.send(message)


def handle(conn, addr):
    print("New connection from", addr)
    while True:
        data = conn.recv(1024)
        if not data:
            break
        message = "\n[" + str(addr[1]) + "]: " + data.decode()
        broadcast(message.encode(), conn)
    print("Client disconnected:", addr)
    conn.close()


server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
server.bind(("0.0.0.0", int(sys.argv[1])))
server.listen()
print("Server is listening")
while True:
    conn, addr = server.accept()
    clients.append(conn)
    threading.Thread(target=handle, args=(conn, addr)).start()
