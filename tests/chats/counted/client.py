import socket
import sys
import threading


def receive_messages(sock):
    while True:
        try:
            data = sock.recv(1024)
            if not data:
                print("Disconnected from server.")
                break
            print(data.decode("utf-8"))
        except OSError:
            break


def main():
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.connect((sys.argv[1], int(sys.argv[2])))
    thread = threading.Thread(target=receive_messages, args=(sock,))
    thread.daemon = True
    thread.start()
    try:
        while True:
            message = input()
            if message.lower() in ("exit", "quit"):
                break
            if message:
                sock.sendall(message.encode("utf-8"))
    except (EOFError, KeyboardInterrupt):
        pass
    finally:
        sock.close()


if __name__ == "__main__":
    main()
