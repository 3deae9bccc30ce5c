//! Requests as arguments of scripts, and replies, entries and mail as values. What the engine holds
//! is untrusted: other programs can write there.

use super::connection::{Link, Script};
use crate::engine::{
    Answer, Ask, Change, Claim, Content, Entry, Fence, Mail, Place, Refused, Request, Said, Seat,
    ServerEntry, ServerId,
};
use crate::protocol::limits::{
    ENGINE_EXPIRY, MAIL_WAIT, MAX_NAME, MAX_POSITION, MAX_SEATS, MAX_TEXT, NAME_HOLD,
};
use crate::protocol::{LeaveReason, clean, clip};
use crate::registry::Owner;
use crate::room::LineIdentity;
use crate::server::engine::MAX_ADVERTISED;
use crate::time::WallTime;
use redis::{Cmd, Value};
use std::net::SocketAddr;
use std::time::Duration;

/// Entries that stay in the log, about.
const LOG: usize = 100_000;
/// Line identities that the engine remembers, the newest.
const IDENTITIES: usize = 65_536;
/// Seats of dead servers that one renewal removes.
const SWEEP: usize = 1_024;
/// Mail that waits for a server, about.
const MAILS: usize = 4_096;

/// Servers of a room that a server knows.
const SERVERS: usize = 1_024;
const REASONS: [(LeaveReason, &str); 6] = [
    (LeaveReason::Quit, "quit"),
    (LeaveReason::Timeout, "timeout"),
    (LeaveReason::Shutdown, "shutdown"),
    (LeaveReason::Flood, "flood"),
    (LeaveReason::Restart, "restart"),
    (LeaveReason::Kicked, "kicked"),
];

/// The call that carries out a request. `read` is the last mail that was read.
pub(super) fn command(link: &Link, request: &Request, read: u64) -> Cmd {
    let mut call = link.call(match &*request.ask {
        Ask::Attach { .. } => Script::Attach,
        Ask::Renew { .. } => Script::Renew,
        Ask::Claim(_) => Script::Claim,
        Ask::Leave { .. } => Script::Leave,
        Ask::Say(_) => Script::Say,
        Ask::Mail(_) => Script::Mail,
    });
    call.arg(hex(request.server.0)).arg(request.attach).arg(request.number);
    let (expiry, hold) = (millis(ENGINE_EXPIRY), millis(NAME_HOLD));
    match &*request.ask {
        Ask::Attach { resume, epoch, addresses } => {
            let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            write_place(&mut call, *resume);
            call.arg(hex(*epoch)).arg(addresses.join(" ")).arg(expiry).arg(hold).arg(LOG);
        }
        Ask::Renew { read: place } => {
            write_place(&mut call, *place);
            call.arg(expiry).arg(hold).arg(SWEEP).arg(read).arg(LOG);
        }
        Ask::Claim(Claim { key, nickname, proof, next }) => {
            call.arg(key).arg(nickname).arg(hex_bytes(&proof.0)).arg(hex(proof.owner().0));
            call.arg(*next).arg(expiry).arg(hold).arg(MAX_SEATS).arg(LOG);
        }
        Ask::Leave { fence, reason, next, hold: is_held } => {
            call.arg(fence.0).arg(word(*reason)).arg(*next);
            call.arg(if *is_held { hold } else { 0 }).arg(LOG);
        }
        Ask::Say(Said { fence, identity, at, upstream, from, text }) => {
            call.arg(fence.0).arg(hex(identity.owner.0)).arg(identity.number).arg(at.0);
            call.arg(*upstream).arg(from).arg(text).arg(IDENTITIES).arg(LOG);
        }
        Ask::Mail(Mail { from, to, until, content }) => {
            call.arg(to.0).arg(*until).arg(millis(MAIL_WAIT)).arg(MAILS);
            call.arg("from").arg(from.0).arg("until").arg(*until);
            write_content(&mut call, content);
        }
    }
    call
}

