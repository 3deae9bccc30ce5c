//! Requests of HTTP/1.1 (RFC 9112) and their answers, for the metrics and for the page. No I/O.
//!
//! DNS rebinding: a web page can make its own name resolve to this machine and so direct a browser
//! here. Therefore a request must name this server by an address, a loopback name, or a name that
//! the operator configured. A request that a page of another origin sends is refused too: browsers
//! let any page open a WebSocket to any server, and only say where the page is from (RFC 6454 §7).

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

/// Largest request, several times a usual one, bytes. A browser adds the cookies that other
/// programs on the same machine have set.
pub(super) const MAX_REQUEST: usize = 8_192;

const METHODS: &str = "Allow: GET, HEAD\r\n";
const UPGRADE: &str = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";

/// A refusal: status, header field, and advice.
type Refusal = (&'static str, &'static str, &'static str);

const TOO_LONG: Refusal = ("431 Request Header Fields Too Large", "", "too long\n");
const NO_REQUEST: Refusal = ("400 Bad Request", "", "not a request of HTTP/1.1\n");
const NO_HOST: Refusal = ("400 Bad Request", "", "one Host field is needed\n");
const OTHER_VERSION: Refusal = ("505 HTTP Version Not Supported", "", "HTTP/1.1 only\n");
const OTHER_METHOD: Refusal = ("405 Method Not Allowed", METHODS, "GET and HEAD only\n");
const NO_SOCKET: Refusal = ("426 Upgrade Required", UPGRADE, "a WebSocket of version 13 only\n");
const OTHER_ORIGIN: Refusal =
    ("403 Forbidden", "", "a page of another server must not use this one\n");
const OTHER_HOST: Refusal = (
    "421 Misdirected Request",
    "",
    "this server does not have that name: use its address, or start it with --metrics-host NAME\n",
);

/// A resource with its media type.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) kind: &'static str,
    pub(super) body: Cow<'static, str>,
}

/// What a server has at its paths.
pub(super) trait Site {
    /// What there is instead of an unknown path, for people.
    const DIRECTORY: &'static str;
    /// Header fields of every answer, each with its line end.
    const FIELDS: &'static str;

    /// The resource at a path.
    fn page(&self, path: &str) -> Option<Page>;

    /// The value of `Sec-WebSocket-Accept` for a client's key, if a WebSocket can be opened here.
    fn socket(&self, _path: &str, _key: &str) -> Option<Accepted> {
        None
    }
}

/// The answer to a client that opens a WebSocket; `None` if its key is none.
pub(super) type Accepted = Option<String>;

/// The answer to a request.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    /// The client has opened the WebSocket at this path. Otherwise the answer closes the
    /// connection.
    pub(super) socket: Option<Opened>,
}

/// A WebSocket that a client has opened.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) path: String,
    /// The length of the request: what follows belongs to the WebSocket.
    pub(super) request: usize,
}

/// A request that names this server.
#[derive(Debug)]
struct Request<'a> {
    method: &'a str,
    path: &'a str,
    /// The key of a client that asks for a WebSocket of version 13.
    key: Option<&'a str>,
}

/// The answer to a request; `None` until its head is complete. A body and further requests are
/// ignored: the answer closes the connection (RFC 9112 §9.6).
pub(super) fn answer<S: Site>(request: &[u8], names: &[String], site: &S) -> Option<Answer> {
    if request.len() > MAX_REQUEST {
        return Some(refusal::<S>(TOO_LONG, true));
    }
    let (lines, length) = head(request)?;
    let with_body = !lines[0].starts_with(b"HEAD ");
    let lines = match readable(&lines) {
        Ok(lines) => lines,
        Err(why) => return Some(refusal::<S>(why, with_body)),
    };
    let answer = judge(&lines, names).and_then(|request| respond(&request, length, site));
    Some(answer.unwrap_or_else(|why| refusal::<S>(why, with_body)))
}

fn respond<S: Site>(request: &Request<'_>, length: usize, site: &S) -> Result<Answer, Refusal> {
    let path = request.path.split('?').next().unwrap_or_default();
    if let Some(accepted) = site.socket(path, request.key.unwrap_or_default()) {
        let (Some(accepted), "GET") = (accepted, request.method) else { return Err(NO_SOCKET) };
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\n\
             Upgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accepted}\r\n\r\n"
        );
        let socket = Some(Opened { path: path.to_owned(), request: length });
        return Ok(Answer { bytes: head.into_bytes(), socket });
    }
    let page = site.page(path).ok_or(("404 Not Found", "", S::DIRECTORY))?;
    match request.method {
        "GET" | "HEAD" => {
            let with_body = request.method == "GET";
            Ok(response::<S>("200 OK", "", page.kind, &page.body, with_body))
        }
        _ => Err(OTHER_METHOD),
    }
}

