/* A relay on ENet: a message of one peer goes to all others, on the same channel and as reliably.
   The messages of a datagram are relayed before any leaves, and all copies share one packet. */

#include <enet/enet.h>
#include <stdlib.h>

enum { PEERS = 4000, CHANNELS = 2, TICK_MS = 500 };

static void relay(ENetHost *host, const ENetEvent *event) {
    enet_uint32 reliable = event->packet->flags & ENET_PACKET_FLAG_RELIABLE;
    ENetPacket *copy = enet_packet_create(event->packet->data, event->packet->dataLength, reliable);
    for (ENetPeer *peer = host->peers; peer < host->peers + host->peerCount; peer++)
        if (peer->state == ENET_PEER_STATE_CONNECTED && peer != event->peer)
            enet_peer_send(peer, event->channelID, copy);
    if (copy->referenceCount == 0)
        enet_packet_destroy(copy);
    enet_packet_destroy(event->packet);
}

int main(int argc, char **argv) {
    if (argc != 2 || enet_initialize() != 0)
        return 2;
    ENetAddress address = {.host = ENET_HOST_ANY, .port = (enet_uint16)atoi(argv[1])};
    ENetHost *host = enet_host_create(&address, PEERS, CHANNELS, 0, 0);
    if (host == NULL)
        return 1;
    for (;;) {
        ENetEvent event;
        int got = enet_host_service(host, &event, TICK_MS);
        for (; got > 0; got = enet_host_check_events(host, &event)) {
            if (event.type == ENET_EVENT_TYPE_RECEIVE)
                relay(host, &event);
            else if (event.type == ENET_EVENT_TYPE_CONNECT)
                enet_peer_timeout(event.peer, 64, 20000, 60000);
        }
        enet_host_flush(host);
    }
}
