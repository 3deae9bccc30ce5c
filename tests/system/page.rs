//! The room's page in Chromium, which a test drives, and the page's own parts in node.

mod browser;

use crate::needs::needs;
use crate::program::{DEADLINE, Program, Server, free_port};
use browser::{Browser, Page, Screen};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const PROJECTOR: Screen = Screen { width: 1_200, height: 900, is_dark: false };
const PHONE: Screen = Screen { width: 390, height: 844, is_dark: false };
/// Between two heartbeats, so that figures stand still.
const CALM: [&str; 4] = ["--heartbeat", "60s", "--expiry", "300s"];

/// A server with its page.
struct Room {
    server: Server,
    /// The page's address with the teacher's token.
    teacher: String,
}

impl Room {
    /// Starts a server whose page has this port, or any.
    fn start(bind: &str, web: u16, args: &[&str]) -> Self {
        let (dir, web) = (tempfile::tempdir().unwrap(), format!("127.0.0.1:{web}"));
        let all = [&["server", "--bind", bind, "--web", &web], args].concat();
        let mut program = Program::start(dir.path(), &all);
        let line = program.line("address", |line| line.starts_with("listening on "));
        let address = line["listening on ".len()..].parse().unwrap();
        let line = program.line("token", |line| line.contains("#token="));
        let teacher = line[line.find("http://").unwrap()..].to_owned();
        Self { server: Server { program, address, dir }, teacher }
    }

    /// The page's address without the token.
    fn url(&self) -> &str {
        self.teacher.split('#').next().unwrap()
    }
}

/// Runs a script of this directory with the page's modules beside it.
fn node(script: &str, arguments: &[PathBuf]) {
    needs(&["node"]);
    let dir = tempfile::tempdir().unwrap();
    let page = Path::new(ROOT).join("src/server/web/page");
    let modules = fs::read_dir(page).unwrap().map(|it| it.unwrap().path());
    let script_path = Path::new(ROOT).join("tests/system/page").join(script);
    for file in modules.chain([script_path]) {
        fs::copy(&file, dir.path().join(file.file_name().unwrap())).unwrap();
    }
    fs::write(dir.path().join("package.json"), "{\"type\": \"module\"}").unwrap();
    let mut command = Command::new("node");
    let output = command.arg(dir.path().join(script)).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

fn the_codec_reads_and_writes_the_vectors() {
    node("vectors.js", &[Path::new(ROOT).join("tests/vectors")]);
}

fn the_session_shows_nothing_twice_and_loses_nothing_silently() {
    node("unit.js", &[]);
}

/// The rows of the board: name, mode, round trip, and what was lost of what each way.
const ROWS: &str =
    "JSON.stringify([...document.querySelectorAll('#tables tbody tr')].map((row) => {
  const cell = (it) => row.querySelector(`.${it}`);
  const count = ({ dataset }) => dataset.whole && [dataset.whole, dataset.count].map(Number);
  return [cell('name').textContent, cell('over').textContent, cell('trip').textContent,
    count(cell('up')) || null, count(cell('down')) || null];
}))";

/// A row as `/who` has it.
fn row(peer: &Value) -> Value {
    let mode = match (&peer["transport"], &peer["delivery"]) {
        (transport, _) if transport == "tcp" => "TCP".to_owned(),
        (_, delivery) => format!("UDP {}", delivery.as_str().unwrap()),
    };
    let trip = peer["rtt_ms"].as_f64().map_or("–".to_owned(), |ms| {
        let text = if ms < 10.0 { format!("{ms:.1}") } else { format!("{ms:.0}") };
        format!("{} ms", text.trim_end_matches(".0"))
    });
    let up = match (peer["received"].as_u64(), peer["missing"].as_u64()) {
        (Some(received), Some(missing)) => json!([received + missing, missing]),
        _ => Value::Null,
    };
    let down = match (peer["sent"].as_u64(), peer["lost"].as_u64()) {
        (Some(sent), Some(lost)) => json!([sent, lost]),
        _ => Value::Null,
    };
    json!([peer["nickname"], mode, trip, up, down])
}

