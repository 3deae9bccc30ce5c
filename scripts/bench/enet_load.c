/* The load of load.rs for the ENet relay: many peers in one thread, ten of which talk. The same
   lines, the same ways to talk, the same line of JSON. In C, as ENet's library is. */

#include <dirent.h>
#include <enet/enet.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { TEXT = 64, MARK = '~', DIGITS = 16, MAX_LATENCIES = 4000000, EVENTS = 1024 };
#define SECOND 1000000000ull
#define LOST_AFTER (SECOND / 33)
#define SWEEP (SECOND / 50) /* Longest pause between two calls of ENet, which has its own timers. */

static struct {
    const char *server;
    int pid, peers, senders, channel, outstanding;
    double seconds, warm_up, rate;
    bool unpaced, idle; /* idle: wait in the kernel, whose virtual clock stands while we spin. */
} args = {.peers = 50, .senders = 10, .seconds = 2, .warm_up = .5};

static struct client {
    ENetHost *host;
    ENetPeer *peer;
} *clients;
static int epoll;
static uint64_t sent, delivered;
static uint32_t *latencies;
static size_t measured;
static bool measuring;

static void fail(const char *what) {
    fprintf(stderr, "enet: %s\n", what);
    exit(1);
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static void take(const ENetEvent *event) {
    const char *text = (const char *)event->packet->data;
    if (event->packet->dataLength == TEXT && text[0] == MARK) {
        delivered++;
        if (measuring && measured < MAX_LATENCIES) {
            char digits[DIGITS + 1] = {0};
            memcpy(digits, text + 1, DIGITS);
            latencies[measured++] = (now() - strtoull(digits, NULL, 16)) / 1000;
        }
    }
    enet_packet_destroy(event->packet);
}

static void serve(struct client *client) {
    ENetEvent event;
    for (int got = enet_host_service(client->host, &event, 0); got > 0;
         got = enet_host_check_events(client->host, &event)) {
        if (event.type == ENET_EVENT_TYPE_RECEIVE)
            take(&event);
        else if (event.type == ENET_EVENT_TYPE_DISCONNECT)
            fail("a peer was disconnected");
    }
    enet_host_flush(client->host);
}

static bool serve_all(int timeout_ms) {
    static uint64_t swept;
    static int next;
    struct epoll_event ready[EVENTS];
    int count = epoll_wait(epoll, ready, EVENTS, timeout_ms);
    for (int i = 0; i < count; i++)
        serve(&clients[ready[i].data.u32]);
    int part = args.peers / 16 + 1;
    if (now() - swept > SWEEP / 16) {
        for (int i = 0; i < part; i++)
            serve(&clients[next++ % args.peers]);
        swept = now();
    }
    return count > 0;
}

static void quiet(uint64_t pause) {
    uint64_t begin = now(), last = begin, seen = delivered;
    while (now() - last < pause && now() - begin < 10 * SECOND) {
        serve_all(1);
        if (delivered != seen)
            seen = delivered, last = now();
    }
}

static void say(uint64_t due) {
    static int turn;
    char text[TEXT + 1];
    memset(text, 'x', sizeof text);
    int length = snprintf(text, sizeof text, "%c%016" PRIx64, MARK, due);
    text[length] = 'x';
    enet_uint32 flags = args.channel ? ENET_PACKET_FLAG_RELIABLE : 0;
    struct client *client = &clients[turn];
    turn = (turn + 1) % args.senders;
    enet_peer_send(client->peer, args.channel, enet_packet_create(text, TEXT, flags));
    enet_host_flush(client->host);
    sent++;
}

static void phase(double seconds) {
    uint64_t begin = now(), end = begin + seconds * SECOND, copies = args.peers - 1;
    uint64_t next = 0, lost = 0, seen = delivered, progress = begin;
    while (now() < end) {
        if (args.outstanding) {
            while (sent * copies - delivered - lost + copies <= args.outstanding * copies)
                say(now());
        } else if (args.rate > 0) {
            uint64_t due = begin + next * SECOND / args.rate;
            if (now() >= due)
                say(due), next++;
        } else {
            for (int i = 0; i < args.senders; i++)
                say(now());
        }
        serve_all(args.idle);
        if (delivered != seen)
            seen = delivered, progress = now();
        else if (args.outstanding && !args.channel && now() - progress > LOST_AFTER)
            lost = sent * copies - delivered, progress = now();
    }
}

/* Seconds the threads of a process have run (proc(5), schedstat). */
static double cpu(int pid) {
    char path[300];
    double sum = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", pid, task->d_name);
        FILE *file = task->d_name[0] == '.' ? NULL : fopen(path, "r");
        double ran = 0;
        if (file && fscanf(file, "%lf", &ran) == 1)
            sum += ran;
        if (file)
            fclose(file);
    }
    if (tasks)
        closedir(tasks);
    return sum / SECOND;
}

