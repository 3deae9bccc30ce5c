//! The options of a server, and the server they describe.

use super::{ImpairArgs, NetworkArgs, Switch, patience};
use crate::paths;
use chatagram::bucket::Limit;
use chatagram::net::parse_bind;
use chatagram::quantity;
use chatagram::registry::Capacity;
use chatagram::{hub, server};
use clap::Args;
use clap::builder::FalseyValueParser;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Heartbeat and expiry: those who fall silent are gone soon.
const USUAL: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));
/// The same where clients sit behind address translation: routers forget a UDP flow after 30 s of
/// silence, the strictest ones, so half of that.
const BEHIND_NAT: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(60));

/// Where metrics are read when nobody says where: on this machine only.
const METRICS: &str = "127.0.0.1:2430";

/// Options of a server.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// Listen here; can be given several times, or several with commas between them. '[::]' takes IPv4
    /// too, unless an IPv4 address with the same port is given; '[fe80::1%eth0]:2428' is one link's
    #[arg(
        long, value_name = "ADDR:PORT", default_value = "[::]:2428", value_parser = parse_bind,
        env = "CHATAGRAM_BIND", value_delimiter = ','
    )]
    pub(crate) bind: Vec<SocketAddr>,
    /// Append every line to this file, and replay its end to whoever joins [default: in your state
    /// directory, one for each port; none for port 0]
    #[arg(long, value_name = "FILE", env = "CHATAGRAM_HISTORY")]
    pub(crate) history: Option<PathBuf>,
    /// Keep no history file, whatever --history says
    #[arg(long, env = "CHATAGRAM_NO_HISTORY", value_parser = FalseyValueParser::new())]
    pub(crate) no_history: bool,
    /// How many lines to replay to whoever joins, 1024 at most
    #[arg(
        long, value_name = "LINES", default_value_t = 10, env = "CHATAGRAM_REPLAY",
        value_parser = clap::value_parser!(u16).range(0..=1024)
    )]
    pub(crate) replay: u16,
    /// Clients show a sign of life at least this often; who comes when more than a thousand are here, as rarely as
    /// every 5s [default: 2s; with --nat 15s]
    #[arg(
        long, value_name = "DURATION", env = "CHATAGRAM_HEARTBEAT",
        value_parser = patience
    )]
    pub(crate) heartbeat: Option<Duration>,
    /// Who is not heard for this long is gone; more than the heartbeat [default: 10s; with --nat 60s]
    #[arg(
        long, value_name = "DURATION", env = "CHATAGRAM_EXPIRY",
        value_parser = patience
    )]
    pub(crate) expiry: Option<Duration>,
    /// For clients behind routers and on mobile networks: fewer signs of life, just enough for a
    /// router to remember them, and more patience
    #[arg(long, env = "CHATAGRAM_NAT", value_parser = FalseyValueParser::new())]
    pub(crate) nat: bool,
    /// How many may be here at once
    #[arg(
        long, value_name = "PEERS", default_value_t = 256, env = "CHATAGRAM_MAX_PEERS",
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub(crate) max_peers: u16,
    /// How many may be here at once from one IP address
    #[arg(
        long, value_name = "PEERS", default_value_t = 64, env = "CHATAGRAM_MAX_PEERS_PER_IP",
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub(crate) max_peers_per_ip: u16,
    /// How fast each may speak: so many lines at once, then so many a second; or 'off'
    #[arg(
        long, value_name = "BURST/RATE", default_value = "20/10", env = "CHATAGRAM_RATE_LIMIT",
        value_parser = rate_limit
    )]
    pub(crate) rate_limit: RateLimit,
    /// After sending to the room wait this long before sending again, so that lines said meanwhile
    /// travel together: for full rooms that are busy, 2ms is a good value [default: no wait]
    #[arg(long, value_name = "DURATION", env = "CHATAGRAM_PACE", value_parser = pace)]
    pub(crate) pace: Option<Duration>,
    /// Listen on UDP only
    #[arg(long, env = "CHATAGRAM_NO_TCP", value_parser = FalseyValueParser::new())]
    pub(crate) no_tcp: bool,
    /// Do not answer those who look for servers near them
    #[arg(long, env = "CHATAGRAM_NO_DISCOVERY", value_parser = FalseyValueParser::new())]
    pub(crate) no_discovery: bool,
    /// Let Prometheus read what the server counts, at http://ADDR:PORT/metrics [default: nobody;
    /// without a value 127.0.0.1:2430]
    #[arg(
        long, value_name = "ADDR:PORT", env = "CHATAGRAM_METRICS", value_parser = metrics_address,
        num_args = 0..=1, default_missing_value = METRICS, long_help = metrics_help()
    )]
    pub(crate) metrics: Option<SocketAddr>,
    /// A name by which the metrics are read, besides this machine's name and addresses; can be given
    /// several times, or several with commas between them
    #[arg(long, value_name = "NAME", env = "CHATAGRAM_METRICS_HOST", value_delimiter = ',')]
    pub(crate) metrics_host: Vec<String>,
    /// What the room is called
    #[arg(long, value_name = "NAME", default_value = "the room", env = "CHATAGRAM_ROOM",
        value_parser = room_name)]
    pub(crate) room: String,
}

