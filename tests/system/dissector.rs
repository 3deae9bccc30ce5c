//! `scripts/chatagram.lua` in tshark. It reads the vectors as their files say, rejects what the
//! crate rejects, for the same reason, and relates packets correctly: gaps, duplicates,
//! acknowledgments. The last test captures a real chat and needs root.

pub(crate) mod capture;
mod pcap;
mod reading;
mod relations;
pub(crate) mod tshark;

use crate::catalogue::checksummed;
use crate::format::{Golden, frame_line};
use crate::needs::needs;
use crate::{catalogue, format};
use chatagram::protocol::{Datagram, DecodeError, Flags};
use pcap::Pcap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

/// The port that the dissector registers, and one where its heuristics have to recognise the
/// protocol.
const KNOWN: u16 = 2_428;
const OTHER: u16 = 40_404;

/// A source address of its own for each vector, so that no two vectors form a conversation.
fn host(index: usize, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from_bits(0x0a01_0000 + u32::try_from(index).unwrap()), port)
}

fn server(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), port)
}

/// The vectors of datagrams. tshark calls no dissector for an empty one.
fn datagrams() -> Vec<Golden> {
    let groups = catalogue::groups();
    let all = groups.iter().flat_map(|group| format::read(group.file));
    all.filter(|vector| !vector.bytes.is_empty()).collect()
}

fn streams() -> Vec<Golden> {
    format::read("streams")
}

fn every_datagram_vector_is_dissected_as_its_file_says() {
    needs(&["tshark"]);
    let dir = tempfile::tempdir().unwrap();
    let vectors = datagrams();
    for port in [KNOWN, OTHER] {
        let mut pcap = Pcap::new();
        for (index, vector) in vectors.iter().enumerate() {
            pcap.udp(host(index, 51_000), server(port), &vector.bytes);
        }
        let packets = tshark::details(&pcap.save(dir.path()), &[]);
        assert_eq!(packets.len(), vectors.len());
        for (fields, vector) in packets.iter().zip(&vectors) {
            // The heuristics recognise nothing shorter than a header, and no other magic.
            let is_strange = ["TooShort", "Magic"].iter().any(|why| vector.meaning.contains(why));
            let read = reading::datagram(fields);
            if port == KNOWN || !is_strange {
                assert_eq!(read, vector.meaning, "{} at {port}", vector.name)
            } else {
                assert_eq!(read, "", "{} at {port}", vector.name)
            }
        }
    }
}

fn only_rejected_and_unreadable_data_raises_expert_errors() {
    needs(&["tshark"]);
    let dir = tempfile::tempdir().unwrap();
    let (vectors, mut pcap) = (datagrams(), Pcap::new());
    for (index, vector) in vectors.iter().enumerate() {
        pcap.udp(host(index, 51_000), server(KNOWN), &vector.bytes);
    }
    const ERROR: &str = "8388608";
    let names = ["_ws.expert.severity", "_ws.expert.message", "chatagram.checksum.status"];
    let rows = tshark::fields(&pcap.save(dir.path()), &[], &names);
    for (row, vector) in rows.iter().zip(&vectors) {
        let errors = row[0].split('|').filter(|severity| *severity == ERROR).count();
        assert_eq!(errors, usize::from(!vector.is_valid()), "{}: {row:?}", vector.name);
        match vector.meaning.strip_prefix("rejected ") {
            Some(why) => {
                let name = why.split(['(', ' ']).next().unwrap();
                assert!(row[1].contains(name), "{row:?}");
            }
            None => {
                let unreadable = vector.meaning.contains("unreadable");
                assert_eq!(row[1].contains("§8.3"), unreadable, "{}: {row:?}", vector.name);
                assert_eq!(row[2], "1", "{}", vector.name);
            }
        }
        if vector.meaning.contains("Checksum") {
            assert_eq!(row[2], "0", "{}", vector.name);
        }
    }
}

