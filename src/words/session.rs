//! The notices of a session.

use super::{Language, count, say};
use crate::client::session::{Notice, Obstacle, ObstacleKind, Transport, Undelivered};
use crate::protocol::VERSION;
use std::fmt;
use std::net::SocketAddr;

/// English, for programs and logs.
impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Language::En.notice(self))
    }
}

impl Language {
    /// The text of a notice of a session.
    #[must_use]
    pub fn notice(self, notice: &Notice) -> String {
        match notice {
            Notice::Worded(text) => text.clone(),
            Notice::Refused(denied) => self.denied(denied),
            Notice::NotYet { server, denied } => self.not_yet(*server, &self.denied(denied)),
            Notice::NotRenamed(denied) => self.not_renamed(&self.denied(denied)),
            Notice::OtherVersion { server, version } => self.other_version(*server, *version),
            Notice::Obstructed { server, obstacle, again } => {
                let again = if *again { self.again() } else { String::new() };
                self.obstacle(*server, *obstacle) + &again
            }
            Notice::NoAnswer { server, transport } => self.no_answer(*server, *transport),
            Notice::NoAddress => {
                say!(self, "the server has no address", "у сервера нет адреса", "服务器没有地址")
            }
            Notice::Undelivered { to, text, fate } => {
                let what = self.undelivered(to.as_deref(), fate);
                say!(self, "{what}: {text}", "{what}: {text}", "{what}：{text}")
            }
            Notice::Rejected { detail } => say!(
                self,
                "a line was not passed on: {detail}",
                "строка не передана: {detail}",
                "有一条消息未被转发：{detail}",
            ),
            Notice::ArrivedAfterAll { text } => say!(
                self,
                "this line arrived after all: {text}",
                "эта строка всё-таки дошла: {text}",
                "这条消息最终还是送达了：{text}",
            ),
            Notice::NameTooLong { text } => say!(
                self,
                "not sent: no nickname is that long: {text}",
                "не отправлено: таких длинных имён не бывает: {text}",
                "未发送：没有这么长的名字：{text}",
            ),
            Notice::NotHere { to, text } => say!(
                self,
                "no peer is named {to}; not sent: {text}",
                "имени {to} здесь нет; не отправлено: {text}",
                "没有人叫 {to}；未发送：{text}",
            ),
            Notice::Paced { lines, seconds } => self.paced(*lines, *seconds),
            notice => self.answer(notice).unwrap_or_else(|| self.connection(notice)),
        }
    }

    /// The state of the connection.
    fn connection(self, notice: &Notice) -> String {
        match notice {
            Notice::TryingOthers { lost, others, more } => {
                let others = self.list(others) + &self.and_more(*more);
                say!(
                    self,
                    "the server at {lost} is lost: trying {others}",
                    "связь с сервером {lost} потеряна: пробуем {others}",
                    "与服务器 {lost} 的连接已断开，正在尝试 {others}",
                )
            }
            Notice::NoSession => say!(
                self,
                "the server has no such session any more: joining again",
                "у сервера больше нет этой сессии: входим снова",
                "服务器已没有这个会话，正在重新加入",
            ),
            Notice::ConnectionLost => say!(
                self,
                "the connection is lost: trying again",
                "связь потеряна: пробуем снова",
                "连接已断开，正在重试",
            ),
            Notice::Back => {
                say!(self, "the server is back", "сервер снова на связи", "服务器已恢复联系")
            }
            Notice::Stalled { seconds: Some(seconds) } => say!(
                self,
                "the server took nothing for {seconds} s: joining again",
                "сервер {seconds} с ничего не принимал: входим снова",
                "服务器 {seconds} 秒没有接收任何数据，正在重新加入",
            ),
            Notice::Stalled { seconds: None } => say!(
                self,
                "the server takes nothing: joining again",
                "сервер ничего не принимает: входим снова",
                "服务器不接收数据，正在重新加入",
            ),
            Notice::Quiet { seconds } => say!(
                self,
                "server quiet for {seconds} s",
                "сервер молчит {seconds} с",
                "服务器已静默 {seconds} 秒",
            ),
            Notice::Silent { seconds } => say!(
                self,
                "server silent for {seconds} s, trying again",
                "сервер молчит {seconds} с, пробуем снова",
                "服务器已静默 {seconds} 秒，正在重试",
            ),
            Notice::Closing { reason, detail } => self.closing(*reason, detail),
            Notice::AwaitingRestart { seconds } => say!(
                self,
                "this client rejoins if the server is back within {seconds} s",
                "если сервер вернётся за {seconds} с, клиент войдёт снова сам",
                "如果服务器在 {seconds} 秒内恢复，客户端会自动重新加入",
            ),
            Notice::Moved { server } => say!(
                self,
                "the server is at {server} now",
                "адрес сервера теперь {server}",
                "服务器现在的地址是 {server}",
            ),
            Notice::LinesMissing { other_log: true } => say!(
                self,
                "this server has another history: lines said at the lost one may be missing",
                "у этого сервера другая история: может не хватать строк, сказанных на прежнем",
                "这个服务器有另外的记录：在断开的服务器上说的消息可能缺失",
            ),
            _ => say!(
                self,
                "some lines of the meantime may be missing here",
                "здесь может не хватать строк, сказанных за это время",
                "这里可能缺少断开期间的一些消息",
            ),
        }
    }

