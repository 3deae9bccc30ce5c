//! The bytes of a connection: RESP 2 over TCP, TLS or a Unix socket. Whatever is at the other end,
//! one exchange takes bounded memory and bounded time.

use redis::{ConnectionAddr, RedisError, Value, parse_redis_value};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring};
use socket2::SockRef;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of the replies of one exchange: an `Attach` to a room of `MAX_SEATS` has 24 MB.
const BYTES: usize = 32 << 20;
/// Values in them.
const VALUES: usize = 400_000;
/// Bytes of one string.
const STRING: usize = 64 << 10;
/// Bytes of a line that announces a value, or is an error.
const LINE: usize = 4 << 10;
/// Lists in lists.
const DEPTH: usize = 8;
/// Time for one exchange.
const EXCHANGE: Duration = Duration::from_secs(10);

enum Stream {
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
            #[cfg(unix)]
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
            #[cfg(unix)]
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
            #[cfg(unix)]
            Self::Unix(stream) => stream.flush(),
        }
    }
}

impl Stream {
    fn socket(&self) -> SockRef<'_> {
        match self {
            Self::Tcp(stream) => stream.into(),
            Self::Tls(stream) => (&stream.sock).into(),
            #[cfg(unix)]
            Self::Unix(stream) => stream.into(),
        }
    }
}

/// A connection.
pub(super) struct Wire(BufReader<Stream>);

impl Wire {
    /// Connects. `patience` is the longest time to connect and to wait for bytes.
    pub(super) fn connect(address: &ConnectionAddr, patience: Duration) -> io::Result<Self> {
        let stream = match address {
            ConnectionAddr::Tcp(host, port) => Stream::Tcp(connect(host, *port, patience)?),
            ConnectionAddr::TcpTls { host, port, .. } => {
                let tls = tls(host)?;
                let stream = connect(host, *port, patience)?;
                Stream::Tls(Box::new(StreamOwned::new(tls, stream)))
            }
            #[cfg(unix)]
            ConnectionAddr::Unix(path) => Stream::Unix(UnixStream::connect(path)?),
            _ => return Err(io::Error::other("this system has no such connections")),
        };
        let wire = Self(BufReader::new(stream));
        wire.socket().set_write_timeout(Some(patience))?;
        wire.set_patience(patience)?;
        Ok(wire)
    }

    fn socket(&self) -> SockRef<'_> {
        self.0.get_ref().socket()
    }

    /// Sets how long to wait for bytes.
    pub(super) fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.socket().set_read_timeout(Some(patience))
    }

    /// Sends packed commands, and returns this many replies.
    pub(super) fn exchange(
        &mut self,
        commands: &[u8],
        replies: usize,
    ) -> Result<Vec<Value>, RedisError> {
        let mut exchange = || {
            self.0.get_mut().write_all(commands)?;
            self.0.get_mut().flush()?;
            let mut reply = Reply::new(&mut self.0, Instant::now() + EXCHANGE);
            (0..replies).map(|_| reply.value(0)).collect::<io::Result<Vec<_>>>()
        };
        exchange().map_err(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                io::Error::new(ErrorKind::TimedOut, "it does not answer in time").into()
            }
            _ => error.into(),
        })
    }
}

fn connect(host: &str, port: u16, patience: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the host has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A TLS session that trusts the certificates of this machine.
fn tls(host: &str) -> io::Result<ClientConnection> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)
}

/// Reads the replies of one exchange, within its bounds.
struct Reply<'a, R> {
    from: &'a mut R,
    until: Instant,
    bytes: usize,
    values: usize,
}

impl<'a, R: BufRead> Reply<'a, R> {
    fn new(from: &'a mut R, until: Instant) -> Self {
        Self { from, until, bytes: BYTES, values: VALUES }
    }

    fn value(&mut self, depth: usize) -> io::Result<Value> {
        self.values = self.values.checked_sub(1).filter(|_| depth < DEPTH).ok_or_else(too_much)?;
        let line = self.line()?;
        let text = std::str::from_utf8(&line).map_err(|_| strange())?;
        let rest = text.get(1..).ok_or_else(strange)?;
        let number = || rest.parse::<i64>().map_err(|_| strange());
        Ok(match line[0] {
            b'+' => Value::SimpleString(rest.to_owned()),
            b'-' => parse_redis_value(&[&line[..], b"\r\n"].concat()).map_err(|_| strange())?,
            b':' => Value::Int(number()?),
            b'$' => match usize::try_from(number()?) {
                Ok(length) if length <= STRING => Value::BulkString(self.string(length)?),
                Ok(_) => return Err(too_much()),
                Err(_) => Value::Nil,
            },
            b'*' => match usize::try_from(number()?) {
                Ok(length) if length <= self.values => {
                    let items = (0..length).map(|_| self.value(depth + 1));
                    Value::Array(items.collect::<io::Result<_>>()?)
                }
                Ok(_) => return Err(too_much()),
                Err(_) => Value::Nil,
            },
            _ => return Err(strange()),
        })
    }

