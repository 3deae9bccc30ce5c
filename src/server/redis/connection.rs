//! A connection to Redis: found, checked, with the scripts loaded.

use super::error::{EngineError, OLDEST, Version, WAITAOF};
use super::url::{Place, Target, located};
use crate::protocol::clean;
use redis::io::tcp::TcpSettings;
use redis::{
    Client, Cmd, Connection, ConnectionAddr, IntoConnectionInfo, RedisError, Value, cmd, pipe,
};
use std::time::Duration;

/// Time to connect, and to wait for an answer.
pub(super) const PATIENCE: Duration = Duration::from_millis(2_500);
/// How long Redis may take to write to its disk, or to a replica, before it is asked again, ms.
const DISK_WAIT: u64 = 1_000;
const DISK_TRIES: usize = 5;

macro_rules! scripts {
    ($($name:ident = $file:literal),+) => {
        /// The scripts, each one atomic step in Redis.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Script { $($name),+ }

        const SCRIPTS: &[&str] = &[
            $(concat!(include_str!("common.lua"), include_str!($file))),+
        ];
    };
}

scripts! {
    Attach = "attach.lua",
    Renew = "renew.lua",
    Claim = "claim.lua",
    Leave = "leave.lua",
    Say = "say.lua",
    Mail = "mail.lua"
}

/// The keys of a room, and what they hold.
const KEYS: [(&str, &str); 7] = [
    ("state", "hash"),
    ("log", "stream"),
    ("names", "hash"),
    ("seats", "hash"),
    ("next", "hash"),
    ("said", "zset"),
    ("servers", "hash"),
];

/// How `--engine-durable` makes sure that a line is on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Durability {
    /// Not asked for.
    Usual,
    /// `WAITAOF` says so.
    WaitAof,
    /// An answer comes after the write to the disk (`appendfsync always`).
    Always,
}

/// A connection that is ready for the scripts.
pub(super) struct Link {
    pub(super) connection: Connection,
    /// Its address.
    pub(super) place: String,
    /// Changes when Redis starts anew.
    pub(super) run: String,
    durability: Durability,
    has_replica: bool,
    /// The room's state, which every script takes.
    state: String,
    hashes: Vec<String>,
}

impl Link {
    /// Connects, and makes sure that this Redis can be used.
    pub(super) fn open(target: &Target, durable: bool) -> Result<Self, EngineError> {
        let address = match &target.place {
            Place::Direct(address) => address.clone(),
            Place::Sentinels { sentinels, master, tls } => ask(sentinels, master, *tls)?,
        };
        let place = address.to_string();
        let failed = |error: RedisError| EngineError::of(&error, &place);
        let mut connection = connect(address, target).map_err(failed)?;
        let info: String = cmd("INFO").query(&mut connection).map_err(failed)?;
        let fact = |name| fact(&info, name);
        let found = Version::parse(fact("redis_version")).unwrap_or(Version(0, 0));
        if found < OLDEST {
            return Err(EngineError::TooOld { place, found });
        }
        if fact("role") != "master" {
            return Err(EngineError::Replica { place });
        }
        let policy = fact("maxmemory_policy");
        if policy.starts_with("allkeys") && fact("maxmemory") != "0" {
            log::warn!(
                "the engine at {place} drops any key when its memory is full (maxmemory-policy \
                 {}): lines and names may vanish; `noeviction` keeps them",
                clean(policy)
            );
        }
        let state = format!("chatagram:{{{}}}:state", target.room);
        for (name, wanted) in KEYS {
            let key = beside(&state, name);
            let found: String = cmd("TYPE").arg(&key).query(&mut connection).map_err(failed)?;
            if found != wanted && found != "none" {
                let found = clean(&found).into_owned();
                return Err(EngineError::Occupied { place, key, found, wanted });
            }
        }
        let durability = match (durable, found >= WAITAOF) {
            (false, _) => Durability::Usual,
            (true, true) => Durability::WaitAof,
            (true, false) => Durability::Always,
        };
        if durable {
            let mut get = cmd("CONFIG");
            get.arg("GET").arg("appendfsync");
            let (_, fsync): (String, String) = get.query(&mut connection).map_err(failed)?;
            let always = durability == Durability::Always;
            if fact("aof_enabled") != "1" || (always && fsync != "always") {
                return Err(EngineError::NotDurable { place, always });
            }
        }
        let mut load = pipe();
        for script in SCRIPTS {
            load.cmd("SCRIPT").arg("LOAD").arg(*script);
        }
        let hashes = load.query(&mut connection).map_err(failed)?;
        let has_replica = fact("connected_slaves") != "0";
        let run = fact("run_id").to_owned();
        Ok(Self { connection, place, run, durability, has_replica, state, hashes })
    }

