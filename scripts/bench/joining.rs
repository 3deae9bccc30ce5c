//! The join of a peer over UDP: its datagrams, their pauses, and the link that begins with
//! `Welcome`.

use chatagram::link::{Link, Role};
use chatagram::net::Socket;
use chatagram::protocol::limits::{JOIN_RETRY, JOIN_RETRY_MAX, JOIN_SIZE};
use chatagram::protocol::{
    Cookie, Datagram, DatagramWriter, Delivery, Frame, Header, Join, ServerMessage, Welcome,
    decode_message,
};
use chatagram::time::Timestamp;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

pub(crate) struct Joining {
    nickname: String,
    nonce: u64,
    delivery: Delivery,
    cookie: Option<Cookie>,
    pub(crate) due: Timestamp,
    pause: Duration,
}

impl Joining {
    pub(crate) fn new(index: usize, delivery: Delivery) -> Self {
        let (nickname, nonce) = (format!("u{index}"), index as u64 + 1);
        Self { nickname, nonce, delivery, cookie: None, due: Timestamp::ZERO, pause: JOIN_RETRY }
    }

    /// Sends a `Join` if one is due.
    pub(crate) fn flush(&mut self, socket: &Socket, server: SocketAddr, now: Timestamp) {
        if self.due > now {
            return;
        }
        let mut bytes = Vec::new();
        let mut writer = DatagramWriter::new(&mut bytes);
        writer.push(&Frame::Join(Join {
            nonce: self.nonce,
            cookie: self.cookie.as_ref().map_or(&[], |cookie| &cookie[..]),
            nickname: &self.nickname,
            delivery: self.delivery,
            ..Join::default()
        }));
        writer.pad_to(JOIN_SIZE);
        writer.finish(&Header::default());
        socket.send(&bytes, server);
        self.due = now + self.pause;
        self.pause = (2 * self.pause).min(JOIN_RETRY_MAX);
    }

    /// The link, if this datagram has the `Welcome`.
    pub(crate) fn receive(
        &mut self,
        datagram: &Datagram<'_>,
        now: Timestamp,
    ) -> io::Result<Option<Box<Link>>> {
        match datagram.frames().next() {
            Some(Frame::Challenge { cookie, .. }) if self.cookie.replace(cookie).is_none() => {
                (self.due, self.pause) = (Timestamp::ZERO, JOIN_RETRY);
            }
            Some(Frame::Refused { detail, .. }) => return Err(io::Error::other(detail.to_owned())),
            _ if let Some(heartbeat) = datagram.frames().find_map(heartbeat) => {
                let session = datagram.header.session;
                return Ok(Some(Box::new(Link::new(session, Role::Client { heartbeat }, 1, now))));
            }
            _ => {}
        }
        Ok(None)
    }
}

/// The heartbeat interval, if this message is the peer's `Welcome`.
pub(crate) fn heartbeat(frame: Frame<'_>) -> Option<Duration> {
    let (Frame::Ordered { payload, .. } | Frame::Once { payload }) = frame else { return None };
    match decode_message(payload) {
        Ok(ServerMessage::Welcome(Welcome { heartbeat_ms, .. })) => {
            Some(Duration::from_millis(heartbeat_ms.into()))
        }
        _ => None,
    }
}