/// Appends the pieces of a stream as segments. Returns the meaning that the dissector should read.
fn add_stream(
    pcap: &mut Pcap,
    index: usize,
    from_server: bool,
    port: u16,
    pieces: &[&[u8]],
) -> usize {
    let (mut from, mut to) = (host(index, 51_000), server(port));
    if from_server {
        (from, to) = (to, from);
    }
    let mut sequence = 1;
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        pcap.tcp(from, to, sequence, piece);
        sequence += piece.len();
    }
    pieces.iter().filter(|piece| !piece.is_empty()).count()
}

fn is_from_server(vector: &Golden) -> bool {
    vector.bytes.get(3) == Some(&1)
}

fn every_stream_vector_is_dissected_as_its_file_says_wherever_it_is_cut() {
    needs(&["tshark"]);
    let dir = tempfile::tempdir().unwrap();
    let (vectors, mut pcap, mut streams_of) = (streams(), Pcap::new(), Vec::new());
    for vector in vectors.iter().filter(|vector| !vector.bytes.is_empty()) {
        let bytes = &*vector.bytes;
        let mut cuts: Vec<Vec<&[u8]>> = vec![vec![bytes]];
        // Within a long text, one cut is like the next.
        let wanted = |at: &usize| *at < 120 || at.is_multiple_of(97) || bytes.len() - at < 9;
        cuts.extend((1..bytes.len()).filter(wanted).map(|at| vec![&bytes[..at], &bytes[at..]]));
        if bytes.len() < 300 {
            cuts.push(bytes.chunks(1).collect());
        }
        cuts.push(bytes.chunks(5).collect());
        for pieces in cuts {
            let from_server = is_from_server(vector);
            let segments = add_stream(&mut pcap, streams_of.len(), from_server, KNOWN, &pieces);
            streams_of.push((vector, segments, pieces.first().map_or(0, |piece| piece.len())));
        }
    }
    let file = pcap.save(dir.path());
    for passes in [&[][..], &["-2"]] {
        let mut packets = tshark::details(&file, passes).into_iter();
        for (vector, segments, cut) in &streams_of {
            let fields: Vec<_> = packets.by_ref().take(*segments).flatten().collect();
            let name = format!("{} cut at {cut} {passes:?}", vector.name);
            assert_eq!(reading::stream(&fields), vector.meaning, "{name}");
        }
    }
}

fn streams_are_recognised_at_any_port() {
    needs(&["tshark"]);
    let dir = tempfile::tempdir().unwrap();
    let (vectors, mut pcap, mut segments) = (streams(), Pcap::new(), Vec::new());
    let valid = || vectors.iter().filter(|vector| vector.is_valid() && !vector.bytes.is_empty());
    for (index, vector) in valid().enumerate() {
        let (head, rest) = vector.bytes.split_at(12);
        segments.push(add_stream(&mut pcap, index, is_from_server(vector), OTHER, &[head, rest]));
    }
    let mut packets = tshark::details(&pcap.save(dir.path()), &[]).into_iter();
    for (vector, segments) in valid().zip(segments) {
        let fields: Vec<_> = packets.by_ref().take(segments).flatten().collect();
        assert_eq!(reading::stream(&fields), vector.meaning, "{}", vector.name);
    }
}

fn reordered_segments_are_reassembled_if_the_preference_is_set() {
    needs(&["tshark"]);
    let dir = tempfile::tempdir().unwrap();
    let vector = streams().into_iter().find(|vector| vector.name == "stream-server").unwrap();
    let (mut pcap, sizes) = (Pcap::new(), 20..60);
    for size in sizes.clone() {
        let mut order: Vec<_> = vector.bytes.chunks(size).enumerate().collect();
        order.swap(1, 2);
        for (index, piece) in order {
            pcap.tcp(server(KNOWN), host(size, 51_000), 1 + size * index, piece);
        }
    }
    let file = pcap.save(dir.path());
    let all: Vec<_> = sizes.map(|_| &*vector.meaning).collect();
    for passes in [&[][..], &["-2"]] {
        let options = [&["-o", "tcp.reassemble_out_of_order:TRUE"], passes].concat();
        let fields = tshark::details(&file, &options).concat();
        assert_eq!(reading::stream(&fields), all.join("\n"), "{passes:?}");
    }
}