/// `--rate-limit`: `None` is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateLimit(pub(crate) Option<Limit>);

impl ServerArgs {
    /// The server this describes.
    ///
    /// # Errors
    /// What two options together make impossible.
    pub(crate) fn config(
        &self,
        network: &NetworkArgs,
        impair: &ImpairArgs,
    ) -> Result<server::Config, String> {
        let (heartbeat, expiry) = self.signs_of_life();
        if expiry <= heartbeat {
            return Err(format!(
                "--expiry {} must be longer than --heartbeat {}: several times as long, so that \
                 a lost heartbeat or two expire nobody",
                humantime::format_duration(expiry),
                humantime::format_duration(heartbeat)
            ));
        }
        Ok(server::Config {
            bind: self.bind.clone(),
            tcp: !self.no_tcp,
            discovery: !self.no_discovery,
            no_delay: network.no_delay == Switch::On,
            pace: self.pace.unwrap_or_default(),
            impair: impair.network(),
            history: self.history(),
            metrics: self.metrics,
            metrics_hosts: self.metrics_host.clone(),
            hub: hub::Config {
                room: self.room.clone(),
                heartbeat,
                capacity: Capacity {
                    peers: self.max_peers.into(),
                    peers_per_ip: self.max_peers_per_ip.into(),
                    expiry,
                },
                replay: self.replay.into(),
                limit: self.rate_limit.0,
                // The server knows the port when it has it.
                discovery: None,
            },
        })
    }

    /// How often a sign of life is wanted, and how long one may be missing.
    fn signs_of_life(&self) -> (Duration, Duration) {
        let (heartbeat, expiry) = if self.nat { BEHIND_NAT } else { USUAL };
        (self.heartbeat.unwrap_or(heartbeat), self.expiry.unwrap_or(expiry))
    }

    /// A history would be kept if the environment said where.
    pub(crate) fn lacks_a_place_for_history(&self) -> bool {
        let lasting = self.bind.first().is_some_and(|address| address.port() != 0);
        lasting && !self.no_history && self.history().is_none()
    }

    /// A room at port 0 is one for the moment: nobody will find it there again.
    fn history(&self) -> Option<server::HistoryFile> {
        let port = self.bind.first().map_or(0, SocketAddr::port);
        match &self.history {
            _ if self.no_history => None,
            Some(path) => Some(server::HistoryFile { path: path.clone(), chosen: true }),
            None if port == 0 => None,
            None => {
                paths::history_file(port).map(|path| server::HistoryFile { path, chosen: false })
            }
        }
    }
}

fn pace(text: &str) -> Result<Duration, String> {
    quantity::duration(text, &quantity::PACE)
}

fn rate_limit(text: &str) -> Result<RateLimit, String> {
    if text == "off" {
        return Ok(RateLimit(None));
    }
    let parts = text.split_once('/');
    let numbers = parts.and_then(|(burst, rate)| Some((burst.parse().ok()?, rate.parse().ok()?)));
    let limit = numbers.and_then(|(burst, rate)| Limit::new(burst, rate)).map(Some).map(RateLimit);
    limit.ok_or_else(|| {
        "write it as 20/10, for 20 lines at once and 10 a second after that, or as off".to_owned()
    })
}

