//! Statistics of all peers over the last minutes. No I/O.

use crate::client::session::PeerReport;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Samples per peer: two minutes at one a second.
pub(super) const SAMPLES: usize = 120;

/// The statistics of all peers.
#[derive(Debug, Default)]
pub(super) struct Board {
    tracks: BTreeMap<u16, Track>,
}

/// One peer over time. Samples are oldest first; `None` if not measured.
#[derive(Debug)]
pub(super) struct Track {
    /// The newest report.
    pub(super) report: PeerReport,
    /// Round-trip times.
    pub(super) rtts: VecDeque<Option<Duration>>,
    /// Loss ratio between two reports, both ways, 0 to 1; over TCP of segments to the peer.
    pub(super) losses: VecDeque<Option<f64>>,
}

impl Board {
    /// Takes an answer; peers missing in it are removed.
    pub(super) fn update(&mut self, peers: Vec<PeerReport>) {
        let mut before = std::mem::take(&mut self.tracks);
        for report in peers {
            let same = before.remove(&report.peer);
            let track = match same.filter(|track| track.report.nickname == report.nickname) {
                Some(track) => track.followed_by(report),
                None => Track::begin(report),
            };
            self.tracks.insert(track.report.peer, track);
        }
    }

    /// A peer has another name, and keeps its samples.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        let renamed = self.tracks.values_mut().find(|track| track.report.nickname == from);
        renamed.into_iter().for_each(|track| to.clone_into(&mut track.report.nickname));
    }

    /// Peers in trouble first: silent, then lossy, then distant.
    #[cfg_attr(not(feature = "watch"), allow(dead_code))]
    pub(super) fn by_trouble(&self) -> Vec<&Track> {
        let mut tracks: Vec<_> = self.tracks.values().collect();
        tracks.sort_by_key(|track| {
            let loss = track.recent_loss().map_or(0, |loss| (loss * 1e4) as u64);
            let rtt = track.report.rtt.unwrap_or_default();
            std::cmp::Reverse((
                track.report.silence.map_or(0, |silence| silence.as_secs() / 5),
                loss,
                rtt,
            ))
        });
        tracks
    }

    /// The newest reports, by name.
    pub(super) fn reports(&self) -> Vec<PeerReport> {
        let mut reports: Vec<_> = self.tracks.values().map(|track| track.report.clone()).collect();
        reports.sort_by(|one, other| one.nickname.cmp(&other.nickname));
        reports
    }

    /// Number of peers.
    #[cfg_attr(not(feature = "watch"), allow(dead_code))]
    pub(super) fn len(&self) -> usize {
        self.tracks.len()
    }
}

impl Track {
    fn begin(report: PeerReport) -> Self {
        Self { rtts: [report.rtt].into(), losses: [None].into(), report }
    }

    fn followed_by(mut self, report: PeerReport) -> Self {
        note(&mut self.losses, share_lost(&self.report, &report));
        note(&mut self.rtts, report.rtt);
        Self { report, ..self }
    }

    /// The mean of the last ten samples.
    #[cfg_attr(not(feature = "watch"), allow(dead_code))]
    pub(super) fn recent_loss(&self) -> Option<f64> {
        let known: Vec<f64> = self.losses.iter().rev().take(10).flatten().copied().collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    }
}

fn note<T>(samples: &mut VecDeque<T>, sample: T) {
    samples.push_back(sample);
    samples.drain(..samples.len().saturating_sub(SAMPLES));
}

