//! Discovery: the command that lists servers, and the choice for a client without a server name.

use super::{COULD_NOT_START, REFUSED, UNREACHABLE, USAGE, fail, start_logging, tell};
use crate::cli::{DiscoverArgs, LoggingArgs};
use chatagram::client::Format;
use chatagram::client::discovery::{Asked, Outcome, WAIT, search};
use chatagram::discovery::{Found, Known, SEARCH_WINDOW};
use chatagram::net::ServerName;
use log::LevelFilter;
use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal};
use std::net::SocketAddr;
use std::process::ExitCode;
use unicode_width::UnicodeWidthStr;

/// Largest number of interfaces listed by name.
const SHOWN: usize = 16;

/// Stands for the name of a private room.
const PRIVATE: &str = "(private: needs a ticket)";

/// Possible reasons for no answer, and the way out.
const WHY: &str = "\
Possible reasons:
  - no server runs on this network, or it was started with --no-discovery or on 127.0.0.1 alone
  - the Wi-Fi separates its devices (\"AP isolation\", \"client isolation\", guest networks)
  - this machine or the server's is WSL, a container or a virtual machine with a network of its own
  - a firewall blocks UDP port 2429 on the server's machine, or the answer on this one
Join by the server's address, which needs no discovery:
  chatagram client HOST";

/// Runs `discover`.
pub(crate) fn discover(args: &DiscoverArgs, logging: &LoggingArgs) -> ExitCode {
    if let Err(code) = start_logging(logging, LevelFilter::Warn) {
        return code;
    }
    let outcome = match search(args.wait, None) {
        Ok(outcome) => outcome,
        Err(error) => return fail(COULD_NOT_START, format!("cannot search for servers: {error}")),
    };
    if outcome.found.is_empty() {
        return fail(UNREACHABLE, no_answer(&outcome));
    }
    if !outcome.left_out.is_empty() {
        log::warn!("{}", left_out(&outcome.left_out));
    }
    match args.output {
        Format::Text => table(&outcome.found).iter().for_each(|line| tell(line)),
        Format::Json => outcome.found.iter().map(object).for_each(|line| tell(&line)),
    }
    ExitCode::SUCCESS
}

/// The server to join: the one found, or the one of several that the user chooses.
pub(super) fn choose(format: Format) -> Result<(ServerName, Option<Known>), ExitCode> {
    let outcome = search(WAIT, Some(SEARCH_WINDOW)).map_err(|error| {
        fail(
            COULD_NOT_START,
            format!("cannot search for servers: {error}; name one: chatagram client HOST"),
        )
    })?;
    let chosen = match &outcome.found[..] {
        [] => return Err(fail(UNREACHABLE, no_answer(&outcome))),
        [one] => one,
        several => {
            let talking = format == Format::Text && io::stdout().is_terminal();
            let mut input = io::stdin().lock();
            let chosen =
                if talking && input.is_terminal() { ask(several, &mut input, tell) } else { None };
            chosen.ok_or_else(|| fail(USAGE, undecided(several)))?
        }
    };
    let Some(address) = chosen.addresses.first().copied() else {
        return Err(fail(UNREACHABLE, no_answer(&outcome)));
    };
    if chosen.is_private() {
        let text = format!(
            "the room at {address} is private: ask its host for the ticket, and join with \
             chatagram client TICKET"
        );
        return Err(fail(REFUSED, text));
    }
    if format == Format::Text {
        tell(&format!("found \"{}\" at {address}, {} here", chosen.room, chosen.peers));
    }
    Ok((address.into(), Some(Known::new(chosen, &outcome.found))))
}

/// Asks until there is an answer; `None` if the input ends.
fn ask<'a>(
    found: &'a [Found],
    input: &mut impl BufRead,
    mut say: impl FnMut(&str),
) -> Option<&'a Found> {
    for (number, line) in (0..).zip(table(found)) {
        match number {
            0 => say(&format!("    {line}")),
            _ => say(&format!("{number:>3} {line}")),
        }
    }
    loop {
        say(&format!("Which one? 1 to {}, then Enter", found.len()));
        let mut line = String::new();
        match input.read_line(&mut line) {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
        let number = line.trim().parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        if let Some(chosen) = number.and_then(|index| found.get(index)) {
            return Some(chosen);
        }
    }
}

