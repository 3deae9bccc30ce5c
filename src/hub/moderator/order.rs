//! What a moderator orders, as one line of text: from the operator's terminal, the host's client or
//! the room's page. No access to the hub.

use super::Answer;
use crate::protocol::limits::{MAX_MUTE, MAX_TOPIC, MUTE};
use crate::protocol::{Nickname, clean};
use crate::quantity;
use std::time::Duration;

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
    /// The mistake.
    pub(super) fn parse(line: &str) -> Result<Self, Answer> {
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
            _ => Err(Answer::NoOrder),
        }
    }
}

/// The first word, and the rest.
fn cut(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim())
}

fn nickname(name: &str) -> Result<Nickname, Answer> {
    let name = name.strip_prefix('@').unwrap_or(name);
    Nickname::parse(name).map_err(Answer::NoName)
}

fn time(text: &str) -> Result<Duration, Answer> {
    if text.is_empty() {
        return Ok(MUTE);
    }
    let time = quantity::any_duration(text).map_err(Answer::NoTime)?;
    match time {
        time if time.is_zero() || time > MAX_MUTE => Err(Answer::TimeTooLong),
        time => Ok(time),
    }
}

fn topic(text: &str) -> Result<Order, Answer> {
    match text {
        "" => Err(Answer::NoTopic),
        "-" => Ok(Order::Topic(None)),
        text if text.len() > MAX_TOPIC => Err(Answer::TopicTooLong { bytes: text.len() }),
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
