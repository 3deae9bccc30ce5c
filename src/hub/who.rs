//! Answers to `Who`: how the server is, and how each peer is.

use super::Hub;
use super::peer::Peer;
use crate::link::Channel;
use crate::protocol::limits::MAX_ABOUT;
use crate::protocol::{About, Delivery, Nickname, ServerMessage, Transport, encode_message};
use crate::registry::PeerId;
use crate::time::{Timestamp, micros};
use std::time::Duration;

impl Hub {
    /// Tells a peer how the server and everybody is, as far as the queue to it has room: a peer
    /// that asks more often than it can be told learns less.
    pub(super) fn tell_who(&mut self, id: PeerId, number: u16, now: Timestamp) {
        let server = self.counters().wire;
        let message = ServerMessage::Counters { number, server };
        let Some(mut asker) = self.peers.touch(id) else { return };
        self.outgoing.catch_up(&mut asker, self.now);
        // A queue without room for this has none for the answers below.
        let _ = asker.link.send(&encode_message(&message), Delivery::ReliableOrdered, None);
        let all: Vec<_> = self.everybody().collect();
        for (told, other) in all.iter().enumerate() {
            let left = (all.len() - told - 1) as u16;
            let Some(about) = self.about(*other, number, left, now) else { continue };
            let message = encode_message(&ServerMessage::About(about));
            let Some(mut asker) = self.peers.get_mut(id) else { return };
            if asker.link.send(&message, Delivery::ReliableOrdered, None).is_err() {
                break;
            }
        }
    }
}

/// How a peer is, beyond what `Who` tells.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PeerState<'a> {
    /// The answer to `Who`.
    pub about: About<'a>,
    /// The congestion control towards it, if it is known.
    pub congestion: Option<String>,
    /// Lines on their way to it; `None` while the hub observes none.
    pub pending: Option<usize>,
    /// Lines that it has said in this session, modulo 2^16.
    pub lines: u16,
}

impl Hub {
    /// How everybody is. It visits every peer: call it now and then.
    pub fn peer_states(&self, now: Timestamp) -> impl Iterator<Item = PeerState<'_>> {
        self.everybody().filter_map(move |id| {
            let peer = self.peers.get(id);
            Some(PeerState {
                about: self.about(id, 0, 0, now)?,
                congestion: peer.and_then(|peer| peer.link.congestion()),
                pending: peer.and_then(Peer::pending),
                lines: self.room.lines_of(id),
            })
        })
    }

    /// The number of the peer here with this nickname.
    #[must_use]
    pub fn number_of(&self, nickname: &str) -> Option<u16> {
        let id = self.registry.named(&Nickname::parse(nickname).ok()?.key())?;
        self.peers.get(id).map(|peer| peer.id.number())
    }

    /// The peers that an answer to `Who` is about.
    fn everybody(&self) -> impl Iterator<Item = PeerId> {
        let here = self.peers.iter().filter(|peer| !peer.is_closing()).map(|peer| peer.id);
        here.chain(self.registry.elsewhere()).take(MAX_ABOUT)
    }

    /// How a peer is. The link of a peer at another server is unknown here.
    fn about(&self, id: PeerId, number: u16, left: u16, now: Timestamp) -> Option<About<'_>> {
        let peer = id.number();
        let (Some(here), Some(entry)) = (self.peers.get(id), self.registry.entry(id)) else {
            let (transport, delivery) = (Transport::default(), Delivery::default());
            let (rtt_us, silent_ms) = (0, u32::MAX);
            let (sent, lost, received, missing) = (0, 0, 0, 0);
            let nickname = self.room.nickname(id)?;
            return Some(About {
                number,
                left,
                peer,
                nickname,
                transport,
                delivery,
                rtt_us,
                silent_ms,
                sent,
                lost,
                received,
                missing,
            });
        };
        let figures = Figures::of(&here.link);
        Some(About {
            number,
            left,
            peer,
            nickname: entry.nickname.as_str(),
            transport: here.transport(),
            delivery: here.delivery,
            rtt_us: figures.rtt.map_or(0, |rtt| saturated(micros(rtt))),
            silent_ms: saturated(micros(entry.silence(now)) / 1_000),
            sent: figures.sent,
            lost: figures.lost,
            received: figures.received,
            missing: figures.missing,
        })
    }
}

/// The link's part of an `About`; 0 where a figure is unknown.
struct Figures {
    rtt: Option<Duration>,
    sent: u64,
    lost: u64,
    received: u64,
    missing: u64,
}

impl Figures {
    fn of(link: &Channel) -> Self {
        match link {
            Channel::Datagrams(link) => {
                let stats = link.stats();
                Self {
                    rtt: stats.rtt_smoothed,
                    sent: stats.sent_eliciting,
                    lost: stats.sent_lost,
                    received: stats.received,
                    missing: stats.received_missing,
                }
            }
            // No end of QUIC knows which of the other's packets are missing.
            Channel::Stream(link) if link.is_quic() => {
                let info = link.quic_info().unwrap_or_default();
                let rtt = Some(info.rtt);
                Self { rtt, sent: info.sent, lost: info.lost, received: info.received, missing: 0 }
            }
            // Only the kernel counts segments, and no end knows which of the other's are missing.
            Channel::Stream(link) => {
                let info = link.info().unwrap_or_default();
                let (sent, lost) = info.sent.zip(info.retransmitted).unwrap_or_default();
                let received = info.received.unwrap_or_default();
                Self { rtt: info.rtt, sent, lost, received, missing: 0 }
            }
        }
    }
}

fn saturated(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
