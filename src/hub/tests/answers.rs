//! The hub's answers to members and strangers: `Who`, `Ping` and probes.

use super::*;

#[test]
fn who_lists_the_members_with_the_servers_statistics() {
    let mut room = Room::new(8);
    let alice = room.join("alice", 1);
    room.join("bob", 2);
    room.hub.handle_datagram(path(3), b"noise", room.now);
    room.hub.set_unread(7);
    assert!(room.peers[alice].1.ask_who(room.now));
    room.run_for(SECOND / 10);
    let session::Event::Who { peers, server } = room.told[alice].last().unwrap() else {
        panic!("{:?}", room.told[alice]);
    };
    let counters = room.hub.counters();
    let server = server.unwrap();
    assert_eq!((server.alien, server.unread, server.refused), (1, 7, 0));
    assert!(server.received > 1 && server.received <= counters.wire.received);
    let names: Vec<_> = peers.iter().map(|peer| peer.nickname.as_str()).collect();
    assert_eq!(names, ["alice", "bob"]);
    for peer in peers {
        assert_eq!((peer.transport, peer.delivery), (Transport::Udp, Delivery::ReliableOrdered));
        assert!(peer.sent > Some(0) && peer.received > Some(0));
        assert_eq!((peer.lost, peer.missing), (Some(0), Some(0)));
        assert!(peer.rtt.is_some_and(|rtt| rtt < SECOND));
        assert!(peer.silence.is_some_and(|silence| silence < 3 * SECOND));
    }
}

#[test]
fn frequent_who_requests_get_fewer_answers_and_no_drop() {
    let mut room = Room::new(64);
    let alice = room.join("alice", 1);
    (2..40).for_each(|port| {
        room.join(&format!("peer{port}"), port);
    });
    for number in 0..400 {
        let question = encode_message(&ClientMessage::Who { number });
        room.hub.handle_message(PeerId(0), &question, room.now);
    }
    assert!(room.hub.queued_bytes() <= 2 * MAX_QUEUE_BYTES);
    room.run_for(20 * SECOND);
    assert_eq!(room.hub.nicknames().count(), 39, "no member was dropped");
    for _ in 0..400 {
        assert!(room.peers[alice].1.ask_who(room.now));
    }
    room.run_for(SECOND);
    let answers = room.told[alice].iter().filter_map(|event| match event {
        session::Event::Who { peers, .. } => Some(peers.len()),
        _ => None,
    });
    assert_eq!(answers.collect::<Vec<_>>(), [39]);
}

#[test]
fn a_peer_answers_a_ping_and_a_lost_ping_is_given_up() {
    let mut room = Room::new(8);
    let alice = room.join("alice", 1);
    room.join("bob", 2);
    room.peers[alice].1.ping("BOB", room.now);
    room.run_for(SECOND / 10);
    let answered = room.told[alice].last().unwrap();
    assert!(
        matches!(answered, session::Event::Pong { from, rtt } if from == "bob"
        && *rtt >= Duration::from_millis(1) && *rtt < SECOND / 20),
        "{answered:?}"
    );

    room.peers[alice].1.ping("eve", room.now);
    room.run_for(SECOND / 10);
    let notice = session::Notice::NoPeer { name: "eve".to_owned() };
    assert_eq!(room.told[alice].last(), Some(&session::Event::Error { notice }));

    room.cut_off = Some(2);
    room.peers[alice].1.ping("bob", room.now);
    room.run_for(6 * SECOND);
    let notice = session::Notice::NoPong { name: "bob".to_owned(), seconds: 5 };
    assert_eq!(room.told[alice].last(), Some(&session::Event::Status { notice }));
}