    /// Sets how long an answer may take.
    pub(super) fn patience(&self, patience: Duration) -> Result<(), RedisError> {
        self.connection.set_read_timeout(Some(patience))
    }

    /// Waits until what this connection wrote is as durable as configured.
    pub(super) fn until_durable(&mut self) -> Result<(), EngineError> {
        let place = self.place.clone();
        let failed = |error: RedisError| EngineError::of(&error, &place);
        for _ in 0..DISK_TRIES {
            let mut wait = pipe();
            if self.durability == Durability::WaitAof {
                wait.cmd("WAITAOF").arg(1).arg(0).arg(DISK_WAIT);
            }
            if self.durability != Durability::Usual && self.has_replica {
                wait.cmd("WAIT").arg(1).arg(DISK_WAIT);
            }
            if wait.is_empty() {
                return Ok(());
            }
            // `WAITAOF` replies with the counts of masters and of replicas.
            let counts: Vec<Value> = wait.query(&mut self.connection).map_err(failed)?;
            let enough = |count: &Value| match count {
                Value::Array(counts) => counts.first().is_some_and(|count| *count != Value::Int(0)),
                count => *count != Value::Int(0),
            };
            if counts.iter().all(enough) {
                return Ok(());
            }
            let info: String =
                cmd("INFO").arg("replication").query(&mut self.connection).map_err(failed)?;
            self.has_replica = !info.contains("connected_slaves:0");
        }
        let why = "it writes to its disk or to its replica too slowly".to_owned();
        Err(EngineError::Broken { place, why })
    }

    /// The call of a script; arguments follow.
    pub(super) fn call(&self, script: Script) -> Cmd {
        let mut call = cmd("EVALSHA");
        call.arg(&self.hashes[script as usize]).arg(1).arg(&self.state);
        call
    }

    /// A key of the room.
    pub(super) fn key(&self, name: &str) -> String {
        beside(&self.state, name)
    }

    /// The error for a failure of this connection.
    pub(super) fn failure(&self, error: &RedisError) -> EngineError {
        EngineError::of(error, &self.place)
    }

    /// A reply that is an error, or none of a script.
    pub(super) fn unexpected(&self, reply: &Value) -> EngineError {
        match reply {
            Value::ServerError(error) => self.failure(&error.clone().into()),
            _ => {
                let why = "its reply is not that of a script".to_owned();
                EngineError::Broken { place: self.place.clone(), why }
            }
        }
    }
}

/// A value in the reply to `INFO`; empty if it is missing.
pub(super) fn fact<'a>(info: &'a str, name: &str) -> &'a str {
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_default().trim()
}

/// The key with this name beside the room's state.
fn beside(state: &str, name: &str) -> String {
    format!("{}{name}", state.strip_suffix("state").unwrap_or_default())
}

fn connect(address: ConnectionAddr, target: &Target) -> Result<Connection, RedisError> {
    let info = address
        .into_connection_info()?
        .set_redis_settings(target.login.clone())
        .set_tcp_settings(TcpSettings::default().set_nodelay(true).set_linger_time(Duration::ZERO));
    let connection = Client::open(info)?.get_connection_with_timeout(PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    Ok(connection)
}

/// Asks the Sentinels for the master's address, each in turn. They have no login and no database.
fn ask(
    sentinels: &[ConnectionAddr],
    master: &str,
    tls: bool,
) -> Result<ConnectionAddr, EngineError> {
    let mut why = String::new();
    for sentinel in sentinels {
        let info = sentinel.clone().into_connection_info();
        let answer = info.and_then(Client::open).and_then(|client| {
            let mut connection = client.get_connection_with_timeout(PATIENCE)?;
            connection.set_read_timeout(Some(PATIENCE))?;
            let mut ask = cmd("SENTINEL");
            ask.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
            ask.query::<Option<(String, u16)>>(&mut connection)
        });
        match answer {
            Ok(Some((host, port))) => return Ok(located(host, port, tls)),
            Ok(None) => why = format!("{sentinel} does not know it"),
            Err(error) => why = format!("{sentinel}: {}", clean(&error.to_string())),
        }
    }
    Err(EngineError::NoMaster { master: master.to_owned(), why })
}
