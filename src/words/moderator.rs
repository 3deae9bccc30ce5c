//! Answers to the orders of a moderator, and what a server tells its peers of them.

use super::{Language, say};
use crate::hub::Answer;
use crate::protocol::limits::MAX_TOPIC;
use std::fmt;

/// English, for the log.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Language::En.answered(self))
    }
}

impl Language {
    /// The words of a server that speaks this language.
    #[must_use]
    pub fn of_moderator(self) -> fn(&Answer) -> String {
        match self {
            Self::En => |answer| Self::En.answered(answer),
            Self::Ru => |answer| Self::Ru.answered(answer),
            Self::Zh => |answer| Self::Zh.answered(answer),
        }
    }

    /// The text of an answer.
    #[must_use]
    pub fn answered(self, answer: &Answer) -> String {
        match answer {
            Answer::NotDone(why) => self.not_done(&self.answered(why)),
            Answer::Removed { name, address_too, minutes, reason } => {
                self.removed(name, *address_too, *minutes, reason)
            }
            Answer::RemovedFor { name, reason } => say!(
                self,
                "{name} is removed: {reason}",
                "модератор удаляет {name}: {reason}",
                "管理员移除 {name}：{reason}",
            ),
            Answer::Muted { name, seconds } => say!(
                self,
                "{name} is muted for {seconds} s",
                "строки {name} не передаются {seconds} с",
                "{name} 被禁言 {seconds} 秒",
            ),
            Answer::YouAreMuted { seconds } => say!(
                self,
                "the moderator muted you for {seconds} s",
                "модератор запретил вам говорить на {seconds} с",
                "管理员已将你禁言 {seconds} 秒",
            ),
            Answer::YouAreStillMuted { seconds } => say!(
                self,
                "the moderator muted you, for {seconds} s more",
                "модератор запретил вам говорить, ещё {seconds} с",
                "管理员已将你禁言，还剩 {seconds} 秒",
            ),
            Answer::Unmuted { name } => say!(
                self,
                "{name} may speak again",
                "{name} снова может говорить",
                "{name} 可以再次发言",
            ),
            Answer::Unbanned { name } => say!(
                self,
                "{name} may join again",
                "{name} снова может войти",
                "{name} 可以再次加入",
            ),
            Answer::Topic(Some(text)) => {
                say!(self, "the topic is now: {text}", "тема теперь: {text}", "话题现在是：{text}",)
            }
            Answer::Topic(None) => {
                say!(self, "there is no topic any more", "темы больше нет", "不再有话题")
            }
            Answer::Locked => say!(
                self,
                "the room is locked: nobody new is let in",
                "комната закрыта: новых не впускают",
                "房间已锁定：不再接纳新成员",
            ),
            Answer::Unlocked => {
                say!(self, "the room is open again", "комната снова открыта", "房间重新开放",)
            }
            answer => self.why_not(answer),
        }
    }

    /// Why an order is not carried out.
    fn why_not(self, answer: &Answer) -> String {
        match answer {
            Answer::NotTheHost => say!(
                self,
                "only the host and the operator of the server moderate",
                "модерируют только хозяин комнаты и оператор сервера",
                "只有房主和服务器的操作者可以管理",
            ),
            Answer::NoName(error) => {
                let (why, orders) = (self.name_error(error), self.orders());
                say!(self, "{why}; {orders}", "{why}; {orders}", "{why}；{orders}")
            }
            Answer::NoPeer { name } => {
                say!(self, "no peer is named {name}", "имени {name} здесь нет", "没有人叫 {name}")
            }
            Answer::Elsewhere { name } => say!(
                self,
                "{name} is at another server: give the order there",
                "{name} на другом сервере: дайте команду там",
                "{name} 在另一个服务器上：请在那里下达命令",
            ),
            Answer::Host { name } => {
                say!(self, "{name} is the host", "{name}: это хозяин комнаты", "{name} 是房主")
            }
            Answer::HasLeft { name } => {
                say!(self, "{name} has left", "имени {name} здесь уже нет", "{name} 已离开")
            }
            Answer::NotMuted { name } => say!(
                self,
                "{name} is not muted",
                "{name} и так может говорить",
                "{name} 没有被禁言",
            ),
            Answer::NotBanned { name } => say!(
                self,
                "{name} is not kept out",
                "{name} и так может войти",
                "{name} 没有被禁止加入",
            ),
            Answer::NoTime(error) => {
                say!(self, "{error}", "это не время ({error})", "这不是时间（{error}）",)
            }
            Answer::TimeTooLong => say!(
                self,
                "a peer is muted for at most a day, 86400s",
                "запретить говорить можно не больше чем на сутки, 86400s",
                "最多禁言一天，即 86400s",
            ),
            Answer::NoTopic => say!(
                self,
                "a topic has a text, or - for none",
                "у темы есть текст; - убирает тему",
                "话题需要内容，- 表示没有",
            ),
            Answer::TopicTooLong { bytes } => say!(
                self,
                "the topic has {bytes} bytes: shorten it to {MAX_TOPIC}",
                "байтов в теме: {bytes}; сократите до {MAX_TOPIC}",
                "话题有 {bytes} 字节：请缩短到 {MAX_TOPIC} 字节",
            ),
            _ => self.orders(),
        }
    }

    fn removed(self, name: &str, address_too: bool, minutes: u64, reason: &str) -> String {
        let because = match reason {
            "" => String::new(),
            reason => say!(self, ": {reason}", ": {reason}", "：{reason}"),
        };
        if address_too {
            say!(
                self,
                "{name} is removed; name and address stay out for {minutes} min{because}",
                "удалено: {name}; имя и адрес не впускаются {minutes} мин{because}",
                "{name} 已被移除；此名字和地址在 {minutes} 分钟内不能加入{because}",
            )
        } else {
            say!(
                self,
                "{name} is removed; the name, not its shared address, stay out for {minutes} \
                 min{because}",
                "удалено: {name}; имя не впускается {minutes} мин, а адрес общий и открыт{because}",
                "{name} 已被移除；此名字在 {minutes} 分钟内不能加入，共用的地址不受限{because}",
            )
        }
    }

    fn orders(self) -> String {
        say!(
            self,
            "the orders are: kick NAME [REASON], mute NAME [TIME], unmute NAME, unban NAME, topic \
             TEXT (- for none), lock, unlock",
            "команды: kick ИМЯ [ПРИЧИНА], mute ИМЯ [ВРЕМЯ], unmute ИМЯ, unban ИМЯ, topic ТЕКСТ (- \
             убирает тему), lock, unlock",
            "命令有：kick 名字 [原因]，mute 名字 [时间]，unmute 名字，unban 名字，topic 内容（- \
             表示没有），lock，unlock",
        )
    }

    /// An order is not carried out.
    #[must_use]
    pub fn not_done(self, why: &str) -> String {
        say!(self, "not done: {why}", "не выполнено: {why}", "未执行：{why}")
    }
}
