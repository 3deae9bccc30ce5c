//! The firewall: whether it blocks the server's ports, as far as a user without root can tell. The
//! datagrams of [`nearby`](super::nearby) come in through a real interface.

use super::nearby::{self, Fate};
use super::remedy::{Fix, Remedy};
use super::{Check, State, ask};

/// The facts.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Active firewalls.
    pub(crate) active: Vec<&'static str>,
    /// That list is known to be complete.
    pub(crate) all_known: bool,
}

impl Facts {
    pub(super) fn gather(remedy: &Remedy) -> Self {
        if !cfg!(target_os = "linux") {
            return Self::default();
        }
        let mut active = Vec::new();
        // Its status needs root; its settings are readable.
        if ask::read("/etc/ufw/ufw.conf").is_some_and(|text| is_ufw_enabled(&text)) {
            active.push("ufw");
        }
        if ask::run("firewall-cmd", &["--state"]).is_some_and(|text| text.trim() == "running") {
            active.push("firewalld");
        }
        // Listing rules loads the kernel module, so it is asked only if that is loaded.
        let nft = is_loaded("nf_tables");
        let rules = (nft && remedy.root).then(|| ask::run("nft", &["list", "ruleset"])).flatten();
        let legacy = is_loaded("ip_tables").then(|| ask::read("/proc/net/ip_tables_names"));
        match &rules {
            Some(rules) if rules.contains("hook input") => active.push("nftables"),
            _ => {}
        }
        match &legacy {
            Some(Some(tables)) if tables.lines().any(|table| table == "filter") => {
                active.push("iptables");
            }
            _ => {}
        }
        let known = |there: bool, answered: bool| !there || answered;
        let all_known =
            known(nft, rules.is_some()) && known(legacy.is_some(), legacy != Some(None));
        Self { active, all_known }
    }
}

/// Loaded or built in; the latter is visible only with settings.
fn is_loaded(module: &str) -> bool {
    let modules = ask::read("/proc/modules").unwrap_or_default();
    modules.lines().any(|line| line.split(' ').next() == Some(module))
        || std::path::Path::new("/sys/module").join(module).exists()
        // If it is built in, its use is unknown.
        || modules.is_empty()
}

fn is_ufw_enabled(settings: &str) -> bool {
    settings.lines().any(|line| line.trim().eq_ignore_ascii_case("ENABLED=yes"))
}

/// The check, from the facts and the datagrams received.
pub(super) fn judge(facts: &Facts, heard: &nearby::Facts, remedy: &Remedy) -> Check {
    let check = |state, means: String| Check::new("firewall", state, means);
    let talk = come_in(heard, |one| &one.talk);
    let discovery = come_in(heard, |one| &one.groups[0]);
    let by = match facts.active.as_slice() {
        [] => "a firewall".to_owned(),
        names => names.join(" and "),
    };
    let closed: Vec<_> = [("2428", talk), ("2429", discovery)]
        .iter()
        .filter(|(_, come_in)| *come_in == Some(false))
        .map(|(port, _)| *port)
        .collect();
    if !closed.is_empty() {
        return check(
            State::Limited,
            format!(
                "datagrams to UDP {} do not come in through a network interface: {by} seems to \
                 block them",
                closed.join(" and ")
            ),
        )
        .with(open(facts, remedy));
    }
    let udp = match (talk, discovery) {
        (Some(_), Some(_)) => "UDP 2428 and 2429 come in",
        (Some(_), None) => "UDP 2428 comes in, UDP 2429 could not be tried",
        (None, Some(_)) => "UDP 2429 comes in, UDP 2428 could not be tried",
        _ => "no datagram could be tried",
    };
    match (facts.active.is_empty(), facts.all_known) {
        (true, true) => check(State::Ok, format!("none is active on this machine; {udp}")),
        (true, false) if remedy.root => check(
            State::Unknown,
            format!("{udp}; `nft` is missing, which tells whether a firewall blocks TCP 2428"),
        )
        .with(remedy.install("nftables", &[])),
        (true, false) => check(
            State::Unknown,
            format!("{udp}; only root can read whether a firewall blocks TCP 2428"),
        )
        .with(remedy.as_root("chatagram doctor")),
        (false, _) => check(
            State::Unknown,
            format!("{udp}; {by} may block TCP 2428, which cannot be tried from inside"),
        )
        .with(open(facts, remedy)),
    }
}

