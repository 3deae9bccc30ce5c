//! A real chat on the loopback interface, captured by dumpcap: three clients over UDP and TCP, one
//! of them behind a relay that drops one datagram and duplicates another.

use super::tshark;
use crate::needs::{needs, skip};
use crate::program::{DEADLINE, Program, Server};
use chatagram::protocol::{ClientMessage, Datagram, Frame, Say, decode_message};
use std::collections::BTreeSet;
use std::io::Read;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{fs, thread};

const FILE_HEADER: usize = 24;
const PACKET_HEADER: usize = 16;
const ERROR: &str = "8388608";
const WARNING: &str = "6291456";

/// dumpcap on the loopback interface.
pub(crate) struct Sniffer {
    child: Child,
    pieces: Receiver<Vec<u8>>,
    captured: Vec<u8>,
    /// Sends to itself, within the captured ports.
    bell: UdpSocket,
}

impl Sniffer {
    /// Begins to capture these ports. Returns the reason if it may not.
    pub(crate) fn start(ports: &[u16]) -> Result<Self, String> {
        let bell = UdpSocket::bind("127.0.0.1:0").unwrap();
        bell.connect(bell.local_addr().unwrap()).unwrap();
        let mut filter = format!("udp port {}", bell.local_addr().unwrap().port());
        ports.iter().for_each(|port| filter += &format!(" or port {port}"));
        let mut child = Command::new("dumpcap")
            .args(["-i", "lo", "-P", "-q", "-w", "-", "-f", &filter])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("dumpcap: {error}"))?;
        let (sender, pieces) = channel();
        let mut stdout = child.stdout.take().unwrap();
        thread::spawn(move || {
            let mut piece = vec![0; 1 << 16];
            while let Ok(size @ 1..) = stdout.read(&mut piece) {
                if sender.send(piece[..size].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut sniffer = Self { child, pieces, captured: Vec::new(), bell };
        sniffer.ring("the capture begins")?;
        Ok(sniffer)
    }

    /// Waits until the capture has everything sent before: sends a marker and waits for it.
    fn ring(&mut self, words: &str) -> Result<(), String> {
        let deadline = Instant::now() + DEADLINE;
        while !self.captured.windows(words.len()).any(|window| window == words.as_bytes()) {
            if Instant::now() > deadline {
                return Err(format!("{words} was not captured"));
            }
            // Repeats the marker, because the capture may begin late.
            let _ = self.bell.send(words.as_bytes());
            match self.pieces.recv_timeout(Duration::from_millis(200)) {
                Ok(piece) => self.captured.extend(piece),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let mut why = String::new();
                    self.child.stderr.take().unwrap().read_to_string(&mut why).unwrap();
                    // After "Capturing on ..." dumpcap prints what is wrong, with much advice.
                    let why = why.lines().nth(1).unwrap_or_default();
                    return Err(format!("dumpcap cannot capture on lo: {why}"));
                }
            }
        }
        Ok(())
    }

    /// Ends the capture and writes its complete packets.
    pub(crate) fn save(mut self, dir: &Path) -> PathBuf {
        self.ring("the capture ends").unwrap();
        let mut end = FILE_HEADER;
        while let Some(size) = self.captured.get(end + 8..end + 12) {
            let size = u32::from_ne_bytes(size.try_into().unwrap());
            let next = end + PACKET_HEADER + usize::try_from(size).unwrap();
            if next > self.captured.len() {
                break;
            }
            end = next;
        }
        let path = dir.join("chat.pcap");
        fs::write(&path, &self.captured[..end]).unwrap();
        path
    }
}

impl Drop for Sniffer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The text of a client's line in this datagram.
fn says(bytes: &[u8], wanted: &str) -> bool {
    let Ok(datagram) = Datagram::decode(bytes) else { return false };
    datagram.frames().any(|frame| match frame {
        Frame::Ordered { payload, .. } => matches!(
            decode_message::<ClientMessage<'_>>(payload),
            Ok(ClientMessage::Say(Say { text, .. })) if text == wanted
        ),
        _ => false,
    })
}

/// A relay between a client and the server. It drops the first datagram with "lost" and sends the
/// first one with "twice" twice. Returns the ports on both sides.
fn relay(server: SocketAddr) -> (SocketAddr, u16) {
    let front = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
    let back = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
    back.connect(server).unwrap();
    let ends = (front.local_addr().unwrap(), back.local_addr().unwrap().port());
    let client = Arc::new(Mutex::new(None));
    let (known, inward, outward) = (client.clone(), front.clone(), back.clone());
    thread::spawn(move || {
        let mut buffer = [0; 2_000];
        while let Ok(size) = back.recv(&mut buffer) {
            if let Some(client) = *known.lock().unwrap() {
                let _ = front.send_to(&buffer[..size], client);
            }
        }
    });
    thread::spawn(move || {
        let (mut buffer, mut lost, mut doubled) = ([0; 2_000], false, false);
        while let Ok((size, from)) = inward.recv_from(&mut buffer) {
            *client.lock().unwrap() = Some(from);
            let bytes = &buffer[..size];
            if !lost && says(bytes, "lost") {
                lost = true;
                continue;
            }
            let _ = outward.send(bytes);
            if !doubled && says(bytes, "twice") {
                doubled = true;
                let _ = outward.send(bytes);
            }
        }
    });
    ends
}

fn hears(client: &mut Program, text: &str) {
    client.next_where("message", |event| event["text"] == text);
}

/// A chat with every kind of message except a refusal.
fn chat(mut server: Server, relay: SocketAddr) {
    let stays = ["--no-cache", "--stay", "forever"];
    let mut alice = server.join("alice");
    let mut carl = server.client("carl", &[&stays[..], &["--transport", "tcp"]].concat());
    carl.next("welcome");
    alice.type_line("hello");
    hears(&mut carl, "hello");
    let address = relay.to_string();
    let nick = ["client", &address, "--nick", "bob", "--output", "json"];
    let mut bob = Program::start(server.dir.path(), &[&nick[..], &stays].concat());
    bob.next("welcome");
    bob.next("history");
    for text in ["lost", "twice", "three"] {
        bob.type_line(text);
        hears(&mut alice, text);
        hears(&mut carl, text);
    }
    alice.type_line("@bob only you");
    hears(&mut bob, "only you");
    alice.next_where("message", |event| event["to"] == "bob");
    carl.type_line("@eve are you there?");
    carl.next("error");
    alice.type_line("/mode unreliable");
    carl.type_line("from carl");
    hears(&mut alice, "from carl");
    assert_eq!(bob.leave(), Some(0), "{}", bob.output());
    alice.next_where("left", |event| event["nickname"] == "bob");
    assert_eq!(carl.leave(), Some(0), "{}", carl.output());
    server.program.signal("INT");
    assert_eq!((alice.wait(), server.program.wait()), (Some(0), Some(0)), "{}", alice.output());
}

/// A packet of the chat, with the columns below.
struct Row(Vec<String>);

const COLUMNS: [&str; 17] = [
    "frame.number",
    "udp.srcport",
    "udp.dstport",
    "chatagram.frame",
    "chatagram.message",
    "chatagram.gap",
    "chatagram.duplicate",
    "chatagram.again",
    "chatagram.acks",
    "chatagram.acked_in",
    "chatagram.acked_time",
    "chatagram.response_to",
    "chatagram.response_in",
    "chatagram.say.text",
    "chatagram.join.cookie",
    "_ws.expert.severity",
    "_ws.col.Info",
];

impl Row {
    fn get(&self, name: &str) -> &str {
        let column = COLUMNS
            .iter()
            .position(|column| *column == name || column.strip_prefix("chatagram.") == Some(name));
        &self.0[column.unwrap_or_else(|| panic!("no column {name}"))]
    }

    fn has(&self, name: &str, value: &str) -> bool {
        self.get(name).split('|').any(|one| one == value)
    }

    fn is_of(&self, port: u16) -> bool {
        [self.get("udp.srcport"), self.get("udp.dstport")].contains(&&*port.to_string())
    }
}

pub(crate) fn a_captured_chat_is_dissected_with_losses_duplicates_and_answers() {
    needs(&["tshark", "dumpcap"]);
    let server = Server::start(&["--no-history"]);
    let (front, back) = relay(server.address);
    let port = server.address.port();
    let sniffer = Sniffer::start(&[port, front.port()]).unwrap_or_else(|why| skip(why));
    chat(server, front);
    let dir = tempfile::tempdir().unwrap();
    let file = sniffer.save(dir.path());
    let rows = tshark::fields(&file, &["-2", "-Y", "chatagram"], &COLUMNS);
    let rows: Vec<_> = rows.into_iter().map(Row).collect();
    let all = || rows.iter().map(|row| row.0.join(" ")).collect::<Vec<_>>().join("\n");
    let row = |number: &str| rows.iter().find(|row| row.get("frame.number") == number);

    let said: BTreeSet<_> = rows.iter().flat_map(|row| row.get("message").split('|')).collect();
    let messages = "Say Whisper Leave Deliver Welcome Present History Joined Left Line Accepted \
                    Whispered NotHere Closing";
    for message in messages.split_whitespace() {
        assert!(said.contains(message), "no {message} in\n{}", all());
    }
    for frame in ["1", "2", "4", "5", "6"] {
        assert!(rows.iter().any(|row| row.has("frame", frame)), "no frame {frame} in\n{}", all());
    }
    for info in ["Join alice", "Challenge", "Preface, Join carl"] {
        assert!(rows.iter().any(|row| row.get("_ws.col.Info") == info), "no {info} in\n{}", all());
    }
    let shows = |words: &str| rows.iter().any(|row| row.get("_ws.col.Info").contains(words));
    for info in
        ["Line alice: hello", "Line bob: three", "Whisper to bob: only you", "Left bob (Quit)"]
    {
        assert!(shows(info), "no {info} in\n{}", all());
    }
    assert!(rows.iter().any(|row| row.get("_ws.col.Info").starts_with("Ack ")), "{}", all());

    // No packet has an error, and only the gap has a warning.
    for row in &rows {
        assert!(!row.has("_ws.expert.severity", ERROR), "{:?}", row.0);
        let warned = row.has("_ws.expert.severity", WARNING);
        assert_eq!(warned, !row.get("gap").is_empty(), "{:?}", row.0);
    }

    // On the server's side of the relay one number is missing and one is a duplicate; elsewhere
    // none.
    let behind: Vec<_> = rows.iter().filter(|row| row.is_of(back)).collect();
    assert_eq!(behind.iter().filter(|row| row.get("gap") == "1").count(), 1, "{}", all());
    assert_eq!(
        behind.iter().filter(|row| !row.get("duplicate").is_empty()).count(),
        1,
        "{}",
        all()
    );
    for row in rows.iter().filter(|row| !row.is_of(back)) {
        assert_eq!((row.get("gap"), row.get("duplicate")), ("", ""), "{:?}", row.0);
    }
    // On the client's side "lost" was sent at least twice, and the second time is marked as a
    // retransmission.
    let tries: Vec<_> =
        rows.iter().filter(|row| row.is_of(front.port()) && row.has("say.text", "lost")).collect();
    assert!(tries.len() >= 2, "{}", all());
    assert_eq!((tries[0].get("again"), tries[0].get("acked_in")), ("", ""), "{}", all());
    assert!(
        tries[1..].iter().all(|row| row.has("again", tries[0].get("frame.number"))),
        "{}",
        all()
    );

    // An acknowledgment and the datagram that it acknowledges link to each other.
    let hello = rows.iter().find(|row| row.has("say.text", "hello")).unwrap();
    let ack = row(hello.get("acked_in")).unwrap_or_else(|| panic!("{:?} in\n{}", hello.0, all()));
    assert!(ack.has("acks", hello.get("frame.number")), "{:?}", ack.0);
    let time: f64 = hello.get("acked_time").parse().unwrap();
    assert!((0.0..10.0).contains(&time), "{time}");

    // Every answer links to its question.
    for answer in rows.iter().filter(|row| row.has("message", "Welcome") || row.has("frame", "6")) {
        if !answer.get("again").is_empty() {
            continue;
        }
        let join = row(answer.get("response_to").split('|').next().unwrap());
        let join = join.unwrap_or_else(|| panic!("{:?} in\n{}", answer.0, all()));
        assert!(join.has("frame", "5"), "{:?} for {:?}", join.0, answer.0);
        assert!(join.has("response_in", answer.get("frame.number")), "{:?}", join.0);
        let plain = ["", "<MISSING>"].contains(&join.get("join.cookie"));
        assert_eq!(
            plain,
            answer.has("frame", "6") || answer.get("udp.srcport").is_empty(),
            "{:?}",
            join.0
        );
    }
}
