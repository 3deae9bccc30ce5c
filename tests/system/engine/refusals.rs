//! Engines that cannot be used: one clear error, and exit code 1.

use super::redis::Redis;
use crate::needs::needs;
use crate::program::Program;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::thread;

/// Starts a server that has to end, and returns what it said.
fn refused(code: i32, args: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let all = [&["server", "--bind", "127.0.0.1:0", "--no-discovery"], args].concat();
    let mut program = Program::start(dir.path(), &all);
    assert_eq!(program.wait(), Some(code), "{args:?}: {}", program.output());
    program.output()
}

pub(crate) fn a_wrong_url_is_refused() {
    for (url, words) in [
        ("localhost:6379/r", "begins with redis://"),
        ("http://localhost/r", "begins with redis://"),
        ("redis://localhost", "name of a room"),
        ("redis://localhost/", "name of a room"),
        ("redis://localhost:x/r", "no valid host"),
        ("redis://a,b/r", "several hosts"),
        ("redis+sentinel://a,b/r", "?master=NAME"),
        ("redis://localhost/r?x=y", "db=NUMBER"),
        ("redis://127.0.0.1:1/r", "cannot reach the engine at 127.0.0.1:1"),
    ] {
        let said = refused(1, &["--engine", url]);
        assert!(said.contains(words), "{url}: {said}");
    }
    for option in ["--engine-durable", "--advertise=10.0.0.1:2428"] {
        assert!(refused(2, &[option]).contains("--engine"), "{option}");
    }
    let said = refused(1, &["--engine-file", "none"]);
    assert!(said.contains("cannot read the engine's URL from none"), "{said}");
}

pub(crate) fn an_unusable_redis_is_refused_with_its_fault() {
    let redis = Redis::start(&["--requirepass", "right"]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("url");
    let file = file.to_str().unwrap();
    for password in ["", ":wrong@"] {
        fs::write(file, format!("redis://{password}127.0.0.1:{}/r\n", redis.port)).unwrap();
        let said = refused(1, &["--engine-file", file]);
        assert!(said.contains("refuses the login") && !said.contains("wrong"), "{said}");
    }

    let redis = Redis::start(&[]);
    redis.ask(&["SET", "chatagram:{r}:log", "something"]);
    let said = refused(1, &["--engine", &redis.url("r")]);
    assert!(said.contains("has a string under the key chatagram:{r}:log, not a stream"), "{said}");

    if !is_new(&redis) {
        let said = refused(1, &["--engine", &redis.url("durable"), "--engine-durable"]);
        assert!(said.contains("appendfsync always"), "{said}");
    }

    let master = format!("127.0.0.1 {}", redis.port);
    let replica = Redis::start(&["--replicaof", &master]);
    let said = refused(1, &["--engine", &replica.url("r")]);
    assert!(said.contains("read-only replica"), "{said}");

    let old = old_redis("6.0.16");
    let said = refused(1, &["--engine", &format!("redis://127.0.0.1:{old}/r")]);
    assert!(said.contains("Redis 6.0: Redis 7.0 or later"), "{said}");
}

/// Whether it has `WAITAOF`, so that an append-only file is enough.
fn is_new(redis: &Redis) -> bool {
    format!("{:?}", redis.ask(&["COMMAND", "INFO", "WAITAOF"])).contains("waitaof")
}

/// Something that says it is a Redis of this version.
fn old_redis(version: &str) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let info = format!("redis_version:{version}\r\nrole:master\r\nrun_id:x\r\n");
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut buffer = [0; 4_096];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                let asked = String::from_utf8_lossy(&buffer[..count]);
                let greetings = asked.matches("SETINFO").count();
                let mut answer = "+OK\r\n".repeat(greetings);
                if asked.contains("$4\r\nINFO") {
                    answer += &format!("${}\r\n{info}\r\n", info.len());
                }
                let _ = stream.write_all(answer.as_bytes());
            }
        }
    });
    port
}

