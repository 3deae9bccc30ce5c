//! Relations between packets: gaps, duplicates, acknowledgments, retransmitted messages, and
//! packets with several datagrams. Texts as they are shown, and packets that the capture cuts.

use super::pcap::Pcap;
use super::{KNOWN, OTHER, host, server, tshark};
use crate::needs::needs;
use chatagram::protocol::limits::PART_SIZE;
use chatagram::protocol::{
    ClientMessage, DatagramWriter, Flags, Frame, Header, Part, Say, ServerMessage, encode_message,
};
use std::net::SocketAddrV4;
use std::path::Path;

/// A conversation between a client and a server, and the packets of each.
struct Talk {
    pcap: Pcap,
    session: u64,
    client: SocketAddrV4,
    server: SocketAddrV4,
}

impl Talk {
    fn new(session: u64) -> Self {
        Self { pcap: Pcap::new(), session, client: host(7, 51_000), server: server(OTHER) }
    }

    fn datagram(
        &self,
        flags: Flags,
        sequence: u32,
        ack: Option<(u32, u64)>,
        frames: &[Frame<'_>],
    ) -> Vec<u8> {
        let (acknowledgment, ack_bitmap) = ack.unwrap_or_default();
        let flags = if ack.is_some() { flags.with(Flags::ACK) } else { flags };
        let header = Header {
            flags,
            session: self.session,
            sequence,
            acknowledgment,
            ack_bitmap,
            ..Header::default()
        };
        let mut bytes = Vec::new();
        let mut writer = DatagramWriter::new(&mut bytes);
        for frame in frames {
            assert!(writer.push(frame));
        }
        writer.finish(&header);
        bytes
    }

    fn client(&mut self, sequence: u32, ack: Option<(u32, u64)>, frames: &[Frame<'_>]) {
        let bytes = self.datagram(Flags::default(), sequence, ack, frames);
        self.pcap.udp(self.client, self.server, &bytes);
    }

    fn server(&mut self, sequence: u32, ack: Option<(u32, u64)>, frames: &[Frame<'_>]) {
        let bytes = self.datagram(Flags::FROM_SERVER, sequence, ack, frames);
        self.pcap.udp(self.server, self.client, &bytes);
    }

    /// These fields of each packet. They have to be the same with one pass and with two, except for
    /// fields about later packets, which exist in the second pass only.
    fn fields(&self, dir: &Path, names: &[&str]) -> Vec<Vec<String>> {
        let file = self.pcap.save(dir);
        let twice = tshark::fields(&file, &["-2"], names);
        for (once, twice) in tshark::fields(&file, &[], names).iter().zip(&twice) {
            for ((once, twice), name) in once.iter().zip(twice).zip(names) {
                let is_later = ["chatagram.acked_in", "chatagram.response_in"].contains(name);
                assert!(once == twice || (is_later && once.is_empty()), "{name}: {once} {twice}");
            }
        }
        twice
    }
}

fn say(number: u16) -> Vec<u8> {
    encode_message(&ClientMessage::Say(Say { number, sent: 0, text: "hi" }))
}

pub(super) fn gaps_late_duplicate_and_reused_numbers_are_told_apart_across_the_wrap() {
    needs(&["tshark"]);
    let dir = tempfile::tempdir().unwrap();
    let mut talk = Talk::new(1);
    let beat = [Frame::Heartbeat];
    talk.client(u32::MAX - 1, None, &beat); // 1
    talk.client(2, None, &beat); // 2: 4294967295, 0 and 1 are missing
    talk.client(0, None, &beat); // 3: one of them
    talk.client(2, None, &beat); // 4: a duplicate
    talk.client(0, None, &[Frame::Padding(&[])]); // 5: the number of 3 with other bytes
    talk.client(3, None, &beat); // 6
    talk.server(9, None, &beat); // 7: the other direction has its own count
    talk.server(9 + 0x7000_0000, None, &beat); // 8: a jump of any size
    talk.client(u32::MAX - 2_000, None, &beat); // 9: too old to classify
    let names = ["gap", "late", "duplicate"].map(|name| format!("chatagram.{name}"));
    let mut names: Vec<_> = names.iter().map(|name| &**name).collect();
    names.push("_ws.expert.message");
    let rows = talk.fields(dir.path(), &names);
    let shown: Vec<_> = rows.iter().map(|row| [&*row[0], &*row[1], &*row[2]]).collect();
    let wanted: [[&str; 3]; 9] = [
        ["", "", ""],
        ["3", "", ""],
        ["", "2", ""],
        ["", "", "2"],
        ["", "", ""],
        ["", "", ""],
        ["", "", ""],
        ["1879048191", "", ""],
        ["", "", ""],
    ];
    assert_eq!(shown, wanted);
    assert!(rows[1][3].contains("numbers 4294967295 to 1 have not come"), "{:?}", rows[1]);
    assert!(rows[4][3].contains("packet 3 for another datagram"), "{:?}", rows[4]);
    assert!(rows[8][3].contains("counts as a duplicate"), "{:?}", rows[8]);
}

pub(super) fn acknowledgments_and_their_datagrams_link_to_each_other() {
    needs(&["tshark"]);
    let dir = tempfile::tempdir().unwrap();
    let mut talk = Talk::new(2);
    let beat = [Frame::Heartbeat];
    for sequence in [u32::MAX, 0, 1] {
        talk.client(sequence, None, &beat); // 1, 2, 3
    }
    talk.server(5, Some((1, 0b10)), &[]); // 4: 1 and 4294967295
    talk.server(6, Some((1, 0b11)), &[]); // 5: and now 0
    talk.server(6, Some((1, 0b111)), &[]); // 6: does not count
    let names = ["acks", "acks.time", "acked_in", "acknowledged"];
    let names = names.map(|name| format!("chatagram.{name}"));
    let rows = talk.fields(dir.path(), &names.iter().map(|name| &**name).collect::<Vec<_>>());
    assert_eq!(rows[0][2..], ["4", ""]);
    assert_eq!(rows[1][2..], ["5", ""]);
    assert_eq!(rows[2][2..], ["4", ""]);
    assert_eq!(rows[3], ["3|1", "0.001000000|0.003000000", "", "1|4294967295"]);
    assert_eq!(rows[4], ["2", "0.003000000", "", "1|0|4294967295"]);
}

pub(super) fn retransmitted_messages_are_marked_and_answers_link_to_their_questions() {
    needs(&["tshark"]);
    let dir = tempfile::tempdir().unwrap();
    let mut talk = Talk::new(3);
    let (one, two) = (say(1), say(2));
    let accepted = encode_message(&ServerMessage::Accepted { number: 1, position: 4 });
    talk.client(1, None, &[Frame::Ordered { id: u16::MAX, payload: &one }]); // 1
    let both =
        [Frame::Ordered { id: u16::MAX, payload: &one }, Frame::Ordered { id: 0, payload: &two }];
    talk.client(2, None, &both); // 2
    talk.client(2, None, &both); // 3: the network's copy
    talk.server(1, None, &[Frame::Ordered { id: 0, payload: &accepted }]); // 4
    talk.client(3, None, &[Frame::Ordered { id: u16::MAX, payload: &one }]); // 5
    let names = ["again", "again.count", "response_in", "response_to", "response_time"];
    let names = names.map(|name| format!("chatagram.{name}"));
    let mut names: Vec<_> = names.iter().map(|name| &**name).collect();
    names.push("_ws.col.Info");
    let rows = talk.fields(dir.path(), &names[..4]);
    assert_eq!(rows[0], ["", "", "4", ""]);
    assert_eq!(rows[1], ["1", "2", "", ""]);
    assert_eq!(rows[2], ["", "", "", ""]);
    assert_eq!(rows[3], ["", "", "", "1"]);
    assert_eq!(rows[4], ["1", "3", "", ""]);
    let rows = talk.fields(dir.path(), &names[5..]);
    assert_eq!(rows[1][0], "Say hi (again), Say hi | seq 2");
    assert_eq!(rows[2][0], "[duplicate] Say hi, Say hi | seq 2");
}

pub(super) fn coalesced_datagrams_in_one_packet_are_split() {
    needs(&["tshark"]);
    let dir = tempfile::tempdir().unwrap();
    let mut talk = Talk::new(1);
    let padding = vec![0; 700];
    let long = |number| [Frame::Padding(&padding[..number])];
    // All but the last have the size of the first, as with UDP_SEGMENT; the last may be as long.
    let datagrams: [Vec<u8>; 3] = [(1, 700), (2, 700), (3, 90)]
        .map(|(sequence, size)| talk.datagram(Flags::FROM_SERVER, sequence, None, &long(size)));
    let [first, second, last] = &datagrams;
    assert!(first.len() == second.len() && last.len() < first.len());
    let mut damaged = second.clone();
    damaged[100] ^= 1;
    let (server, client) = (talk.server, talk.client);
    for run in [[&first[..], second, last], [first, &damaged, last], [last, last, last]] {
        talk.pcap.udp(server, client, &run.concat());
    }
    let rows = talk.fields(
        dir.path(),
        &["chatagram.sequence", "chatagram.rejected", "udp.length", "_ws.col.Info"],
    );
    let [whole, broken, short] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((&*whole[0], &*whole[1]), ("1|2|3", ""), "{rows:?}");
    assert!(whole[2].parse::<usize>().unwrap() > 1_208);
    assert_eq!(whole[3].matches("; ").count(), 2, "{rows:?}");
    assert!(broken[0] == "1|2|3" && broken[1].starts_with("Checksum {"), "{rows:?}");
    assert_eq!((&*short[0], &*short[1]), ("3|3|3", ""), "{rows:?}");
}

pub(super) fn the_parts_of_a_message_are_joined_in_any_order() {
    needs(&["tshark"]);
    let dir = tempfile::tempdir().unwrap();
    let mut talk = Talk::new(5);
    let text = "x".repeat(1_000);
    let message = encode_message(&ClientMessage::Say(Say { number: 1, sent: 0, text: &text }));
    let parts: Vec<_> = message.chunks(PART_SIZE).collect();
    let part = |id, index: u16| {
        let (ordered, count, payload) = (true, 3, parts[usize::from(index)]);
        Frame::Part { id, ordered, part: Part { index, count, payload } }
    };
    let once = |index: u16| {
        let (number, count, payload) = (0, 3, parts[usize::from(index)]);
        Frame::OncePart { number, part: Part { index, count, payload } }
    };
    talk.client(1, None, &[part(0, 0)]); // 1
    talk.client(2, None, &[part(0, 2), part(1, 2)]); // 2
    talk.client(3, None, &[part(0, 0)]); // 3: a duplicate
    talk.client(4, None, &[part(0, 1), part(1, 1)]); // 4
    talk.client(5, None, &[once(1), once(2)]); // 5
    talk.client(6, None, &[once(0)]); // 6
    let names = ["chatagram.say.text", "chatagram.again", "_ws.col.Info"];
    let rows = talk.fields(dir.path(), &names);
    let texts: Vec<_> = rows.iter().map(|row| row[0] == text).collect();
    assert_eq!(texts, [false, false, false, true, false, true]);
    assert_eq!(rows[2][1..], ["1", "Part 1/3 (again) | seq 3"]);
    assert_eq!(rows[1][2], "Part 3/3, Part 3/3 | seq 2");
    assert!(rows[3][2].starts_with("Say xxx"), "{}", rows[3][2]);
}

pub(super) fn strings_are_cleaned_for_display() {
    needs(&["tshark"]);
    let dir = tempfile::tempdir().unwrap();
    let mut talk = Talk::new(4);
    let text = "a\tb\u{1b}[2J\0\u{202e}\u{2066}\u{200f}\u{61c}\u{9b}\u{2029}é👋🏽";
    let notice = encode_message(&ServerMessage::Notice { text });
    talk.server(1, None, &[Frame::Ordered { id: 0, payload: &notice }]);
    let names = ["chatagram.notice.text", "_ws.col.Info", "_ws.expert.message"];
    let row = &talk.fields(dir.path(), &names)[0];
    let cleaned = chatagram::protocol::clean(text);
    assert_eq!(row[0], cleaned);
    assert_eq!(row[1], format!("Notice {cleaned} | seq 1"));
    assert!(row[2].contains("§4.2"), "{row:?}");
}

pub(super) fn packets_cut_by_the_capture_are_not_reported_as_malformed() {
    needs(&["tshark"]);
    let dir = tempfile::tempdir().unwrap();
    let mut talk = Talk::new(5);
    let payload = say(1);
    let whole = talk.datagram(
        Flags::default(),
        1,
        None,
        &[Frame::Heartbeat, Frame::Ordered { id: 0, payload: &payload }],
    );
    for kept in [3, 20, 40, 41, 44, whole.len() - 1] {
        talk.pcap.cut_udp(talk.client, SocketAddrV4::new(*talk.server.ip(), KNOWN), &whole, kept);
    }
    // A datagram quoted in an ICMP message is neither a datagram of its own nor a duplicate.
    talk.pcap.udp(talk.client, talk.server, &whole);
    talk.pcap.unreachable(talk.client, talk.server, &whole);
    let names = ["chatagram.rejected", "chatagram.checksum.status", "chatagram.duplicate"];
    let rows = talk.fields(dir.path(), &names);
    for row in &rows[..6] {
        assert_eq!((&*row[0], &*row[2]), ("", ""), "{row:?}");
        assert!(row[1].is_empty() || row[1] == "2", "{row:?}");
    }
    assert_eq!(rows[6], ["", "1", ""]);
    assert_eq!(rows[7], ["", "1", ""]);
}