    /// Answers to commands.
    fn answer(self, notice: &Notice) -> Option<String> {
        Some(match notice {
            Notice::TooManyQuestions => say!(
                self,
                "not asked: rate limit of the server; ask again in a moment",
                "не отправлено: лимит сервера; повторите чуть позже",
                "未执行：超出服务器的速率限制，请稍后再试",
            ),
            Notice::TooManyPings { unanswered } => say!(
                self,
                "not asked: {unanswered} pings are unanswered already",
                "не отправлено: запросов /ping без ответа уже {unanswered}",
                "未执行：已有 {unanswered} 个 ping 没有回答",
            ),
            Notice::NoPeer { name } => {
                say!(self, "no peer is named {name}", "имени {name} здесь нет", "没有人叫 {name}")
            }
            Notice::NoPong { name, seconds } => say!(
                self,
                "no answer from {name} within {seconds} s: it was lost on the way",
                "{name}: нет ответа за {seconds} с, он потерян по пути",
                "{name} 在 {seconds} 秒内没有回答：在途中丢失了",
            ),
            Notice::NoWho => say!(
                self,
                "the server does not answer /who: ask again",
                "сервер не отвечает на /who: повторите",
                "服务器没有回答 /who：请再试一次",
            ),
            Notice::NotIgnored(error) => {
                let why = self.name_error(error);
                say!(self, "not ignored: {why}", "не скрыто: {why}", "未屏蔽：{why}")
            }
            Notice::OwnNameNotIgnored => say!(
                self,
                "not ignored: that is your own name",
                "не скрыто: это ваше имя",
                "未屏蔽：这是你自己的名字",
            ),
            Notice::IgnoredAlready { name } => say!(
                self,
                "{name} is ignored already",
                "строки {name} уже скрыты",
                "{name} 已被屏蔽",
            ),
            Notice::TooManyIgnored { names } => say!(
                self,
                "not ignored: {names} names are; /unignore one of them first",
                "не скрыто: скрытых имён уже {names}; сначала верните одно командой /unignore",
                "未屏蔽：已屏蔽 {names} 个名字，请先用 /unignore 取消一个",
            ),
            Notice::Ignored { name } => say!(
                self,
                "lines and whispers of {name} are hidden here until /unignore {name}",
                "строки {name}, и личные тоже, здесь скрыты до команды /unignore {name}",
                "{name} 的消息和私语在此隐藏，用 /unignore {name} 恢复",
            ),
            Notice::Unignored { name } => say!(
                self,
                "{name} is not ignored any more",
                "строки {name} снова видны",
                "已取消屏蔽 {name}",
            ),
            Notice::NotIgnoredYet { name, ignored } if ignored.is_empty() => say!(
                self,
                "{name} is not ignored; ignored: nobody is",
                "строки {name} не скрыты; скрытых имён нет",
                "没有屏蔽 {name}；目前没有屏蔽任何人",
            ),
            Notice::NotIgnoredYet { name, ignored } => {
                let ignored = self.list(ignored);
                say!(
                    self,
                    "{name} is not ignored; ignored: {ignored}",
                    "строки {name} не скрыты; скрыты: {ignored}",
                    "没有屏蔽 {name}；已屏蔽：{ignored}",
                )
            }
            _ => return None,
        })
    }

