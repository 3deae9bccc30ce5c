//! Lines and notices of the room, `/who`, and the end.

use super::{Language, count, say};
use crate::client::session::{CloseReason, ServerCounters};
use crate::protocol::LeaveReason;
use std::net::SocketAddr;
use std::time::Duration;

/// Largest number of names in one notice.
const NAMED: usize = 3;

impl Language {
    pub(crate) fn welcome(
        self,
        room: &str,
        nickname: &str,
        peers: u16,
        again: bool,
        moved_to: Option<SocketAddr>,
    ) -> String {
        let server = moved_to.map_or_else(String::new, |server| {
            say!(self, " at {server}", " на {server}", "（{server}）")
        });
        if again {
            say!(
                self,
                "welcome back to {room}{server}, {nickname}: {peers} here",
                "вы снова в комнате {room}{server} как {nickname}; здесь {peers}",
                "你以 {nickname} 的名字回到了 {room}{server}；在场 {peers} 人",
            )
        } else {
            say!(
                self,
                "welcome to {room}{server}, {nickname}: {peers} here",
                "вы в комнате {room}{server} как {nickname}; здесь {peers}",
                "你以 {nickname} 的名字进入了 {room}{server}；在场 {peers} 人",
            )
        }
    }

    pub(crate) fn joined(self, nicknames: &[String], peers: u16) -> String {
        let names = self.names(nicknames);
        match nicknames.len() {
            1 => say!(
                self,
                "{names} joined, {peers} here",
                "входит {names}; здесь {peers}",
                "{names} 加入了，在场 {peers} 人",
            ),
            _ => say!(
                self,
                "{names} joined, {peers} here",
                "входят {names}; здесь {peers}",
                "{names} 加入了，在场 {peers} 人",
            ),
        }
    }

    pub(crate) fn left(self, nicknames: &[String], peers: u16, reason: LeaveReason) -> String {
        let (names, number) = (self.names(nicknames), nicknames.len());
        match reason {
            LeaveReason::Timeout => say!(
                self,
                "{names} left (timed out), {peers} here",
                "нет ответа: {names}; здесь {peers}",
                "{names} 失去联系，在场 {peers} 人",
            ),
            LeaveReason::Flood => say!(
                self,
                "{names} left (flooded the room), {peers} here",
                "слишком много сообщений, сервер отключил: {names}; здесь {peers}",
                "{names} 因消息过多被移除，在场 {peers} 人",
            ),
            LeaveReason::Kicked => say!(
                self,
                "{names} left (removed by the moderator), {peers} here",
                "модератор удалил: {names}; здесь {peers}",
                "{names} 被管理员移除，在场 {peers} 人",
            ),
            LeaveReason::Restart => say!(
                self,
                "{names} left (restarting), {peers} here",
                "перезапуск: {names}; здесь {peers}",
                "{names} 正在重启，在场 {peers} 人",
            ),
            _ if number == 1 => say!(
                self,
                "{names} left, {peers} here",
                "выходит {names}; здесь {peers}",
                "{names} 离开了，在场 {peers} 人",
            ),
            LeaveReason::Quit | LeaveReason::Shutdown => say!(
                self,
                "{names} left, {peers} here",
                "выходят {names}; здесь {peers}",
                "{names} 离开了，在场 {peers} 人",
            ),
        }
    }

    pub(crate) fn renamed(self, from: &str, to: &str) -> String {
        say!(self, "{from} is now known as {to}", "{from} теперь {to}", "{from} 改名为 {to}")
    }

    pub(crate) fn own_renamed(self, to: &str) -> String {
        say!(self, "you are now known as {to}", "теперь вас зовут {to}", "你改名为 {to}")
    }

    pub(crate) fn topic(self, text: &str) -> String {
        say!(self, "topic: {text}", "тема: {text}", "话题：{text}")
    }

    pub(crate) fn no_topic_any_more(self) -> String {
        say!(self, "no topic any more", "темы больше нет", "不再有话题")
    }

    pub(crate) fn no_topic(self) -> String {
        say!(self, "no topic", "темы нет", "没有话题")
    }

    pub(crate) fn gap(self, from: &str, missing: u64) -> String {
        count!(
            self,
            missing,
            [
                "{missing} line from {from} did not arrive",
                "{missing} lines from {from} did not arrive"
            ],
            [
                "не дошла {missing} строка от {from}",
                "не дошли {missing} строки от {from}",
                "не дошло {missing} строк от {from}"
            ],
            "{from} 的 {missing} 条消息没有送达",
        )
    }

    pub(crate) fn pong(self, from: &str, rtt: Duration) -> String {
        let ms = self.ms(Some(rtt));
        say!(
            self,
            "{from} answered after {ms}",
            "{from}: ответ через {ms}",
            "{from} 在 {ms} 后回答"
        )
    }

    /// The mark of this user's own whisper, after the author's name.
    pub(crate) fn whispered_to(self, to: &str) -> String {
        say!(self, " (to {to} alone)", " (только для {to})", "（只对 {to} 说）")
    }

    /// The mark of a whisper to this user.
    pub(crate) fn whispered(self) -> String {
        say!(self, " (to you alone)", " (только вам)", "（只对你说）")
    }

    /// The mark of a line from before the join.
    pub(crate) fn earlier(self) -> String {
        say!(self, "(earlier)", "(раньше)", "（较早）")
    }

    /// The mark of a line that waited for an earlier one.
    pub(crate) fn held(self, ms: u128) -> String {
        say!(self, "(+{ms} ms held)", "(ждала {ms} мс)", "（队头阻塞 {ms} ms）")
    }

