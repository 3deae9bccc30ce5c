//! What a moderator orders, as one line of text: from the operator's terminal, the host's client or
//! the room's page. No access to the hub.

use crate::protocol::limits::{MAX_MUTE, MAX_TOPIC, MUTE};
use crate::protocol::{Nickname, clean};
use crate::quantity;
use std::time::Duration;

const USAGE: &str = "the orders are: kick NAME [REASON], mute NAME [TIME], unmute NAME, \
                     unban NAME, topic TEXT (- for none), lock, unlock";

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Kick(Nickname, String),
    Mute(Nickname, Duration),
    Unmute(Nickname),
    Unban(Nickname),
    /// `None`: the room has no topic.
    Topic(Option<String>),
    Lock(bool),
}

impl Order {
    /// Parses a line, with or without a slash before it.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let line = clean(line);
        let line = line.trim();
        let line = line.strip_prefix('/').unwrap_or(line);
        let (word, rest) = cut(line);
        let (name, more) = cut(rest);
        match word {
            "kick" => Ok(Self::Kick(nickname(name)?, more.to_owned())),
            "mute" => Ok(Self::Mute(nickname(name)?, time(more)?)),
            "unmute" => nickname(name).map(Self::Unmute),
            "unban" => nickname(name).map(Self::Unban),
            "topic" => topic(rest),
            "lock" => Ok(Self::Lock(true)),
            "unlock" => Ok(Self::Lock(false)),
            _ => Err(USAGE.to_owned()),
        }
    }
}

/// The first word, and the rest.
fn cut(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim())
}

fn nickname(name: &str) -> Result<Nickname, String> {
    let name = name.strip_prefix('@').unwrap_or(name);
    Nickname::parse(name).map_err(|error| format!("{error}; {USAGE}"))
}

fn time(text: &str) -> Result<Duration, String> {
    if text.is_empty() {
        return Ok(MUTE);
    }
    let time = quantity::any_duration(text).map_err(|error| error.to_string())?;
    match time {
        time if time.is_zero() || time > MAX_MUTE => {
            Err("a peer is muted for at most a day, 86400s".to_owned())
        }
        time => Ok(time),
    }
}

fn topic(text: &str) -> Result<Order, String> {
    match text {
        "" => Err("a topic has a text, or - for none".to_owned()),
        "-" => Ok(Order::Topic(None)),
        text if text.len() > MAX_TOPIC => {
            Err(format!("the topic has {} bytes: shorten it to {MAX_TOPIC}", text.len()))
        }
        text => Ok(Order::Topic(Some(text.to_owned()))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn orders_parse_and_others_say_what_is_wrong() {
        let name = |name| Nickname::parse(name).unwrap();
        let minute = Duration::from_secs(60);
        for (line, order) in [
            ("kick bob", Order::Kick(name("bob"), String::new())),
            ("/kick @bob  too loud ", Order::Kick(name("bob"), "too loud".to_owned())),
            ("/kick bob \u{1b}[2J", Order::Kick(name("bob"), "\u{fffd}[2J".to_owned())),
            ("mute bob", Order::Mute(name("bob"), MUTE)),
            ("mute bob 60s", Order::Mute(name("bob"), minute)),
            ("unmute bob", Order::Unmute(name("bob"))),
            ("unban bob", Order::Unban(name("bob"))),
            ("topic what we do today", Order::Topic(Some("what we do today".to_owned()))),
            ("topic -", Order::Topic(None)),
            ("lock", Order::Lock(true)),
            ("/unlock", Order::Lock(false)),
        ] {
            assert_eq!(Order::parse(line), Ok(order), "{line}");
        }
        let long = format!("topic {}", "x".repeat(MAX_TOPIC + 1));
        for line in
            ["", "/", "kick", "kick a/b", "mute bob x", "mute bob 2d", "topic", "ban", &long]
        {
            assert!(Order::parse(line).is_err(), "{line}");
        }
    }
}