fn write_place(call: &mut Cmd, place: Option<Place>) {
    match place {
        Some(Place { epoch, position, chain }) => {
            call.arg(hex(epoch)).arg(position).arg(hex(chain))
        }
        None => call.arg("").arg("").arg(""),
    };
}

fn write_content(call: &mut Cmd, content: &Content) {
    match content {
        Content::Whisper { number, at, upstream, text } => {
            call.arg("whisper").arg(*number).arg("at").arg(at.0);
            call.arg("upstream").arg(*upstream).arg("text").arg(text);
        }
        Content::Receipt { number, delivered } => {
            call.arg("receipt").arg(*number).arg("delivered").arg(u8::from(*delivered));
        }
        Content::Ping { number } => {
            call.arg("ping").arg(*number);
        }
        Content::Pong { number } => {
            call.arg("pong").arg(*number);
        }
    }
}

/// The answer in a script's reply, but that to `Attach`; `None` if it is no reply of a script.
pub(super) fn answer(request: u64, reply: &Value) -> Option<Answer> {
    let items = list(reply)?;
    let number = |at: usize| number(items.get(at)?);
    let refused = |why| Some(Answer::Refused { request, why });
    match text(items.first()?)? {
        "kept" => Some(Answer::Kept { request }),
        "repeated" => Some(Answer::Repeated { request, position: number(1)? }),
        "stale" => Some(Answer::Stale { request }),
        "taken" => refused(Refused::NameTaken),
        "held" => refused(Refused::NameHeld(Duration::from_millis(number(1)?))),
        "full" => refused(Refused::Full),
        "fenced" => refused(Refused::Fenced),
        "nobody" => refused(Refused::NotHere),
        "renewed" => {
            let (clock, servers) = (number(1)?, servers(items.get(2)?));
            Some(Answer::Renewed { request, clock, servers })
        }
        _ => None,
    }
}

/// The servers in a reply, and their addresses.
pub(super) fn servers(value: &Value) -> Vec<ServerEntry> {
    let (pairs, _) = list(value).unwrap_or_default().as_chunks();
    let entry = |[server, addresses]: &[Value; 2]| {
        let addresses = text(addresses)?.split(' ').filter_map(|it| it.parse().ok());
        let addresses: Vec<SocketAddr> = addresses.take(MAX_ADVERTISED).collect();
        Some(ServerEntry { server: ServerId(unhex(server)?), addresses })
    };
    pairs.iter().filter_map(entry).take(SERVERS).collect()
}

/// The fields of an item of a stream, and the first half of its id.
struct Item<'a> {
    id: u64,
    fields: &'a [[Value; 2]],
}

impl<'a> Item<'a> {
    fn read(item: &'a Value) -> Option<Self> {
        let [id, fields] = list(item)? else { return None };
        let (id, _) = text(id)?.split_once('-')?;
        let id = id.parse().ok().filter(|id| *id < MAX_POSITION)?;
        Some(Self { id, fields: list(fields)?.as_chunks().0 })
    }

    fn value(&self, name: &str) -> Option<&'a Value> {
        self.fields.iter().find(|[it, _]| text(it) == Some(name)).map(|[_, value]| value)
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.value(name).and_then(text)
    }

    fn parsed<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    fn hex(&self, name: &str) -> Option<u64> {
        self.value(name).and_then(unhex)
    }

    fn said(&self) -> Option<Said> {
        let identity =
            LineIdentity { owner: Owner(self.hex("owner")?), number: self.parsed("number")? };
        Some(Said {
            fence: Fence(self.parsed("fence")?),
            identity,
            at: WallTime(self.parsed("at")?),
            upstream: self.parsed("upstream")?,
            from: shortened(self.text("from")?, MAX_NAME),
            text: shortened(self.text("text")?, MAX_TEXT),
        })
    }
}

