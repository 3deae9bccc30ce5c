/* Given: the header (proto.md §I.3) and the integers (§I.2). You need not change this file. */
#include "codec.h"

#include <string.h>

enum { MAGIC = 0x4347, VERSION = 1 };

static void put(uint8_t *out, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        out[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

static uint64_t take(const uint8_t *data, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | data[i];
    return value;
}

static uint32_t crc32(uint32_t crc, const uint8_t *data, size_t length)
{
    crc = ~crc;
    for (size_t i = 0; i < length; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
    }
    return ~crc;
}

/* Of all bytes but those of the checksum itself. */
static uint32_t checksum(const uint8_t *data, size_t length)
{
    return crc32(crc32(0, data, 4), data + 8, length - 8);
}

size_t encode(uint8_t *out, const struct header *header, const uint8_t *frames, size_t length)
{
    put(out, MAGIC, 2);
    out[2] = VERSION;
    out[3] = header->flags;
    put(out + 8, header->session, 8);
    put(out + 16, header->sequence, 4);
    put(out + 20, header->acknowledgment, 4);
    put(out + 24, header->ack_bitmap, 8);
    put(out + 32, header->timestamp, 4);
    put(out + 36, header->ack_delay, 2);
    put(out + 38, header->window, 2);
    if (length > 0)
        memcpy(out + HEADER_LEN, frames, length);
    put(out + 4, checksum(out, HEADER_LEN + length), 4);
    return HEADER_LEN + length;
}

bool decode(struct header *header, const uint8_t *data, size_t length)
{
    if (length < HEADER_LEN || length > MAX_DATAGRAM)
        return false;
    if (take(data, 2) != MAGIC || data[2] != VERSION || (data[3] & ~(FROM_SERVER | ACK)) != 0)
        return false;
    if (take(data + 4, 4) != checksum(data, length))
        return false;
    header->flags = data[3];
    header->session = take(data + 8, 8);
    header->sequence = (uint32_t)take(data + 16, 4);
    header->acknowledgment = (uint32_t)take(data + 20, 4);
    header->ack_bitmap = take(data + 24, 8);
    header->timestamp = (uint32_t)take(data + 32, 4);
    header->ack_delay = (uint16_t)take(data + 36, 2);
    header->window = (uint16_t)take(data + 38, 2);
    return true;
}

size_t put_integer(uint8_t *out, uint64_t value)
{
    if (value <= 250) {
        out[0] = (uint8_t)value;
        return 1;
    }
    size_t bytes = value <= UINT16_MAX ? 2 : value <= UINT32_MAX ? 4 : 8;
    out[0] = bytes == 2 ? 251 : bytes == 4 ? 252 : 253;
    put(out + 1, value, bytes);
    return 1 + bytes;
}

size_t take_integer(uint64_t *value, const uint8_t *data, size_t left)
{
    if (left == 0 || data[0] > 253)
        return 0;
    size_t bytes = data[0] <= 250 ? 0 : data[0] == 251 ? 2 : data[0] == 252 ? 4 : 8;
    if (left < 1 + bytes)
        return 0;
    *value = bytes == 0 ? data[0] : take(data + 1, bytes);
    uint8_t shortest[INTEGER_LEN];
    return put_integer(shortest, *value) == 1 + bytes ? 1 + bytes : 0;
}
