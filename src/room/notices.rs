//! What the room tells all peers about itself, and newcomers as long as it holds.

use super::{Kind, Recipients, Room};
use crate::protocol::{ServerList, ServerMessage};
use std::net::SocketAddr;

impl Room {
    /// Sends a notice to all peers.
    pub(crate) fn notify(&mut self, text: &str) {
        self.post(Recipients::All, Kind::Control, &ServerMessage::Notice { text });
    }

    /// Sends a warning to all peers, and to newcomers until it is over.
    pub(crate) fn warn(&mut self, text: &str) {
        self.warning = Some(text.to_owned());
        self.notify(text);
    }

    /// Tells all peers that the warning is over.
    pub(crate) fn all_clear(&mut self, text: &str) {
        self.warning = None;
        self.notify(text);
    }

    /// The topic.
    #[must_use]
    pub(crate) fn topic(&self) -> Option<&str> {
        self.topic.as_deref()
    }

    /// Tells all peers, and newcomers, what the room is about.
    pub(crate) fn set_topic(&mut self, topic: Option<String>) {
        let text = topic.as_deref().unwrap_or_default();
        self.post(Recipients::All, Kind::Control, &ServerMessage::Topic { text });
        self.topic = topic;
    }

    /// Tells all peers, and newcomers, where the room's other servers are, if that changes.
    pub(crate) fn list_servers(&mut self, addresses: Vec<SocketAddr>) {
        if self.servers != addresses {
            ::log::info!("the room's other servers: {addresses:?}");
            let mut bytes = Vec::new();
            let servers = ServerList::encode(&addresses, &mut bytes);
            self.post(Recipients::All, Kind::Control, &ServerMessage::Servers { servers });
            self.servers = addresses;
        }
    }
}