/// As for `--bind`, but what is not said is that only this machine may read.
fn metrics_address(text: &str) -> Result<SocketAddr, String> {
    let usual: SocketAddr = METRICS.parse().map_err(|error| format!("{error}"))?;
    let text = text.trim();
    if let Ok(ip) = text.parse() {
        return Ok(SocketAddr::new(ip, usual.port()));
    }
    // A port alone is one of this machine for this machine.
    match text.strip_prefix(':').and_then(|port| port.parse().ok()) {
        Some(port) => Ok(SocketAddr::new(usual.ip(), port)),
        None => text
            .parse()
            .map_err(|_| format!("not an address and a port, such as {METRICS}: {text}")),
    }
}

fn metrics_help() -> String {
    format!(
        "Let Prometheus read what the server counts, at http://ADDR:PORT/metrics [default: nobody; \
         without a value {METRICS}, which programs on this machine reach]. Everybody who reaches \
         another address can read there:\n\n{}",
        server::list_of_metrics().trim_end()
    )
}

fn room_name(text: &str) -> Result<String, String> {
    let length = text.chars().count();
    if (1..=32).contains(&length) && chatagram::protocol::is_clean(text) {
        Ok(text.to_owned())
    } else {
        Err("a room's name has 1 to 32 characters, none of them control characters".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        server: ServerArgs,
        #[command(flatten)]
        network: NetworkArgs,
        #[command(flatten)]
        impair: ImpairArgs,
    }

    fn config(options: &str) -> Result<server::Config, String> {
        let words = ["server"].into_iter().chain(options.split_whitespace());
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        line.server.config(&line.network, &line.impair)
    }

    #[test]
    fn nat_sets_two_defaults_and_yields_to_what_is_said() {
        let times = |options| {
            let hub = config(options).unwrap().hub;
            (hub.heartbeat.as_secs(), hub.capacity.expiry.as_secs())
        };
        assert_eq!(times(""), (2, 10));
        assert_eq!(times("--nat"), (15, 60));
        assert_eq!(times("--nat --heartbeat 20s"), (20, 60));
        assert_eq!(times("--nat --expiry 40s"), (15, 40));
        assert!(config("--nat --expiry 10s").unwrap_err().contains("--heartbeat 15s"));
        assert!(config("--heartbeat 10s").unwrap_err().contains("--expiry 10s"));
    }

    #[test]
    fn members_are_limited_unless_that_is_switched_off() {
        let limit = |options: &str| config(options).map(|config| config.hub.limit);
        assert_eq!(limit(""), Ok(Some(Limit::USUAL)));
        assert_eq!(limit("--rate-limit 3/1"), Ok(Limit::new(3, 1)));
        assert_eq!(limit("--rate-limit off"), Ok(None));
        for wrong in ["0/10", "20/0", "20", "20/10/5", "a/b", "-1/1", "70000/1", "none"] {
            let error = limit(&format!("--rate-limit={wrong}")).unwrap_err();
            assert!(error.contains("20/10"), "{error}");
        }
    }

    #[test]
    fn places_are_limited_and_both_limits_can_be_set() {
        let places = |options| {
            let capacity = config(options).unwrap().hub.capacity;
            (capacity.peers, capacity.peers_per_ip)
        };
        assert_eq!(places(""), (256, 64));
        assert_eq!(places("--max-peers 1000 --max-peers-per-ip 1000"), (1_000, 1_000));
    }

    #[test]
    fn metrics_are_for_this_machine_unless_another_address_is_named() {
        let metrics = |options| config(options).map(|config| config.metrics);
        assert_eq!(metrics("").unwrap(), None);
        for (options, wanted) in [
            ("--metrics", METRICS),
            ("--metrics --no-history", METRICS),
            ("--metrics :9000", "127.0.0.1:9000"),
            ("--metrics ::1", "[::1]:2430"),
            ("--metrics 0.0.0.0:9000", "0.0.0.0:9000"),
        ] {
            assert_eq!(metrics(options).unwrap(), Some(wanted.parse().unwrap()), "{options}");
        }
        assert!(metrics("--metrics somewhere").unwrap_err().contains(METRICS));
    }

    #[test]
    fn a_server_can_be_found_unless_it_is_told_otherwise() {
        assert!(config("").unwrap().discovery);
        assert!(!config("--no-discovery").unwrap().discovery);
    }
}