fn reused_ports_are_a_new_connection_in_both_passes() {
    needs(&["tshark"]);
    let dir = tempfile::tempdir().unwrap();
    let streams = streams();
    let (mut pcap, mut sequence, mut wanted) = (Pcap::new(), 1, Vec::new());
    for name in ["stream-client", "stream-frame-truncated", "stream-join"] {
        let vector = streams.iter().find(|vector| vector.name == name).unwrap();
        wanted.push(&*vector.meaning);
        for piece in vector.bytes.chunks(36) {
            pcap.tcp(host(1, 51_000), server(KNOWN), sequence, piece);
            sequence += piece.len();
        }
    }
    let file = pcap.save(dir.path());
    for passes in [&[][..], &["-2"]] {
        let fields = tshark::details(&file, passes).concat();
        assert_eq!(reading::stream(&fields), wanted.join("\n"), "{passes:?}");
    }
}

/// A generator of pseudorandom numbers (Knuth's MMIX).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn byte(&mut self) -> u8 {
        // Prefers the numbers of frames and messages, and the first bytes of integers.
        match self.below(3) {
            0 => u8::try_from(self.below(13)).unwrap(),
            1 => 250 + u8::try_from(self.below(6)).unwrap(),
            _ => u8::try_from(self.below(256)).unwrap(),
        }
    }

    /// Changes, inserts or removes a few bytes; sometimes corrects the checksum.
    fn damage(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(3) {
            let at =
                40.min(bytes.len() - 1) + self.below(bytes.len().saturating_sub(40).clamp(1, 60));
            match self.below(4) {
                0 => bytes.truncate(at.max(1)),
                1 => bytes.insert(at.min(bytes.len()), self.byte()),
                _ if at < bytes.len() => bytes[at] = self.byte(),
                _ => bytes.push(self.byte()),
            }
        }
        if bytes.len() >= 40 && self.below(20) > 0 { checksummed(bytes) } else { bytes }
    }
}

/// The crate's verdict: the reason of a rejection, or which messages are unreadable.
fn verdict(bytes: &[u8]) -> (String, String) {
    match Datagram::decode(bytes) {
        Err(DecodeError::Checksum { found, computed }) => {
            let text = format!("Checksum {{ found: {found:#010x}, computed: {computed:#010x} }}");
            (text, String::new())
        }
        Err(error) => (format!("{error:?}"), String::new()),
        Ok(datagram) => {
            let from_server = datagram.header.flags.contains(Flags::FROM_SERVER);
            let lines: Vec<_> =
                datagram.frames().map(|frame| frame_line(&frame, from_server)).collect();
            let unreadable =
                lines.iter().filter_map(|line| Some(line.split_once(": unreadable ")?.1));
            (String::new(), unreadable.collect::<Vec<_>>().join("|"))
        }
    }
}

fn damaged_datagrams_are_rejected_as_the_crate_rejects_them() {
    needs(&["tshark"]);
    let dir = tempfile::tempdir().unwrap();
    let (mut dice, mut pcap, mut all) = (Dice(7), Pcap::new(), Vec::new());
    let vectors = datagrams();
    for vector in vectors.iter().filter(|vector| vector.bytes.len() >= 40) {
        all.extend((0..60).map(|_| dice.damage(&vector.bytes)));
    }
    for (index, bytes) in all.iter().enumerate() {
        pcap.udp(host(index, 51_000), server(KNOWN), bytes);
    }
    let names = ["chatagram.rejected", "chatagram.unreadable"];
    let rows = tshark::fields(&pcap.save(dir.path()), &[], &names);
    assert_eq!(rows.len(), all.len());
    let mut kinds = std::collections::BTreeSet::new();
    for (row, bytes) in rows.iter().zip(&all) {
        let (rejected, unreadable) = verdict(bytes);
        kinds.insert(rejected.split('(').next().unwrap().to_owned() + &unreadable);
        // The dissector shows a rejected datagram as far as it is readable.
        let shown = if rejected.is_empty() { &*row[1] } else { "" };
        assert_eq!((&*row[0], shown), (&*rejected, &*unreadable), "{bytes:02x?}");
    }
    assert!(kinds.len() > 8, "{kinds:?}");
}