fn the_board_shows_the_figures_of_who() {
    let room = Room::start("127.0.0.1:0", 0, &[&CALM[..], &["--impair", "loss 20%"]].concat());
    let mut browser = Browser::start();
    // The last minute begins with the page.
    let page = browser.open(room.url(), PROJECTOR, "");
    browser.wait(&page, "document.getElementById('scale').textContent");
    let join = |name, args: &[&str]| {
        let usual = ["--no-cache", "--stay", "forever"];
        let mut client = room.server.client(name, &[&usual[..], args].concat());
        client.next("welcome");
        client
    };
    let mut alice = join("alice", &[]);
    let bob = join("bob", &["--delivery", "unreliable"]);
    let mut carol = join("carol", &["--transport", "tcp"]);
    for n in 0..40 {
        alice.type_line(&format!("line {n}"));
    }
    carol.hear("line 39");
    // Alice's own figures change with each question.
    let deadline = Instant::now() + DEADLINE;
    loop {
        alice.type_line("/who");
        let who = alice.next("who");
        let others = &who["peers"].as_array().unwrap()[1..];
        let wanted: Vec<Value> = others.iter().map(row).collect();
        let shown: Value =
            serde_json::from_str(browser.ask(&page, ROWS).as_str().unwrap()).unwrap();
        let shown: Vec<Value> = shown
            .as_array()
            .unwrap()
            .iter()
            .skip(1)
            .map(|row| {
                // The page adds the congestion control, which `/who` does not tell.
                let mut row = row.clone();
                if row[1].as_str().is_some_and(|mode| mode.starts_with("TCP ")) {
                    row[1] = "TCP".into();
                }
                row
            })
            .collect();
        if shown == wanted {
            assert!(wanted[0][4][1].as_u64().unwrap() > 0, "nothing was lost: {who}");
            break;
        }
        assert!(Instant::now() < deadline, "{shown:?} is not {wanted:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(bob.events("gap").len(), 0, "not read yet");
    let story = browser.wait(&page, "document.getElementById('story').textContent");
    assert!(!story.as_str().unwrap().is_empty());
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// Joins the chat of a page of a phone's size.
fn join(browser: &mut Browser, page: &Page, name: &str) {
    browser.wait(page, "!document.getElementById('chat').hidden");
    browser.ask(page, "document.querySelector('[data-tab=chat]').click()");
    browser.type_line(page, "nickname", name);
    browser.wait(page, &format!("document.getElementById('me').textContent.includes('{name}')"));
}

/// The lines in the transcript of this author.
fn said(author: &str) -> String {
    format!(
        "[...document.querySelectorAll('#log .line')].filter((it) =>
           it.querySelector('.from .name').textContent === '{author}').map((it) =>
           it.querySelector('.text').textContent)"
    )
}

fn a_phone_chats_over_loss_and_a_killed_server_and_shows_nothing_twice() {
    needs(&["chromium"]);
    let (bind, web) = (format!("127.0.0.1:{}", free_port()), free_port());
    let kept = tempfile::tempdir().unwrap();
    let history = kept.path().join("history.jsonl");
    let args = ["--heartbeat", "200ms", "--expiry", "3s", "--history", history.to_str().unwrap()];
    let room = Room::start(&bind, web, &args);
    let options = ["--no-cache", "--stay", "forever", "--impair", "loss 10%"];
    let mut bob = room.server.client("bob", &options);
    bob.next("welcome");
    let mut browser = Browser::start();
    let page = browser.open(room.url(), PHONE, "");
    join(&mut browser, &page, "phone");
    for n in 0..10 {
        browser.type_line(&page, "text", &format!("phone {n}"));
        bob.type_line(&format!("bob {n}"));
    }
    bob.hear("phone 9");
    browser.type_line(&page, "text", "@bob psst");
    bob.next_where("message", |it| it["text"] == "psst" && it["private"] == true);
    bob.type_line("phone: and you?");
    browser.wait(&page, "document.querySelector('#log .mention')");

    let Room { server: Server { program, address: _, dir: _dir }, .. } = room;
    program.kill();
    browser.wait(&page, "document.getElementById('state').textContent");
    browser.type_line(&page, "text", "while away");
    browser.wait(&page, "document.querySelector('#log .waiting')");
    let _room = Room::start(&bind, web, &args);
    // As a message or, if bob is back later than the page, in the history.
    bob.line("the page's line", |line| line.contains("while away"));
    bob.type_line("the end");
    browser.wait(&page, &format!("{}.includes('the end')", said("bob")));
    browser.wait(&page, "!document.querySelector('#log .waiting, #log .sent')");

    let numbered = |who: &str, last: &[&str]| -> Value {
        let lines = (0..10).map(|n| format!("{who} {n}"));
        lines.chain(last.iter().map(|it| (*it).to_owned())).collect::<Vec<_>>().into()
    };
    let from_bob = browser.ask(&page, &said("bob"));
    assert_eq!(from_bob, numbered("bob", &["phone: and you?", "the end"]));
    assert_eq!(browser.ask(&page, &said("phone")), numbered("phone", &["while away"]));
    let heard = [bob.events("message"), bob.events("history")].concat();
    let heard = heard.iter().filter(|it| it["from"] == "phone" && it["private"] != true);
    let heard: Vec<_> = heard.map(|it| it["text"].clone()).collect();
    assert_eq!(Value::from(heard), numbered("phone", &["while away"]));

    // A page that is loaded again goes on, and shows what it showed.
    browser.ask(&page, "window.dispatchEvent(new Event('pagehide'))");
    browser.reload(&page);
    browser.wait(&page, &format!("{}.includes('the end')", said("bob")));
    browser.wait(&page, "document.getElementById('me').textContent.includes('phone')");
    assert_eq!(browser.ask(&page, &said("bob")), from_bob);
    let _ = bob.leave();
}

fn dials_change_the_loss_that_clients_measure() {
    let room = Room::start("127.0.0.1:0", 0, &[]);
    let mut browser = Browser::start();
    let page = browser.open(&room.teacher, PROJECTOR, "");
    browser.wait(&page, "!document.getElementById('break').hidden");
    assert_eq!(browser.ask(&page, "location.href"), room.url(), "the token is in sight");
    let mut alice = room.server.join("alice");
    let options = ["--no-cache", "--stay", "forever", "--delivery", "unreliable"];
    let mut bob = room.server.client("bob", &options);
    bob.next("welcome");
    let set = |browser: &mut Browser, loss: u32| {
        let dial = format!(
            "{{ const dial = document.getElementById('dial-loss'); dial.value = {loss};
               dial.dispatchEvent(new Event('input')); }}"
        );
        browser.ask(&page, &dial);
        let told =
            format!("document.getElementById('network').textContent.includes('loss {loss}%')");
        browser.wait(&page, &told);
    };
    set(&mut browser, 50);
    let mut number = 0;
    let deadline = Instant::now() + DEADLINE;
    while bob.events("gap").is_empty() {
        assert!(Instant::now() < deadline, "no loss: {}", bob.output());
        alice.type_line(&format!("line {number}"));
        number += 1;
        // A whisper is reliable: what bob has read by then includes any gap before it.
        alice.type_line(&format!("/msg bob after {number}"));
        bob.next_where("message", |it| it["text"] == format!("after {number}"));
    }
    browser.wait(&page, "document.querySelector('tr.m-unreliable .down').dataset.count > 0");
    browser.ask(&page, "document.getElementById('off').click()");
    let off = "document.getElementById('network').textContent.includes('no emulated network')";
    browser.wait(&page, off);
    // Others see no dials, and cannot turn them.
    let guest = browser.open(room.url(), PROJECTOR, "sessionStorage.clear()");
    browser.wait(&guest, "document.getElementById('scale').textContent");
    assert_eq!(browser.ask(&guest, "document.getElementById('break').hidden"), true);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// What is wrong with the page's layout; empty if nothing is.
const LAYOUT: &str = "(() => {
  const wrong = [];
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth) wrong.push(`the page is ${root.scrollWidth} wide`);
  for (const it of document.querySelectorAll('button, input, select, svg, img, td, th, p')) {
    const box = it.getBoundingClientRect();
    if (box.width && !it.closest('.skip, .hidden') && (box.left < -1 || box.right > innerWidth + 1))
      wrong.push(`${it.tagName} ${it.className.baseVal ?? it.className} sticks out`);
  }
  for (const it of document.querySelectorAll('button, input, select'))
    if (!it.hidden && it.checkVisibility() && !(it.labels?.length || it.ariaLabel ||
      it.textContent.trim() || it.placeholder)) wrong.push(`no name: ${it.outerHTML}`);
  for (const it of document.querySelectorAll('svg[role=img]'))
    if (!it.getAttribute('aria-label')) wrong.push('a picture without a name');
  return wrong.join('; ');
})()";

