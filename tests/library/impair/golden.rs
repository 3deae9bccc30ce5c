//! Golden vectors, computed by another program from the description in `impair::prng`.

use super::{SEED, at, take};
use chatagram::impair::prng::{Purpose, Stream};
use chatagram::impair::{Direction, Impairment, Spec};

const VECTORS: &str = include_str!("../../vectors/impair.txt");

/// The words before, and the text after, the equals sign of each line of this kind.
fn vectors(kind: &str) -> Vec<(Vec<&'static str>, &'static str)> {
    let lines = VECTORS.lines().filter_map(|line| line.strip_prefix(kind)?.split_once('='));
    let found: Vec<_> =
        lines.map(|(asked, value)| (asked.split_whitespace().collect(), value.trim())).collect();
    assert!(!found.is_empty(), "no vectors of {kind}");
    found
}

fn direction(text: &str) -> Direction {
    match text {
        "up" => Direction::Up,
        "down" => Direction::Down,
        _ => panic!("{text}"),
    }
}

fn network(words: &[&str], spec: &str) -> Impairment {
    let spec: Spec = spec.parse().unwrap();
    Impairment::new(&spec.up, words[0].parse().unwrap(), direction(words[1]))
}

#[test]
fn draws_match_the_vectors() {
    for (words, value) in vectors("draw") {
        let purpose = match words[2] {
            "loss" => Purpose::Loss,
            "state" => Purpose::State,
            "jitter" => Purpose::Jitter,
            "copy-jitter" => Purpose::CopyJitter,
            "duplicate" => Purpose::Duplicate,
            "corrupt" => Purpose::Corrupt,
            "bit" => Purpose::Bit,
            other => panic!("{other}"),
        };
        let stream = Stream::new(words[0].parse().unwrap(), direction(words[1]), purpose);
        assert_eq!(format!("{:016x}", stream.draw(words[3].parse().unwrap())), value, "{words:?}");
    }
}

#[test]
fn losses_match_the_vectors() {
    for (words, value) in vectors("drops") {
        let mut network = network(&words, &words[3..].join(" "));
        for _ in 0..words[2].parse().unwrap() {
            network.push(Vec::new(), at(0));
        }
        assert_eq!(network.counts().drops, value, "{words:?}");
    }
}

#[test]
fn jitter_matches_the_vectors() {
    for (words, value) in vectors("jitter") {
        let mut network = network(&words, &format!("delay 1s, jitter {}us", words[2]));
        for (index, offset) in (0..).zip(value.split_whitespace()) {
            let now = at(index * 10_000_000);
            network.push(Vec::new(), now);
            let due = now.as_micros() as i64 + 1_000_000 + offset.parse::<i64>().unwrap();
            assert_eq!(network.poll_timeout(), Some(at(due as u64)), "{words:?} {index}");
            take(&mut network, at(due as u64), |_, _| ());
        }
    }
}

#[test]
fn bit_errors_match_the_vectors() {
    for (words, value) in vectors("bits") {
        let mut network = network(&words, &format!("corrupt {}", words[3]));
        for bit in value.split_whitespace() {
            let mut packet = vec![0; words[2].parse().unwrap()];
            network.push(packet.clone(), at(SEED));
            if let Ok(bit) = bit.parse::<usize>() {
                packet[bit / 8] = 1 << (bit % 8);
            }
            assert_eq!(network.pop(at(SEED)), Some(packet), "{words:?} {bit}");
        }
    }
}
