//! The program around a session: finding a server, the name, files, the input and the output.

use super::{Language, count, say, translate};
use crate::client::{CacheError, CacheWarning, Error, Unreadable};
use crate::net::ResolveError;
use std::fmt::Display;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

impl Language {
    /// Why a client failed.
    #[must_use]
    pub fn client_error(self, error: &Error) -> String {
        match error {
            Error::Start(cause) => {
                translate!(self, error, "не удалось начать: {cause}", "无法启动：{cause}")
            }
            Error::Output(cause) => {
                translate!(self, error, "не удалось вывести: {cause}", "无法写入输出：{cause}")
            }
            Error::Input(unreadable) => {
                let why = self.unreadable(unreadable);
                translate!(self, error, "отправлен не весь ввод: {why}", "输入没有全部发送：{why}")
            }
            Error::Network(cause) => {
                translate!(self, error, "сбой сети: {cause}", "网络故障：{cause}")
            }
        }
    }

    /// Why the rest of the input is not sent.
    pub(crate) fn unreadable(self, unreadable: &Unreadable) -> String {
        match unreadable {
            Unreadable::Failed(cause) => {
                translate!(
                    self,
                    unreadable,
                    "не удалось прочитать ввод: {cause}",
                    "无法读取输入：{cause}"
                )
            }
            Unreadable::Encoding { line, guess } => {
                let from = guess.unwrap_or("ENCODING");
                let looks = guess.map_or_else(String::new, |guess| {
                    say!(
                        self,
                        " (it looks like {guess})",
                        " (похоже на {guess})",
                        "（像是 {guess}）"
                    )
                });
                translate!(
                    self,
                    unreadable,
                    "строка ввода {line} не в UTF-8{looks}: она и следующие не отправлены; сначала \
                     перекодируйте: iconv -f {from} -t UTF-8 FILE | chatagram client ...",
                    "输入的第 {line} 行不是 UTF-8{looks}：此行及其后都未发送；请先转换编码：\
                     iconv -f {from} -t UTF-8 FILE | chatagram client ...",
                )
            }
        }
    }

    /// The server's name leads to no address.
    pub(crate) fn not_found(self, error: &io::Error) -> String {
        match error.get_ref().and_then(|it| it.downcast_ref()) {
            Some(ResolveError::NotFound { host, cause }) => translate!(
                self,
                error,
                "сервер {host} не найден: {cause}",
                "找不到服务器 {host}：{cause}",
            ),
            Some(ResolveError::NoAddress { host }) => {
                translate!(self, error, "у сервера {host} нет адреса", "服务器 {host} 没有地址",)
            }
            Some(ResolveError::Address(error)) => self.address_error(error),
            None => translate!(self, error, "сервер не найден: {error}", "找不到服务器：{error}"),
        }
    }

    pub(crate) fn your_name(self, offer: Option<&str>) -> String {
        let offer = offer.map_or_else(String::new, |name| format!(" [{name}]"));
        say!(self, "Your name{offer}: ", "Ваше имя{offer}: ", "你的名字{offer}：")
    }

    /// There is nobody to ask for a name; `why` the login name is none, if there is one.
    #[must_use]
    pub fn no_name(self, variable: Option<(&str, Option<String>)>) -> String {
        match variable {
            None => say!(
                self,
                "no name given: use --nick NAME",
                "имя не задано: укажите --nick ИМЯ",
                "没有给出名字：请用 --nick 名字",
            ),
            Some((user, None)) => say!(
                self,
                "no name given, and ${user} is not set: use --nick NAME",
                "имя не задано, и ${user} пуста: укажите --nick ИМЯ",
                "没有给出名字，${user} 也没有设置：请用 --nick 名字",
            ),
            Some((user, Some(why))) => say!(
                self,
                "${user} cannot be your name: {why}: use --nick NAME",
                "${user} не подходит как имя: {why}: укажите --nick ИМЯ",
                "不能用 ${user} 作名字：{why}：请用 --nick 名字",
            ),
        }
    }

    #[must_use]
    pub fn did_not_come_back(self) -> String {
        say!(
            self,
            "the server is gone and did not come back",
            "сервер пропал и не вернулся",
            "服务器已断开，没有恢复",
        )
    }

    pub(crate) fn no_answer_yet(self) -> String {
        say!(self, "no answer yet", "ответа пока нет", "还没有回答")
    }

    pub(crate) fn events_not_shown(self, events: u64) -> String {
        count!(
            self,
            events,
            [
                "{events} event was not shown: the output is not read",
                "{events} events were not shown: the output is not read"
            ],
            [
                "не показано {events} событие: вывод никто не читает",
                "не показано {events} события: вывод никто не читает",
                "не показано {events} событий: вывод никто не читает"
            ],
            "有 {events} 个事件没有显示：输出没有被读取",
        )
    }

