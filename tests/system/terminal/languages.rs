//! One conversation in each language, in a terminal of 80 columns and in a pipe.

use super::tmux::{self, Tmux, assert_restored, observed};
use crate::needs::needs;
use crate::program::{Program, Server};
use std::io::Write;
use std::net::UdpSocket;
use std::process::{Command, Stdio};

/// The texts on a host's screen, in the order of the conversation.
struct Words {
    language: &'static str,
    welcome: &'static str,
    joined: &'static str,
    whispered: &'static str,
    renamed: &'static str,
    muted: &'static str,
    mistake: &'static str,
    kicked: &'static str,
    here: &'static str,
    lost: &'static str,
    question: &'static str,
    left: &'static str,
}

const WORDS: [Words; 3] = [
    Words {
        language: "en",
        welcome: "* welcome to the room, alice: 1 here",
        joined: "* bob joined, 2 here",
        whispered: "alice (to bob alone): psst",
        renamed: "* bob is now known as rob",
        muted: "* rob is muted for 30 s",
        mistake: "! not sent: no command /hwo; did you mean /who?",
        kicked: "* rob left (removed by the moderator), 1 here",
        here: "| 1 here",
        lost: "from carl did not arrive",
        question: "! 1 other is here: type exit again to close the room",
        left: "* you left",
    },
    Words {
        language: "ru",
        welcome: "* вы в комнате the room как alice; здесь 1",
        joined: "* входит bob; здесь 2",
        whispered: "alice (только для bob): psst",
        renamed: "* bob теперь rob",
        muted: "* строки rob не передаются 30 с",
        mistake: "! не отправлено: команды /hwo нет; может быть, /who?",
        kicked: "* модератор удалил: rob; здесь 1",
        here: "| здесь 1",
        lost: "от carl",
        question: "! здесь ещё 1 участник: чтобы закрыть комнату, наберите exit ещё раз",
        left: "* вы вышли",
    },
    Words {
        language: "zh",
        welcome: "* 你以 alice 的名字进入了 the room；在场 1 人",
        joined: "* bob 加入了，在场 2 人",
        whispered: "alice（只对 bob 说）: psst",
        renamed: "* bob 改名为 rob",
        muted: "* rob 被禁言 30 秒",
        mistake: "! 未发送：没有命令 /hwo；是不是 /who？",
        kicked: "* rob 被管理员移除，在场 1 人",
        here: "| 在场 1 人",
        lost: "* carl 的",
        question: "! 还有 1 人在场：再输入一次 exit 就关闭房间",
        left: "* 你已离开",
    },
];

/// The host's address, which is on its screen.
fn address(screen: &str) -> &str {
    let at = screen.find("127.0.0.1:").unwrap();
    let rest = &screen[at..];
    rest.split(|ch: char| ch.is_whitespace()).next().unwrap()
}

pub(super) fn a_conversation_reads_in_each_language() {
    // In this thread: the terminals are opened by other threads, which cannot skip the test.
    needs(&tmux::NEEDED);
    let program = env!("CARGO_BIN_EXE_chatagram");
    let converse = |words: &Words| {
        let host = format!(
            "{program} host --bind 127.0.0.1:0 --nick alice --lang {} --no-cache --no-history \
             --no-discovery --rate-limit off",
            words.language
        );
        let tmux = Tmux::start(80, 40, &observed(&host));
        let screen = tmux.see(words.welcome);
        let client = |nick: &str, args: &[&str]| {
            let own = ["client", address(&screen), "--nick", nick, "--output", "json"];
            let args = [&own[..], &["--no-cache", "--stay", "forever"], args].concat();
            Program::start(tmux.dir.path(), &args)
        };
        let mut bob = client("bob", &["--lang", "zh"]);
        tmux.see(words.joined);
        bob.type_line("hi alice");
        tmux.see("bob: hi alice");
        tmux.say("@bob psst");
        tmux.see(words.whispered);
        tmux.say("/hwo");
        tmux.see(words.mistake);
        bob.type_line("/nick rob");
        tmux.see(words.renamed);
        tmux.say("/mute rob 30s");
        tmux.see(words.muted);
        tmux.say("/kick rob");
        tmux.see(words.kicked);
        assert_eq!(bob.wait(), Some(4));
        tmux.see(words.here);
        let mut carl = client("carl", &["--delivery", "unreliable", "--impair", "up: loss 30%"]);
        carl.next("welcome");
        (0..40).for_each(|number| carl.type_line(&format!("line {number}")));
        tmux.see(words.lost);
        tmux.press(&["C-d"]);
        tmux.see(words.question);
        tmux.press(&["C-d"]);
        tmux.see(words.left);
        assert_restored(&tmux, "code 0");
    };
    std::thread::scope(|scope| {
        WORDS.iter().for_each(|words| _ = scope.spawn(|| converse(words)));
    });
}

