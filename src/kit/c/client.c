/* A Chatagram client.
   usage: client HOST:PORT NICK

   The places marked STEP are yours: README.md has the steps. § is a section of proto.md. */
#include "codec.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* What the client knows. It is told what happens, and answers with datagrams. */
struct client {
    int socket;
    const char *nick;
    uint64_t session; /* the id of the session; 0 before it begins */
};

/* Prints a line. */
static void show(const char *text)
{
    /* STEP 6 (§I.7): clean the text first. */
    puts(text);
    fflush(stdout);
}

/* Sends a datagram with these frames. */
static void send_frames(struct client *client, const uint8_t *frames, size_t length)
{
    struct header header = {.session = client->session};
    /* STEP 4 (§I.3, §I.6): in a session, fill in sequence, acknowledgment, ack_bitmap, and the
       flag ACK. */
    /* STEP 5 (§I.7): and window. */
    uint8_t datagram[MAX_DATAGRAM];
    if (length > sizeof datagram - HEADER_LEN)
        return;
    size_t size = encode(datagram, &header, frames, length);
    if (send(client->socket, datagram, size, 0) < 0)
        return; /* an error of the socket proves nothing (§I.3) */
}

/* The program has started. Times are in milliseconds. */
static void on_start(struct client *client, int64_t now)
{
    (void)now;
    /* STEP 2 (§I.5): send Join in place of this datagram without frames. */
    send_frames(client, NULL, 0);
}

/* A datagram of the server arrived. Its header is right; `frames` are `length` bytes. */
static void on_datagram(struct client *client, const struct header *header, const uint8_t *frames,
                        size_t length, int64_t now)
{
    (void)client, (void)header, (void)frames, (void)length, (void)now;
    /* STEP 3 (§I.5): before the session, answer Challenge, and show Refused. */
    /* STEP 4 (§I.5, §I.6): Welcome begins the session. Acknowledge each datagram of it. */
    /* STEP 5 (§I.7): show the messages in Ordered and Unordered, in order, each once. */
    /* STEP 6 (§I.7): join the messages that arrive in Part. */
    /* STEP 7 (§I.3, §I.9): drop what is not whole; Closing. */
    /* STEP 9 (§I.8): note which of your datagrams the header acknowledges. */
    /* STEP 10 (§I.9): Reset. */
}

/* The user typed a line. */
static void on_line(struct client *client, const char *line)
{
    (void)client, (void)line;
    /* STEP 8 (§I.8): say it. */
}

/* The user typed `exit`, or the input ended. */
static void on_end(struct client *client)
{
    (void)client;
    /* STEP 10 (§I.10): leave. */
}

/* Called every 20 ms: for all that is due at a time. */
static void on_tick(struct client *client, int64_t now)
{
    (void)client, (void)now;
    /* STEP 2 (§I.5): in place of this end, send Join again, and give up in time. */
    show("* step 2 is yours: see README.md");
    exit(3);
    /* STEP 7 (§I.9): Heartbeat; and notice that the server is gone. */
    /* STEP 8 (§I.8): send the next message. */
    /* STEP 9 (§I.8): send it again. */
}

static int64_t milliseconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* A socket that is connected, so that the kernel drops datagrams of other senders; -1: none. */
static int open_socket(char *address)
{
    char *colon = strrchr(address, ':');
    if (colon == NULL)
        return -1;
    *colon = '\0';
    if (address[0] == '[' && colon > address && colon[-1] == ']') {
        address++;
        colon[-1] = '\0';
    }
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *found;
    if (getaddrinfo(address, colon + 1, &hints, &found) != 0)
        return -1;
    int fd = socket(found->ai_family, found->ai_socktype, found->ai_protocol);
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

static void receive(struct client *client)
{
    uint8_t datagram[2048];
    struct header header;
    ssize_t size = recv(client->socket, datagram, sizeof datagram, 0);
    if (size >= 0 && decode(&header, datagram, (size_t)size) && header.flags & FROM_SERVER)
        on_datagram(client, &header, datagram + HEADER_LEN, (size_t)size - HEADER_LEN,
                    milliseconds());
}

/* The bytes of the input that are no whole line yet. */
static char input[16384];
static size_t typed;

/* Reads what is there of the input. Returns whether it goes on. */
static int read_input(struct client *client)
{
    ssize_t size = read(STDIN_FILENO, input + typed, sizeof input - 1 - typed);
    if (size < 0)
        return errno == EINTR;
    typed += (size_t)size;
    input[typed] = '\0';
    char *line = input, *end;
    while ((end = memchr(line, '\n', typed - (size_t)(line - input))) != NULL) {
        *end = '\0';
        if (end > line && end[-1] == '\r')
            end[-1] = '\0';
        if (strcmp(line, "exit") == 0)
            on_end(client);
        else
            on_line(client, line);
        line = end + 1;
    }
    typed -= (size_t)(line - input);
    memmove(input, line, typed);
    if (size == 0 || typed == sizeof input - 1) {
        on_end(client);
        return 0;
    }
    return 1;
}

int main(int count, char **arguments)
{
    if (count != 3) {
        fprintf(stderr, "usage: %s HOST:PORT NICK\n", arguments[0]);
        return 2;
    }
    struct client client = {.socket = open_socket(arguments[1]), .nick = arguments[2]};
    if (client.socket < 0) {
        fprintf(stderr, "cannot open a socket to this address\n");
        return 3;
    }
    struct pollfd ready[2] = {{.fd = client.socket, .events = POLLIN},
                              {.fd = STDIN_FILENO, .events = POLLIN}};
    on_start(&client, milliseconds());
    for (;;) {
        if (poll(ready, 2, 20) > 0) {
            if (ready[0].revents)
                receive(&client);
            if (ready[1].revents && !read_input(&client))
                ready[1].fd = -1;
        }
        on_tick(&client, milliseconds());
    }
}
