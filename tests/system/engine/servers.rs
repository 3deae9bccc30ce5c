//! Servers of one room.

use crate::program::{Program, free_port};
use std::net::SocketAddr;
use tempfile::TempDir;

/// A server that can be killed and started again on its port.
pub(crate) struct Server {
    pub(crate) program: Option<Program>,
    pub(crate) address: SocketAddr,
    args: Vec<String>,
    dir: TempDir,
}

impl Server {
    /// Starts a server with this engine.
    pub(crate) fn start(url: &str, args: &[&str]) -> Self {
        let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let bind = address.to_string();
        let mut all = vec!["server", "--bind", &bind, "--engine", url, "--no-discovery"];
        all.extend(["--max-peers-per-ip", "20000", "--max-peers", "20000", "--rate-limit", "off"]);
        all.extend(args);
        let args = all.into_iter().map(str::to_owned).collect();
        let mut server = Self { program: None, address, args, dir: tempfile::tempdir().unwrap() };
        server.resume();
        server
    }

    /// Starts it again.
    pub(crate) fn resume(&mut self) {
        let args: Vec<_> = self.args.iter().map(String::as_str).collect();
        let mut program = Program::start(self.dir.path(), &args);
        program.line("address", |line| line.starts_with("listening on "));
        program.has_said("start", |line| line.contains("taking part in the room"));
        self.program = Some(program);
    }

    pub(crate) fn kill(&mut self) {
        self.program.take().unwrap().kill();
    }

    /// Starts a client that prints JSON and stays.
    pub(crate) fn join(&self, name: &str) -> Program {
        let mut client = self.client(name);
        client.next("welcome");
        client
    }

    pub(crate) fn client(&self, name: &str) -> Program {
        let address = self.address.to_string();
        let args = ["client", &address, "--nick", name, "--output", "json", "--no-cache"];
        Program::start(self.dir.path(), &[&args[..], &["--stay", "forever"]].concat())
    }
}

/// Servers of one room.
pub(crate) fn servers<const N: usize>(url: &str, args: &[&str]) -> [Server; N] {
    std::array::from_fn(|_| Server::start(url, args))
}

pub(crate) fn addresses(servers: &[Server]) -> Vec<SocketAddr> {
    servers.iter().map(|server| server.address).collect()
}