/// Input that needs no server, so that no answer depends on the time.
const LINES: &str =
    "/hwo\n@bob\n/me\n/nick\n/ignore a b\n/ignore bob\n/help\n/mode\n/topic\n/clear\n";

pub(super) fn programs_read_the_same_in_each_language() {
    // It does not answer, and so the client tells nothing of it.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let run = |language: &str, output: &str, last: &str| {
        let args = ["client", &address, "--nick", "alice", "--lang", language, "--no-cache"];
        let mut client = Program::start(dir.path(), &[&args[..], &["--output", output]].concat());
        client.write(LINES.as_bytes());
        client.line(last, |line| line.contains(last));
        client.signal("TERM");
        let code = client.wait();
        (client.output(), code)
    };
    let [en, ru, zh] =
        ["en", "ru", "zh"].map(|language| run(language, "json", "there is no screen to clear"));
    assert_eq!(en.1, Some(0));
    assert!(en.0.contains("did you mean /who?") && en.0.contains("are hidden here"), "{}", en.0);
    assert_eq!(en, ru);
    assert_eq!(en, zh);
    let (text, code) = run("ru", "text", "здесь нет экрана");
    assert!(text.contains("может быть, /who?") && code == Some(0), "{text}");
}

pub(super) fn the_locale_chooses_the_language_and_the_option_overrides_it() {
    let server = Server::start(&["--no-history"]);
    let address = server.address.to_string();
    let run = |variables: &[(&str, &str)], args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chatagram"));
        for name in ["LC_ALL", "LC_MESSAGES", "LANG", "CHATAGRAM_LANG"] {
            command.env_remove(name);
        }
        command.args(["client", &address, "--nick", "alice", "--no-cache"]).args(args);
        command.envs(variables.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut client = command.spawn().unwrap();
        client.stdin.take().unwrap().write_all(b"/quit\n").unwrap();
        String::from_utf8(client.wait_with_output().unwrap().stdout).unwrap()
    };
    let [en, ru, zh] = ["* you left", "* вы вышли", "* 你已离开"];
    for (variables, args, words) in [
        (&[][..], &[][..], en),
        (&[("LANG", "ru_RU.UTF-8")], &[], ru),
        (&[("LANG", "ru_RU.UTF-8"), ("LC_ALL", "zh_CN.UTF-8")], &[], zh),
        (&[("LANG", "ru_RU.UTF-8"), ("CHATAGRAM_LANG", "zh")], &[], zh),
        (&[("LC_MESSAGES", "ru_RU.UTF-8")], &["--lang", "en"], en),
    ] {
        let text = run(variables, args);
        assert!(text.contains(words), "{variables:?} {args:?}: {text}");
    }
    let dir = tempfile::tempdir().unwrap();
    // No name is that long, so the resolver asks nobody.
    let nowhere = "x".repeat(64);
    let not_found = format!("сервер {nowhere} не найден: ");
    for (args, code, why) in [
        (
            &["server", "--bind", &address, "--lang", "ru"][..],
            1,
            "этот порт занят другой программой",
        ),
        (&["server", "--bind", &address], 1, "; another program has this port"),
        (
            &["host", "--nick", "a", "--bind", "127.0.0.1:0", "--history", ".", "--lang", "zh"],
            1,
            "无法打开聊天记录 .：",
        ),
        (&["host", "--nick", "a", "--expiry", "1s", "--lang", "ru"], 2, "--expiry 1s должно быть"),
        (&["watch", "--ticket-file", "none", "--lang", "zh"], 1, "无法从 none 读取票："),
        (&["client", "chatagram://a/b", "--nick", "a", "--lang", "ru"], 2, "билет повреждён"),
        (&["client", &nowhere, "--nick", "a", "--lang", "ru"], 3, &not_found),
    ] {
        let mut program = Program::start(dir.path(), args);
        assert_eq!(program.wait(), Some(code), "{args:?}: {}", program.output());
        assert!(program.output().contains(why), "{args:?}: {}", program.output());
    }
}
