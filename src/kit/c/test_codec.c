/* Given: the test vectors of proto.md §13 that are about headers and integers. */
#include "codec.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t unhex(uint8_t *out, const char *text)
{
    size_t length = strlen(text) / 2;
    for (size_t i = 0; i < length; i++) {
        char pair[3] = {text[2 * i], text[2 * i + 1], '\0'};
        out[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return length;
}

static int is_header(const char *line)
{
    struct header want = {0}, found;
    static char text[4096];
    if (sscanf(line,
               "header %" SCNx8 " %" SCNx64 " %" SCNx32 " %" SCNx32 " %" SCNx64 " %" SCNx32
               " %" SCNx16 " %" SCNx16 " %4095s",
               &want.flags, &want.session, &want.sequence, &want.acknowledgment, &want.ack_bitmap,
               &want.timestamp, &want.ack_delay, &want.window, text) != 9)
        return 0;
    uint8_t data[2048], again[2048];
    size_t length = unhex(data, text);
    return decode(&found, data, length) && found.flags == want.flags &&
           found.session == want.session && found.sequence == want.sequence &&
           found.acknowledgment == want.acknowledgment && found.ack_bitmap == want.ack_bitmap &&
           found.timestamp == want.timestamp && found.ack_delay == want.ack_delay &&
           found.window == want.window &&
           encode(again, &want, data + HEADER_LEN, length - HEADER_LEN) == length &&
           memcmp(again, data, length) == 0;
}

static int is_rejected(const char *line)
{
    static char text[4096];
    struct header header;
    uint8_t data[2048];
    return sscanf(line, "rejected %*s %4095s", text) == 1 &&
           !decode(&header, data, unhex(data, text));
}

static int is_integer(const char *line)
{
    uint64_t want, found;
    char text[64];
    if (sscanf(line, "integer %" SCNx64 " %63s", &want, text) != 2)
        return 0;
    uint8_t data[32], again[INTEGER_LEN];
    size_t length = unhex(data, text);
    return take_integer(&found, data, length) == length && found == want &&
           take_integer(&found, data, length - 1) == 0 &&
           put_integer(again, want) == length && memcmp(again, data, length) == 0;
}

int main(void)
{
    FILE *file = fopen("vectors.txt", "r");
    static char line[8192];
    int count = 0;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (line[0] == '#')
            continue;
        if (!is_header(line) && !is_rejected(line) && !is_integer(line)) {
            printf("wrong: %s", line);
            return 1;
        }
        count++;
    }
    printf("%d vectors\n", count);
    return count > 50 ? 0 : 1;
}
