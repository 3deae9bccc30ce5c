/* Lines over KCP, for delay-under-loss.py. KCP's own code, ikcp.c, is not in this repository.

   kcp relay PORT                      a line of one peer goes to all others
   kcp load ADDRESS PORT RATE SECONDS  one peer says lines, another one hears them; prints JSON

   KCP runs in its fastest mode: no delay, an interval of 10 ms, two acknowledgments beyond a
   segment make it lost, no congestion control. Nobody waits busily, as a virtual clock would stand
   still. */

#include "ikcp.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TEXT = 64, DIGITS = 16, PEERS = 8, DATAGRAM = 2048, LINES = 1000000 };
#define SECOND 1000000000ull
#define JOINED SECOND     /* From the first datagram to the first line. */
#define AFTER (40 * SECOND) /* Limit on the time after the last line. */

struct peer {
    ikcpcb *kcp;
    int socket;
    struct sockaddr_in to;
};

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static IUINT32 now_ms(void) { return (IUINT32)(now() / (SECOND / 1000)); }

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int put(const char *bytes, int length, ikcpcb *kcp, void *user) {
    struct peer *peer = user;
    (void)kcp;
    return (int)sendto(peer->socket, bytes, length, 0, (void *)&peer->to, sizeof peer->to);
}

static void open_peer(struct peer *peer, IUINT32 conversation, int socket, struct sockaddr_in to) {
    *peer = (struct peer){ikcp_create(conversation, peer), socket, to};
    peer->kcp->output = put;
    ikcp_nodelay(peer->kcp, 1, 10, 2, 1);
    ikcp_wndsize(peer->kcp, 1024, 1024);
    ikcp_update(peer->kcp, now_ms());
}

static int udp(int port) {
    int it = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (it < 0 || bind(it, (void *)&any, sizeof any) != 0)
        fail("socket");
    return it;
}

static void say(struct peer *peer, const char *text, int length) {
    ikcp_send(peer->kcp, text, length);
    ikcp_flush(peer->kcp);
}

/* Runs the timers. Returns milliseconds until the next one. */
static int update(struct peer *peers, int count) {
    int wait = 1000;
    for (int i = 0; i < count; i++) {
        ikcp_update(peers[i].kcp, now_ms());
        int left = (int)(ikcp_check(peers[i].kcp, now_ms()) - now_ms());
        wait = left < wait ? left : wait;
    }
    return wait > 1 ? wait : 1;
}

static void relay(int port) {
    static struct peer peers[PEERS];
    struct pollfd ready = {udp(port), POLLIN, 0};
    for (int count = 0;;) {
        poll(&ready, 1, update(peers, count));
        char bytes[DATAGRAM];
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        long length;
        while ((length = recvfrom(ready.fd, bytes, sizeof bytes, MSG_DONTWAIT, (void *)&from,
                                  &size)) > 0) {
            int i = 0;
            while (i < count && peers[i].to.sin_port != from.sin_port)
                i++;
            if (i == PEERS)
                continue;
            if (i == count)
                open_peer(&peers[count++], ikcp_getconv(bytes), ready.fd, from);
            ikcp_input(peers[i].kcp, bytes, length);
            int text;
            while ((text = ikcp_recv(peers[i].kcp, bytes, sizeof bytes)) > 0)
                for (int other = 0; other < count; other++)
                    if (other != i)
                        say(&peers[other], bytes, text);
            ikcp_flush(peers[i].kcp);
        }
    }
}

static int in_order(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void load(const char *address, int port, double rate, double seconds) {
    static uint32_t delays[LINES];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
        fail(address);
    struct peer peers[2]; /* the mouth and the ear */
    struct pollfd ready[2];
    for (int i = 0; i < 2; i++) {
        ready[i] = (struct pollfd){udp(0), POLLIN, 0};
        open_peer(&peers[i], i + 1, ready[i].fd, to);
        say(&peers[i], "here", 4);
    }
    uint64_t begin = now() + JOINED, sent = 0, count = (uint64_t)(rate * seconds), heard = 0;
    uint64_t end = begin + (uint64_t)(seconds * SECOND) + AFTER;
    while (heard < count && now() < end) {
        int wait = update(peers, 2);
        uint64_t due = begin + (uint64_t)(sent * (SECOND / rate)), at = now();
        if (sent < count && at >= due) {
            char text[TEXT + 1];
            memset(text, 'x', sizeof text);
            text[snprintf(text, sizeof text, "~%016" PRIx64, due)] = 'x';
            say(&peers[0], text, TEXT);
            sent++;
            continue;
        }
        if (sent < count && (int)((due - at) / (SECOND / 1000)) < wait)
            wait = (int)((due - at) / (SECOND / 1000)) + 1;
        poll(ready, 2, wait);
        for (int i = 0; i < 2; i++) {
            char bytes[DATAGRAM];
            long length;
            while ((length = recv(ready[i].fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
                ikcp_input(peers[i].kcp, bytes, length);
            ikcp_flush(peers[i].kcp);
            int text;
            while ((text = ikcp_recv(peers[i].kcp, bytes, sizeof bytes)) > 0)
                if (text == TEXT && bytes[0] == '~' && heard < LINES) {
                    char digits[DIGITS + 1] = {0};
                    memcpy(digits, bytes + 1, DIGITS);
                    delays[heard++] = (uint32_t)((now() - strtoull(digits, NULL, 16)) / 1000);
                }
        }
    }
    if (heard == 0)
        fail("no line arrived");
    qsort(delays, heard, sizeof *delays, in_order);
    printf("{\"lines\": %" PRIu64 ", \"delivered_share\": %f, \"p50_us\": %u, \"p99_us\": %u, "
           "\"max_us\": %u}\n", count, (double)heard / count, delays[(heard * 50 + 99) / 100 - 1],
           delays[(heard * 99 + 99) / 100 - 1], delays[heard - 1]);
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "relay") == 0)
        relay(atoi(argv[2]));
    else if (argc == 6 && strcmp(argv[1], "load") == 0)
        load(argv[2], atoi(argv[3]), atof(argv[4]), atof(argv[5]));
    else
        return 2;
}