/// The script that takes the place of the server's board, with this number of peers.
fn fake_board(peers: u32, is_hostile: bool) -> String {
    let fake = fs::read_to_string(Path::new(ROOT).join("tests/system/page/fake_board.js")).unwrap();
    format!("({})({peers}, {is_hostile})", &fake[fake.find("(count").unwrap()..])
}

/// The number of times in a second and a half that the ladder moves.
const MOVES: &str = "new Promise((tell) => {
  let moves = 0;
  new MutationObserver(() => moves++).observe(
    document.getElementById('strips'), { subtree: true, attributes: true, childList: true });
  setTimeout(() => tell(moves), 1500);
})";

fn the_ladder_moves_once_a_second_for_readers_who_want_few_movements() {
    let room = Room::start("127.0.0.1:0", 0, &[]);
    let mut browser = Browser::start();
    let first = fake_board(7, false);
    let screen = Screen { width: 1_200, height: 800, is_dark: false };
    let page = browser.open(&room.teacher, screen, &first);
    browser.wait(&page, "document.querySelector('#strips .came')");
    let usual = browser.ask(&page, MOVES);
    browser.reduce_motion(&page);
    let reduced = browser.ask(&page, MOVES);
    println!("{usual} movements, reduced {reduced}");
    // Twice for the ladder's picture, and as often for the figures beside it.
    assert!(reduced.as_u64().is_some_and(|moves| moves <= 4), "{reduced}");
}