/// Returns true if datagrams come in on every tried interface; `None` if none was tried.
fn come_in(heard: &nearby::Facts, fate: impl Fn(&nearby::Heard) -> &Fate) -> Option<bool> {
    let tried = heard.interfaces.iter().map(fate);
    let mut tried = tried.filter(|fate| matches!(fate, Fate::Heard | Fate::Silent)).peekable();
    tried.peek()?;
    Some(tried.all(|fate| *fate == Fate::Heard))
}

/// The command that opens the ports, or shows the rules that block them.
fn open(facts: &Facts, remedy: &Remedy) -> Fix {
    let all = |commands: &[&str]| {
        let commands = commands.iter().map(|it| remedy.as_root(it).text().to_owned());
        Fix::Run(commands.collect::<Vec<_>>().join(" && "))
    };
    match facts.active.first() {
        Some(&"ufw") => all(&["ufw allow 2428", "ufw allow 2429/udp"]),
        Some(&"firewalld") => remedy
            .as_root("firewall-cmd --add-port=2428/udp --add-port=2428/tcp --add-port=2429/udp"),
        Some(&"iptables") => all(&[
            "iptables -I INPUT -p udp --dport 2428:2429 -j ACCEPT",
            "iptables -I INPUT -p tcp --dport 2428 -j ACCEPT",
        ]),
        _ if cfg!(target_os = "linux") => remedy.as_root("nft list ruleset"),
        _ => Fix::Say("let UDP 2428 and 2429 and TCP 2428 in".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(talk: Fate, discovery: Fate) -> nearby::Facts {
        let one = nearby::Heard {
            name: "eth0".to_owned(),
            broadcast: Fate::Heard,
            groups: [discovery, Fate::None],
            talk,
        };
        nearby::Facts { interfaces: vec![one], ..nearby::Facts::default() }
    }

    fn facts(active: &[&'static str], all_known: bool) -> Facts {
        Facts { active: active.to_vec(), all_known }
    }

    #[test]
    fn lost_datagrams_mean_blocked_and_the_firewall_s_command_is_named() {
        let blocked = heard(Fate::Silent, Fate::Heard);
        let check = judge(&facts(&["ufw"], false), &blocked, &Remedy::default());
        assert_eq!(check.state, State::Limited);
        assert!(check.means.contains("UDP 2428 do") && check.means.contains("ufw"), "{check:?}");
        let fix = check.fix.unwrap();
        assert_eq!(fix.text(), "sudo ufw allow 2428 && sudo ufw allow 2429/udp");
    }

    #[test]
    fn an_unknown_state_is_not_reported_as_open() {
        let state =
            |facts: &Facts, heard: &nearby::Facts| judge(facts, heard, &Remedy::default()).state;
        let open = heard(Fate::Heard, Fate::Heard);
        assert_eq!(state(&facts(&[], true), &open), State::Ok);
        assert_eq!(state(&facts(&[], false), &open), State::Unknown);
        assert_eq!(state(&facts(&["nftables"], true), &open), State::Unknown);
        assert_eq!(state(&facts(&[], false), &nearby::Facts::default()), State::Unknown);
        let taken = heard(Fate::Refused("in use".into()), Fate::Heard);
        let check = judge(&facts(&[], true), &taken, &Remedy::default());
        assert!(check.means.contains("2428 could not be tried"), "{check:?}");
    }

    #[test]
    fn ufw_is_active_if_its_settings_say_so() {
        assert!(is_ufw_enabled("# x\nENABLED=yes\n"));
        assert!(!is_ufw_enabled("ENABLED=no\n#ENABLED=yes\n"));
    }
}
