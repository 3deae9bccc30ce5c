//! Why a server does not let a client in, or ends its session, and the rules for names.
//!
//! The server says it in words of its own, which are the English text. In other languages the text
//! is that of the typed reason; the server's words follow if they say more.

use super::{Language, say, translate};
use crate::client::session::Denied;
use crate::protocol::limits::{MAX_NAME, MAX_NAME_CHARS};
use crate::protocol::{LeaveReason, NameError, Nickname, Refusal};

impl Language {
    /// A refusal.
    pub(super) fn denied(self, denied: &Denied) -> String {
        let Denied { reason, detail, nickname } = denied;
        let text = self.refusal(denied);
        match (reason, Nickname::parse(nickname)) {
            (Refusal::NameNotAllowed, Err(error)) if self != Self::En => self.name_error(&error),
            (
                Refusal::NameTaken | Refusal::RoomFull | Refusal::ShuttingDown | Refusal::Locked,
                _,
            ) => text,
            _ => self.with(text, detail),
        }
    }

    fn refusal(self, Denied { reason, detail, nickname }: &Denied) -> String {
        match reason {
            Refusal::Version => translate!(self, detail, "другая версия протокола", "协议版本不同"),
            Refusal::NameNotAllowed => {
                translate!(self, detail, "имя {nickname} не подходит", "不能使用名字 {nickname}")
            }
            Refusal::NameTaken => translate!(
                self,
                detail,
                "имя {nickname} или похожее на него занято: выберите другое",
                "名字 {nickname} 或与它相似的名字已被使用，请换一个",
            ),
            Refusal::RoomFull => translate!(
                self,
                detail,
                "в комнате нет мест: попробуйте позже",
                "房间已满，请稍后再试",
            ),
            Refusal::TooManyFromAddress => translate!(
                self,
                detail,
                "с вашего адреса вошло слишком много участников",
                "来自你的地址的成员过多",
            ),
            Refusal::ShuttingDown => {
                translate!(self, detail, "сервер завершает работу", "服务器正在关闭")
            }
            Refusal::Unavailable => translate!(
                self,
                detail,
                "у сервера нет связи с другими серверами комнаты",
                "这个服务器与房间的其他服务器失去联系",
            ),
            Refusal::Locked => translate!(
                self,
                detail,
                "комната закрыта: новых не впускают",
                "房间已锁定：不再接纳新成员",
            ),
            Refusal::Kicked => translate!(
                self,
                detail,
                "модератор удалил вас или кого-то с вашего адреса",
                "管理员已将你或同一地址的人移除",
            ),
        }
    }

    /// The server ends the session.
    pub(super) fn closing(self, reason: LeaveReason, detail: &str) -> String {
        let text = match reason {
            LeaveReason::Shutdown => {
                return translate!(self, detail, "сервер завершает работу", "服务器正在关闭");
            }
            LeaveReason::Restart => {
                return translate!(self, detail, "сервер перезапускается", "服务器正在重启");
            }
            LeaveReason::Flood => translate!(
                self,
                detail,
                "сервер завершил сессию: слишком много сообщений",
                "服务器结束了会话：消息过多",
            ),
            LeaveReason::Kicked => {
                translate!(self, detail, "модератор удалил вас", "管理员已将你移除")
            }
            LeaveReason::Quit | LeaveReason::Timeout => {
                translate!(self, detail, "сессия завершена", "会话已结束")
            }
        };
        self.with(text, detail)
    }

    /// A translated text with the words of the server.
    fn with(self, text: String, detail: &str) -> String {
        if self == Self::En || detail.is_empty() {
            return text;
        }
        translate!(self, text, "{text} (сервер: {detail})", "{text}（服务器：{detail}）")
    }

    /// The rule that a name breaks.
    #[must_use]
    pub fn name_error(self, error: &NameError) -> String {
        match error {
            NameError::Empty => translate!(
                self,
                error,
                "имя пустое: нужно от 1 до {MAX_NAME_CHARS} букв или цифр",
                "名字为空：请给出 1 到 {MAX_NAME_CHARS} 个字母、汉字或数字",
            ),
            NameError::TooLong { chars } => translate!(
                self,
                error,
                "символов в имени: {chars}; сократите до {MAX_NAME_CHARS}",
                "名字有 {chars} 个字符：请缩短到 {MAX_NAME_CHARS} 个",
            ),
            NameError::TooManyBytes { bytes } => translate!(
                self,
                error,
                "байтов в имени: {bytes}; сократите до {MAX_NAME}",
                "名字有 {bytes} 字节：请缩短到 {MAX_NAME} 字节",
            ),
            NameError::Forbidden { ch } => {
                let ch = self.character(*ch);
                translate!(
                    self,
                    error,
                    "{ch} в имени быть не может: только буквы, цифры и _ - .",
                    "名字里不能有{ch}：只能用字母、汉字、数字和 _ - .",
                )
            }
            NameError::NoLetter => translate!(
                self,
                error,
                "в имени нет ни буквы, ни цифры: добавьте",
                "名字里没有字母、汉字或数字：请加上",
            ),
            NameError::StrayMark { mark } => {
                let mark = self.character(*mark);
                translate!(
                    self,
                    error,
                    "{mark}: надстрочный знак без буквы или лишний, уберите его",
                    "{mark}是没有字母可附着或多余的附加符号：请去掉",
                )
            }
            NameError::MixedScripts => translate!(
                self,
                error,
                "в имени смешаны алфавиты, например латиница и кириллица: пишите одним",
                "名字混用了不同的文字，例如拉丁字母和西里尔字母：请只用一种",
            ),
        }
    }

    /// A character that may be invisible or do harm: only ASCII is shown as it is.
    fn character(self, ch: char) -> String {
        let code = u32::from(ch);
        match ch {
            ' ' => say!(self, "a space", "пробел", "空格"),
            ch if ch.is_ascii_graphic() => say!(self, "‘{ch}’", "«{ch}»", "“{ch}”"),
            _ => say!(self, "U+{code:04X}", "символ U+{code:04X}", "字符 U+{code:04X}"),
        }
    }
}