/// The lines of the head without empty ones before it (§2.2), and its length. A bare line feed ends
/// a line.
fn head(request: &[u8]) -> Option<(Vec<&[u8]>, usize)> {
    let (mut lines, mut length) = (Vec::new(), 0);
    for line in request.split_inclusive(|byte| *byte == b'\n') {
        length += line.len();
        let line = line.strip_suffix(b"\n")?;
        match line.strip_suffix(b"\r").unwrap_or(line) {
            [] if lines.is_empty() => {}
            [] => return Some((lines, length)),
            line => lines.push(line),
        }
    }
    None
}

/// The lines as text, if no character of theirs is invisible.
fn readable(lines: &[&[u8]]) -> Result<Vec<String>, Refusal> {
    let text = |line: &&[u8]| {
        let visible = line.iter().all(|byte| *byte >= b' ' && *byte != 0x7f || *byte == b'\t');
        visible.then(|| String::from_utf8_lossy(line).into_owned())
    };
    lines.iter().map(text).collect::<Option<_>>().ok_or(NO_REQUEST)
}

fn judge<'a>(lines: &'a [String], names: &[String]) -> Result<Request<'a>, Refusal> {
    let (line, fields) = lines.split_first().ok_or(NO_REQUEST)?;
    let words: Vec<&str> = line.split(' ').collect();
    let [method, target, version] = words[..] else { return Err(NO_REQUEST) };
    if !is_token(method) {
        return Err(NO_REQUEST);
    }
    let newer = match version.strip_prefix("HTTP/").map(str::as_bytes) {
        Some([b'1', b'.', minor]) if minor.is_ascii_digit() => *minor > b'0',
        Some([major, b'.', minor]) if major.is_ascii_digit() && minor.is_ascii_digit() => {
            return Err(OTHER_VERSION);
        }
        _ => return Err(NO_REQUEST),
    };
    let fields = Fields::read(fields)?;
    let host = fields.host(newer)?;
    let (authority, path) = match (target, split_absolute(target)) {
        (_, Some(split)) => (Some(split.0), split.1),
        ("*", _) if method == "OPTIONS" => return Err(OTHER_METHOD),
        (target, _) if target.starts_with('/') => (host, target),
        _ if method == "CONNECT" => return Err(OTHER_METHOD),
        _ => return Err(NO_REQUEST),
    };
    if authority.is_some_and(|authority| !is_ours(authority, names)) {
        return Err(OTHER_HOST);
    }
    if fields.all("origin").any(|origin| !is_same(origin, authority)) {
        return Err(OTHER_ORIGIN);
    }
    Ok(Request { method, path, key: fields.key().filter(|_| newer) })
}

/// Header fields: names and values.
struct Fields<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Fields<'a> {
    fn read(lines: &'a [String]) -> Result<Self, Refusal> {
        let field = |line: &'a String| {
            let (name, value) = line.split_once(':')?;
            is_token(name).then_some((name, value.trim()))
        };
        lines.iter().map(field).collect::<Option<_>>().map(Self).ok_or(NO_REQUEST)
    }

    /// The values of all fields with this name.
    fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |it| it.0.eq_ignore_ascii_case(name)).map(|it| it.1)
    }

    /// The value of the Host field, which HTTP/1.1 requires once (§3.2) and 1.0 allows.
    fn host(&self, needed: bool) -> Result<Option<&'a str>, Refusal> {
        let mut all = self.all("host");
        match (all.next(), all.next()) {
            (_, Some(_)) => Err(NO_HOST),
            (None, None) if needed => Err(NO_HOST),
            (host, None) => Ok(host),
        }
    }

    /// The key of a client that opens a WebSocket (RFC 6455 §4.2.1).
    fn key(&self) -> Option<&'a str> {
        let lists = |name: &str, word: &str| {
            let mut words = self.all(name).flat_map(|value| value.split(','));
            words.any(|it| it.trim().eq_ignore_ascii_case(word))
        };
        let asks = lists("upgrade", "websocket") && lists("connection", "upgrade");
        let mut keys = self.all("sec-websocket-key");
        match (keys.next(), keys.next()) {
            (key, None) if asks && self.all("sec-websocket-version").eq(["13"]) => key,
            _ => None,
        }
    }
}

/// Whether a page of this origin is this server's own.
fn is_same(origin: &str, authority: Option<&str>) -> bool {
    let own = origin.split_once("://").map(|(_, authority)| authority);
    own.zip(authority).is_some_and(|(own, authority)| own.eq_ignore_ascii_case(authority))
}

/// Authority and path of a target in absolute form, whose host overrides the Host field (§3.2.2).
fn split_absolute(target: &str) -> Option<(&str, &str)> {
    let scheme = target.get(..7)?;
    let rest = scheme.eq_ignore_ascii_case("http://").then(|| &target[7..])?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    Some(rest.split_at(end))
}