/// Loss ratio of datagrams sent both ways between two reports. A loss can be detected after the
/// report that counted the datagram, and a late arrival undoes one; so it is clamped to 0 and 1.
/// `None` if nothing was sent or a new session began.
fn share_lost(before: &PeerReport, after: &PeerReport) -> Option<f64> {
    let sent = after.sent?.checked_sub(before.sent?)?;
    let lost = after.lost?.saturating_sub(before.lost?);
    // Over TCP no end knows what is missing from the other.
    let (received, missing) = match (before.missing, after.missing) {
        (Some(earlier), Some(missing)) => {
            (after.received?.checked_sub(before.received?)?, missing.saturating_sub(earlier))
        }
        _ => (0, 0),
    };
    // The counters come from a server: their sum may overflow.
    let total = sent.saturating_add(received).saturating_add(missing);
    (total > 0).then(|| (lost.saturating_add(missing) as f64 / total as f64).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::session::Transport;
    use crate::protocol::Delivery;

    fn report(nickname: &str, peer: u16, sent: u64, lost: u64) -> PeerReport {
        PeerReport {
            nickname: nickname.to_owned(),
            peer,
            transport: Transport::Udp,
            delivery: Delivery::ReliableOrdered,
            rtt: Some(Duration::from_millis(20)),
            silence: Some(Duration::ZERO),
            sent: Some(sent),
            lost: Some(lost),
            received: Some(sent),
            missing: Some(0),
        }
    }

    #[test]
    fn loss_is_measured_between_two_reports() {
        let mut board = Board::default();
        board.update(vec![report("bob", 1, 100, 50)]);
        assert_eq!(board.by_trouble()[0].recent_loss(), None, "the earlier counts are unknown");
        board.update(vec![report("bob", 1, 150, 60)]);
        assert_eq!(board.by_trouble()[0].recent_loss(), Some(0.1), "10 of 100 both ways");
        board.update(vec![report("bob", 1, 150, 61)]);
        assert_eq!(board.by_trouble()[0].losses.back(), Some(&None), "no datagram was sent");
        board.update(vec![report("bob", 1, 10, 0)]);
        assert_eq!(board.by_trouble()[0].losses.back(), Some(&None), "a new session");
        board.update(vec![report("bob", 1, u64::MAX, u64::MAX)]);
        assert_eq!(board.by_trouble()[0].losses.back(), Some(&Some(1.0)), "inconsistent counts");
    }

    #[test]
    fn over_tcp_the_loss_is_that_of_segments_to_the_peer() {
        let over_tcp = |sent, lost| PeerReport {
            transport: Transport::Tcp,
            missing: None,
            ..report("bob", 1, sent, lost)
        };
        let mut board = Board::default();
        board.update(vec![over_tcp(100, 50)]);
        board.update(vec![over_tcp(150, 60)]);
        assert_eq!(board.by_trouble()[0].recent_loss(), Some(0.2), "10 of 50");
        board.update(vec![PeerReport { sent: None, ..over_tcp(200, 60) }]);
        assert_eq!(board.by_trouble()[0].losses.back(), Some(&None), "the server cannot tell");
    }

    #[test]
    fn departed_peers_are_removed_and_reused_numbers_start_afresh() {
        let mut board = Board::default();
        board.update(vec![report("bob", 1, 1, 0), report("eve", 2, 1, 0)]);
        board.update(vec![report("joe", 1, 5, 0)]);
        assert_eq!(board.len(), 1);
        let track = board.by_trouble()[0];
        assert_eq!((track.report.nickname.as_str(), track.rtts.len()), ("joe", 1));
    }

    #[test]
    fn silent_and_lossy_peers_come_first_and_samples_are_bounded() {
        let mut board = Board::default();
        for round in 1..=200 {
            let mut silent = report("silent", 3, round, 0);
            silent.silence = Some(Duration::from_secs(8));
            let lossy = report("lossy", 2, round * 10, round * 2);
            board.update(vec![report("good", 1, round * 10, 0), lossy, silent]);
        }
        let tracks = board.by_trouble();
        let names: Vec<_> = tracks.iter().map(|track| track.report.nickname.as_str()).collect();
        assert_eq!(names, ["silent", "lossy", "good"]);
        assert!(tracks.iter().all(|track| track.rtts.len() == SAMPLES));
        assert!(tracks.iter().all(|track| track.losses.len() == SAMPLES));
    }
}
