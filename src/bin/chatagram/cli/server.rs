//! The options of a server, and the server they describe.

use super::script;
use super::{Error, ImpairArgs, NetworkArgs, PagesArgs, Switch, timeout};
use crate::paths;
use chatagram::hub::{Capacity, Limit};
use chatagram::impair::Script;
use chatagram::net::parse_bind;
use chatagram::protocol::limits;
use chatagram::quantity;
use chatagram::server::UrlSource;
use chatagram::{hub, server};
use clap::Args;
use clap::builder::FalseyValueParser;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Heartbeat and expiry on a LAN, where the server can notice a dead client soon.
const USUAL: (Duration, Duration) = (limits::HEARTBEAT, limits::EXPIRY);
/// Heartbeat and expiry behind NAT. The strictest routers forget a UDP flow after 30 s of silence
/// (RFC 4787 REQ-5 asks for two minutes); the heartbeat is half of that.
const BEHIND_NAT: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(60));

/// Options of a server.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// Addresses to listen on, comma-separated
    ///
    /// '[::]' includes IPv4, unless an IPv4 address with the same port is given.
    /// '[fe80::1%eth0]:2428' is an address of one link. The option can be repeated.
    #[arg(
        long, value_name = "ADDR:PORT", default_value = "[::]:2428", value_parser = parse_bind,
        env = "CHATAGRAM_BIND", value_delimiter = ','
    )]
    pub(crate) bind: Vec<SocketAddr>,
    /// History file [default: one for each port, in your state directory]
    ///
    /// The server appends every line, and replays the last ones to new clients. Port 0 has no
    /// default file.
    #[arg(long, value_name = "FILE", env = "CHATAGRAM_HISTORY")]
    pub(crate) history: Option<PathBuf>,
    /// Keep no history file
    #[arg(long, env = "CHATAGRAM_NO_HISTORY", value_parser = FalseyValueParser::new())]
    pub(crate) no_history: bool,
    /// Replay this many lines to a new client, at most 1024
    #[arg(
        long, value_name = "LINES", default_value_t = 10, env = "CHATAGRAM_REPLAY",
        value_parser = clap::value_parser!(u16).range(0..=1024)
    )]
    pub(crate) replay: u16,
    /// Largest interval between a client's heartbeats [default: 2s]
    ///
    /// With --nat the default is 15s. In a room of more than a thousand peers, new clients have at
    /// least 5s.
    #[arg(
        long, hide_short_help = true, value_name = "DURATION", env = "CHATAGRAM_HEARTBEAT",
        value_parser = timeout
    )]
    pub(crate) heartbeat: Option<Duration>,
    /// Remove a client after this long without traffic [default: 10s]
    ///
    /// With --nat the default is 60s.
    #[arg(
        long, hide_short_help = true, value_name = "DURATION", env = "CHATAGRAM_EXPIRY",
        value_parser = timeout
    )]
    pub(crate) expiry: Option<Duration>,
    /// For clients behind routers: heartbeats every 15s, expiry after 60s
    ///
    /// Such heartbeats are rare enough for a battery, and keep a router's UDP mapping.
    #[arg(long, env = "CHATAGRAM_NAT", value_parser = FalseyValueParser::new())]
    pub(crate) nat: bool,
    /// Peers in the room at most
    #[arg(
        long, value_name = "PEERS", default_value_t = limits::PEERS, env = "CHATAGRAM_MAX_PEERS",
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub(crate) max_peers: u16,
    /// Peers from one IP address at most
    #[arg(
        long, hide_short_help = true, value_name = "PEERS",
        default_value_t = limits::PEERS_PER_IP, env = "CHATAGRAM_MAX_PEERS_PER_IP",
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub(crate) max_peers_per_ip: u16,
    /// BURST lines at once, then RATE a second, or 'off'
    #[arg(
        long, value_name = "BURST/RATE", default_value = "20/10", env = "CHATAGRAM_RATE_LIMIT",
        value_parser = rate_limit
    )]
    pub(crate) rate_limit: RateLimit,
    /// Minimum interval between flushes to the room [default: none]
    ///
    /// Lines said within the interval are coalesced. In a full and busy room, 2ms is a good value.
    #[arg(
        long, hide_short_help = true, value_name = "DURATION", env = "CHATAGRAM_PACE",
        value_parser = pace
    )]
    pub(crate) pace: Option<Duration>,
    /// Do not listen for TCP
    #[arg(long, env = "CHATAGRAM_NO_TCP", value_parser = FalseyValueParser::new())]
    pub(crate) no_tcp: bool,
    /// Do not listen for QUIC
    #[arg(
        long, hide_short_help = true, env = "CHATAGRAM_NO_QUIC", conflicts_with = "congestion",
        value_parser = FalseyValueParser::new()
    )]
    pub(crate) no_quic: bool,
    /// Listen for QUIC here only [default: the addresses of --bind]
    #[arg(
        long, hide_short_help = true, value_name = "ADDR:PORT", value_parser = parse_bind,
        env = "CHATAGRAM_QUIC", conflicts_with = "no_quic"
    )]
    pub(crate) quic: Option<SocketAddr>,
    /// Open a private room: QUIC only, for clients with its ticket
    ///
    /// The server keeps its key in your state directory, and prints the ticket when it starts.
    #[arg(
        long, env = "CHATAGRAM_PRIVATE", value_parser = FalseyValueParser::new(),
        conflicts_with_all = ["no_quic", "quic", "engine", "engine_file"]
    )]
    pub(crate) private: bool,
    /// Make a new ticket: earlier ones admit nobody any more
    #[arg(
        long, hide_short_help = true, env = "CHATAGRAM_NEW_TICKET", requires = "private",
        value_parser = FalseyValueParser::new()
    )]
    pub(crate) new_ticket: bool,
    /// Do not answer clients that search for a server
    #[arg(long, env = "CHATAGRAM_NO_DISCOVERY", value_parser = FalseyValueParser::new())]
    pub(crate) no_discovery: bool,
    #[command(flatten)]
    pub(crate) pages: PagesArgs,
    /// Emulate a network that changes as FILE says
    ///
    /// The room's page records such files, and src/docs/web.md describes them.
    #[arg(
        long,
        hide_short_help = true,
        value_name = "FILE",
        env = "CHATAGRAM_IMPAIR_SCRIPT",
        conflicts_with = "impair"
    )]
    pub(crate) impair_script: Option<PathBuf>,
    /// Record how long each line waited for an earlier one, in a new FILE
    ///
    /// The file is CSV: the author, the number of its line, and the time in microseconds that the
    /// server held the line back until all earlier ones had arrived. Over TCP the kernel holds
    /// lines back, and the time is empty.
    #[arg(long, hide_short_help = true, value_name = "FILE", env = "CHATAGRAM_RECORD_WAITS")]
    pub(crate) record_waits: Option<PathBuf>,
    /// Share the room with other servers: redis://HOST:PORT/ROOM
    ///
    /// All servers with the same URL serve one room, whose lines and names Redis or Valkey keeps.
    /// Put a password into --engine-file or the environment, never here. Other URLs: rediss://
    /// (TLS), redis+unix:///PATH/ROOM, redis+sentinel://HOST,HOST/ROOM?master=NAME.
    #[arg(
        long,
        value_name = "URL",
        env = "CHATAGRAM_ENGINE",
        hide_env_values = true,
        conflicts_with = "engine_file"
    )]
    pub(crate) engine: Option<String>,
    /// Read the URL of --engine from the first line of this file
    #[arg(long, hide_short_help = true, value_name = "FILE", env = "CHATAGRAM_ENGINE_FILE")]
    pub(crate) engine_file: Option<PathBuf>,
    /// Confirm only lines that the engine has on its disk
    ///
    /// Redis 7.2 or later needs `appendonly yes`, an earlier one `appendfsync always` too. If the
    /// engine has a replica, the line is there too.
    #[arg(
        long, hide_short_help = true, env = "CHATAGRAM_ENGINE_DURABLE",
        value_parser = FalseyValueParser::new()
    )]
    pub(crate) engine_durable: bool,
    /// Addresses that clients of the other servers use, comma-separated
    ///
    /// Without it: the addresses on which the server listens. The engine tells them to the other
    /// servers, and these tell them to their clients, which use them when their own server fails.
    #[arg(
        long, hide_short_help = true, value_name = "ADDR:PORT", value_parser = parse_bind,
        env = "CHATAGRAM_ADVERTISE", value_delimiter = ','
    )]
    pub(crate) advertise: Vec<SocketAddr>,
    /// Name of the room
    #[arg(long, value_name = "NAME", default_value = "the room", env = "CHATAGRAM_ROOM",
        value_parser = room_name)]
    pub(crate) room: String,
}