    #[must_use]
    pub fn lines_not_shown(self, lines: u64) -> String {
        count!(
            self,
            lines,
            [
                "{lines} line was not shown: the terminal was too slow",
                "{lines} lines were not shown: the terminal was too slow"
            ],
            [
                "не показана {lines} строка: терминал слишком медленный",
                "не показаны {lines} строки: терминал слишком медленный",
                "не показано {lines} строк: терминал слишком медленный"
            ],
            "有 {lines} 行没有显示：终端太慢",
        )
    }

    #[must_use]
    pub fn lines_wait(self, lines: usize) -> String {
        count!(
            self,
            lines,
            ["{lines} line waits for the server", "{lines} lines wait for the server"],
            [
                "{lines} строка ждёт подтверждения",
                "{lines} строки ждут подтверждения",
                "{lines} строк ждут подтверждения"
            ],
            "{lines} 条消息等待服务器确认",
        )
    }

    pub(crate) fn not_utf8(self) -> String {
        say!(self, "that was not UTF-8", "это не UTF-8", "那不是 UTF-8")
    }

    pub(crate) fn clock_was_wrong(self, latest: impl Display, now: impl Display) -> String {
        say!(
            self,
            "the cached lines of this server are dated up to {latest}, and it is {now} now: a \
             clock was wrong then, or is wrong now",
            "последние из сохранённых строк этого сервера помечены {latest}, а сейчас {now}: часы \
             шли неверно тогда или идут неверно сейчас",
            "已保存的此服务器的消息日期最晚为 {latest}，而现在是 {now}：当时或现在的时钟不准",
        )
    }

    /// The cache cannot be read.
    pub(crate) fn cache_warning(self, warning: &CacheWarning) -> String {
        let (path, cause) = (warning.path.display(), &warning.cause);
        match warning.moved_to.as_deref().map(Path::display) {
            Some(place) => translate!(
                self,
                warning,
                "не удалось прочитать сохранённые строки из {path}: {cause}; файл перемещён в \
                 {place}, и начат новый",
                "无法读取 {path} 中保存的消息：{cause}；文件已移到 {place}，并新建一个",
            ),
            None => translate!(
                self,
                warning,
                "не удалось прочитать сохранённые строки из {path}: {cause}; файл оставлен как \
                 есть: уберите его, чтобы начать новый, или задайте другой через --cache",
                "无法读取 {path} 中保存的消息：{cause}；文件保持原样：移走它即可新建，或用 --cache \
                 指定另一个",
            ),
        }
    }

    /// The last lines are not kept.
    pub(crate) fn cache_error(self, error: &CacheError) -> String {
        let why = match error {
            CacheError::Directory { path, cause } => {
                let path = path.display();
                translate!(
                    self,
                    error,
                    "не удалось создать каталог {path}: {cause}; создайте его или разрешите это \
                     программе",
                    "不能创建目录 {path}：{cause}；请创建它，或允许本程序创建",
                )
            }
            CacheError::Write { path, cause } => {
                let path = path.display();
                translate!(
                    self,
                    error,
                    "не удалось записать {path}: {cause}; проверьте, есть ли место на диске и \
                     доступен ли каталог для записи",
                    "不能写入 {path}：{cause}；请检查磁盘空间和目录的写权限",
                )
            }
            CacheError::Damaged(warning) => {
                let why = self.cache_warning(warning);
                translate!(self, error, "{why}", "{why}")
            }
        };
        say!(
            self,
            "the last lines are not kept: {why}",
            "последние строки не сохраняются: {why}",
            "最近的消息没有保存：{why}",
        )
    }

    pub(crate) fn is_at(self, server: &str, address: SocketAddr) -> String {
        say!(
            self,
            "{server} is at {address} now",
            "адрес {server} теперь {address}",
            "{server} 现在的地址是 {address}",
        )
    }

    pub(crate) fn ambiguous_room(self, room: &str, addresses: &[SocketAddr]) -> String {
        let addresses = self.list(addresses);
        say!(
            self,
            "several rooms called \"{room}\" are here, at {addresses}: join the right one with \
             `chatagram client ADDRESS`",
            "здесь несколько комнат «{room}», по адресам {addresses}: войдите в нужную командой \
             `chatagram client АДРЕС`",
            "这里有几个名为“{room}”的房间，地址是 {addresses}：请用 `chatagram client 地址` 加入正确\
             的一个",
        )
    }
}

/// The room that a client without the name of a server finds.
impl Language {
    #[must_use]
    pub fn found_room(self, room: &str, address: SocketAddr, peers: u16) -> String {
        say!(
            self,
            "found \"{room}\" at {address}, {peers} here",
            "найдена комната «{room}» по адресу {address}; здесь {peers}",
            "找到房间“{room}”，地址 {address}，在场 {peers} 人",
        )
    }

    #[must_use]
    pub fn private_room(self, address: SocketAddr) -> String {
        say!(
            self,
            "the room at {address} is private: ask its host for the ticket, and join with \
             chatagram client TICKET",
            "комната {address} закрытая: попросите билет у её хозяина и войдите командой \
             chatagram client БИЛЕТ",
            "{address} 的房间是私密的：请向房主索取票，再用 chatagram client 票 加入",
        )
    }