pub(crate) fn an_engine_over_tls_is_used_and_its_certificate_checked() {
    needs(&["redis-server", "openssl"]);
    let dir = tempfile::tempdir().unwrap();
    let [key, certificate] = ["key.pem", "cert.pem"].map(|it| dir.path().join(it));
    let status = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(status.status.success(), "{status:?}");
    let port = crate::program::free_port().to_string();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (key, certificate) = (text(&key), text(&certificate));
    let _redis = Redis::start(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &certificate,
        "--tls-auth-clients",
        "no",
    ]);
    let url = format!("rediss://localhost:{port}/r");
    let said = refused(1, &["--engine", &url]);
    assert!(said.contains("certificate"), "{said}");

    let mut command = Command::new(env!("CARGO_BIN_EXE_chatagram"));
    command.env("SSL_CERT_FILE", &certificate);
    let args = ["server", "--bind", "127.0.0.1:0", "--no-discovery", "--engine", &url];
    let mut server = Program::start_by(command, dir.path(), &args);
    let line = server.line("address", |line| line.starts_with("listening on "));
    server.has_said("start", |line| line.contains("taking part in the room"));
    let address = &line["listening on ".len()..];
    let [mut alice, mut bob] = ["alice", "bob"].map(|name| {
        let args = ["client", address, "--nick", name, "--output", "json", "--no-cache"];
        let mut client = Program::start(dir.path(), &[&args[..], &["--stay", "forever"]].concat());
        client.next("welcome");
        client
    });
    alice.type_line("hello");
    bob.hear("hello");
}

pub(crate) fn a_password_is_shown_nowhere() {
    let mut redis = Redis::start(&["--requirepass", "s3cret"]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("url");
    let url = format!("redis://:s3cret@127.0.0.1:{}/r", redis.port);
    fs::write(&file, format!("{url}\n")).unwrap();

    let said = refused(2, &["--engine", &url]);
    assert!(said.contains("--engine-file") && !said.contains("s3cret"), "{said}");
    let (wrong, port) = (dir.path().join("wrong"), redis.port);
    for url in [
        format!("http://:s3cret@127.0.0.1:{port}/r"),
        format!("redis://:s3cret@127.0.0.1:{port}"),
        format!("redis://:s3cret@127.0.0.1:{port}/r?db=x"),
        format!("redis://s3cret:s3cret@127.0.0.1:{port}/r"),
        format!("redis://:not-s3cret@127.0.0.1:{port}/r"),
        format!("rediss://:s3cret@127.0.0.1:{port}/r"),
        format!("redis+sentinel://:s3cret@127.0.0.1:{port}/r?master=m"),
        "redis://:s3cret@127.0.0.1:1/r".to_owned(),
        "redis+unix://:s3cret@/nowhere/r".to_owned(),
    ] {
        fs::write(&wrong, &url).unwrap();
        let said = refused(1, &["-vv", "--engine-file", wrong.to_str().unwrap()]);
        let told = said.contains("engine") || said.contains("no Sentinel names");
        assert!(told && !said.contains("s3cret"), "{url}: {said}");
    }

    let args = ["server", "--bind", "127.0.0.1:0", "--no-discovery", "-vv"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatagram"));
    command.arg("server").args(&args[1..]).arg("--engine-file").arg(&file);
    let mut server = Program::start_by(command, dir.path(), &[]);
    server.line("address", |line| line.starts_with("listening on "));
    redis.kill();
    server.line("the fault", |line| line.contains("cannot reach the engine"));
    let shown = fs::read(format!("/proc/{}/cmdline", server.id())).unwrap_or_default();
    assert!(!String::from_utf8_lossy(&shown).contains("s3cret"));
    server.signal("INT");
    server.wait();
    assert!(!server.output().contains("s3cret"), "{}", server.output());

    let mut command = Command::new("env");
    command.arg(format!("CHATAGRAM_ENGINE={url}x?y")).arg(env!("CARGO_BIN_EXE_chatagram"));
    let mut server = Program::start_by(command, dir.path(), &args);
    assert_eq!(server.wait(), Some(1));
    assert!(!server.output().contains("s3cret"), "{}", server.output());
}