    /// The end of a list that is not shown whole.
    #[must_use]
    pub fn and_more(self, more: usize) -> String {
        match more {
            0 => String::new(),
            more => say!(self, " and {more} more", " и ещё {more}", " 和另外 {more} 个"),
        }
    }

    fn again(self) -> String {
        say!(self, " Trying again", " Пробуем снова", "正在重试")
    }

    fn not_yet(self, server: Option<SocketAddr>, why: &str) -> String {
        match server {
            Some(server) => say!(
                self,
                "{server} does not let you in yet: {why}",
                "{server} пока не впускает: {why}",
                "{server} 暂不让你加入：{why}",
            ),
            None => say!(
                self,
                "not let in again yet: {why}",
                "войти снова пока нельзя: {why}",
                "暂时不能重新加入：{why}",
            ),
        }
    }

    fn not_renamed(self, why: &str) -> String {
        say!(
            self,
            "your name stays as it is: {why}",
            "имя осталось прежним: {why}",
            "名字没有改变：{why}",
        )
    }

    fn other_version(self, server: SocketAddr, version: u8) -> String {
        say!(
            self,
            "the server at {server} speaks version {version} of the protocol, this program \
             {VERSION}: use the same release on both sides",
            "версия протокола у сервера {server}: {version}, у этой программы: {VERSION}; нужен \
             один и тот же выпуск с обеих сторон",
            "服务器 {server} 的协议版本是 {version}，本程序是 {VERSION}：两端请使用同一个发行版",
        )
    }

    fn undelivered(self, to: Option<&str>, fate: &Undelivered) -> String {
        let to =
            to.map_or_else(String::new, |to| say!(self, " to {to}", " для {to}", "（对 {to}）"));
        match fate {
            Undelivered::Lost => say!(
                self,
                "this line{to} was lost on the way",
                "эта строка{to} потерялась по пути",
                "这条消息{to}在途中丢失",
            ),
            Undelivered::Unsent => say!(
                self,
                "this line{to} was not sent",
                "эта строка{to} не отправлена",
                "这条消息{to}没有发送",
            ),
            Undelivered::Unconfirmed => say!(
                self,
                "this line{to} was not confirmed and may not have arrived",
                "эта строка{to} не подтверждена и могла не дойти",
                "这条消息{to}未被确认，可能没有送达",
            ),
            Undelivered::Rejected(detail) => say!(
                self,
                "this line{to} was not passed on ({detail})",
                "эта строка{to} не передана ({detail})",
                "这条消息{to}未被转发（{detail}）",
            ),
        }
    }

    fn paced(self, lines: usize, seconds: u64) -> String {
        match lines {
            1 => say!(
                self,
                "rate limit of the server: your line is sent in {seconds} s",
                "лимит сервера: ваша строка уйдёт через {seconds} с",
                "服务器的速率限制：你的消息将在 {seconds} 秒后发送",
            ),
            lines => count!(
                self,
                lines,
                [
                    "rate limit of the server: {lines} of your lines is sent within {seconds} s",
                    "rate limit of the server: {lines} of your lines are sent, in order, \
                     within {seconds} s"
                ],
                [
                    "лимит сервера: {lines} ваша строка уйдёт по порядку за {seconds} с",
                    "лимит сервера: {lines} ваши строки уйдут по порядку за {seconds} с",
                    "лимит сервера: {lines} ваших строк уйдут по порядку за {seconds} с"
                ],
                "服务器的速率限制：你的 {lines} 条消息将在 {seconds} 秒内依次发送",
            ),
        }
    }