/// `--rate-limit`: `None` is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateLimit(pub(crate) Option<Limit>);

/// The source of an engine's URL: the option, or the file.
pub(crate) fn engine_url(url: Option<&str>, file: Option<&Path>) -> Option<UrlSource> {
    let of_url = url.map(|url| UrlSource::Url(url.to_owned()));
    of_url.or_else(|| file.map(|file| UrlSource::File(file.to_owned())))
}

impl ServerArgs {
    /// The server's configuration.
    ///
    /// # Errors
    /// Options that exclude each other.
    pub(crate) fn config(
        &self,
        network: &NetworkArgs,
        impair: &ImpairArgs,
    ) -> Result<server::Config, Error> {
        let (heartbeat, expiry) = self.signs_of_life();
        if expiry <= heartbeat {
            return Err(Error::ExpiryTooShort { expiry, heartbeat });
        }
        Ok(server::Config {
            bind: self.bind.clone(),
            tcp: !self.no_tcp,
            quic: self.quic(network)?,
            discovery: !self.no_discovery,
            no_delay: network.no_delay == Switch::On,
            copies: network.redundancy,
            pace: self.pace.unwrap_or_default(),
            impair: impair.network(),
            script: self.script(impair.seed)?,
            history: self.history(),
            engine: self.engine()?,
            metrics: self.pages.metrics,
            metrics_hosts: self.pages.metrics_host.clone(),
            web: self.pages.web,
            waits: self.record_waits.clone(),
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
                // The server knows the port after binding.
                discovery: None,
            },
        })
    }

    /// The changes of the emulated network. `seed` is that of changes that the page makes.
    fn script(&self, seed: u64) -> Result<Option<Script>, Error> {
        match &self.impair_script {
            Some(file) => script::read(file).map(Some),
            None => Ok(self.pages.web.map(|_| Script { seed, changes: Vec::new() })),
        }
    }

    /// QUIC: on where this build has it.
    fn quic(&self, network: &NetworkArgs) -> Result<Option<server::QuicConfig>, Error> {
        let asked = self.quic.is_some() || self.private || network.congestion.is_some();
        if !cfg!(feature = "quic") && asked {
            return Err(Error::NoQuic);
        }
        let on = cfg!(feature = "quic") && !self.no_quic;
        let (address, congestion) = (self.quic, network.congestion());
        // A room on port 0 has no file: its next port is another one.
        let port = self.bind.first().map_or(0, SocketAddr::port);
        let file = Some(port).filter(|port| *port != 0).and_then(paths::private_file);
        let private = self.private.then_some(server::PrivateRoom { file, renew: self.new_ticket });
        Ok(on.then_some(server::QuicConfig { address, congestion, private }))
    }

    /// The engine.
    fn engine(&self) -> Result<Option<server::EngineConfig>, Error> {
        let url = match engine_url(self.engine.as_deref(), self.engine_file.as_deref()) {
            Some(url) => url,
            None if self.engine_durable => return Err(Error::NoEngine("--engine-durable")),
            None if !self.advertise.is_empty() => return Err(Error::NoEngine("--advertise")),
            None => return Ok(None),
        };
        let (durable, advertise) = (self.engine_durable, self.advertise.clone());
        Ok(Some(server::EngineConfig { url, durable, advertise }))
    }

    /// Heartbeat interval and expiry.
    fn signs_of_life(&self) -> (Duration, Duration) {
        let (heartbeat, expiry) = if self.nat { BEHIND_NAT } else { USUAL };
        (self.heartbeat.unwrap_or(heartbeat), self.expiry.unwrap_or(expiry))
    }

    /// Returns true if there is no history only because the environment names no directory for it.
    pub(crate) fn lacks_history_directory(&self) -> bool {
        let shared = self.engine.is_some() || self.engine_file.is_some();
        let lasting = !shared && self.bind.first().is_some_and(|address| address.port() != 0);
        lasting && !self.no_history && self.history().is_none()
    }

    /// The history file. A room on port 0 has no default: its next port is another one.
    fn history(&self) -> Option<server::HistoryFile> {
        let port = self.bind.first().map_or(0, SocketAddr::port);
        match &self.history {
            _ if self.no_history => None,
            Some(path) => Some(server::HistoryFile { path: path.clone(), chosen: true }),
            // The engine has the history.
            None if port == 0 || self.engine.is_some() || self.engine_file.is_some() => None,
            None => {
                paths::history_file(port).map(|path| server::HistoryFile { path, chosen: false })
            }
        }
    }
}

