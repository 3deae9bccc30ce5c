//! Runs of messages against a model with one entry per message.

use super::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

#[derive(Debug)]
struct Message {
    payload: Vec<u8>,
    ordered: bool,
    copies: u32,
    acked: bool,
    lost: bool,
    first_sent: Timestamp,
    last_sent: Timestamp,
}

/// All messages ever queued, by id.
#[derive(Debug, Default)]
struct Model {
    messages: Vec<Message>,
    unsent: usize,
}

impl Model {
    /// Id of the first unacknowledged message.
    fn first(&self) -> usize {
        let sent = &self.messages[..self.unsent];
        sent.iter().position(|it| !it.acked).unwrap_or(self.unsent)
    }

    fn sendable(&self) -> Vec<usize> {
        let lost = (0..self.unsent).filter(|id| self.messages[*id].lost);
        let end = self.messages.len().min(MESSAGE_WINDOW as usize);
        lost.chain(self.unsent..end).collect()
    }

    fn unacknowledged(&self) -> Vec<usize> {
        (0..self.unsent).filter(|id| !self.messages[*id].acked).collect()
    }

    fn bytes(&self) -> usize {
        self.messages[self.first()..].iter().map(|it| it.payload.len() + OVERHEAD).sum::<usize>()
    }
}

fn ids<'a>(messages: impl Iterator<Item = Reliable<'a>>, model: &Model) -> Vec<usize> {
    let known = messages.map(|message| {
        let expected = &model.messages[message.id as usize];
        assert_eq!((message.payload, message.ordered), (&*expected.payload, expected.ordered));
        message.id as usize
    });
    known.collect()
}

#[test]
fn runs_behave_like_a_list_of_single_messages() {
    for seed in 0..300 {
        let mut chance = ChaCha20Rng::seed_from_u64(seed);
        let mut below = |limit: usize| (chance.next_u64() % limit.max(1) as u64) as usize;
        let (mut outbox, mut model) = (Outbox::default(), Model::default());
        for step in 0..200 {
            let now = Timestamp::from_micros(step);
            match below(6) {
                0 if model.messages.len() < MESSAGE_WINDOW as usize => {
                    let ordered = below(2) == 0;
                    let payloads: Vec<_> =
                        (0..=below(5)).map(|_| vec![below(256) as u8; below(300)]).collect();
                    let single: Vec<_> = payloads.iter().filter_map(|it| Batch::of(it)).collect();
                    outbox.push_reliable(Batch::join(&single), ordered, Class::Content);
                    model.messages.extend(payloads.into_iter().map(|payload| Message {
                        payload,
                        ordered,
                        copies: 0,
                        acked: false,
                        lost: false,
                        first_sent: now,
                        last_sent: now,
                    }));
                }
                1 | 2 => {
                    // Sends some of the sendable messages, in their ranges.
                    let all = model.sendable();
                    let some = &all[..below(all.len() + 1)];
                    for run in some.chunk_by(|a, b| a + 1 == *b) {
                        let (from, to) = (run[0], run[run.len() - 1] + 1);
                        let departure = outbox.reliable_sent(from as u64..to as u64, now);
                        assert_eq!(departure.again, to.min(model.unsent).saturating_sub(from));
                        let sent = &mut model.messages[from..to];
                        assert_eq!(
                            departure.bytes,
                            sent.iter().map(|it| it.payload.len()).sum::<usize>()
                        );
                        for (id, message) in (from..).zip(sent) {
                            message.first_sent =
                                if id < model.unsent { message.first_sent } else { now };
                            (message.last_sent, message.lost) = (now, false);
                            message.copies += 1;
                        }
                        model.unsent = model.unsent.max(to);
                    }
                }
                3 => {
                    let from = below(model.unsent + 1);
                    let to = model.unsent.min(from + below(6));
                    outbox.acked(from as u64..to as u64);
                    for message in &mut model.messages[from..to] {
                        (message.acked, message.lost) = (true, false);
                    }
                }
                4 => {
                    let from = below(model.unsent + 1);
                    let to = model.unsent.min(from + below(6));
                    let bytes = outbox.lost(from as u64..to as u64);
                    let wanted = model.messages[from..to].iter_mut().filter(|it| !it.acked);
                    let expected = wanted.map(|message| {
                        message.copies = message.copies.saturating_sub(1);
                        message.lost |= message.copies == 0;
                        message.payload.len()
                    });
                    assert_eq!(bytes, expected.sum::<usize>());
                }
                _ => {
                    let all = model.unacknowledged();
                    if let Some(id) = all.get(below(all.len())).copied() {
                        outbox.reliable_sent(id as u64..id as u64 + 1, now);
                        let message = &mut model.messages[id];
                        message.copies += 1;
                        (message.last_sent, message.lost) = (now, false);
                    }
                }
            }
            assert_eq!(ids(outbox.sendable(), &model), model.sendable());
            assert_eq!(outbox.has_sendable(), !model.sendable().is_empty());
            assert_eq!(ids(outbox.unacknowledged(), &model), model.unacknowledged());
            assert_eq!(outbox.bytes(), model.bytes());
            let oldest = model.messages[..model.unsent].get(model.first());
            assert_eq!(outbox.oldest(), oldest.map(|it| it.first_sent));
            let waits = outbox.has_waiting();
            assert_eq!(
                waits,
                model.unsent < model.messages.len()
                    || model.sendable().iter().any(|id| *id < model.unsent)
            );
            let wanting: Vec<_> =
                outbox.wanting_copies(3, 200).map(|(it, last, _)| (it.id as usize, last)).collect();
            let few = |it: &Message| !it.acked && it.copies < 3 && it.payload.len() <= 200;
            let all =
                model.messages[..if waits { 0 } else { model.unsent }].iter().enumerate().rev();
            let expected = all.filter(|(_, it)| few(it)).map(|(id, it)| (id, it.last_sent));
            assert_eq!(wanting, expected.collect::<Vec<_>>());
        }
    }
}
