//! `chatagram doctor` looks at an engine.

use super::redis::Redis;
use crate::program::free_port;
use serde_json::Value;
use std::fs;
use std::process::Command;

/// The findings about the engine, after these options.
fn findings(args: &[&str]) -> Vec<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatagram"));
    let output = command.args(["doctor", "--output", "json"]).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("s3cret"), "{text}");
    let checks = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    checks.filter(|it| it["check"].as_str().unwrap().starts_with("engine")).collect()
}

fn state<'a>(checks: &'a [Value], name: &str) -> &'a str {
    let check = checks.iter().find(|check| check["check"] == name);
    check.expect(name)["state"].as_str().unwrap()
}

pub(crate) fn doctor_says_what_an_engine_lacks() {
    assert_eq!(findings(&[]), [] as [Value; 0]);
    let lax = ["--requirepass", "s3cret", "--maxmemory", "100mb"];
    let policy = ["--maxmemory-policy", "allkeys-lru", "--appendfsync", "no"];
    let redis = Redis::start(&[lax, policy].concat());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("url");
    fs::write(&file, format!("redis://:s3cret@127.0.0.1:{}/r\n", redis.port)).unwrap();
    let file = file.to_str().unwrap();
    let found = findings(&["--engine-file", file]);
    for (name, expected) in [
        ("engine", "ok"),
        ("engine-disk", "limited"),
        ("engine-full", "limited"),
        ("engine-time", "ok"),
    ] {
        assert_eq!(state(&found, name), expected, "{found:?}");
    }
    let found = findings(&["--engine-file", file, "--engine-durable"]);
    assert_eq!(state(&found, "engine-disk"), "missing", "{found:?}");

    redis.ask_as("s3cret", &["CONFIG", "SET", "appendfsync", "always", "maxmemory", "0"]);
    let found = findings(&["--engine-file", file, "--engine-durable"]);
    assert!(found.iter().all(|it| it["state"] == "ok" && it["fix"].is_null()), "{found:?}");

    let nobody = format!("redis://127.0.0.1:{}/r", free_port());
    let found = findings(&["--engine", &nobody]);
    assert_eq!(state(&found, "engine"), "missing", "{found:?}");
    assert!(found[0]["means"].as_str().unwrap().contains("cannot reach"), "{found:?}");
}

pub(crate) fn doctor_needs_an_engine_without_a_password_in_sight() {
    for args in [&["--engine-durable"][..], &["--engine", "redis://:s3cret@localhost/r"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chatagram"));
        let output = command.arg("doctor").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("--engine") && !said.contains("s3cret"), "{said}");
    }
}
