/* Given: the header (proto.md §I.3) and the integers (§I.2). You need not change this file. */
#ifndef CODEC_H
#define CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HEADER_LEN = 40, MAX_DATAGRAM = 1200, INTEGER_LEN = 9 };
enum { FROM_SERVER = 1, ACK = 2 }; /* flags */

/* The fields of the header that have no constant value. */
struct header {
    uint8_t flags;
    uint64_t session;
    uint32_t sequence;
    uint32_t acknowledgment;
    uint64_t ack_bitmap;
    uint32_t timestamp;
    uint16_t ack_delay;
    uint16_t window;
};

/* Writes the datagram with this header and these frames, and returns its length. `out` has room
   for HEADER_LEN + length bytes. */
size_t encode(uint8_t *out, const struct header *header, const uint8_t *frames, size_t length);

/* Reads the header; the frames follow at data + HEADER_LEN. False: drop the datagram. */
bool decode(struct header *header, const uint8_t *data, size_t length);

/* Writes the value in its shortest form, and returns its length, at most INTEGER_LEN. */
size_t put_integer(uint8_t *out, uint64_t value);

/* Reads the integer at the beginning of `left` bytes, and returns its length; 0 if there is
   none. */
size_t take_integer(uint64_t *value, const uint8_t *data, size_t left);

#endif