static int softirq(void) {
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && (entry = readdir(proc));) {
        char path[300], name[32] = "";
        snprintf(path, sizeof path, "/proc/%.20s/comm", entry->d_name);
        FILE *file = atoi(entry->d_name) > 0 ? fopen(path, "r") : NULL;
        bool found = file && fscanf(file, "%31s", name) == 1 && strcmp(name, "ksoftirqd/0") == 0;
        if (file)
            fclose(file);
        if (found)
            return closedir(proc), atoi(entry->d_name);
    }
    return 0;
}

static long memory(int pid) {
    char path[64], line[256];
    long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmRSS: %ld", &kib) == 1)
            break;
    if (file)
        fclose(file);
    return kib;
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t percentile(size_t percent) {
    size_t rank = (measured * percent + 99) / 100;
    return measured ? latencies[rank ? rank - 1 : 0] : 0;
}

static void join(void) {
    ENetAddress address;
    char host[64];
    const char *colon = strrchr(args.server, ':');
    snprintf(host, sizeof host, "%.*s", (int)(colon - args.server), args.server);
    enet_address_set_host(&address, host);
    address.port = atoi(colon + 1);
    for (int i = 0; i < args.peers; i++) {
        struct client *client = &clients[i];
        ENetEvent event;
        client->host = enet_host_create(NULL, 1, 2, 0, 0);
        client->peer = client->host ? enet_host_connect(client->host, &address, 2, 0) : NULL;
        if (!client->peer || enet_host_service(client->host, &event, 3000) <= 0 ||
            event.type != ENET_EVENT_TYPE_CONNECT)
            fail("not let in");
        enet_peer_timeout(client->peer, 64, 20000, 60000);
        enet_host_flush(client->host);
        struct epoll_event interest = {.events = EPOLLIN, .data.u32 = i};
        epoll_ctl(epoll, EPOLL_CTL_ADD, client->host->socket, &interest);
    }
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(name, "--unpaced") || !strcmp(name, "--idle")) {
            *(name[2] == 'u' ? &args.unpaced : &args.idle) = true;
            continue;
        }
        if (!strcmp(name, "--server")) args.server = value;
        else if (!strcmp(name, "--pid")) args.pid = atoi(value);
        else if (!strcmp(name, "--peers")) args.peers = atoi(value);
        else if (!strcmp(name, "--senders")) args.senders = atoi(value);
        else if (!strcmp(name, "--channel")) args.channel = atoi(value);
        else if (!strcmp(name, "--outstanding")) args.outstanding = atoi(value);
        else if (!strcmp(name, "--rate")) args.rate = atof(value);
        else if (!strcmp(name, "--seconds")) args.seconds = atof(value);
        else fail(name);
        i++;
    }
    if (!args.server || enet_initialize() != 0)
        fail("--server ADDR:PORT is needed");
    clients = calloc(args.peers, sizeof *clients);
    latencies = malloc(MAX_LATENCIES * sizeof *latencies);
    epoll = epoll_create1(0);
    join();
    quiet(SECOND / 2);
    long joined = memory(args.pid);
    sent = delivered = 0;
    phase(args.warm_up);
    if (!args.outstanding)
        quiet(SECOND / 10);
    uint64_t sent_before = sent, delivered_before = delivered;
    int kernel = softirq();
    measuring = args.rate > 0;
    double server = cpu(args.pid), softirqs = cpu(kernel), own = cpu(getpid());
    uint64_t begin = now();
    phase(args.seconds);
    double took = (double)(now() - begin) / SECOND;
    server = cpu(args.pid) - server, softirqs = cpu(kernel) - softirqs, own = cpu(getpid()) - own;
    uint64_t lines = sent - sent_before, deliveries = delivered - delivered_before;
    quiet(SECOND / 3);
    if (args.outstanding)
        sent_before = delivered_before = 0;
    double all = (double)(sent - sent_before) * (args.peers - 1);
    qsort(latencies, measured, sizeof *latencies, compare);
    printf("{\"lines\":%" PRIu64 ",\"deliveries\":%" PRIu64 ",\"seconds\":%.3f,\"server_cpu\":%.4f,"
           "\"softirq_cpu\":%.4f,\"server_busy\":%.3f,\"load_busy\":%.3f,\"per_cpu_second\":%.0f,"
           "\"delivered_share\":%.6f,\"p50_us\":%u,\"p99_us\":%u,\"rss_joined_kib\":%ld,"
           "\"rss_end_kib\":%ld,\"reconnects\":0}\n",
           lines, deliveries, took, server, softirqs, server / took, own / took,
           deliveries / (server + softirqs + 1e-9), (delivered - delivered_before) / all,
           percentile(50), percentile(99), joined, memory(args.pid));
    return 0;
}
