//! Discovery: the command that lists servers, and the choice for a client without a server name.

use super::{COULD_NOT_START, REFUSED, UNREACHABLE, USAGE, fail, start_logging, tell};
use crate::cli::{DiscoverArgs, LangArgs, LoggingArgs};
use chatagram::client::Format;
use chatagram::client::discovery::{Asked, Outcome, WAIT, search};
use chatagram::discovery::{Found, Known, SEARCH_WINDOW};
use chatagram::net::ServerName;
use chatagram::words::Language;
use log::LevelFilter;
use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal};
use std::net::SocketAddr;
use std::process::ExitCode;
use unicode_width::UnicodeWidthStr;

/// Largest number of interfaces listed by name.
const SHOWN: usize = 16;

/// Runs `discover`.
pub(crate) fn discover(args: &DiscoverArgs, lang: LangArgs, logging: &LoggingArgs) -> ExitCode {
    let say = lang.language(args.output);
    if let Err(code) = start_logging(logging, LevelFilter::Warn, say) {
        return code;
    }
    let outcome = match search(args.wait, None) {
        Ok(outcome) => outcome,
        Err(error) => return fail(COULD_NOT_START, say.search_failed(&error)),
    };
    if outcome.found.is_empty() {
        return fail(UNREACHABLE, no_answer(&outcome, say));
    }
    if !outcome.left_out.is_empty() {
        log::warn!("{}", left_out(&outcome.left_out, Language::En));
    }
    match args.output {
        Format::Text => table(&outcome.found, say).iter().for_each(|line| tell(line)),
        Format::Json => outcome.found.iter().map(object).for_each(|line| tell(&line)),
    }
    ExitCode::SUCCESS
}

/// The server to join: the one found, or the one of several that the user chooses.
pub(super) fn choose(
    format: Format,
    say: Language,
) -> Result<(ServerName, Option<Known>), ExitCode> {
    let outcome = search(WAIT, Some(SEARCH_WINDOW))
        .map_err(|error| fail(COULD_NOT_START, say.cannot_search(&error)))?;
    let chosen = match &outcome.found[..] {
        [] => return Err(fail(UNREACHABLE, no_answer(&outcome, say))),
        [one] => one,
        several => {
            let mut input = io::stdin().lock();
            let person =
                format == Format::Text && io::stdout().is_terminal() && input.is_terminal();
            let chosen = if person { ask(several, &mut input, say, tell) } else { None };
            chosen.ok_or_else(|| fail(USAGE, undecided(several, say)))?
        }
    };
    let Some(address) = chosen.addresses.first().copied() else {
        return Err(fail(UNREACHABLE, no_answer(&outcome, say)));
    };
    if chosen.is_private() {
        return Err(fail(REFUSED, say.private_room(address)));
    }
    if format == Format::Text {
        tell(&say.found_room(&chosen.room, address, chosen.peers));
    }
    Ok((address.into(), Some(Known::new(chosen, &outcome.found))))
}

