//! Captures built packet by packet.

use super::{Journeys, Leg, Step, Wait};
use crate::lab::record::{Mode, Record, Verdict};
use crate::net::pcapng::{self, Way};
use crate::protocol::{ClientMessage, DatagramWriter, Frame, Header, Join, Say, encode_message};

/// A capture in progress, a packet each millisecond.
struct Example {
    bytes: Vec<u8>,
    packets: u64,
}

impl Example {
    fn new() -> Self {
        let bytes = [
            pcapng::section("test", "seed 1"),
            pcapng::interface("clients", ""),
            pcapng::interface("server", ""),
        ];
        Self { bytes: bytes.concat(), packets: 0 }
    }

    /// A datagram of the client, where it enters (0) or leaves (1).
    fn put(&mut self, interface: u32, comment: &str, frame: &Frame<'_>) {
        let mut datagram = Vec::new();
        let mut writer = DatagramWriter::new(&mut datagram);
        writer.push(frame);
        writer.finish(&Header::default());
        let length = |extra: usize| ((datagram.len() + extra) as u16).to_be_bytes();
        let mut packet = vec![0x45, 0];
        packet.extend(length(28));
        packet.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 10, 77, 1, 2, 10, 77, 2, 2]);
        packet.extend([200, 1, 9, 124]);
        packet.extend(length(8));
        packet.extend([0, 0]);
        packet.extend(datagram);
        self.packets += 1;
        let nanos = self.packets * 1_000_000;
        let way = if interface == 0 { Way::In } else { Way::Out };
        self.bytes.extend(pcapng::packet(interface, nanos, way, 0, 0, comment, &packet));
    }

    fn say(&mut self, interface: u32, comment: &str, id: u16) {
        let text = format!("{id} xxxx");
        let say = ClientMessage::Say(Say { number: id, sent: 0, text: &text });
        let payload = encode_message(&say);
        self.put(interface, comment, &Frame::Ordered { id, payload: &payload });
    }
}

fn joined() -> Example {
    let mut example = Example::new();
    let join = Join { nickname: "s1", ..Join::default() };
    example.put(0, "up 0: leaves after 5ms", &Frame::Join(join));
    example
}

fn up(journeys: &Journeys, id: u64) -> Leg {
    let row = Record {
        run: "x".into(),
        mode: Mode::ReliableOrdered,
        sender: "s1".into(),
        receiver: "r1".into(),
        id,
        intended_us: 0,
        sent_us: None,
        arrived_us: None,
        delivered_us: None,
        server_held_us: None,
        verdict: Verdict::Lost,
    };
    let journey = journeys.of(&row);
    assert!(journey.down.is_none());
    journey.up.cloned().unwrap_or_default()
}

#[test]
fn a_message_is_followed_from_its_first_packet_to_the_last() {
    let mut example = joined();
    example.say(0, "up 1: dropped by 'loss 5%'", 0);
    example.say(0, "up 2: leaves after 5ms", 1);
    example.say(1, "up 2: left after 5ms", 1);
    example.say(0, "up 3: leaves after 5ms", 0);
    example.say(1, "up 3: left after 5ms", 0);
    let (journeys, damage) = Journeys::read(&example.bytes);
    assert_eq!(damage, None);
    let steps =
        |id| up(&journeys, id).seen.iter().map(|it| (it.frame, it.step)).collect::<Vec<_>>();
    assert_eq!(steps(0), [(2, Step::Dropped), (5, Step::Entered), (6, Step::Left)]);
    assert_eq!(steps(1), [(3, Step::Entered), (4, Step::Left)]);
    assert_eq!(up(&journeys, 0).wait, None);
    let wait = Wait { nanos: 2_000_000, frame: 6, again: true };
    assert_eq!(up(&journeys, 1).wait, Some(wait));
}

#[test]
fn what_comes_before_damage_is_kept() {
    let mut example = joined();
    example.say(0, "up 1: leaves after 5ms", 0);
    let whole = example.bytes.len();
    example.say(1, "up 1: left after 5ms", 0);
    let (journeys, damage) = Journeys::read(&example.bytes[..whole + 20]);
    assert_eq!(up(&journeys, 0).seen.len(), 1);
    assert!(damage.unwrap().to_string().contains("after packet 2"));
}

#[test]
fn no_damage_makes_the_reader_fail() {
    let mut example = joined();
    example.say(0, "up 1: dropped by 'loss 5%'", 0);
    example.say(0, "up 2: leaves after 5ms", 1);
    example.say(1, "up 2: left after 5ms", 1);
    for at in 0..example.bytes.len() {
        for value in [0, 1, 6, 0x45, 0x7f, 0xff] {
            let mut damaged = example.bytes.clone();
            damaged[at] = value;
            let _ = Journeys::read(&damaged);
        }
    }
}
