//! Clients that break what a lab may take for granted, all in one plan.

use super::{public, run_named, verified};
use crate::lab::{lab, needs_namespaces, said};
use crate::needs::needs;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

/// Sends each line to all others.
const SERVER: &str = r#"
import socket, sys, threading
others, lock = [], threading.Lock()
def serve(conn):
    with lock: others.append(conn)
    try:
        for line in conn.makefile("rb"):
            with lock:
                for other in others:
                    try:
                        if other is not conn: other.sendall(line)
                    except OSError: pass  # it has left, and its thread is late
    except OSError: pass
    with lock: others.remove(conn)
listener = socket.create_server(("0.0.0.0", int(sys.argv[1])))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"#;

/// `show` prints a received line, and `lines` are those to say.
const CLIENT: &str = r#"
import os, socket, subprocess, sys, threading, time
conn = socket.create_connection((sys.argv[1], int(sys.argv[2])))
out, lines = sys.stdout.buffer, sys.stdin.buffer
def show(line): out.write(line); out.flush()
PLACE
def listen():
    for line in conn.makefile("rb"): show(line)
threading.Thread(target=listen, daemon=True).start()
for line in lines: conn.sendall(line)
time.sleep(600)
"#;

/// A client in C that leaves flushing to its library: at once on a terminal, else every 4 KiB.
const IN_C: &str = r#"
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int count, char **words) {
    char bytes[4096];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(words[2]))};
    int conn = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, words[1], &to.sin_addr);
    if (connect(conn, (struct sockaddr *)&to, sizeof to)) return 1;
    struct pollfd both[2] = {{0, POLLIN}, {conn, POLLIN}};
    for (;;) {
        poll(both, 2, -1);
        for (int it = 0; it < 2; it++) {
            if (!both[it].revents) continue;
            ssize_t length = read(both[it].fd, bytes, sizeof bytes);
            if (length <= 0) return 0;
            if (it) fwrite(bytes, 1, length, stdout);
            else if (write(conn, bytes, length) < 0) return 1;
        }
    }
}
"#;

/// A program, what makes its client awkward, and whether it has a terminal.
const PROGRAMS: [(&str, &str, bool); 13] = [
    ("pipe-python", "def show(line): out.write(line)", false),
    ("tty-python", "def show(line): print(line.decode(), end='')", true),
    (
        "tty-asks",
        "tty = open('/dev/tty', 'r+b', buffering=0)\ntty.write(b'Your name? ')\n\
         assert tty.readline() == b'my ' + sys.argv[3].encode() + b'\\n'",
        true,
    ),
    (
        "tty-draws",
        "def show(line):\n    \
         out.write(b'\\x1b[s\\x1b[2;1H\\x1b[K> ' + line.strip() + b'\\x1b[u')\n    out.flush()",
        true,
    ),
    ("forks", "subprocess.Popen(['sleep', 'MARK'], start_new_session=True)", false),
    (
        "prints-1-gb",
        "def show(line):\n    for _ in range(1 << 14): out.write(b'y' * (1 << 16))",
        false,
    ),
    ("reads-nothing", "lines = iter(lambda: time.sleep(600), 1)", false),
    ("tty-reads-nothing", "lines = iter(lambda: time.sleep(600), 1)", true),
    ("closes-input", "os.close(0); lines = ()", false),
    ("no-utf8", "def show(line): out.write(b'\\xff\\xfe\\xc3 ' + line); out.flush()", false),
    ("crlf", "def show(line): out.write(line.strip() + b'\\r\\n'); out.flush()", false),
    ("exits", "sys.exit(0)", false),
    ("eats-memory", "def show(line): bytearray(3 << 30)", false),
];

pub(super) fn awkward_programs_are_measured_and_leave_nothing() {
    needs(&["python3", "cc"]);
    let dir = public();
    let path = |name: &str| dir.path().join(name);
    let mark = format!("8{}", std::process::id());
    fs::write(path("server.py"), SERVER).unwrap();
    fs::write(path("client.c"), IN_C).unwrap();
    let compiled = Command::new("cc").arg("-o").arg(path("client")).arg(path("client.c")).status();
    assert!(compiled.unwrap().success());
    let mut plan =
        "loss = [0]\nmodes = [\"unreliable\"]\nrepetitions = 1\nduration_s = 1\n".to_owned();
    let mut add = |name: &str, client: String, pty: bool| {
        let server = format!("python3 {}", path("server.py").display());
        write!(
            plan,
            "[[program]]\nname = \"{name}\"\nserver = \"{server} {{port}}\"\n\
             client = \"{client} {{host}} {{port}} {{nick}}\"\npty = {pty}\n"
        )
        .unwrap();
        if name == "tty-asks" {
            plan += "answers = [\"my {nick}\"]\n";
        }
    };
    for (name, place, pty) in PROGRAMS {
        let client = CLIENT.replace("PLACE", place).replace("MARK", &mark);
        fs::write(path(name), client).unwrap();
        // -E: without PYTHONUNBUFFERED.
        add(name, format!("python3 -E {}", path(name).display()), pty);
    }
    for (name, pty) in [("pipe-c", false), ("tty-c", true)] {
        add(name, path("client").display().to_string(), pty);
    }
    fs::write(path("plan.toml"), plan).unwrap();
    let out = path("lab");
    let output =
        lab(&[path("plan.toml").to_str().unwrap(), "--no-trace", "--out", out.to_str().unwrap()]);
    needs_namespaces(&output);
    assert!(output.status.success(), "{}", said(&output));

    let run = |name: &str| run_named(&out, name);
    let conduct = |name: &str, what: &str| run(name).1["program"][what].clone();
    for name in ["tty-python", "tty-asks", "tty-draws", "forks", "no-utf8", "crlf", "tty-c"] {
        let (delivered, info) = run(name);
        let program = &info["program"];
        assert_eq!(delivered, info["sent"].as_u64().unwrap(), "{name}: {program}");
        assert_eq!((&program["fused"], &program["cut"]), (&0.into(), &0.into()), "{name}");
        assert_eq!(program["ended"].as_array().unwrap().len(), 0, "{name}: {program}");
    }
    for name in ["pipe-python", "pipe-c", "reads-nothing", "tty-reads-nothing", "closes-input"] {
        assert_eq!(run(name).0, 0, "{name} keeps all to itself");
        assert_eq!(conduct(name, "unheard").as_array().unwrap().len(), 1, "{name}");
    }
    assert_eq!(conduct("closes-input", "hung")[0], "s1", "it takes no lines");
    assert_eq!(conduct("prints-1-gb", "ended")[0]["how"], "killed: it printed too much");
    assert_eq!(conduct("exits", "ended").as_array().unwrap().len(), 2, "both exit");
    let errors = conduct("eats-memory", "errors").to_string();
    assert!(errors.contains("MemoryError"), "{errors}");
    let left = fs::read_dir("/proc").unwrap().filter(|it| {
        let words = it.as_ref().ok().and_then(|it| fs::read(it.path().join("cmdline")).ok());
        words.is_some_and(|it| it.split(|byte| *byte == 0).any(|word| word == mark.as_bytes()))
    });
    assert_eq!(left.count(), 0, "a child stays behind");
    verified(out.to_str().unwrap());
}