    #[must_use]
    pub fn search_failed(self, cause: &io::Error) -> String {
        say!(
            self,
            "cannot search for servers: {cause}",
            "не удалось искать серверы: {cause}",
            "无法搜索服务器：{cause}",
        )
    }

    /// The same for a client, which needs no search if a server is named.
    #[must_use]
    pub fn cannot_search(self, cause: &io::Error) -> String {
        say!(
            self,
            "cannot search for servers: {cause}; name one: chatagram client HOST",
            "не удалось искать серверы: {cause}; укажите сервер: chatagram client АДРЕС",
            "无法搜索服务器：{cause}；请指定一个：chatagram client 地址",
        )
    }

    /// The question which of several rooms to join.
    #[must_use]
    pub fn which_room(self, rooms: usize) -> String {
        say!(
            self,
            "Which one? 1 to {rooms}, then Enter",
            "Какая? От 1 до {rooms}, затем Enter",
            "选哪一个？输入 1 到 {rooms}，再按回车",
        )
    }

    #[must_use]
    pub fn several_servers(self) -> String {
        say!(
            self,
            "several servers are here, name one: chatagram client ADDRESS",
            "здесь несколько серверов, укажите один: chatagram client АДРЕС",
            "这里有几个服务器，请指定一个：chatagram client 地址",
        )
    }

    #[must_use]
    pub fn needs_a_ticket(self) -> String {
        say!(self, "(private: needs a ticket)", "(закрытая: вход по билету)", "（私密：凭票加入）",)
    }

    /// The titles of the list of rooms.
    #[must_use]
    pub fn room_titles(self) -> [String; 3] {
        [
            say!(self, "ROOM", "КОМНАТА", "房间"),
            say!(self, "HERE", "ЗДЕСЬ", "在场"),
            say!(self, "ADDRESS", "АДРЕС", "地址"),
        ]
    }

    /// Nobody answered a search; the ways of asking follow.
    #[must_use]
    pub fn nobody_answered(self, asked: bool) -> String {
        if asked {
            say!(
                self,
                "no server answered. Probes were sent on:",
                "ни один сервер не ответил. Запросы отправлены через:",
                "没有服务器回答。查询已从以下接口发出：",
            )
        } else {
            say!(
                self,
                "no server answered. No probe was sent: no network interface is up",
                "ни один сервер не ответил. Запросы не отправлены: нет работающего сетевого \
                 интерфейса",
                "没有服务器回答。没有发出查询：没有启用的网络接口",
            )
        }
    }

    #[must_use]
    pub fn asked_from(self, address: IpAddr) -> String {
        say!(self, " from {address}", " с адреса {address}", "，来自 {address}")
    }

    #[must_use]
    pub fn asked_likewise(self, interfaces: &str) -> String {
        say!(
            self,
            "and in the same way: {interfaces}",
            "и так же: {interfaces}",
            "同样还有：{interfaces}",
        )
    }

    #[must_use]
    pub fn not_asked(self, interfaces: &str) -> String {
        say!(
            self,
            "Not probed, because there are too many interfaces: {interfaces}",
            "Без запроса, потому что интерфейсов слишком много: {interfaces}",
            "接口过多，未查询：{interfaces}",
        )
    }

    /// Possible reasons for no answer, and the way out.
    #[must_use]
    pub fn why_nobody_answered(self) -> String {
        say!(
            self,
            "Possible reasons:
  - no server runs on this network, or it was started with --no-discovery or on 127.0.0.1 alone
  - the Wi-Fi separates its devices (\"AP isolation\", \"client isolation\", guest networks)
  - this machine or the server's is WSL, a container or a virtual machine with a network of its own
  - a firewall blocks UDP port 2429 on the server's machine, or the answer on this one
Join by the server's address, which needs no discovery:
  chatagram client HOST",
            "Возможные причины:
  - в этой сети нет сервера, или он запущен с --no-discovery или только на 127.0.0.1
  - Wi-Fi разделяет устройства («AP isolation», «client isolation», гостевые сети)
  - эта машина или машина сервера: WSL, контейнер или виртуальная машина со своей сетью
  - брандмауэр не пропускает UDP-порт 2429 у сервера или ответ у вас
Войдите по адресу сервера, поиск для этого не нужен:
  chatagram client АДРЕС",
            "可能的原因：
  - 此网络上没有服务器，或者它用 --no-discovery 启动，或只在 127.0.0.1 上监听
  - Wi-Fi 隔离了各设备（“AP isolation”“client isolation”、访客网络）
  - 本机或服务器是 WSL、容器或虚拟机，有自己的网络
  - 防火墙拦截了服务器的 UDP 端口 2429，或本机收到的回答
用服务器的地址加入，不需要搜索：
  chatagram client 地址",
        )
    }
}
