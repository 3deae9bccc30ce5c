//! One page over HTTP/1.1 (RFC 9112): parses the request, builds the answer. No I/O.
//!
//! DNS rebinding: a web page can make its own name resolve to this machine and so direct a browser
//! here. Therefore a request must name this server by an address, a loopback name, or a name that
//! the operator configured.

use std::net::{IpAddr, Ipv6Addr};

/// Largest request, several times a usual one, bytes.
pub(super) const MAX_REQUEST: usize = 4_096;

const METHODS: &str = "Allow: GET, HEAD\r\n";

/// A refusal: status, header field, and advice.
type Refusal = (&'static str, &'static str, &'static str);

const TOO_LONG: Refusal = ("431 Request Header Fields Too Large", "", "too long\n");
const NO_REQUEST: Refusal = ("400 Bad Request", "", "not a request of HTTP/1.1\n");
const NO_HOST: Refusal = ("400 Bad Request", "", "one Host field is needed\n");
const OTHER_VERSION: Refusal = ("505 HTTP Version Not Supported", "", "HTTP/1.1 only\n");
const OTHER_METHOD: Refusal = ("405 Method Not Allowed", METHODS, "GET and HEAD only\n");
const NO_PAGE: Refusal = ("404 Not Found", "", "there is /metrics\n");
const OTHER_HOST: Refusal = (
    "421 Misdirected Request",
    "",
    "this server does not have that name: use its address, or start it with --metrics-host NAME\n",
);

/// The answer to a request; `None` until its head is complete. A body and further requests are
/// ignored: the answer closes the connection (RFC 9112 §9.6).
pub(super) fn answer(
    request: &[u8],
    names: &[String],
    page: impl Fn() -> String,
) -> Option<Vec<u8>> {
    if request.len() > MAX_REQUEST {
        return Some(refusal(TOO_LONG, true));
    }
    let lines = head(request)?;
    let with_body = !lines[0].starts_with(b"HEAD ");
    Some(match judge(&lines, names) {
        Ok(()) => response("200 OK", "", &page(), with_body),
        Err(why) => refusal(why, with_body),
    })
}

/// The lines of the head without empty ones before it (§2.2). A bare line feed ends a line.
fn head(request: &[u8]) -> Option<Vec<&[u8]>> {
    let mut lines = Vec::new();
    for line in request.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n")?;
        match line.strip_suffix(b"\r").unwrap_or(line) {
            [] if lines.is_empty() => {}
            [] => return Some(lines),
            line => lines.push(line),
        }
    }
    None
}

fn judge(lines: &[&[u8]], names: &[String]) -> Result<(), Refusal> {
    let text = |line: &&[u8]| {
        let visible = line.iter().all(|byte| *byte >= b' ' && *byte != 0x7f || *byte == b'\t');
        visible.then(|| String::from_utf8_lossy(line).into_owned())
    };
    let lines: Option<Vec<String>> = lines.iter().map(text).collect();
    let lines = lines.ok_or(NO_REQUEST)?;
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
    let host = host(fields, newer)?;
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
    match (path.split('?').next(), method) {
        (Some("/metrics"), "GET" | "HEAD") => Ok(()),
        (Some("/metrics"), _) => Err(OTHER_METHOD),
        _ => Err(NO_PAGE),
    }
}

/// The value of the Host field, which HTTP/1.1 requires once (§3.2) and 1.0 allows.
fn host(fields: &[String], needed: bool) -> Result<Option<&str>, Refusal> {
    let mut host = None;
    for field in fields {
        let (name, value) = field.split_once(':').ok_or(NO_REQUEST)?;
        if !is_token(name) {
            return Err(NO_REQUEST);
        }
        if name.eq_ignore_ascii_case("host") && host.replace(value.trim()).is_some() {
            return Err(NO_HOST);
        }
    }
    if needed && host.is_none() { Err(NO_HOST) } else { Ok(host) }
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

fn refusal((status, field, words): Refusal, with_body: bool) -> Vec<u8> {
    response(status, field, words, with_body)
}

fn response(status: &str, field: &str, body: &str, with_body: bool) -> Vec<u8> {
    let length = body.len();
    let body = if with_body { body } else { "" };
    format!(
        "HTTP/1.1 {status}\r\n\
         Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {length}\r\n\
         {field}Connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(request: &[u8]) -> Option<(String, String)> {
        let answer = answer(request, &["chat.example".to_owned()], || "page".to_owned())?;
        let text = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
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
}
