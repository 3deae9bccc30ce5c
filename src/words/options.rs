//! Mistakes in the options of a command, and in a ticket.
//!
//! The parser of the command line has texts of its own, in English.

use super::{Language, say, translate};
use crate::net::AddressError;
use crate::ticket::TicketError;
use std::fmt::Display;
use std::io;
use std::path::Path;

impl Language {
    /// The variable that a wrong value comes from.
    #[must_use]
    pub fn value_from(self, option: impl Display, variable: &str) -> String {
        say!(
            self,
            "{option} has its value from the environment variable {variable}",
            "значение {option} взято из переменной окружения {variable}",
            "{option} 的值来自环境变量 {variable}",
        )
    }

    #[must_use]
    pub fn expiry_too_short(self, expiry: impl Display, heartbeat: impl Display) -> String {
        say!(
            self,
            "--expiry {expiry} must be longer than --heartbeat {heartbeat}: several times as long, \
             so that a lost heartbeat or two expire no client",
            "--expiry {expiry} должно быть больше --heartbeat {heartbeat}, лучше в несколько \
             раз: тогда потеря одного-двух heartbeat никого не отключит",
            "--expiry {expiry} 必须长于 --heartbeat {heartbeat}，而且要长几倍：这样丢失一两个心跳\
             不会使客户端超时",
        )
    }

    #[must_use]
    pub fn impair_needs_datagrams(self) -> String {
        say!(
            self,
            "--impair works on UDP datagrams only, because TCP's packets are the kernel's: leave \
             it out, or measure TCP with `chatagram lab`",
            "--impair действует только на датаграммы UDP, потому что пакеты TCP отправляет ядро: \
             уберите эту опцию или измерьте TCP командой `chatagram lab`",
            "--impair 只作用于 UDP 数据报，因为 TCP 的数据包由内核发送：请去掉它，或用 \
             `chatagram lab` 测量 TCP",
        )
    }

    #[must_use]
    pub fn congestion_needs_quic(self) -> String {
        say!(
            self,
            "--congestion is for QUIC, because TCP's congestion control is the kernel's and UDP \
             has CUBIC: add --transport quic, or leave it out",
            "--congestion только для QUIC: перегрузкой в TCP управляет ядро, а в UDP работает \
             CUBIC; добавьте --transport quic или уберите эту опцию",
            "--congestion 只用于 QUIC，因为 TCP 的拥塞控制由内核负责，UDP 使用 CUBIC：请加上 \
             --transport quic，或去掉它",
        )
    }

    #[must_use]
    pub fn needs_engine(self, option: &str) -> String {
        say!(
            self,
            "{option} is for a room on several servers: name its engine with --engine, or leave it \
             out",
            "{option} только для комнаты на нескольких серверах: задайте её хранилище через \
             --engine или уберите эту опцию",
            "{option} 只用于多个服务器上的房间：请用 --engine 指定存储引擎，或去掉它",
        )
    }

    #[must_use]
    pub fn visible_password(self) -> String {
        say!(
            self,
            "--engine has a password, and everybody on this machine can read a command line: put \
             the URL into a file and name it with --engine-file, or into CHATAGRAM_ENGINE",
            "в --engine есть пароль, а командную строку видят все на этой машине: запишите URL в \
             файл и укажите его через --engine-file, или задайте CHATAGRAM_ENGINE",
            "--engine 含有密码，而本机的所有人都能看到命令行：请把 URL 写入文件并用 --engine-file \
             指定，或写入 CHATAGRAM_ENGINE",
        )
    }

    #[must_use]
    pub fn bad_script(self, file: &str, why: &str) -> String {
        say!(
            self,
            "cannot use the script {file}: {why}",
            "не удалось использовать сценарий {file}: {why}",
            "无法使用脚本 {file}：{why}",
        )
    }
}

/// Tickets.
impl Language {
    #[must_use]
    pub fn ticket_alone(self) -> String {
        say!(
            self,
            "a ticket is all that names a private room: give it alone, here or in --ticket-file",
            "для закрытой комнаты нужен только билет: укажите его один, здесь или в --ticket-file",
            "票本身就指明了私密房间：请只给出票，写在这里或 --ticket-file 中",
        )
    }

    #[must_use]
    pub fn ticket_needs_quic(self) -> String {
        say!(
            self,
            "a private room takes QUIC only: leave out --transport",
            "в закрытой комнате работает только QUIC: уберите --transport",
            "私密房间只使用 QUIC：请去掉 --transport",
        )
    }

    /// Why a text is no ticket.
    #[must_use]
    pub fn ticket_error(self, error: &TicketError) -> String {
        match error {
            TicketError::Form => translate!(
                self,
                error,
                "это не билет: билет — одно слово, chatagram://ADDRESS/ и 76 символов",
                "这不是票：票中间没有空格，是 chatagram://ADDRESS/ 加 76 个字符",
            ),
            TicketError::TooLong => {
                translate!(self, error, "это не билет: слишком длинно", "这不是票：太长了")
            }
            TicketError::Damaged => translate!(
                self,
                error,
                "билет повреждён: часть его пропущена или введена с ошибкой; скопируйте его ещё \
                 раз одним словом",
                "票已损坏：缺少一部分或输入有误；请重新完整复制",
            ),
            TicketError::Newer(form) => translate!(
                self,
                error,
                "билет нового вида ({form}): нужен тот же выпуск программы, что у хозяина комнаты",
                "票的格式较新（{form}）：请使用与房主相同的发行版",
            ),
        }
    }

    /// No address of a ticket can be used.
    #[must_use]
    pub fn ticket_address(self, error: &AddressError) -> String {
        let why = self.address_error(error);
        say!(self, "the ticket's address: {why}", "адрес в билете: {why}", "票中的地址：{why}")
    }

    #[must_use]
    pub fn ticket_unread(self, file: &Path, cause: &io::Error) -> String {
        let file = file.display();
        say!(
            self,
            "cannot read the ticket from {file}: {cause}",
            "не удалось прочитать билет из {file}: {cause}",
            "无法从 {file} 读取票：{cause}",
        )
    }

    /// An address that was accepted before it is used: only its zone can be wrong.
    pub(super) fn address_error(self, error: &AddressError) -> String {
        match error {
            AddressError::Zone { zone, known } => translate!(
                self,
                error,
                "сетевого интерфейса «{zone}» нет: у этой машины есть {known}",
                "没有名为“{zone}”的网络接口：本机有 {known}",
            ),
            _ => error.to_string(),
        }
    }
}