    pub(crate) fn farewell(self, reason: CloseReason) -> String {
        match reason {
            CloseReason::Quit => say!(self, "you left", "вы вышли", "你已离开"),
            CloseReason::Shutdown => {
                say!(self, "the server has closed", "сервер завершил работу", "服务器已关闭",)
            }
            CloseReason::Unreachable => say!(
                self,
                "the server was not reached",
                "связаться с сервером не удалось",
                "无法连接到服务器",
            ),
            CloseReason::Lost => say!(
                self,
                "the server is lost, and was given up",
                "связь с сервером потеряна, попытки прекращены",
                "与服务器的连接已断开，已放弃重试",
            ),
            CloseReason::Refused => say!(
                self,
                "the server did not let you in",
                "сервер вас не впустил",
                "服务器没有让你加入",
            ),
            CloseReason::Kicked => say!(
                self,
                "you were removed from the room",
                "вас удалили из комнаты",
                "你已被移出房间",
            ),
        }
    }

    /// The first line of a new day.
    pub(crate) fn day(self, date: jiff::civil::Date) -> String {
        use jiff::civil::Weekday::{
            Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday,
        };
        let day = match date.weekday() {
            Monday => say!(self, "Monday", "понедельник", "星期一"),
            Tuesday => say!(self, "Tuesday", "вторник", "星期二"),
            Wednesday => say!(self, "Wednesday", "среда", "星期三"),
            Thursday => say!(self, "Thursday", "четверг", "星期四"),
            Friday => say!(self, "Friday", "пятница", "星期五"),
            Saturday => say!(self, "Saturday", "суббота", "星期六"),
            Sunday => say!(self, "Sunday", "воскресенье", "星期日"),
        };
        say!(self, "{date}, {day}", "{date}, {day}", "{date}，{day}")
    }

    /// A list of names, "ann, bob and eve"; of a crowd the first few, "ann, bob and 38 others".
    fn names(self, nicknames: &[String]) -> String {
        match nicknames {
            [] => String::new(),
            [only] => only.clone(),
            [first @ .., last] if nicknames.len() <= NAMED => {
                let first = self.list(first);
                say!(self, "{first} and {last}", "{first} и {last}", "{first} 和 {last}")
            }
            crowd => {
                let (named, others) = crowd.split_at(NAMED - 1);
                let (named, others) = (self.list(named), others.len());
                say!(
                    self,
                    "{named} and {others} others",
                    "{named} и ещё {others}",
                    "{named} 和另外 {others} 人",
                )
            }
        }
    }

    /// The titles of `/who`: name, transport and mode, round-trip time, loss from the server and to
    /// it, silence.
    pub(crate) fn who_titles(self) -> [String; 6] {
        [
            say!(self, "name", "имя", "名字"),
            say!(self, "over", "транспорт", "传输方式"),
            say!(self, "rtt", "RTT", "往返时间"),
            say!(self, "lost: down", "потери ←", "下行丢失"),
            say!(self, "up", "→", "上行"),
            say!(self, "silent", "молчит", "静默"),
        ]
    }

    pub(crate) fn another_server(self) -> String {
        say!(self, "another server", "другой сервер", "其他服务器")
    }

    /// The counters of a server's datagrams, those of dropped ones without zeros.
    pub(crate) fn server_counters(self, server: &ServerCounters) -> String {
        let received = server.received;
        let mut text = say!(
            self,
            "server: {received} datagrams received",
            "сервер: принято датаграмм {received}",
            "服务器：收到 {received} 个数据报",
        );
        for (n, dropped) in [
            (server.alien, Dropped::Alien),
            (server.other_version, Dropped::OtherVersion),
            (server.corrupt, Dropped::Corrupt),
            (server.malformed, Dropped::Malformed),
            (server.unknown_session, Dropped::UnknownSession),
            (server.unread, Dropped::Unread),
            (server.refused, Dropped::Refused),
            (server.left_out, Dropped::LeftOut),
        ] {
            if n > 0 {
                let what = self.dropped(n, dropped);
                text += &say!(self, "; {what}", "; {what}", "；{what}");
            }
        }
        text
    }

    fn dropped(self, n: u64, dropped: Dropped) -> String {
        match dropped {
            Dropped::Alien => {
                say!(self, "{n} not of this protocol", "чужого протокола {n}", "{n} 个不属于本协议",)
            }
            Dropped::OtherVersion => {
                say!(self, "{n} of another version", "другой версии {n}", "{n} 个属于其他版本")
            }
            Dropped::Corrupt => say!(self, "{n} damaged", "повреждено {n}", "{n} 个已损坏"),
            Dropped::Malformed => {
                say!(self, "{n} malformed", "с неверным содержимым {n}", "{n} 个格式错误")
            }
            Dropped::UnknownSession => {
                say!(
                    self,
                    "{n} of unknown sessions",
                    "неизвестных сессий {n}",
                    "{n} 个属于未知会话"
                )
            }
            Dropped::Unread => say!(
                self,
                "{n} dropped unread: its receive buffer was full",
                "не поместилось в приёмный буфер {n}",
                "{n} 个因接收缓冲区已满被丢弃",
            ),
            Dropped::Refused => {
                say!(self, "{n} joins refused", "отказов во входе {n}", "{n} 次加入被拒绝")
            }
            Dropped::LeftOut => say!(
                self,
                "{n} lines left out: a peer does not keep up",
                "строк не поместилось в очередь медленного читателя {n}",
                "{n} 行放不进慢速读者的队列",
            ),
        }
    }
}

/// Why a server dropped something.
#[derive(Clone, Copy, Debug)]
enum Dropped {
    Alien,
    OtherVersion,
    Corrupt,
    Malformed,
    UnknownSession,
    Unread,
    Refused,
    LeftOut,
}
