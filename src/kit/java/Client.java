import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetSocketAddress;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Optional;
import java.util.concurrent.LinkedBlockingQueue;

/**
 * A Chatagram client. Usage: java Client HOST:PORT NICK
 *
 * <p>The places marked STEP are yours: README.md has the steps. § is a section of proto.md. The
 * client is told what happens, and answers with datagrams. Times are in milliseconds.
 */
final class Client {
    private static final PrintStream OUT =
            new PrintStream(System.out, true, StandardCharsets.UTF_8);
    private final DatagramSocket socket;
    private final String nick;
    /** The id of the session; 0 before it begins. */
    private long session;

    private Client(DatagramSocket socket, String nick) {
        this.socket = socket;
        this.nick = nick;
    }

    /** Sends a datagram with these frames. */
    private void send(byte[] frames) {
        // STEP 4 (§I.3, §I.6): in a session, fill in sequence, acknowledgment, ackBitmap, and the
        // flag Codec.ACK.
        // STEP 5 (§I.7): and window.
        byte[] data = Codec.encode(new Codec.Header(0, session, 0, 0, 0, 0, 0, 0), frames);
        try {
            socket.send(new DatagramPacket(data, data.length));
        } catch (IOException error) {
            // An error of the socket proves nothing (§I.3).
        }
    }

    /** The program has started. */
    private void onStart(long now) {
        // STEP 2 (§I.5): send Join in place of this datagram without frames.
        send(new byte[0]);
    }

    /** A datagram of the server arrived. Its header is right. */
    private void onDatagram(Codec.Header header, byte[] frames, long now) {
        // STEP 3 (§I.5): before the session, answer Challenge, and show Refused.
        // STEP 4 (§I.5, §I.6): Welcome begins the session. Acknowledge each datagram of it.
        // STEP 5 (§I.7): show the messages in Ordered and Unordered, in order, each once.
        // STEP 6 (§I.7): join the messages that arrive in Part.
        // STEP 7 (§I.3, §I.9): drop what is not whole; Closing.
        // STEP 9 (§I.8): note which of your datagrams the header acknowledges.
        // STEP 10 (§I.9): Reset.
    }

    /** The user typed a line. */
    private void onLine(String line) {
        // STEP 8 (§I.8): say it.
    }

    /** The user typed `exit`, or the input ended. */
    private void onEnd() {
        // STEP 10 (§I.10): leave.
    }

    /** Called every 20 ms: for all that is due at a time. */
    private void onTick(long now) {
        // STEP 2 (§I.5): in place of this end, send Join again, and give up in time.
        show("* step 2 is yours, " + nick + ": see README.md");
        System.exit(3);
        // STEP 7 (§I.9): Heartbeat; and notice that the server is gone.
        // STEP 8 (§I.8): send the next message.
        // STEP 9 (§I.8): send it again.
    }

    /** Prints a line. */
    private static void show(String text) {
        // STEP 6 (§I.7): clean the text first.
        OUT.println(text);
    }

    private static long milliseconds() {
        return System.nanoTime() / 1_000_000;
    }

    public static void main(String[] arguments) throws IOException {
        int colon = arguments.length == 2 ? arguments[0].lastIndexOf(':') : -1;
        if (colon < 0) {
            System.err.println("usage: java Client HOST:PORT NICK");
            System.exit(2);
        }
        String host = arguments[0].substring(0, colon);
        int port = Integer.parseInt(arguments[0].substring(colon + 1));
        DatagramSocket socket = new DatagramSocket();
        // The kernel drops datagrams of other senders.
        socket.connect(new InetSocketAddress(host, port));
        socket.setSoTimeout(20);
        LinkedBlockingQueue<Optional<String>> lines = new LinkedBlockingQueue<>();
        Thread reader = new Thread(() -> readLines(lines));
        reader.setDaemon(true);
        reader.start();
        Client client = new Client(socket, arguments[1]);
        client.onStart(milliseconds());
        while (true) {
            client.receive();
            for (Optional<String> line = lines.poll(); line != null; line = lines.poll()) {
                line.ifPresentOrElse(client::onLine, client::onEnd);
            }
            client.onTick(milliseconds());
        }
    }

    private void receive() {
        DatagramPacket packet = new DatagramPacket(new byte[2048], 2048);
        try {
            socket.receive(packet);
            byte[] data = Arrays.copyOf(packet.getData(), packet.getLength());
            Codec.Header header = Codec.decode(data);
            if ((header.flags() & Codec.FROM_SERVER) != 0) {
                byte[] frames = Arrays.copyOfRange(data, Codec.HEADER_LEN, data.length);
                onDatagram(header, frames, milliseconds());
            }
        } catch (SocketTimeoutException nothing) {
            // It is time to look at the input and the clock.
        } catch (IOException | Codec.Invalid error) {
            // An error of the socket proves nothing, and an invalid datagram is dropped (§I.3).
        }
    }

    /** Puts the lines into the queue; an empty one is the end. */
    private static void readLines(LinkedBlockingQueue<Optional<String>> lines) {
        InputStreamReader in = new InputStreamReader(System.in, StandardCharsets.UTF_8);
        try (BufferedReader reader = new BufferedReader(in)) {
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                lines.add(line.equals("exit") ? Optional.empty() : Optional.of(line));
            }
        } catch (IOException end) {
            // As the end.
        }
        lines.add(Optional.empty());
    }
}
