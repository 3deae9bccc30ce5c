//! Clients that know one server, and are at another one when that is gone for good.

use super::redis::Redis;
use super::servers::servers;
use crate::needs::needs_time;
use crate::program::Program;

pub(crate) fn a_client_of_a_dead_server_is_back_at_a_listed_one_with_name_and_lines() {
    needs_time();
    let redis = Redis::start(&[]);
    let mut servers = servers::<3>(&redis.url("failover"), &[]);
    let (dying, others) = servers.split_first_mut().unwrap();
    let mut watcher = others[0].join("watcher");
    let mut clients = [("udp", "alice"), ("tcp", "bob")].map(|(transport, name)| {
        let address = dying.address.to_string();
        let args = ["client", &address, "--nick", name, "--output", "json", "--no-cache"];
        let args = [&args[..], &["--stay", "forever", "--transport", transport]].concat();
        let mut client = Program::start(redis.dir.path(), &args);
        client.next("welcome");
        client
    });
    let others: Vec<_> = others.iter().map(|it| it.address.to_string()).collect();
    let program = dying.program.as_mut().unwrap();
    program.has_said("list of the others", |line| others.iter().all(|it| line.contains(it)));
    for (client, text) in clients.iter_mut().zip(["one", "two"]) {
        client.type_line(text);
        watcher.hear(text);
    }
    // Lines arrive in order, so the client has the list when it has this one.
    watcher.type_line("listed");
    clients.iter_mut().for_each(|client| client.hear("listed"));
    dying.kill();
    watcher.type_line("said meanwhile");
    for (client, text) in clients.iter_mut().zip(["three", "four"]) {
        client.type_line(text);
    }
    for (client, nickname) in clients.iter_mut().zip(["alice", "bob"]) {
        let back = client.next("welcome");
        assert_eq!(back["nickname"], nickname);
        assert!(others.iter().any(|it| back["server"] == **it), "{back}");
        client.line("the line of the meantime", |line| line.contains("said meanwhile"));
        let told = client.output();
        assert!(!told.contains("may be missing") && !told.contains("may not have"), "{told}");
    }
    let mut heard: Vec<_> = (0..2).map(|_| watcher.next("message")["text"].clone()).collect();
    heard.sort_by_key(ToString::to_string);
    assert_eq!(heard, ["four", "three"]);
    assert_eq!(watcher.events("left").len(), 0, "the place is kept: {}", watcher.output());
}