    /// A line without its end.
    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            self.take(LINE, &mut line, |bytes| bytes.iter().position(|it| *it == b'\n'))?;
        }
        line.pop();
        if line.pop() == Some(b'\r') { Ok(line) } else { Err(strange()) }
    }

    /// A string of this length, and the end of a line.
    fn string(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut string = Vec::new();
        while string.len() < length + 2 {
            let left = length + 2 - string.len();
            self.take(length + 2, &mut string, |bytes| (bytes.len() >= left).then(|| left - 1))?;
        }
        if string.split_off(length) == b"\r\n" { Ok(string) } else { Err(strange()) }
    }

    /// Takes what has arrived, up to the place that `last` finds, if it does. All together is
    /// `most` bytes, or an error.
    fn take(
        &mut self,
        most: usize,
        to: &mut Vec<u8>,
        last: impl Fn(&[u8]) -> Option<usize>,
    ) -> io::Result<()> {
        if self.until <= Instant::now() {
            return Err(ErrorKind::TimedOut.into());
        }
        let bytes = loop {
            match self.from.fill_buf() {
                Ok([]) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => break bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        let count = last(bytes).map_or(bytes.len(), |last| last + 1);
        if to.len() + count > most {
            return Err(too_much());
        }
        self.bytes = self.bytes.checked_sub(count).ok_or_else(too_much)?;
        to.extend_from_slice(&bytes[..count]);
        self.from.consume(count);
        Ok(())
    }
}

fn too_much() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "its reply is larger than any of a room")
}

fn strange() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "its reply is not in the protocol of Redis")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> io::Result<Value> {
        // Bytes arrive in small pieces.
        let mut from = BufReader::with_capacity(3, bytes);
        // The bounds are tested here, not the machine's speed.
        Reply::new(&mut from, Instant::now() + 100 * EXCHANGE).value(0)
    }

    #[test]
    fn replies_are_read_as_the_crate_reads_them() {
        for bytes in [
            "+PONG\r\n",
            ":-7\r\n",
            "$5\r\na\r\nbc\r\n",
            "$0\r\n\r\n",
            "$-1\r\n",
            "*-1\r\n",
            "*0\r\n",
            "*3\r\n$1\r\na\r\n:2\r\n*1\r\n+b\r\n",
            "-NOAUTH Authentication required.\r\n",
            "-READONLY You can't write against a read only replica.\r\n",
        ] {
            let wanted = parse_redis_value(bytes.as_bytes()).unwrap();
            assert_eq!(read(bytes.as_bytes()).unwrap(), wanted, "{bytes:?}");
        }
    }

    #[test]
    fn a_reply_beyond_the_bounds_is_an_error_before_it_is_in_memory() {
        let long = format!("+{}", "x".repeat(2 * LINE));
        let deep = "*1\r\n".repeat(100_000);
        let many = format!("*{VALUES}\r\n*{VALUES}\r\n");
        for bytes in [
            "$1099511627776\r\n",
            "$9223372036854775807\r\n",
            "*9223372036854775807\r\n",
            "*400001\r\n",
            &long,
            &deep,
            &many,
        ] {
            let error = read(bytes.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), too_much().to_string(), "{:.20}", bytes);
        }
        let one = format!("${STRING}\r\n{}\r\n", "x".repeat(STRING));
        let all = format!("*{}\r\n{}", BYTES / STRING + 1, one.repeat(BYTES / STRING + 1));
        assert_eq!(read(all.as_bytes()).unwrap_err().to_string(), too_much().to_string());
    }

    #[test]
    fn bytes_that_are_no_reply_are_an_error() {
        for bytes in [
            &b"\r\n"[..],
            b"x\r\n",
            b"$x\r\n",
            b"$99999999999999999999\r\n",
            b"$1\r\nabc",
            b"+a\n",
            b":\xff\r\n",
            b"+\xc3\r\n",
            b"HTTP/1.1 400 Bad Request\r\n",
            b"%1\r\n+a\r\n+b\r\n",
        ] {
            let error = read(bytes).unwrap_err();
            assert_eq!(error.to_string(), strange().to_string(), "{bytes:?}");
        }
        assert_eq!(read(b"$5\r\nab").unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_reply_that_trickles_in_ends_at_its_time() {
        let mut from = &b"+a\r\n"[..];
        let mut reply = Reply::new(&mut from, Instant::now());
        assert_eq!(reply.value(0).unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
