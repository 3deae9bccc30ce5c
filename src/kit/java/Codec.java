import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.util.zip.CRC32;

/** Given: the header (proto.md §I.3) and the integers (§I.2). You need not change this file. */
final class Codec {
    static final int HEADER_LEN = 40;
    static final int MAX_DATAGRAM = 1200;
    static final int FROM_SERVER = 1;
    static final int ACK = 2;
    private static final int MAGIC = 0x4347;
    private static final int VERSION = 1;

    private Codec() {}

    /**
     * The fields of the header that have no constant value. They are unsigned: compare with
     * Integer.compareUnsigned and Long.compareUnsigned.
     */
    record Header(int flags, long session, int sequence, int acknowledgment, long ackBitmap,
            int timestamp, int ackDelay, int window) {}

    /** A datagram is to be dropped. */
    static final class Invalid extends Exception {
        private static final long serialVersionUID = 1;

        Invalid(String why) {
            super(why);
        }
    }

    /** The CRC-32 of all bytes but those of the checksum itself. */
    private static int checksum(byte[] data) {
        CRC32 crc = new CRC32();
        crc.update(data, 0, 4);
        crc.update(data, 8, data.length - 8);
        return (int) crc.getValue();
    }

    /** The datagram with this header and these frames. */
    static byte[] encode(Header header, byte[] frames) {
        ByteBuffer out = ByteBuffer.allocate(HEADER_LEN + frames.length);
        out.putShort((short) MAGIC).put((byte) VERSION).put((byte) header.flags()).putInt(0);
        out.putLong(header.session()).putInt(header.sequence()).putInt(header.acknowledgment());
        out.putLong(header.ackBitmap()).putInt(header.timestamp());
        out.putShort((short) header.ackDelay()).putShort((short) header.window()).put(frames);
        return out.putInt(4, checksum(out.array())).array();
    }

    /** The header; the frames follow at HEADER_LEN. */
    static Header decode(byte[] data) throws Invalid {
        if (data.length < HEADER_LEN || data.length > MAX_DATAGRAM) {
            throw new Invalid("too short or too long");
        }
        ByteBuffer in = ByteBuffer.wrap(data);
        int magic = in.getShort() & 0xffff;
        int version = in.get();
        int flags = in.get() & 0xff;
        if (magic != MAGIC || version != VERSION || in.getInt() != checksum(data)) {
            throw new Invalid("damaged, or of another version");
        }
        if ((flags & ~(FROM_SERVER | ACK)) != 0) {
            throw new Invalid("an unknown flag");
        }
        return new Header(flags, in.getLong(), in.getInt(), in.getInt(), in.getLong(), in.getInt(),
                in.getShort() & 0xffff, in.getShort() & 0xffff);
    }

    /** Appends the value in its shortest form. */
    static void putInteger(ByteArrayOutputStream out, long value) {
        int bytes = size(value);
        out.write(bytes == 0 ? (int) value : bytes == 2 ? 251 : bytes == 4 ? 252 : 253);
        for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
            out.write((int) (value >>> shift));
        }
    }

    /** Bytes of the value behind the first one; the first one alone has a small value. */
    private static int size(long value) {
        return Long.compareUnsigned(value, 250) <= 0 ? 0
                : value >>> 16 == 0 ? 2 : value >>> 32 == 0 ? 4 : 8;
    }

    /** Reads the integer at the buffer's position, and moves on behind it. */
    static long takeInteger(ByteBuffer in) throws Invalid {
        if (!in.hasRemaining()) {
            throw new Invalid("no integer");
        }
        int first = in.get() & 0xff;
        int bytes = first <= 250 ? 0 : first == 251 ? 2 : first == 252 ? 4 : 8;
        if (first > 253 || in.remaining() < bytes) {
            throw new Invalid("no integer");
        }
        long value = bytes == 0 ? first : 0;
        for (int i = 0; i < bytes; i++) {
            value = value << 8 | in.get() & 0xff;
        }
        if (size(value) != bytes) {
            throw new Invalid("an integer that is not in its shortest form");
        }
        return value;
    }
}