fn no_bytes_make_the_dissector_fail() {
    needs(&["tshark"]);
    let dir = tempfile::tempdir().unwrap();
    let (mut dice, mut pcap) = (Dice(8), Pcap::new());
    let vectors = streams();
    for index in 0..1_500 {
        let vector = &vectors[1 + dice.below(vectors.len() - 1)];
        let mut bytes = vector.bytes.clone();
        for _ in 0..dice.below(4) {
            let at = dice.below(bytes.len());
            bytes[at] = dice.byte();
        }
        let size = 1 + dice.below(80);
        let pieces: Vec<_> = bytes.chunks(size).collect();
        add_stream(&mut pcap, index, dice.below(2) == 0, KNOWN, &pieces);
        let garbage: Vec<u8> = (0..1 + dice.below(90)).map(|_| dice.byte()).collect();
        pcap.udp(host(index, 52_000), server(KNOWN), &garbage);
    }
    let file = pcap.save(dir.path());
    // `details` and `fields` fail on any error of the script.
    tshark::details(&file, &[]);
    tshark::fields(&file, &["-2"], &["chatagram.rejected"]);
}

fn every_field_of_proto_md_is_a_display_filter() {
    needs(&["tshark"]);
    let known = tshark::run(&["-G", "fields"]);
    let known: Vec<_> = known.lines().filter_map(|line| line.split('\t').nth(2)).collect();
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("proto.md")).unwrap();
    let tables = [
        ("| field | offset, bytes | meaning |", 0),
        ("| frame | field | type | range and meaning |", 1),
        ("| no. | message | field | type | range and meaning |", 2),
    ];
    let mut found = 0;
    for (head, column) in tables {
        for table in text.split(&format!("\n{head}\n")).skip(1) {
            let mut of = String::new();
            for row in table.lines().skip(1).take_while(|line| line.starts_with('|')) {
                let cells: Vec<_> =
                    row.split('|').skip(1).map(|cell| cell.trim().replace('`', "")).collect();
                if column > 0 && !cells[column - 1].is_empty() {
                    of = format!("{}.", cells[column - 1].to_lowercase());
                }
                if cells[column] == "—" {
                    continue;
                }
                let name = format!("chatagram.{of}{}", cells[column]);
                assert!(known.contains(&&*name), "no {name}");
                found += 1;
            }
        }
    }
    assert!(found > 75, "{found}");
}

tests! {
    every_datagram_vector_is_dissected_as_its_file_says,
    only_rejected_and_unreadable_data_raises_expert_errors,
    every_stream_vector_is_dissected_as_its_file_says_wherever_it_is_cut,
    streams_are_recognised_at_any_port,
    reordered_segments_are_reassembled_if_the_preference_is_set,
    reused_ports_are_a_new_connection_in_both_passes,
    damaged_datagrams_are_rejected_as_the_crate_rejects_them,
    no_bytes_make_the_dissector_fail,
    relations::gaps_late_duplicate_and_reused_numbers_are_told_apart_across_the_wrap,
    relations::acknowledgments_and_their_datagrams_link_to_each_other,
    relations::retransmitted_messages_are_marked_and_answers_link_to_their_questions,
    relations::coalesced_datagrams_in_one_packet_are_split,
    relations::the_parts_of_a_message_are_joined_in_any_order,
    relations::strings_are_cleaned_for_display,
    relations::packets_cut_by_the_capture_are_not_reported_as_malformed,
    every_field_of_proto_md_is_a_display_filter,
    capture::a_captured_chat_is_dissected_with_losses_duplicates_and_answers,
}