/// An entry of the log of this epoch; `None` if it is malformed.
pub(super) fn entry(item: &Value, epoch: u64) -> Option<Entry> {
    let item = Item::read(item)?;
    let place = Place { epoch, position: item.id, chain: item.hex("chain")? };
    let server = ServerId(item.hex("server")?);
    let change = match item.text("change")? {
        "said" => Change::Said(item.said()?),
        "joined" => Change::Joined {
            seat: Seat {
                fence: Fence(item.id),
                server,
                nickname: shortened(item.text("nickname")?, MAX_NAME),
                owner: Owner(item.hex("owner")?),
                next: item.parsed("next")?,
            },
            replaces: item.parsed("replaces").map(Fence),
        },
        "left" => {
            let reason = item.text("reason")?;
            let (reason, _) = REASONS.iter().find(|(_, word)| *word == reason)?;
            Change::Left {
                fence: Fence(item.parsed("fence")?),
                reason: *reason,
                next: item.parsed("next"),
            }
        }
        "began" => Change::Began,
        _ => return None,
    };
    // A new epoch's first entry names it.
    let place = Place { epoch: item.hex("epoch").unwrap_or(epoch), ..place };
    let before = item.hex("before")?;
    Some(Entry { place, before, server, request: item.parsed("request")?, change })
}

/// A line in the log with its position; `None` if the entry is another.
pub(super) fn line(item: &Value) -> Option<(u64, Said)> {
    let item = Item::read(item)?;
    Some((item.id, item.said().filter(|_| item.text("change") == Some("said"))?))
}

/// The first half of the id of an item.
pub(super) fn id(item: &Value) -> Option<u64> {
    Item::read(item).map(|item| item.id)
}

/// A mail; `None` if it is malformed.
pub(super) fn mail(item: &Value) -> Option<Mail> {
    let item = Item::read(item)?;
    let content = if let Some(number) = item.parsed("whisper") {
        let text = shortened(item.text("text")?, MAX_TEXT);
        let (at, upstream) = (WallTime(item.parsed("at")?), item.parsed("upstream")?);
        Content::Whisper { number, at, upstream, text }
    } else if let Some(number) = item.parsed("receipt") {
        Content::Receipt { number, delivered: item.text("delivered") == Some("1") }
    } else if let Some(number) = item.parsed("ping") {
        Content::Ping { number }
    } else {
        Content::Pong { number: item.parsed("pong")? }
    };
    Some(Mail {
        from: Fence(item.parsed("from")?),
        to: Fence(item.parsed("to")?),
        until: item.parsed("until")?,
        content,
    })
}

/// A seat of a snapshot: fence, record, number of its next line.
pub(super) fn seat(value: &Value) -> Option<Seat> {
    let [fence, record, next] = list(value)? else { return None };
    let mut fields = text(record)?.splitn(7, '\n');
    let server = ServerId(u64::from_str_radix(fields.next()?, 16).ok()?);
    let mut fields = fields.skip(2);
    let owner = Owner(u64::from_str_radix(fields.next()?, 16).ok()?);
    let joined = fields.next()?.parse().ok()?;
    let mut fields = fields.skip(1);
    let nickname = shortened(fields.next()?, MAX_NAME);
    let next = number(next).and_then(|it| u16::try_from(it).ok()).unwrap_or(joined);
    Some(Seat { fence: Fence(number(fence)?), server, nickname, owner, next })
}

pub(super) fn list(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

pub(super) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        value => text(value)?.parse().ok(),
    }
}

pub(super) fn unhex(value: &Value) -> Option<u64> {
    u64::from_str_radix(text(value)?, 16).ok()
}

fn hex(number: u64) -> String {
    format!("{number:016x}")
}

fn hex_bytes(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn word(reason: LeaveReason) -> &'static str {
    REASONS.iter().find(|(it, _)| *it == reason).map_or("timeout", |(_, word)| word)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn shortened(text: &str, max: usize) -> String {
    clip(&clean(text), max).to_owned()
}

#[cfg(test)]
mod tests;
