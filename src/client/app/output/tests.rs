//! A conversation as each language shows it, and as a program reads it.

use super::*;
use crate::client::session::{Denied, Notice, Undelivered};
use crate::protocol::{Mark, NameError, Refusal};
use std::time::Duration;

/// A conversation of alice: each kind of event that people see, in an order that happens.
fn conversation() -> Vec<Event> {
    let status = |notice| Event::Status { notice };
    let error = |notice| Event::Error { notice };
    let message = |from: &str, to: Option<&str>, private, text: &str| Event::Message {
        mark: None,
        at: WallTime(0),
        from: from.to_owned(),
        to: to.map(str::to_owned),
        text: text.to_owned(),
        private,
        held: Duration::ZERO,
        transit: None,
    };
    let names = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    let server = ([10, 0, 0, 1], 2428).into();
    let denied = Denied {
        reason: Refusal::NameTaken,
        detail: "the nickname bob is in use".to_owned(),
        nickname: "bob".to_owned(),
    };
    vec![
        Event::Welcome {
            nickname: "alice".to_owned(),
            room: "lab".to_owned(),
            peers: 1,
            session: 1,
            latest: Mark { epoch: 1, position: 0 },
            again: false,
            server,
            moved: false,
        },
        Event::Joined { nicknames: names(&["bob"]), peers: 2 },
        Event::Joined { nicknames: names(&["carl", "小明", "eve"]), peers: 5 },
        Event::Topic { text: "loss".to_owned() },
        message("bob", None, false, "hi"),
        message("bob", None, true, "psst"),
        message("alice", Some("bob"), true, "what?"),
        Event::Gap { from: "bob".to_owned(), missing: 1 },
        Event::Gap { from: "bob".to_owned(), missing: 22 },
        Event::Gap { from: "bob".to_owned(), missing: 5 },
        error(Notice::Undelivered {
            to: None,
            text: "are you there?".to_owned(),
            fate: Undelivered::Lost,
        }),
        error(Notice::NotRenamed(denied)),
        error(Notice::NotIgnored(NameError::Forbidden { ch: '\u{202e}' })),
        Event::Renamed { from: "bob".to_owned(), to: "rob".to_owned(), own: false },
        Event::Left { nicknames: names(&["rob"]), peers: 4, reason: LeaveReason::Kicked },
        Event::Left { nicknames: names(&["eve"]), peers: 3, reason: LeaveReason::Timeout },
        status(Notice::Quiet { seconds: 5 }),
        status(Notice::Back),
        status(Notice::Paced { lines: 3, seconds: 2 }),
        Event::Pong { from: "carl".to_owned(), rtt: Duration::from_micros(1_500) },
        Event::Left { nicknames: names(&["carl", "小明"]), peers: 1, reason: LeaveReason::Quit },
        Event::Closed { reason: CloseReason::Quit },
    ]
}

/// The notices and errors in this language, and the lines without their time.
fn shown(language: Language) -> Vec<String> {
    let style = Style { language, ..Style::default() };
    let without_time = |line: String| {
        let is_line = !line.starts_with(['*', '!']);
        if is_line { line.split_once(' ').unwrap().1.to_owned() } else { line }
    };
    let shown = conversation();
    shown.iter().map(|it| without_time(Format::Text.event(it, style).unwrap())).collect()
}

#[test]
fn a_conversation_reads_in_each_language() {
    assert_eq!(
        shown(Language::En),
        [
            "* welcome to lab, alice: 1 here",
            "* bob joined, 2 here",
            "* carl, 小明 and eve joined, 5 here",
            "* topic: loss",
            "bob: hi",
            "bob (to you alone): psst",
            "alice (to bob alone): what?",
            "* 1 line from bob did not arrive",
            "* 22 lines from bob did not arrive",
            "* 5 lines from bob did not arrive",
            "! this line was lost on the way: are you there?",
            "! your name stays as it is: the nickname bob is in use",
            "! not ignored: the character U+202E cannot be in a name: use letters, digits and \
             _ - . only",
            "* bob is now known as rob",
            "* rob left (removed by the moderator), 4 here",
            "* eve left (timed out), 3 here",
            "* server quiet for 5 s",
            "* the server is back",
            "* rate limit of the server: 3 of your lines are sent, in order, within 2 s",
            "* carl answered after 1.5 ms",
            "* carl and 小明 left, 1 here",
            "* you left",
        ]
    );
    assert_eq!(
        shown(Language::Ru),
        [
            "* вы в комнате lab как alice; здесь 1",
            "* входит bob; здесь 2",
            "* входят carl, 小明 и eve; здесь 5",
            "* тема: loss",
            "bob: hi",
            "bob (только вам): psst",
            "alice (только для bob): what?",
            "* не дошла 1 строка от bob",
            "* не дошли 22 строки от bob",
            "* не дошло 5 строк от bob",
            "! эта строка потерялась по пути: are you there?",
            "! имя осталось прежним: имя bob или похожее на него занято: выберите другое",
            "! не скрыто: символ U+202E в имени быть не может: только буквы, цифры и _ - .",
            "* bob теперь rob",
            "* модератор удалил: rob; здесь 4",
            "* нет ответа: eve; здесь 3",
            "* сервер молчит 5 с",
            "* сервер снова на связи",
            "* лимит сервера: 3 ваши строки уйдут по порядку за 2 с",
            "* carl: ответ через 1,5 мс",
            "* выходят carl и 小明; здесь 1",
            "* вы вышли",
        ]
    );
    assert_eq!(
        shown(Language::Zh),
        [
            "* 你以 alice 的名字进入了 lab；在场 1 人",
            "* bob 加入了，在场 2 人",
            "* carl、小明 和 eve 加入了，在场 5 人",
            "* 话题：loss",
            "bob: hi",
            "bob（只对你说）: psst",
            "alice（只对 bob 说）: what?",
            "* bob 的 1 条消息没有送达",
            "* bob 的 22 条消息没有送达",
            "* bob 的 5 条消息没有送达",
            "! 这条消息在途中丢失：are you there?",
            "! 名字没有改变：名字 bob 或与它相似的名字已被使用，请换一个",
            "! 未屏蔽：名字里不能有字符 U+202E：只能用字母、汉字、数字和 _ - .",
            "* bob 改名为 rob",
            "* rob 被管理员移除，在场 4 人",
            "* eve 失去联系，在场 3 人",
            "* 服务器已静默 5 秒",
            "* 服务器已恢复联系",
            "* 服务器的速率限制：你的 3 条消息将在 2 秒内依次发送",
            "* carl 在 1.5 ms 后回答",
            "* carl 和 小明 离开了，在场 1 人",
            "* 你已离开",
        ]
    );
}

#[test]
fn programs_read_the_same_in_each_language() {
    let read = |language| {
        let style = Style { language, ..Style::default() };
        conversation().iter().filter_map(|it| Format::Json.event(it, style)).collect::<Vec<_>>()
    };
    let english = read(Language::En);
    assert!(english.iter().any(|line| line.contains("the server is back")), "{english:?}");
    assert_eq!(english, read(Language::Ru));
    assert_eq!(english, read(Language::Zh));
}