/// Asks until there is an answer; `None` if the input ends.
fn ask<'a>(
    found: &'a [Found],
    input: &mut impl BufRead,
    language: Language,
    mut say: impl FnMut(&str),
) -> Option<&'a Found> {
    for (number, line) in (0..).zip(table(found, language)) {
        match number {
            0 => say(&format!("    {line}")),
            _ => say(&format!("{number:>3} {line}")),
        }
    }
    loop {
        say(&language.which_room(found.len()));
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
fn table(found: &[Found], language: Language) -> Vec<String> {
    let private = language.needs_a_ticket();
    let name = |one: &Found| if one.is_private() { &private } else { &one.room }.to_owned();
    let [room, here, address] = language.room_titles();
    let width = found.iter().map(|one| name(one).width()).max().unwrap_or(0).max(room.width());
    let pad = " ".repeat(width - room.width());
    let mut lines = vec![format!("{room}{pad}  {here}  {address}")];
    for one in found {
        let addresses: Vec<_> = one.addresses.iter().map(SocketAddr::to_string).collect();
        let pad = " ".repeat(width - name(one).width());
        let peers = if one.is_private() { "?".to_owned() } else { one.peers.to_string() };
        let peers = format!("{peers:>0$}", here.width());
        lines.push(format!("{}{pad}  {peers}  {}", name(one), addresses.join(", ")));
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
fn undecided(found: &[Found], language: Language) -> String {
    let mut text = language.several_servers();
    for line in table(found, language) {
        let _ = write!(text, "\n  {line}");
    }
    text
}

/// The message for a search without an answer.
fn no_answer(outcome: &Outcome, say: Language) -> String {
    let mut text = say.nobody_answered(!outcome.asked.is_empty());
    for Asked { way, failed } in outcome.asked.iter().take(SHOWN) {
        let to: Vec<_> = way.to.iter().map(|to| to.ip().to_string()).collect();
        let _ = write!(text, "\n  {}: {}", way.interface, to.join(", "));
        if !way.from.is_unspecified() {
            text += &say.asked_from(way.from);
        }
        if let Some(error) = failed {
            let _ = write!(text, ": {error}");
        }
    }
    let more: Vec<_> = outcome.asked.iter().skip(SHOWN).map(|it| &it.way.interface).collect();
    if !more.is_empty() {
        let _ = write!(text, "\n  {}", say.asked_likewise(&listed(&more, say)));
    }
    if !outcome.left_out.is_empty() {
        let _ = write!(text, "\n{}", left_out(&outcome.left_out, say));
    }
    text.push('\n');
    text + &say.why_nobody_answered()
}

/// The interfaces left out, the least likely ones.
fn left_out(names: &[String], say: Language) -> String {
    let names: Vec<_> = names.iter().collect();
    say.not_asked(&listed(&names, say))
}

/// A list of names, shortened.
fn listed(names: &[&String], say: Language) -> String {
    let mut names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
    names.dedup();
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    names.join(", ") + &say.and_more(more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Language::En as ENGLISH;
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
            table(&found, ENGLISH),
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
            table(&found(), ENGLISH),
            [
                "ROOM  HERE  ADDRESS",
                "lab      3  10.0.0.1:2428, [fe80::1%2]:2428",
                "小屋     3  10.0.0.2:2428",
            ]
        );
        // A Chinese character takes two columns.
        assert_eq!(
            table(&found(), Language::Zh),
            [
                "房间  在场  地址",
                "lab      3  10.0.0.1:2428, [fe80::1%2]:2428",
                "小屋     3  10.0.0.2:2428",
            ]
        );
        assert_eq!(
            table(&found(), Language::Ru)[..2],
            ["КОМНАТА  ЗДЕСЬ  АДРЕС", "lab          3  10.0.0.1:2428, [fe80::1%2]:2428",]
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
            let mut said = table(&found, ENGLISH);
            ask(&found, &mut &b"1\n"[..], ENGLISH, |line| said.push(line.to_owned()));
            said.push(object(&found[0]));
            said.extend(undecided(&found, ENGLISH).split('\n').map(str::to_owned));
            assert_eq!(said.len(), 2 + 3 + 1 + 3, "{said:?}");
            assert!(said.iter().all(|line| chatagram::protocol::is_clean(line)), "{said:?}");
        }
    }

    #[test]
    fn the_question_repeats_until_it_is_answered() {
        let found = found();
        let mut said = Vec::new();
        let mut input = &b"\n0\n3\nx\n 2 \n1\n"[..];
        let chosen = ask(&found, &mut input, ENGLISH, |line| said.push(line.to_owned())).unwrap();
        assert_eq!((chosen.room.as_str(), input), ("小屋", &b"1\n"[..]));
        assert_eq!(said[2], "  2 小屋     3  10.0.0.2:2428");
        assert_eq!(said.len(), 3 + 5);
        assert_eq!(ask(&found, &mut &b"9"[..], ENGLISH, |_| {}), None);
        assert!(undecided(&found, ENGLISH).contains("name one: chatagram client ADDRESS\n  ROOM"));
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
        let text = no_answer(&outcome, ENGLISH);
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
        assert!(no_answer(&Outcome::default(), ENGLISH).contains("no network interface"));
        let many: Vec<_> = (0..99).map(|n| format!("veth{n}")).collect();
        assert!(left_out(&many, ENGLISH).ends_with(", veth15 and 83 more"));
    }
}