/// Returns true if this host names this server.
fn is_ours(authority: &str, names: &[String]) -> bool {
    let (host, port) = match authority.rfind(':') {
        Some(at) if !authority.ends_with(']') => (&authority[..at], &authority[at + 1..]),
        _ => (authority, ""),
    };
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    if let Some(address) = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || matches!(name.parse(), Ok(IpAddr::V4(_)))
        || names.iter().any(|own| own.eq_ignore_ascii_case(&name))
}

/// A `tchar` of RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty() && text.chars().all(allowed)
}

fn refusal<S: Site>((status, field, words): Refusal, with_body: bool) -> Answer {
    response::<S>(status, field, "text/plain; charset=utf-8", words, with_body)
}

fn response<S: Site>(status: &str, field: &str, kind: &str, body: &str, with_body: bool) -> Answer {
    let (length, fields) = (body.len(), S::FIELDS);
    let body = if with_body { body } else { "" };
    let text = format!(
        "HTTP/1.1 {status}\r\n\
         Content-Type: {kind}\r\n\
         Content-Length: {length}\r\n\
         {field}{fields}Connection: close\r\n\r\n{body}"
    );
    Answer { bytes: text.into_bytes(), socket: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Example;

    impl Site for Example {
        const DIRECTORY: &'static str = "there is /metrics\n";
        const FIELDS: &'static str = "X-Example: 1\r\n";

        fn page(&self, path: &str) -> Option<Page> {
            (path == "/metrics").then(|| Page { kind: "text/plain", body: "page".into() })
        }

        fn socket(&self, path: &str, key: &str) -> Option<Accepted> {
            (path == "/socket").then(|| (!key.is_empty()).then(|| format!("accepts {key}")))
        }
    }

    fn raw(request: &[u8]) -> Option<(String, Option<Opened>)> {
        let Answer { bytes, socket } = answer(request, &["chat.example".to_owned()], &Example)?;
        Some((String::from_utf8(bytes).unwrap(), socket))
    }

    fn answered(request: &[u8]) -> Option<(String, String)> {
        let (text, _) = raw(request)?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        assert!(head.contains("\r\nX-Example: 1\r\n"), "{text}");
        assert!(head.ends_with("\r\nConnection: close"), "{text}");
        let length = format!("Content-Length: {}\r\n", body.len());
        assert!(head.contains(&length) || request.starts_with(b"HEAD"), "{text}");
        Some((head.strip_prefix("HTTP/1.1 ")?[..3].to_owned(), body.to_owned()))
    }

    fn status(request: &[u8]) -> Option<String> {
        answered(request).map(|(status, _)| status)
    }

    #[test]
    fn only_get_of_the_metrics_page_is_answered() {
        let asked = |line: &str| status(format!("{line}\r\nHost: 10.0.0.1\r\n\r\n").as_bytes());
        for (line, wanted) in [
            ("GET /metrics HTTP/1.1", "200"),
            ("GET /metrics HTTP/1.0", "200"),
            ("GET /metrics?name=x HTTP/1.1", "200"),
            ("HEAD /metrics HTTP/1.1", "200"),
            ("GET http://10.0.0.1:2430/metrics HTTP/1.1", "200"),
            ("GET HTTP://localhost/metrics?x HTTP/1.1", "200"),
            ("GET http://evil.example/metrics HTTP/1.1", "421"),
            ("GET http://a@10.0.0.1/metrics HTTP/1.1", "421"),
            ("GET http://10.0.0.1 HTTP/1.1", "404"),
            ("POST /metrics HTTP/1.1", "405"),
            ("OPTIONS * HTTP/1.1", "405"),
            ("CONNECT 10.0.0.1:80 HTTP/1.1", "405"),
            ("GET / HTTP/1.1", "404"),
            ("GET /metrics/../x HTTP/1.1", "404"),
            ("POST / HTTP/1.1", "404"),
            ("GET * HTTP/1.1", "400"),
            ("GET metrics HTTP/1.1", "400"),
            ("GET /metrics", "400"),
            ("GET /metrics SPDY/3", "400"),
            ("GET /metrics HTTP/1.10", "400"),
            ("GET /metrics HTTP/2.0", "505"),
            ("GET  /metrics HTTP/1.1", "400"),
            ("G(T /metrics HTTP/1.1", "400"),
            ("\0\u{7f} x", "400"),
        ] {
            assert_eq!(asked(line).as_deref(), Some(wanted), "{line}");
        }
        let (_, body) = answered(b"HEAD /metrics HTTP/1.1\r\nHost: ::\r\nHost: \r\n\r\n").unwrap();
        assert_eq!(body, "");
    }

    #[test]
    fn a_request_must_name_this_server() {
        let asked =
            |fields: &str| status(format!("GET /metrics HTTP/1.1\r\n{fields}\r\n").as_bytes());
        for (fields, wanted) in [
            ("Host: 127.0.0.1:2430\r\n", "200"),
            ("host:10.1.2.3\r\n", "200"),
            ("Host: [::1]:2430\r\n", "200"),
            ("Host: [fe80::1]\r\n", "200"),
            ("Host: localhost:2430\r\n", "200"),
            ("Host: LOCALHOST.\r\n", "200"),
            ("Host: x.localhost\r\n", "200"),
            ("Host: Chat.Example:80\r\n", "200"),
            ("Host: rebind.evil.example\r\n", "421"),
            ("Host: localhost.evil.example\r\n", "421"),
            ("Host: evil.chat.example\r\n", "421"),
            ("Host: 127.0.0.1.evil.example\r\n", "421"),
            ("Host: localhost:x\r\n", "421"),
            ("Host: [::1].evil.example\r\n", "421"),
            ("Host: \r\n", "421"),
            ("", "400"),
            ("Accept: */*\r\n", "400"),
            ("Host: localhost\r\nHost: localhost\r\n", "400"),
            ("Host : localhost\r\n", "400"),
            ("Host: localhost\r\n folded: x\r\n", "400"),
            ("Host\r\n", "400"),
        ] {
            assert_eq!(asked(fields).as_deref(), Some(wanted), "{fields:?}");
        }
        assert_eq!(status(b"GET /metrics HTTP/1.0\r\n\r\n").as_deref(), Some("200"));
        assert_eq!(status(b"\r\nGET /metrics HTTP/1.0\n\n").as_deref(), Some("200"));
    }

    #[test]
    fn a_request_is_read_to_its_end_within_the_bound() {
        let whole = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
        for length in 0..whole.len() {
            assert_eq!(status(&whole[..length]), None, "{length}");
        }
        let twice = [&whole[..], &whole[..]].concat();
        assert_eq!(status(&twice).as_deref(), Some("200"));
        assert_eq!(status(&[b'x'; MAX_REQUEST]), None);
        assert_eq!(status(&[b'x'; MAX_REQUEST + 1]).as_deref(), Some("431"));
    }

    #[test]
    fn a_socket_is_opened_by_a_page_of_this_server_or_by_a_program() {
        const UPGRADE: &str = "Host: 10.0.0.1:2431\r\nUpgrade: WebSocket\r\n\
                               Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: key\r\n";
        const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";
        let asked = |line: &str, fields: &str| {
            let (text, socket) = raw(format!("{line}\r\n{fields}\r\nrest").as_bytes()).unwrap();
            let length = line.len() + 2 + fields.len() + 2;
            assert!(socket.as_ref().is_none_or(|it| it.request == length && it.path == "/socket"));
            (text["HTTP/1.1 ".len()..][..3].to_owned(), socket.is_some(), text)
        };
        let whole = [UPGRADE, VERSION].concat();
        let (status, opened, text) = asked("GET /socket?x HTTP/1.1", &whole);
        assert_eq!((status.as_str(), opened), ("101", true));
        assert!(text.contains("\r\nSec-WebSocket-Accept: accepts key\r\n"), "{text}");
        for (line, fields, wanted) in [
            ("GET /socket HTTP/1.1", format!("{whole}Origin: http://10.0.0.1:2431\r\n"), "101"),
            ("GET /socket HTTP/1.1", format!("{whole}Origin: http://10.0.0.1\r\n"), "403"),
            ("GET /socket HTTP/1.1", format!("{whole}Origin: http://evil.example\r\n"), "403"),
            ("GET /socket HTTP/1.1", format!("{whole}Origin: null\r\n"), "403"),
            ("GET /socket HTTP/1.1", format!("{whole}Sec-WebSocket-Key: two\r\n"), "426"),
            ("GET /socket HTTP/1.1", format!("{UPGRADE}Sec-WebSocket-Version: 8\r\n"), "426"),
            ("GET /socket HTTP/1.1", UPGRADE.to_owned(), "426"),
            ("GET /socket HTTP/1.1", "Host: localhost\r\n".to_owned(), "426"),
            ("GET /socket HTTP/1.0", whole.clone(), "426"),
            ("HEAD /socket HTTP/1.1", whole.clone(), "426"),
            ("POST /socket HTTP/1.1", whole.clone(), "426"),
            ("GET /metrics HTTP/1.1", whole.clone(), "200"),
            ("GET /socket HTTP/1.1", whole.replace("10.0.0.1", "evil.example"), "421"),
        ] {
            assert_eq!(asked(line, &fields).0, wanted, "{line} {fields}");
        }
    }
}
