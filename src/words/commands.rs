//! `/help`, and mistakes in commands.

use super::{Language, count, say};
use crate::protocol::NameError;
use crate::protocol::limits::MAX_NAME_CHARS;

/// A mistake in a line of input, which is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// `@` without a name or a text.
    At,
    /// `/msg` without a name or a text.
    Msg,
    /// A whisper to something that is no name.
    NoName(NameError),
    /// `/me` without an action.
    Me,
    /// `/r` without a text.
    Reply,
    /// This command without a name.
    NameMissing(&'static str),
    /// An unknown mode.
    Mode,
    /// `/quit` with something behind it.
    Quit,
    /// An unknown command, and the known one that is nearest.
    Unknown { word: String, nearest: Option<&'static str> },
    /// The line of this number is too long, KiB, and no message.
    TooLong { line: u64, kib: usize },
    /// It is not UTF-8.
    NotUtf8,
}

impl Language {
    pub(crate) fn mistake(self, mistake: &Mistake) -> String {
        let what = match mistake {
            Mistake::At => self.whisper_usage() + &self.escape_hint(),
            Mistake::Msg => {
                let usage = say!(
                    self,
                    "/msg takes a name and a text",
                    "после /msg нужны имя и текст",
                    "/msg 需要名字和内容",
                );
                usage + &self.escape_hint()
            }
            Mistake::NoName(error) => {
                let (why, usage) = (self.name_error(error), self.whisper_usage());
                let what = say!(
                    self,
                    "no peer has that name: {why}; {usage}",
                    "такого имени не бывает: {why}; {usage}",
                    "没有人能叫这个名字：{why}；{usage}",
                );
                what + &self.escape_hint()
            }
            Mistake::Me => say!(
                self,
                "/me takes what you do",
                "после /me напишите, что вы делаете",
                "/me 后面写你在做什么",
            ),
            Mistake::Reply => {
                say!(self, "/r takes a text", "после /r нужен текст", "/r 需要内容")
            }
            Mistake::NameMissing(command) => say!(
                self,
                "/{command} takes a name",
                "после /{command} нужно имя",
                "/{command} 需要名字",
            ),
            Mistake::Mode => say!(
                self,
                "/mode takes unreliable, reliable-unordered or reliable-ordered",
                "после /mode нужно unreliable, reliable-unordered или reliable-ordered",
                "/mode 需要 unreliable、reliable-unordered 或 reliable-ordered",
            ),
            Mistake::Quit => say!(
                self,
                "/quit takes nothing, and leaves",
                "команда /quit выходит, и после неё ничего не нужно",
                "/quit 用于离开，后面不带内容",
            ),
            Mistake::Unknown { word, nearest } => self.unknown(word, *nearest),
            Mistake::TooLong { line, kib } => say!(
                self,
                "line {line} has more than {kib} KiB and is no message",
                "строка {line} больше {kib} КиБ и не сообщение",
                "第 {line} 行超过 {kib} KiB，而且不是消息",
            ),
            Mistake::NotUtf8 => {
                say!(self, "that was not UTF-8", "это не UTF-8", "那不是 UTF-8")
            }
        };
        say!(self, "not sent: {what}", "не отправлено: {what}", "未发送：{what}")
    }

    fn unknown(self, word: &str, nearest: Option<&str>) -> String {
        let hint = match nearest {
            Some(name) => {
                say!(self, "did you mean /{name}?", "может быть, /{name}?", "是不是 /{name}？",)
            }
            None => say!(self, "see /help", "см. /help", "见 /help"),
        };
        let what = say!(
            self,
            "no command /{word}; {hint}",
            "команды /{word} нет; {hint}",
            "没有命令 /{word}；{hint}",
        );
        what + &self.escape_hint()
    }

    fn whisper_usage(self) -> String {
        say!(
            self,
            "to whisper, write: @name text",
            "личная строка пишется так: @имя текст",
            "私语的写法：@名字 内容",
        )
    }

    /// The way to say a line that looks like a whisper or a command.
    fn escape_hint(self) -> String {
        say!(
            self,
            " (// says a line that begins with / or @)",
            " (//: строка, которая начинается с / или @)",
            "（// 说出以 / 或 @ 开头的一行）",
        )
    }

    /// The argument of a command, in `/help`.
    pub(crate) fn name_argument(self) -> String {
        say!(self, "NAME", "ИМЯ", "名字")
    }

    pub(crate) fn text_argument(self) -> String {
        say!(self, "TEXT", "ТЕКСТ", "内容")
    }

    pub(crate) fn mode_argument(self) -> String {
        say!(self, "[MODE]", "[РЕЖИМ]", "[模式]")
    }

    pub(crate) fn help_msg(self) -> String {
        say!(self, "the same", "то же самое", "同上")
    }

    pub(crate) fn help_r(self) -> String {
        say!(
            self,
            "answer the last whisper to you",
            "ответить на последнюю личную строку",
            "回复最近一条对你的私语",
        )
    }

    pub(crate) fn help_me(self) -> String {
        say!(
            self,
            "say what you do: /me waves is said as *waves*",
            "сказать, что вы делаете: /me машет станет *машет*",
            "说你在做什么：/me 挥手 显示为 *挥手*",
        )
    }

    pub(crate) fn help_who(self) -> String {
        say!(
            self,
            "who is here, and how well they are reached",
            "кто здесь, и как у них со связью",
            "谁在场，以及他们的网络状况",
        )
    }

    pub(crate) fn help_ping(self) -> String {
        say!(
            self,
            "how long it takes to NAME and back, through the server",
            "время туда и обратно до ИМЯ, через сервер",
            "经服务器到此人再返回要多久",
        )
    }

    pub(crate) fn help_stats(self) -> String {
        say!(
            self,
            "what the network did so far",
            "что до сих пор делала сеть",
            "网络到目前为止的统计"
        )
    }

    pub(crate) fn help_mode(self) -> String {
        say!(
            self,
            "how lines travel: unreliable, reliable-unordered or reliable-ordered",
            "как передаются строки: unreliable, reliable-unordered или reliable-ordered",
            "消息的传送模式：unreliable、reliable-unordered 或 reliable-ordered",
        )
    }

    pub(crate) fn help_ticket(self) -> String {
        say!(
            self,
            "show the ticket of this private room, for its host",
            "показать билет этой закрытой комнаты, для её хозяина",
            "显示这个私密房间的票，仅房主可用",
        )
    }

    pub(crate) fn help_nick(self) -> String {
        say!(self, "change your own name", "сменить своё имя", "修改自己的名字")
    }

    pub(crate) fn help_ignore(self) -> String {
        say!(
            self,
            "hide what NAME says and whispers, on this screen",
            "скрыть на этом экране всё, что говорит ИМЯ",
            "在此屏幕上隐藏此人的消息和私语",
        )
    }

    pub(crate) fn help_unignore(self) -> String {
        say!(self, "show it again", "снова показывать", "恢复显示")
    }

    pub(crate) fn help_clear(self) -> String {
        say!(self, "clear the screen", "очистить экран", "清屏")
    }

    pub(crate) fn help_help(self) -> String {
        say!(self, "this", "эта справка", "本帮助")
    }

    pub(crate) fn help_quit(self) -> String {
        say!(
            self,
            "leave (also: exit, quit, Ctrl-C, Ctrl-D)",
            "выйти (также: выход, exit, quit, Ctrl-C, Ctrl-D)",
            "离开（也可以用 exit、quit、Ctrl-C、Ctrl-D）",
        )
    }

    pub(crate) fn help_kick(self) -> String {
        say!(
            self,
            "remove NAME, and say why; it stays out for 10 minutes",
            "удалить ИМЯ и сказать почему; не впускать 10 минут",
            "移除此人并说明原因；10 分钟内不能再加入",
        )
    }

    pub(crate) fn help_mute(self) -> String {
        say!(
            self,
            "refuse what NAME says, for a time such as 300s",
            "не передавать строки ИМЯ на время, например 300s",
            "在一段时间内禁止此人发言，例如 300s",
        )
    }

    pub(crate) fn help_unmute(self) -> String {
        say!(self, "let NAME speak again", "снова разрешить ИМЯ говорить", "允许此人再次发言")
    }

    pub(crate) fn help_unban(self) -> String {
        say!(self, "let NAME join again", "снова впускать ИМЯ", "允许此人再次加入")
    }

    pub(crate) fn help_topic(self) -> String {
        say!(
            self,
            "what the room is about; - for nothing",
            "о чём эта комната; - убирает тему",
            "房间的话题；- 表示没有",
        )
    }

    pub(crate) fn help_lock(self) -> String {
        say!(self, "let nobody new in", "не впускать новых", "不再接纳新成员")
    }

    pub(crate) fn help_unlock(self) -> String {
        say!(self, "let everybody in again", "снова впускать всех", "重新接纳所有人")
    }

    pub(crate) fn help_whisper(self) -> String {
        say!(
            self,
            "say something to one person alone",
            "сказать что-то только одному человеку",
            "只对一个人说",
        )
    }

    pub(crate) fn help_escape(self) -> String {
        say!(
            self,
            "say a line that begins with / or @: //@home says @home",
            "сказать строку, которая начинается с / или @: //@home скажет @home",
            "说出以 / 或 @ 开头的一行：//@home 说出 @home",
        )
    }
}

/// Answers to commands that the session does not give.
impl Language {
    pub(crate) fn nobody_whispered(self) -> String {
        say!(
            self,
            "not sent: nobody has whispered to you yet",
            "не отправлено: вам ещё никто не писал лично",
            "未发送：还没有人对你私语",
        )
    }

    pub(crate) fn nothing_to_clear(self) -> String {
        say!(
            self,
            "there is no screen to clear",
            "здесь нет экрана, который можно очистить",
            "没有可以清除的屏幕",
        )
    }

    pub(crate) fn no_server(self) -> String {
        say!(
            self,
            "not asked: there is no server at the moment",
            "не отправлено: сейчас нет связи с сервером",
            "未执行：目前没有连接到服务器",
        )
    }

    pub(crate) fn no_statistics(self) -> String {
        say!(
            self,
            "no statistics yet: not connected",
            "статистики ещё нет: нет связи",
            "还没有统计：尚未连接",
        )
    }

    pub(crate) fn ticket(self) -> String {
        say!(
            self,
            "every client with this ticket can join; keep it secret:",
            "с этим билетом войдёт любой клиент; храните его в тайне:",
            "任何客户端凭此票都能加入，请保密：",
        )
    }

    pub(crate) fn no_ticket(self) -> String {
        say!(
            self,
            "only the host of a private room has its ticket",
            "билет есть только у хозяина закрытой комнаты",
            "只有私密房间的房主才有票",
        )
    }

    pub(crate) fn tcp_is_ordered(self) -> String {
        say!(
            self,
            "over TCP every line is reliable and in order, whatever the mode",
            "по TCP все строки надёжны и по порядку, каков бы ни был режим",
            "经 TCP 时，无论何种模式，每条消息都可靠且有序",
        )
    }

    pub(crate) fn waiting(self, seconds: u64) -> String {
        say!(
            self,
            "waiting up to {seconds} s for the server to take what was typed; Ctrl-C leaves at \
             once",
            "ждём до {seconds} с, пока сервер примет набранное; Ctrl-C выходит сразу",
            "最多等待 {seconds} 秒，让服务器接收已输入的内容；Ctrl-C 立即离开",
        )
    }

    pub(crate) fn nothing_taken(self, seconds: u64) -> String {
        say!(
            self,
            "given up: the server is there and has taken no line for {seconds} s",
            "попытки прекращены: сервер на связи, но {seconds} с не принимает строки",
            "已放弃：服务器在线，但 {seconds} 秒没有接收任何消息",
        )
    }

    /// The question to a host before it closes the room on others.
    pub(crate) fn close_the_room(self, others: u16) -> String {
        count!(
            self,
            others,
            [
                "{others} other is here: type exit again to close the room",
                "{others} others are here: type exit again to close the room"
            ],
            [
                "здесь ещё {others} участник: чтобы закрыть комнату, наберите exit ещё раз",
                "здесь ещё {others} участника: чтобы закрыть комнату, наберите exit ещё раз",
                "здесь ещё {others} участников: чтобы закрыть комнату, наберите exit ещё раз"
            ],
            "还有 {others} 人在场：再输入一次 exit 就关闭房间",
        )
    }

    pub(crate) fn long_nickname(self) -> String {
        say!(
            self,
            "the nickname is far too long: {MAX_NAME_CHARS} characters at most",
            "имя слишком длинное: не больше {MAX_NAME_CHARS} символов",
            "名字太长：最多 {MAX_NAME_CHARS} 个字符",
        )
    }
}