/// A heading, and a line for each server.
fn table(found: &[Found]) -> Vec<String> {
    let name = |one: &Found| if one.is_private() { PRIVATE } else { &one.room }.to_owned();
    let width = found.iter().map(|one| name(one).width()).max().unwrap_or(0).max("ROOM".len());
    let mut lines = vec![format!("ROOM{}  HERE  ADDRESS", " ".repeat(width - 4))];
    for one in found {
        let addresses: Vec<_> = one.addresses.iter().map(SocketAddr::to_string).collect();
        let pad = " ".repeat(width - name(one).width());
        let peers = if one.is_private() { "?".to_owned() } else { one.peers.to_string() };
        lines.push(format!("{}{pad}  {peers:>4}  {}", name(one), addresses.join(", ")));
    }
    lines
}

fn object(found: &Found) -> String {
    let address = found.addresses.first();
    serde_json::json!({
        "event": "found",
        "private": found.is_private(),
        "room": (!found.is_private()).then_some(&found.room),
        "peers": (!found.is_private()).then_some(found.peers),
        "address": address,
        "addresses": found.addresses,
    })
    .to_string()
}

/// The error for several rooms without a terminal to ask.
fn undecided(found: &[Found]) -> String {
    let mut text = "several servers are here, name one: chatagram client ADDRESS".to_owned();
    for line in table(found) {
        let _ = write!(text, "\n  {line}");
    }
    text
}

/// The message for a search without an answer.
fn no_answer(outcome: &Outcome) -> String {
    let mut text = "no server answered.".to_owned();
    match outcome.asked[..] {
        [] => text.push_str(" No probe was sent: no network interface is up"),
        _ => text.push_str(" Probes were sent on:"),
    }
    for Asked { way, failed } in outcome.asked.iter().take(SHOWN) {
        let to: Vec<_> = way.to.iter().map(|to| to.ip().to_string()).collect();
        let _ = write!(text, "\n  {}: {}", way.interface, to.join(", "));
        if !way.from.is_unspecified() {
            let _ = write!(text, " from {}", way.from);
        }
        if let Some(error) = failed {
            let _ = write!(text, ": {error}");
        }
    }
    let more: Vec<_> = outcome.asked.iter().skip(SHOWN).map(|it| &it.way.interface).collect();
    if !more.is_empty() {
        let _ = write!(text, "\n  and in the same way: {}", listed(&more));
    }
    if !outcome.left_out.is_empty() {
        let _ = write!(text, "\n{}", left_out(&outcome.left_out));
    }
    text.push('\n');
    text + WHY
}

/// The interfaces left out, the least likely ones.
fn left_out(names: &[String]) -> String {
    let names: Vec<_> = names.iter().collect();
    format!("Not probed, because there are too many interfaces: {}", listed(&names))
}

