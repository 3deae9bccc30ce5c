//! Peers that change their address (`proto.md` §7.7).

use super::peer::Peer;
use super::{Event, Hub};
use crate::link::PATH_CHALLENGE_LEN;
use crate::path::Path;
use crate::protocol::limits::base_datagram;
use crate::protocol::{Datagram, Frame, Transport};
use crate::registry::PeerId;
use crate::time::Now;
use std::net::SocketAddr;

impl Hub {
    /// A session appeared on another path. Nothing is done for it there until that path has
    /// answered a challenge (RFC 9000 §8.2, §9.3). Returns whether the datagram may be used now.
    pub(super) fn follow(
        &mut self,
        id: PeerId,
        path: Path,
        datagram: &Datagram<'_>,
        bytes: usize,
        now: Now,
    ) -> bool {
        let session = datagram.header.session;
        let Some(mut peer) = self.peers.get_mut(id) else { return false };
        if !peer.link.as_datagrams().is_some_and(|link| link.is_newest(&datagram.header)) {
            return false;
        }
        let answered = datagram.frames().any(|frame| match frame {
            Frame::PathResponse(cookie) => {
                self.cookies.accepts_path(&cookie, &path, session, now.mono)
            }
            _ => false,
        });
        if answered {
            return self.relocate(id, path);
        }
        if bytes >= PATH_CHALLENGE_LEN {
            let cookie = self.cookies.issue_path(&path, session, now.mono);
            self.counters.challenges += 1;
            self.answer(path, session, &Frame::PathChallenge(cookie), now);
        }
        false
    }

    /// The peer, or this server for the peer, has another address, which is proven. Returns whether
    /// that address has room for one more peer.
    pub(super) fn relocate(&mut self, id: PeerId, path: Path) -> bool {
        if !self.registry.relocate(id, path) {
            return false;
        }
        if let Some(mut peer) = self.peers.get_mut(id) {
            peer.path = path;
            if let Some(link) = peer.link.as_datagrams() {
                link.set_path(base_datagram(path.remote.is_ipv6()), self.now);
            }
        }
        self.tell_move(id, path);
        true
    }

    pub(super) fn tell_move(&mut self, id: PeerId, path: Path) {
        if let Some(entry) = self.registry.entry(id) {
            let nickname = entry.nickname.to_string();
            self.events.push_back(Event::Moved { nickname, path });
        }
    }

    /// The peers whose packets cross the UDP sockets: their addresses and nicknames.
    pub fn datagram_peers(&self) -> impl Iterator<Item = (SocketAddr, &str)> {
        let udp = |peer: &&Peer| matches!(peer.transport(), Transport::Udp | Transport::Quic);
        self.peers.iter().filter(udp).filter_map(|peer| {
            let entry = self.registry.entry(peer.id)?;
            Some((peer.path.remote, entry.nickname.as_str()))
        })
    }

    /// The kernel of this machine refuses to send datagrams of this size on a path.
    pub fn handle_refused_size(&mut self, path: Path, bytes: usize, now: Now) {
        let there: Vec<_> =
            self.peers.iter().filter(|peer| peer.path == path).map(|peer| peer.id).collect();
        for id in there {
            if let Some(mut peer) = self.peers.get_mut(id)
                && let Some(link) = peer.link.as_datagrams()
            {
                link.refuse_size(bytes, now.mono);
                peer.touch();
            }
        }
    }
}
