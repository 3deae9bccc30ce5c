//! The options for what a server shows over HTTP: its metrics, and the page of the room.

use super::Error;
use clap::Args;
use std::net::{Ipv4Addr, SocketAddr};

/// Default address of the metrics, for this machine only.
const METRICS: &str = "127.0.0.1:2430";
/// Default address of the page, for this machine only.
const WEB: &str = "127.0.0.1:2431";

/// Options of the metrics and of the page that a server serves over HTTP.
#[derive(Debug, Args)]
pub(crate) struct PagesArgs {
    /// Serve counters to Prometheus at ADDR:PORT/metrics [default: off]
    ///
    /// Without a value the address is 127.0.0.1:2430, which only programs on this machine reach.
    /// The metrics have no password. src/docs/operations.md lists them.
    #[arg(
        long, value_name = "ADDR:PORT", env = "CHATAGRAM_METRICS", value_parser = metrics_address,
        num_args = 0..=1, default_missing_value = METRICS
    )]
    pub(crate) metrics: Option<SocketAddr>,
    /// Serve the room's page to browsers at ADDR:PORT [default: off]
    ///
    /// It has a board, and a chat for phones. Without a value the address is 127.0.0.1:2431, which
    /// only browsers on this machine reach; with '0.0.0.0' phones on the network join too. The page
    /// has no password.
    #[arg(
        long, value_name = "ADDR:PORT", env = "CHATAGRAM_WEB", value_parser = web_address,
        num_args = 0..=1, default_missing_value = WEB, conflicts_with = "private"
    )]
    pub(crate) web: Option<SocketAddr>,
    /// Serve metrics and page under these names too, comma-separated
    ///
    /// Requests under the machine's addresses, its name and `localhost` are always accepted. The
    /// option can be repeated.
    #[arg(
        long,
        hide_short_help = true,
        value_name = "NAME",
        env = "CHATAGRAM_METRICS_HOST",
        value_delimiter = ','
    )]
    pub(crate) metrics_host: Vec<String>,
}

fn metrics_address(text: &str) -> Result<SocketAddr, Error> {
    address(text, METRICS)
}

fn web_address(text: &str) -> Result<SocketAddr, Error> {
    address(text, WEB)
}

/// Like `--bind`, but a port alone is on loopback, and an address alone has the usual port.
fn address(text: &str, usual: &'static str) -> Result<SocketAddr, Error> {
    let text = text.trim();
    let parse = |text: &str| -> Result<SocketAddr, Error> {
        text.parse().map_err(|_| Error::PageAddress(usual, text.to_owned()))
    };
    if let Ok(ip) = text.parse() {
        return Ok(SocketAddr::new(ip, parse(usual)?.port()));
    }
    match text.strip_prefix(':').and_then(|port| port.parse().ok()) {
        Some(port) => Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)),
        None => parse(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        pages: PagesArgs,
        #[arg(long)]
        private: bool,
        #[arg(long)]
        no_history: bool,
    }

    fn read(options: &str) -> Result<Line, clap::Error> {
        Line::try_parse_from(["server"].into_iter().chain(options.split_whitespace()))
    }

    #[test]
    fn metrics_are_on_loopback_unless_an_address_is_given() {
        let metrics = |options| read(options).map(|line| line.pages.metrics);
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
        let error = read("--metrics somewhere").unwrap_err().to_string();
        assert!(error.contains(METRICS), "{error}");
    }

    #[test]
    fn the_page_is_on_loopback_unless_an_address_is_given() {
        let web = |options| read(options).unwrap().pages.web;
        assert_eq!(web(""), None);
        assert_eq!(web("--web"), Some(WEB.parse().unwrap()));
        assert_eq!(web("--web 0.0.0.0"), Some("0.0.0.0:2431".parse().unwrap()));
        let error = read("--web 10.0.0").unwrap_err().to_string();
        assert!(error.contains(WEB), "{error}");
        assert!(read("--web --private").is_err(), "its lines would be readable without the ticket");
    }
}
