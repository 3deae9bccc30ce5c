//! A connection to Redis: found, checked, with the scripts loaded.

use super::error::{EngineError, Version, WAITAOF};
use super::url::{Place, Target, located};
use super::wire::Wire;
use crate::protocol::clean;
use redis::{
    Cmd, ConnectionAddr, ErrorKind, FromRedisValue, Pipeline, RedisConnectionInfo, RedisError,
    Value, cmd, from_redis_value, pipe,
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
    wire: Wire,
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
            Place::Sentinels { sentinels, master, tls } => find_master(sentinels, master, *tls)?,
        };
        let place = address.to_string();
        let failed = |error: RedisError| EngineError::of(&error, &place);
        let wire = Wire::connect(&address, PATIENCE).map_err(|error| failed(error.into()))?;
        let mut wire = logged_in(wire, &target.login, &place)?;
        let info: String = ask(&mut wire, &cmd("INFO")).map_err(failed)?;
        let fact = |name| fact(&info, name);
        let found = Version::parse(fact("redis_version")).unwrap_or(Version(0, 0));
        if found < Version::OLDEST {
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
            let found: String = ask(&mut wire, cmd("TYPE").arg(&key)).map_err(failed)?;
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
            let (_, fsync): (String, String) = ask(&mut wire, &get).map_err(failed)?;
            let always = durability == Durability::Always;
            if fact("aof_enabled") != "1" || (always && fsync != "always") {
                return Err(EngineError::NotDurable { place, always });
            }
        }
        let mut load = pipe();
        for script in SCRIPTS {
            load.cmd("SCRIPT").arg("LOAD").arg(*script);
        }
        let hashes = ask_all(&mut wire, &load).map_err(failed)?;
        let hashes = hashes.into_iter().map(told).collect::<Result<_, _>>().map_err(failed)?;
        let has_replica = fact("connected_slaves") != "0";
        let run = fact("run_id").to_owned();
        Ok(Self { wire, place, run, durability, has_replica, state, hashes })
    }

    /// Sets how long an answer may take.
    pub(super) fn patience(&self, patience: Duration) -> Result<(), EngineError> {
        self.wire.set_patience(patience).map_err(|error| self.failure(&error.into()))
    }

    /// The reply to a command.
    pub(super) fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, EngineError> {
        ask(&mut self.wire, command).map_err(|error| EngineError::of(&error, &self.place))
    }

    /// The replies to commands that are sent together. Some may be errors.
    pub(super) fn ask_all(&mut self, commands: &Pipeline) -> Result<Vec<Value>, EngineError> {
        ask_all(&mut self.wire, commands).map_err(|error| EngineError::of(&error, &self.place))
    }

    /// Waits until what this connection wrote is as durable as configured.
    pub(super) fn until_durable(&mut self) -> Result<(), EngineError> {
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
            let counts = self.ask_all(&wait)?;
            if let Some(error) = counts.iter().find(|it| matches!(it, Value::ServerError(_))) {
                return Err(self.unexpected(error));
            }
            let enough = |count: &Value| match count {
                Value::Array(counts) => matches!(counts.first(), Some(Value::Int(1..))),
                count => matches!(count, Value::Int(1..)),
            };
            if counts.iter().all(enough) {
                return Ok(());
            }
            let info: String = self.ask(cmd("INFO").arg("replication"))?;
            self.has_replica = !info.contains("connected_slaves:0");
        }
        let why = "it writes to its disk or to its replica too slowly".to_owned();
        Err(EngineError::Broken { place: self.place.clone(), why })
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

/// Logs in, and chooses the database.
fn logged_in(
    mut wire: Wire,
    login: &RedisConnectionInfo,
    place: &str,
) -> Result<Wire, EngineError> {
    if let Some(password) = login.password() {
        let mut auth = cmd("AUTH");
        if let Some(user) = login.username() {
            auth.arg(user);
        }
        ask::<Value>(&mut wire, auth.arg(password)).map_err(|error| match error.kind() {
            ErrorKind::Io => EngineError::of(&error, place),
            _ => EngineError::login(&error, place),
        })?;
    }
    if login.db() != 0 {
        let select = ask::<Value>(&mut wire, cmd("SELECT").arg(login.db()));
        select.map_err(|error| EngineError::of(&error, place))?;
    }
    Ok(wire)
}

fn ask_all(wire: &mut Wire, commands: &Pipeline) -> Result<Vec<Value>, RedisError> {
    wire.exchange(&commands.get_packed_pipeline(), commands.len())
}

fn ask<T: FromRedisValue>(wire: &mut Wire, command: &Cmd) -> Result<T, RedisError> {
    let replies = wire.exchange(&command.get_packed_command(), 1)?;
    told(replies.into_iter().next().unwrap_or(Value::Nil))
}

/// The value of a reply, if it is no error.
fn told<T: FromRedisValue>(reply: Value) -> Result<T, RedisError> {
    match reply {
        Value::ServerError(error) => Err(error.into()),
        reply => Ok(from_redis_value(reply)?),
    }
}

/// Asks the Sentinels for the master's address, each in turn. They have no login and no database.
fn find_master(
    sentinels: &[ConnectionAddr],
    master: &str,
    tls: bool,
) -> Result<ConnectionAddr, EngineError> {
    let mut why = String::new();
    for sentinel in sentinels {
        let answer = Wire::connect(sentinel, PATIENCE).map_err(RedisError::from);
        let answer = answer.and_then(|mut wire| {
            let mut question = cmd("SENTINEL");
            question.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
            ask::<Option<(String, u16)>>(&mut wire, &question)
        });
        match answer {
            Ok(Some((host, port))) => return Ok(located(host, port, tls)),
            Ok(None) => why = format!("{sentinel} does not know it"),
            Err(error) => why = format!("{sentinel}: {}", clean(&error.to_string())),
        }
    }
    Err(EngineError::NoMaster { master: master.to_owned(), why })
}