fn pace(text: &str) -> Result<Duration, quantity::Error> {
    quantity::duration(text, &quantity::PACE)
}

fn rate_limit(text: &str) -> Result<RateLimit, Error> {
    if text == "off" {
        return Ok(RateLimit(None));
    }
    let parts = text.split_once('/');
    let numbers = parts.and_then(|(burst, rate)| Some((burst.parse().ok()?, rate.parse().ok()?)));
    let limit = numbers.and_then(|(burst, rate)| Limit::new(burst, rate));
    limit.map(Some).map(RateLimit).ok_or(Error::RateLimit)
}

fn room_name(text: &str) -> Result<String, Error> {
    let length = text.chars().count();
    if (1..=32).contains(&length) && chatagram::protocol::is_clean(text) {
        Ok(text.to_owned())
    } else {
        Err(Error::RoomName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "quic")]
    use chatagram::link::Congestion;
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

    fn read(options: &str) -> Result<Line, clap::Error> {
        Line::try_parse_from(["server"].into_iter().chain(options.split_whitespace()))
    }

    fn config(options: &str) -> Result<server::Config, Error> {
        let line = read(options).unwrap();
        line.server.config(&line.network, &line.impair)
    }

    #[test]
    fn nat_sets_two_defaults_that_options_override() {
        let times = |options| {
            let hub = config(options).unwrap().hub;
            (hub.heartbeat.as_secs(), hub.capacity.expiry.as_secs())
        };
        assert_eq!(times(""), (2, 10));
        assert_eq!(times("--nat"), (15, 60));
        assert_eq!(times("--nat --heartbeat 20s"), (20, 60));
        assert_eq!(times("--nat --expiry 40s"), (15, 40));
        for (options, expiry, heartbeat) in
            [("--nat --expiry 10s", 10, 15), ("--heartbeat 10s", 10, 10)]
        {
            let [expiry, heartbeat] = [expiry, heartbeat].map(Duration::from_secs);
            let error = Error::ExpiryTooShort { expiry, heartbeat };
            assert_eq!(config(options).unwrap_err(), error, "{options}");
        }
    }

    #[test]
    fn the_rate_limit_is_on_unless_disabled() {
        let limit = |options: &str| config(options).map(|config| config.hub.limit);
        assert_eq!(limit(""), Ok(Some(Limit::USUAL)));
        assert_eq!(limit("--rate-limit 3/1"), Ok(Limit::new(3, 1)));
        assert_eq!(limit("--rate-limit off"), Ok(None));
        for wrong in ["0/10", "20/0", "20", "20/10/5", "a/b", "-1/1", "70000/1", "none"] {
            let error = read(&format!("--rate-limit={wrong}")).unwrap_err().to_string();
            assert!(error.contains("20/10"), "{error}");
        }
    }

    #[test]
    fn peers_are_limited_and_both_limits_can_be_set() {
        let places = |options| {
            let capacity = config(options).unwrap().hub.capacity;
            (capacity.peers, capacity.peers_per_ip)
        };
        assert_eq!(places(""), (256, 64));
        assert_eq!(places("--max-peers 1000 --max-peers-per-ip 1000"), (1_000, 1_000));
    }

    #[cfg(feature = "quic")]
    #[test]
    fn the_congestion_control_is_that_of_quic() {
        let congestion = |options| config(options).unwrap().quic.map(|it| it.congestion);
        assert_eq!(congestion(""), Some(Congestion::Cubic));
        assert_eq!(congestion("--congestion bbr"), Some(Congestion::Bbr));
        assert_eq!(congestion("--no-quic"), None);
        assert!(read("--no-quic --congestion bbr").is_err());
    }

    #[test]
    fn a_server_answers_discovery_unless_disabled() {
        assert!(config("").unwrap().discovery);
        assert!(!config("--no-discovery").unwrap().discovery);
    }
}