/// A list of names, shortened.
fn listed(names: &[&String]) -> String {
    let mut names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
    names.dedup();
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    match more {
        0 => names.join(", "),
        _ => format!("{} and {more} more", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatagram::discovery::{Interface, InterfaceKind, Network, Search, probe_routes};
    use chatagram::protocol::{DatagramWriter, Flags, Frame, Header};
    use chatagram::time::Timestamp;

    fn found() -> Vec<Found> {
        let now = Timestamp::ZERO;
        let mut search = Search::new(1, WAIT, None, now);
        for (server, room, from) in
            [(1, "lab", "10.0.0.1:9"), (1, "lab", "[fe80::1%2]:9"), (2, "小屋", "10.0.0.2:9")]
        {
            let mut bytes = Vec::new();
            let mut writer = DatagramWriter::new(&mut bytes);
            writer.push(&Frame::Found { nonce: 1, server, port: 2428, peers: 3, room });
            writer.finish(&Header { flags: Flags::FROM_SERVER, ..Header::default() });
            search.handle_datagram(from.parse().unwrap(), &bytes, now);
        }
        search.into_found()
    }

    #[test]
    fn a_private_room_is_listed_without_its_name() {
        let now = Timestamp::ZERO;
        let mut search = Search::new(1, WAIT, None, now);
        let mut bytes = Vec::new();
        let mut writer = DatagramWriter::new(&mut bytes);
        writer.push(&Frame::Found { nonce: 1, server: 1, port: 2428, peers: 0, room: "" });
        writer.finish(&Header { flags: Flags::FROM_SERVER, ..Header::default() });
        search.handle_datagram("10.0.0.1:9".parse().unwrap(), &bytes, now);
        let found = search.into_found();
        assert_eq!(
            table(&found),
            [
                "ROOM                       HERE  ADDRESS",
                "(private: needs a ticket)     ?  10.0.0.1:2428",
            ]
        );
        let value: serde_json::Value = serde_json::from_str(&object(&found[0])).unwrap();
        assert_eq!((&value["private"], &value["room"]), (&true.into(), &().into()));
    }

    #[test]
    fn results_are_a_table_or_objects() {
        assert_eq!(
            table(&found()),
            [
                "ROOM  HERE  ADDRESS",
                "lab      3  10.0.0.1:2428, [fe80::1%2]:2428",
                "小屋     3  10.0.0.2:2428",
            ]
        );
        let value: serde_json::Value = serde_json::from_str(&object(&found()[0])).unwrap();
        assert_eq!(value["address"], "10.0.0.1:2428");
        assert_eq!(value["addresses"][1], "[fe80::1%2]:2428");
        assert_eq!((&value["room"], &value["peers"]), (&"lab".into(), &3.into()));
    }

    /// Every character in a room's name: `Search` cleans it, and this output keeps it clean.
    #[test]
    fn room_names_are_escaped_for_the_terminal() {
        let every: Vec<char> = ('\0'..=char::MAX).collect();
        // A name of the largest length.
        for some in every.chunks(32) {
            let (now, room) = (Timestamp::ZERO, String::from_iter(some));
            let mut search = Search::new(1, WAIT, None, now);
            let mut bytes = Vec::new();
            let mut writer = DatagramWriter::new(&mut bytes);
            writer.push(&Frame::Found { nonce: 1, server: 1, port: 2428, peers: 3, room: &room });
            writer.finish(&Header { flags: Flags::FROM_SERVER, ..Header::default() });
            search.handle_datagram("10.0.0.1:9".parse().unwrap(), &bytes, now);
            let found = search.into_found();
            assert_eq!(found.len(), 1);
            let mut said = table(&found);
            ask(&found, &mut &b"1\n"[..], |line| said.push(line.to_owned()));
            said.push(object(&found[0]));
            said.extend(undecided(&found).split('\n').map(str::to_owned));
            assert_eq!(said.len(), 2 + 3 + 1 + 3, "{said:?}");
            assert!(said.iter().all(|line| chatagram::protocol::is_clean(line)), "{said:?}");
        }
    }

    #[test]
    fn the_question_repeats_until_it_is_answered() {
        let found = found();
        let mut said = Vec::new();
        let mut input = &b"\n0\n3\nx\n 2 \n1\n"[..];
        let chosen = ask(&found, &mut input, |line| said.push(line.to_owned())).unwrap();
        assert_eq!((chosen.room.as_str(), input), ("小屋", &b"1\n"[..]));
        assert_eq!(said[2], "  2 小屋     3  10.0.0.2:2428");
        assert_eq!(said.len(), 3 + 5);
        assert_eq!(ask(&found, &mut &b"9"[..], |_| {}), None);
        assert!(undecided(&found).contains("name one: chatagram client ADDRESS\n  ROOM"));
    }

    #[test]
    fn a_search_without_answer_names_interfaces_and_remedy() {
        let networks = ["10.0.0.5", "fe80::1"]
            .map(|ip| Network { ip: ip.parse().unwrap(), prefix: 24 })
            .to_vec();
        let name = "eth0".to_owned();
        let kind = InterfaceKind::Device;
        let lan = Interface { name, index: 2, point_to_point: false, kind, networks };
        let mut asked: Vec<_> =
            probe_routes(&[lan]).into_iter().map(|way| Asked { way, failed: None }).collect();
        asked[1].failed = Some("no route".to_owned());
        let outcome = Outcome { asked, left_out: vec!["veth7".to_owned()], ..Outcome::default() };
        let text = no_answer(&outcome);
        for part in [
            "\n  eth0: 10.0.0.255, 239.255.67.71 from 10.0.0.5\n",
            "\n  eth0: ff12::4347: no route\n",
            "\nNot probed, because there are too many interfaces: veth7\n",
            "isolation",
            "WSL",
            "firewall",
            "chatagram client HOST",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
        assert!(no_answer(&Outcome::default()).contains("no network interface"));
        let many: Vec<_> = (0..99).map(|n| format!("veth{n}")).collect();
        assert!(left_out(&many).ends_with(", veth15 and 83 more"));
    }
}