    fn no_answer(self, server: SocketAddr, transport: Transport) -> String {
        let (port, over) = (
            server.port(),
            match transport {
                Transport::Udp => "UDP",
                Transport::Tcp | Transport::Web => "TCP",
                Transport::Quic => "QUIC (UDP)",
            },
        );
        say!(
            self,
            "no answer from the server at {server}: is it running, is the address right, and does \
             its firewall let {over} port {port} in?",
            "сервер {server} не отвечает: запущен ли он, верен ли адрес, и пропускает ли его \
             брандмауэр порт {port} {over}?",
            "服务器 {server} 没有回答：它是否在运行，地址是否正确，它的防火墙是否放行 {over} 端口 \
             {port}？",
        )
    }

    fn obstacle(self, server: SocketAddr, Obstacle { kind, local }: Obstacle) -> String {
        let (ip, port) = (server.ip(), server.port());
        match (kind, local) {
            (ObstacleKind::OtherKey, _) => say!(
                self,
                "the server at {server} has another key than your ticket says, and was told \
                 nothing: it is another server, or something between you and the room answers in \
                 its place. Ask the room's host for the ticket",
                "у сервера {server} не тот ключ, что в вашем билете, и ему ничего не сообщено: это \
                 другой сервер, или за него отвечает кто-то по пути. Попросите билет у хозяина \
                 комнаты",
                "服务器 {server} 的密钥与你的票不符，没有向它透露任何内容：它是另一个服务器，或者\
                 有人在途中冒充。请向房主索取票",
            ),
            (ObstacleKind::Ticket, _) => say!(
                self,
                "the room at {server} is private and not open to you: you have no ticket, or its \
                 host has made a new one. Ask the host for it",
                "комната {server} закрытая, и вам в неё нельзя: у вас нет билета, или хозяин \
                 сделал новый. Попросите билет у хозяина",
                "{server} 的房间是私密的，没有对你开放：你没有票，或者房主换了新票。请向房主索取",
            ),
            (ObstacleKind::Refused, _) => say!(
                self,
                "{ip} refuses: nothing listens at port {port} there. Is the server started, and \
                 is the port right?",
                "{ip} отказывает: порт {port} там никто не слушает. Запущен ли сервер, и верен ли \
                 порт?",
                "{ip} 拒绝连接：没有程序在监听端口 {port}。服务器启动了吗？端口正确吗？",
            ),
            (ObstacleKind::Prohibited, true) => say!(
                self,
                "this machine may not send to {ip}: a firewall or a route here prohibits it. \
                 Allow port {port} to go out",
                "этой машине нельзя отправлять на {ip}: запрещает её брандмауэр или маршрут. \
                 Разрешите исходящий порт {port}",
                "本机不能向 {ip} 发送：被本机的防火墙或路由禁止。请放行出站端口 {port}",
            ),
            (ObstacleKind::Prohibited, false) => say!(
                self,
                "a firewall on the way to {ip} prohibits it: allow port {port}",
                "запрещает брандмауэр на пути к {ip}: разрешите порт {port}",
                "通往 {ip} 途中的防火墙禁止通行：请放行端口 {port}",
            ),
            (ObstacleKind::Unreachable, true) => say!(
                self,
                "{ip} is unreachable: this machine has no route to it. Is it connected to that \
                 network (Wi-Fi, cable, VPN), and is the address right?",
                "{ip} недоступен: у этой машины нет маршрута к нему. Подключена ли она к той сети \
                 (Wi-Fi, кабель, VPN), и верен ли адрес?",
                "无法到达 {ip}：本机没有通往它的路由。本机连上那个网络（Wi-Fi、网线、VPN）了吗？\
                 地址正确吗？",
            ),
            (ObstacleKind::Unreachable, false) => say!(
                self,
                "{ip} is unreachable: no machine on the way knows a route to it, or no machine \
                 has this address. Is that machine on, and is the address right?",
                "{ip} недоступен: никто по пути не знает маршрута к нему, или машины с таким \
                 адресом нет. Включена ли та машина, и верен ли адрес?",
                "无法到达 {ip}：途中没有机器知道通往它的路由，或者没有机器使用这个地址。\
                 那台机器开着吗？地址正确吗？",
            ),
        }
    }
}