#[test]
fn a_probe_gets_one_answer_no_larger_than_itself_and_no_malformed_one_does() {
    let mut room = Room::new(8);
    room.join("alice", 1);
    let probe = |frames: &[Frame<'_>], flags, session, size| {
        let mut bytes = Vec::new();
        let mut writer = DatagramWriter::new(&mut bytes);
        frames.iter().for_each(|frame| assert!(writer.push(frame)));
        writer.pad_to(size);
        writer.finish(&Header { flags, session, ..Header::default() });
        bytes
    };
    let asked = [Frame::Probe { nonce: 7 }];
    let good = probe(&asked, Flags::default(), 0, PROBE_SIZE);
    room.hub.handle_probe(path(9), &good, room.now);
    let answers = room.drain();
    let [(9, answer)] = &answers[..] else { panic!("{answers:?}") };
    assert!(answer.len() <= good.len());
    let datagram = Datagram::decode(answer).unwrap();
    assert!(datagram.header.flags.contains(Flags::FROM_SERVER));
    let found = datagram.frames().collect::<Vec<_>>();
    let [Frame::Found { nonce: 7, server, port: 2428, peers: 1, room: "lab" }] = found[..] else {
        panic!("{found:?}")
    };
    room.hub.handle_probe(path(10), &good, room.now);
    let (_, again) = &room.drain()[0];
    let again = Datagram::decode(again).unwrap().frames().next();
    assert!(matches!(again, Some(Frame::Found { server: it, .. }) if it == server));

    room.hub.set_private();
    room.hub.handle_probe(path(11), &good, room.now);
    let (_, hidden) = &room.drain()[0];
    let hidden = Datagram::decode(hidden).unwrap();
    let found = hidden.frames().next();
    assert!(
        matches!(found, Some(Frame::Found { peers: 0, room: "", port: 2428, .. })),
        "{found:?}"
    );

    let many = |ip: [u8; 4], port| Path::routed(0, (ip, port).into());
    for (path, bytes) in [
        (path(9), answer.clone()),
        (path(9), probe(&asked, Flags::default(), 0, PROBE_SIZE - 1)),
        (path(9), probe(&asked, Flags::default(), 5, PROBE_SIZE)),
        (path(9), probe(&asked, Flags::FROM_SERVER, 0, PROBE_SIZE)),
        (path(9), probe(&[Frame::Heartbeat, asked[0]], Flags::default(), 0, PROBE_SIZE)),
        (path(9), b"hello".to_vec()),
        (many([255; 4], 9), good.clone()),
        (many([239, 255, 67, 71], 9), good.clone()),
        (many([0; 4], 9), good.clone()),
        (path(0), good.clone()),
    ] {
        room.hub.handle_probe(path, &bytes, room.now);
        assert_eq!(room.drain(), [], "{path:?} {bytes:?}");
    }
    // The room's own port answers no probe.
    room.hub.handle_datagram(path(9), &good, room.now);
    assert_eq!(room.drain(), []);
}

#[test]
fn a_client_hides_what_ignored_peers_say_and_knows_who_whispered_last() {
    let mut room = Room::new(8);
    let [alice, bob, eve] =
        [("alice", 1), ("bob", 2), ("eve", 3)].map(|(name, port)| room.join(name, port));
    room.peers[alice].1.ignore("Eve");
    for author in [bob, eve] {
        room.peers[author].1.say("to all", room.now).unwrap();
        room.peers[author].1.whisper("alice", "to one", room.now).unwrap();
    }
    room.run_for(SECOND / 10);
    let heard = |room: &Room, from: &str| {
        let of = |event: &&session::Event| match event {
            session::Event::Message { from: author, .. } => author == from,
            _ => false,
        };
        room.told[alice].iter().filter(of).count()
    };
    assert_eq!((heard(&room, "bob"), heard(&room, "eve")), (2, 0));
    assert_eq!(room.peers[alice].1.last_whisperer(), Some("bob"));
    room.peers[alice].1.unignore("EVE");
    room.peers[eve].1.whisper("alice", "to one", room.now).unwrap();
    room.run_for(SECOND / 10);
    assert_eq!(heard(&room, "eve"), 1);
    assert_eq!(room.peers[alice].1.last_whisperer(), Some("eve"));
    // The list is bounded.
    (0..100).for_each(|count| room.peers[alice].1.ignore(&format!("peer{count}")));
    room.run_for(SECOND / 10);
    let full = |event: &&session::Event| match event {
        session::Event::Error { notice } => {
            matches!(notice, session::Notice::TooManyIgnored { names: 64 })
        }
        _ => false,
    };
    assert_eq!(room.told[alice].iter().filter(full).count(), 36);
}
