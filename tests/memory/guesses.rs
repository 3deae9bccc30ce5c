//! Wrong guesses of a private room's secret, each from an address and with a connection of its own,
//! in virtual time: nobody is let in, and the server holds no more memory than before.
//! `CHATAGRAM_GUESSES=100000` sets their number.

use crate::meter::{Part, live, on_account_of};
use crate::needs::amount;
use chatagram::link::Congestion;
use chatagram::net::quic::{Event, Failure, Quic, ServerKey, Settings};
use chatagram::protocol::limits::SECRET_LEN;
use chatagram::ticket::{Secret, Ticket};
use chatagram::time::Timestamp;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

const SETTINGS: Settings =
    Settings { idle: Duration::from_secs(15), congestion: Congestion::Cubic };
const SERVER: ([u8; 4], u16) = ([10, 0, 0, 1], 2428);
const DELAY: Duration = Duration::from_millis(5);

/// The server, and a buffer on its account.
struct Server {
    quic: Quic,
    out: Vec<u8>,
}

/// One connection until its end: why the server did not let it in.
fn guess(server: &mut Server, ticket: &Ticket, from: SocketAddr, now: &mut Timestamp) -> Failure {
    let Server { quic: server, out } = server;
    let mut client = on_account_of(Part::Clients, || {
        let mut client = Quic::private_client(SETTINGS, ticket, *now).unwrap();
        client.connect(SERVER.into(), *now).unwrap();
        client
    });
    let mut bytes = Vec::new();
    for _trip in 0..20 {
        *now = *now + DELAY;
        while let Some(event) = client.poll_event() {
            match event {
                Event::Failed(_, why) => return why,
                Event::Connected(_) => panic!("{from} was let in"),
                _ => {}
            }
        }
        while client.poll_transmit(&mut bytes, *now).is_some() {
            on_account_of(Part::Server, || server.handle_datagram(from.into(), &bytes, *now));
        }
        on_account_of(Part::Server, || server.handle_timeout(*now));
        *now = *now + DELAY;
        let mut answers = Vec::new();
        on_account_of(Part::Server, || {
            while let Some(event) = server.poll_event() {
                assert!(matches!(event, Event::Failed(..)), "{event:?}");
            }
        });
        while let Some(path) = on_account_of(Part::Server, || server.poll_transmit(out, *now)) {
            if path.remote == from {
                answers.push(out.clone());
            }
        }
        for bytes in answers {
            client.handle_datagram(SocketAddr::from(SERVER).into(), &bytes, *now);
        }
        client.handle_timeout(*now);
    }
    panic!("no answer to the guess of {from}");
}

fn wrong_guesses_admit_nobody_and_take_no_memory() {
    let guesses = amount("CHATAGRAM_GUESSES", 2_000, 10_000) as u32;
    let (mut now, began) = (Timestamp::from_micros(1), Instant::now());
    let key = ServerKey::generate().unwrap();
    let secret = Secret([7; SECRET_LEN]);
    let mut server = on_account_of(Part::Server, || {
        let quic = Quic::private_server(SETTINGS, &key, secret.clone(), now).unwrap();
        Server { quic, out: Vec::with_capacity(2_048) }
    });
    let mut samples = Vec::new();
    for number in 0..guesses {
        let mut wrong = secret.clone();
        wrong.0[..4].copy_from_slice(&(number | 1 << 31).to_be_bytes());
        let ticket = Ticket::new(vec!["10.0.0.1".to_owned()], key.hash(), wrong).unwrap();
        let from = SocketAddr::from((Ipv4Addr::from_bits(0x0a01_0000 + number), 50_000));
        assert_eq!(guess(&mut server, &ticket, from, &mut now), Failure::Refused);
        if (number + 1).is_multiple_of(guesses / 4) {
            samples.push(live(Part::Server));
        }
    }
    println!("{guesses} guesses in {:.1?}: the server had {samples:?} bytes", began.elapsed());
    // The debts of an address are paid in ten seconds, and at most 4,096 are remembered.
    let (early, late) = (samples[0], samples[samples.len() - 1]);
    assert!(late < early + 512 * 1_024, "{samples:?}");
}

tests! {
    wrong_guesses_admit_nobody_and_take_no_memory,
}
