import socket
import sys
import threading

HOST = "0.0.0.0"
PORT = int(sys.argv[1])

clients = set()
lock = threading.Lock()


def broadcast(text, exclude=None):
    with lock:
        targets = clients.copy()
        for client in targets:
            if client == exclude:
                continue
            client.sendall(text.encode("utf-8"))


def handle_client(conn, addr):
    name = f"{addr[0]}:{addr[1]}"
    conn.sendall(b"Welcome to the chat!")
    with lock:
        clients.add(conn)
        count = len(clients)
    broadcast(f"{name} joined ({count} online)", conn)
    try:
        while True:
            data = conn.recv(1024)
            if not data:
                break
            text = data.decode("utf-8").strip()
            print(f"{name}: {text}")
            broadcast(f"{name}: {text}", conn)
    finally:
        with lock:
            clients.discard(conn)
            count = len(clients)
        conn.close()
        broadcast(f"{name} left ({count} online)")


def main():
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((HOST, PORT))
    server.listen(5)
    print(f"Chat server running on port {PORT}")
    while True:
        conn, addr = server.accept()
        thread = threading.Thread(target=handle_client, args=(conn, addr), daemon=True)
        thread.start()


if __name__ == "__main__":
    main()