fn the_page_fits_every_screen_and_hostile_texts_are_only_texts() {
    let room = Room::start("127.0.0.1:0", 0, &[]);
    let mut browser = Browser::start();
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("room-page");
    for (peers, is_hostile) in [(7, false), (60, false), (60, true)] {
        let first = fake_board(peers, is_hostile);
        let screen = Screen { width: 360, height: 800, is_dark: is_hostile };
        let page = browser.open(&room.teacher, screen, &first);
        browser.wait(&page, "document.querySelector('#strips .came')");
        browser.wait(&page, "document.getElementById('story').textContent");
        for language in ["en", "ru", "zh"] {
            let choose = format!(
                "{{ const it = document.getElementById('language'); it.value = '{language}';
                   it.dispatchEvent(new Event('change')); }}"
            );
            browser.ask(&page, &choose);
            for width in [360, 1_200, 1_920] {
                browser.resize(&page, Screen { width, height: width.max(800) * 2 / 3, ..screen });
                let settled = "new Promise((done) => setTimeout(done, 50, true))";
                browser.ask(&page, settled);
                let wrong = browser.ask(&page, LAYOUT);
                assert_eq!(wrong, "", "{peers} peers, {language}, {width} pixels");
                if language == "en" {
                    let kind = if is_hostile { "-hostile" } else { "" };
                    browser.picture(&page, &kept.join(format!("{peers}{kind}-{width}.png")));
                }
            }
        }
        assert_eq!(browser.ask(&page, "document.querySelectorAll('img, b img').length"), 1);
        assert_eq!(browser.ask(&page, "'hacked' in window"), false);
        let rows = browser.ask(&page, "document.querySelectorAll('#tables tbody tr').length");
        assert_eq!(rows, peers);
    }
    let outside = browser.requests();
    let outside: Vec<_> = outside.iter().filter(|it| !is_own(it, room.url())).collect();
    assert!(outside.is_empty(), "{outside:?}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// Whether an address is the page's own, or none of a network.
fn is_own(address: &str, page: &str) -> bool {
    let host = page.trim_start_matches("http://");
    let start = |scheme: &str| address.starts_with(&format!("{scheme}://{host}"));
    start("http") || start("ws") || ["data:", "about:"].iter().any(|it| address.starts_with(it))
}

tests![
    a_phone_chats_over_loss_and_a_killed_server_and_shows_nothing_twice,
    dials_change_the_loss_that_clients_measure,
    the_board_shows_the_figures_of_who,
    the_codec_reads_and_writes_the_vectors,
    the_ladder_moves_once_a_second_for_readers_who_want_few_movements,
    the_page_fits_every_screen_and_hostile_texts_are_only_texts,
    the_session_shows_nothing_twice_and_loses_nothing_silently,
];
