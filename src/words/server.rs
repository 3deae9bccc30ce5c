//! The texts of a host, and of a server's terminal.

use super::{Language, say};
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;

impl Language {
    #[must_use]
    pub fn listening(self, address: SocketAddr) -> String {
        say!(self, "listening on {address}", "сервер слушает {address}", "正在监听 {address}")
    }

    #[must_use]
    pub fn listening_for_quic(self, address: SocketAddr) -> String {
        say!(
            self,
            "listening for QUIC on {address}",
            "сервер слушает QUIC на {address}",
            "正在 {address} 监听 QUIC",
        )
    }

    #[must_use]
    pub fn metrics_at(self, address: SocketAddr) -> String {
        say!(
            self,
            "metrics at http://{address}/metrics",
            "метрики: http://{address}/metrics",
            "指标：http://{address}/metrics",
        )
    }

    #[must_use]
    pub fn page_at(self, url: &str) -> String {
        say!(self, "the room's page: {url}", "страница комнаты: {url}", "房间的网页：{url}")
    }

    #[must_use]
    pub fn page_with_token(self, url: &str) -> String {
        say!(
            self,
            "to change the network from the page, open {url}",
            "чтобы менять сеть со страницы, откройте {url}",
            "要从网页改变网络，请打开 {url}",
        )
    }

    #[must_use]
    pub fn private_ticket(self) -> String {
        say!(
            self,
            "this room is private. Who has this ticket can join; give it to nobody else:",
            "комната закрытая: вход по билету. С этим билетом войдёт любой, не давайте его \
             посторонним:",
            "这是私密房间：凭票加入。持有此票的人都能加入，不要给无关的人：",
        )
    }

    #[must_use]
    pub fn join_with_ticket(self) -> String {
        say!(
            self,
            "others join with: chatagram client 'TICKET' --nick NAME",
            "другие входят командой: chatagram client 'БИЛЕТ' --nick ИМЯ",
            "其他人这样加入：chatagram client '票' --nick 名字",
        )
    }

    #[must_use]
    pub fn join_on_network(self, command: &str) -> String {
        say!(
            self,
            "on this network, others join with: {command}",
            "из этой сети другие входят командой: {command}",
            "此网络上的其他人这样加入：{command}",
        )
    }

    #[must_use]
    pub fn join(self, command: &str) -> String {
        say!(
            self,
            "others join with: {command}",
            "другие входят командой: {command}",
            "其他人这样加入：{command}",
        )
    }

    #[must_use]
    pub fn join_on_this_machine(self, command: &str) -> String {
        say!(
            self,
            "on this machine, join with: {command}",
            "на этой машине входят командой: {command}",
            "在本机这样加入：{command}",
        )
    }

    #[must_use]
    pub fn on_loopback(self) -> String {
        say!(
            self,
            "this room listens on the loopback address: other machines cannot join",
            "комната слушает адрес loopback: с других машин войти нельзя",
            "此房间在回环地址上监听：其他机器无法加入",
        )
    }

    #[must_use]
    pub fn on_no_network(self) -> String {
        say!(
            self,
            "this machine is on no network: other machines cannot join until it is on one",
            "эта машина не в сети: пока это так, с других машин войти нельзя",
            "本机没有连接网络：连上之前，其他机器无法加入",
        )
    }

    #[must_use]
    pub fn log_goes_to(self, path: &Path) -> String {
        let path = path.display();
        say!(
            self,
            "messages of the server go to {path}",
            "сообщения сервера пишутся в {path}",
            "服务器的日志写入 {path}",
        )
    }

    #[must_use]
    pub fn log_appears_here(self, path: &Path, cause: impl Display) -> String {
        let path = path.display();
        say!(
            self,
            "messages of the server appear here: cannot write {path}: {cause}; --log-file FILE \
             names another place",
            "сообщения сервера появятся здесь: не удалось записать {path}: {cause}; другое место \
             задаёт --log-file FILE",
            "服务器的日志显示在这里：无法写入 {path}：{cause}；可用 --log-file FILE 指定别处",
        )
    }

    #[must_use]
    pub fn server_does_not_answer(self) -> String {
        say!(self, "the server does not answer", "сервер не отвечает", "服务器没有响应")
    }
}
