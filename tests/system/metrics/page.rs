//! Reads a page of metrics.

use super::ask;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// A page of metrics. The parser follows the description of the text format, not the server's code.
#[derive(Debug)]
pub(super) struct Page {
    values: BTreeMap<String, u64>,
    counters: BTreeSet<String>,
}

impl Page {
    pub(super) fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'));
        let mut page = Self { values: BTreeMap::new(), counters: BTreeSet::new() };
        let (mut helped, mut typed) = (BTreeSet::new(), BTreeSet::new());
        let mut current = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(is_name(name) && !help.is_empty() && !help.contains('\\'), "{line}");
                assert!(helped.insert(name.to_owned()), "a second {line}");
                current = name.to_owned();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(name, current, "after its own HELP");
                assert!(typed.insert(name.to_owned()), "a second {line}");
                assert!(["counter", "gauge"].contains(&kind), "{line}");
                // A name tells the type as well.
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                if kind == "counter" {
                    page.counters.insert(name.to_owned());
                }
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                assert!(name == current && typed.contains(name), "{line} is not after its TYPE");
                let labels = labels.strip_suffix('}').unwrap();
                for label in labels.split(',').filter(|label| !label.is_empty()) {
                    let (name, value) = label.split_once('=').unwrap();
                    let value = value.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
                    assert!(is_name(name) && !name.contains(':'), "{line}");
                    assert!(!value.unwrap().contains(['"', '\\', '\n']), "{line}");
                }
                let value = value.parse().unwrap_or_else(|_| panic!("not a whole number: {line}"));
                assert!(page.values.insert(series.to_owned(), value).is_none(), "twice: {line}");
            }
        }
        assert_eq!(helped, typed);
        page
    }

    pub(super) fn scrape(from: SocketAddr) -> Self {
        let (status, body) = ask(from, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(status, 200, "{body}");
        Self::read(&body)
    }

    pub(super) fn get(&self, series: &str) -> u64 {
        let name = format!("chatagram_{series}");
        *self.values.get(&name).unwrap_or_else(|| panic!("no {name} in {self:#?}"))
    }

    pub(super) fn dropped(&self, reason: &str) -> u64 {
        self.get(&format!("dropped_total{{reason=\"{reason}\"}}"))
    }

    /// Asserts that every series is still there and that no counter went down.
    pub(super) fn follows(&self, earlier: &Self) {
        for (series, before) in &earlier.values {
            let now = self.values.get(series).unwrap_or_else(|| panic!("{series} is gone"));
            let name = series.split('{').next().unwrap();
            assert!(!self.counters.contains(name) || now >= before, "{series}: {before}, {now}");
        }
    }
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
