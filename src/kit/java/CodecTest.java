import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;

/** Given: the test vectors of proto.md §13 that are about headers and integers. */
final class CodecTest {
    public static void main(String[] arguments) throws IOException {
        int count = 0;
        for (String line : Files.readAllLines(Path.of("vectors.txt"))) {
            if (line.startsWith("#")) {
                continue;
            }
            String[] words = line.split(" ");
            byte[] data = HexFormat.of().parseHex(words[words.length - 1]);
            boolean isRight = switch (words[0]) {
                case "header" -> isHeader(words, data);
                case "rejected" -> isRejected(data);
                default -> isInteger(Long.parseUnsignedLong(words[1], 16), data);
            };
            if (!isRight) {
                System.out.println("wrong: " + line);
                System.exit(1);
            }
            count++;
        }
        System.out.println(count + " vectors");
        System.exit(count > 50 ? 0 : 1);
    }

    private static boolean isHeader(String[] words, byte[] data) {
        long[] field = new long[8];
        for (int i = 0; i < 8; i++) {
            field[i] = Long.parseUnsignedLong(words[1 + i], 16);
        }
        Codec.Header wanted = new Codec.Header((int) field[0], field[1], (int) field[2],
                (int) field[3], field[4], (int) field[5], (int) field[6], (int) field[7]);
        byte[] frames = Arrays.copyOfRange(data, Codec.HEADER_LEN, data.length);
        try {
            return Codec.decode(data).equals(wanted)
                    && Arrays.equals(Codec.encode(wanted, frames), data);
        } catch (Codec.Invalid error) {
            return false;
        }
    }

    private static boolean isRejected(byte[] data) {
        try {
            Codec.decode(data);
            return false;
        } catch (Codec.Invalid error) {
            return true;
        }
    }

    private static boolean isInteger(long value, byte[] data) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        Codec.putInteger(out, value);
        ByteBuffer in = ByteBuffer.wrap(data);
        try {
            return Codec.takeInteger(in) == value && !in.hasRemaining()
                    && Arrays.equals(out.toByteArray(), data);
        } catch (Codec.Invalid error) {
            return false;
        }
    }
}
