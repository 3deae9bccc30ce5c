import socket
import sys
import threading

s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", int(sys.argv[1])))
s.listen(100)

list_of_clients = []
names = {}


def clientthread(conn):
    name = conn.recv(2048).decode()
    names[conn] = name
    print(name + " connected")
    while True:
        try:
            message = conn.recv(2048)
            if message:
                broadcast(names[conn] + ": " + message.decode(), conn)
            else:
                remove(conn)
        except:
            continue


def broadcast(message, connection):
    for client in list_of_clients:
        if client != connection:
            try:
                client.send(message.encode())
            except:
                client.close()
                remove(client)


def remove(connection):
    if connection in list_of_clients:
        list_of_clients.remove(connection)


while True:
    conn, addr = s.accept()
    list_of_clients.append(conn)
    threading.Thread(target=clientthread, args=(conn,)).start()
