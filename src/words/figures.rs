//! Figures: `/stats`, the status line, and `watch`.

use super::{Language, say, translate};
use crate::client::session::Condition;
use crate::impair::Counts;
use crate::net::ImpairmentCounts;
use crate::protocol::Delivery;
use std::time::Duration;

impl Language {
    /// Milliseconds, or a dash.
    pub(crate) fn ms(self, duration: Option<Duration>) -> String {
        duration.map_or_else(|| "-".to_owned(), |it| self.millis(it, 1))
    }

    pub(crate) fn millis(self, duration: Duration, digits: usize) -> String {
        let ms = self.decimal(duration.as_secs_f64() * 1e3, digits);
        say!(self, "{ms} ms", "{ms} мс", "{ms} ms")
    }

    pub(crate) fn seconds(self, seconds: u64) -> String {
        say!(self, "{seconds} s", "{seconds} с", "{seconds} 秒")
    }

    #[must_use]
    pub fn here(self, peers: u16) -> String {
        say!(self, "{peers} here", "здесь {peers}", "在场 {peers} 人")
    }

    /// The state of the connection, if it is not well.
    #[must_use]
    pub fn condition(self, condition: Condition) -> Option<String> {
        match condition {
            Condition::Joining => Some(say!(self, "joining", "вход", "正在加入")),
            Condition::Here => None,
            Condition::Quiet => Some(say!(self, "quiet", "сервер молчит", "服务器静默")),
            Condition::Lost => Some(say!(self, "lost", "нет связи", "连接断开")),
        }
    }

    #[must_use]
    pub fn rtt(self, rtt: Duration) -> String {
        let ms = self.millis(rtt, 0);
        say!(self, "rtt {ms}", "RTT {ms}", "往返 {ms}")
    }

    #[must_use]
    pub fn loss(self, up: &str, down: &str) -> String {
        say!(
            self,
            "loss {up} up, {down} down",
            "потери → {up}, ← {down}",
            "丢失：上行 {up}，下行 {down}",
        )
    }

    #[must_use]
    pub fn retransmitted_up(self, share: &str) -> String {
        say!(self, "retransmitted {share} up", "повторы → {share}", "上行重传 {share}")
    }

    #[must_use]
    pub fn lost_up(self, share: &str) -> String {
        say!(self, "lost {share} up", "потери → {share}", "上行丢失 {share}")
    }

    /// The titles of the table of `/stats`: to the server, from it.
    pub(crate) fn directions(self) -> [String; 2] {
        [say!(self, "up", "туда", "上行"), say!(self, "down", "обратно", "下行")]
    }

    /// The name of a row of `/stats`, at most 16 columns.
    pub(crate) fn row(self, row: Row) -> String {
        match row {
            Row::Datagrams => say!(self, "datagrams", "датаграммы", "数据报"),
            Row::Packets => say!(self, "packets", "пакеты", "数据包"),
            Row::Segments => say!(self, "segments", "сегменты", "报文段"),
            Row::Bytes => say!(self, "bytes", "байты", "字节"),
            Row::Text => say!(self, "of text", "из них текст", "其中文本"),
            Row::Lost => say!(self, "lost", "потеряно", "丢失"),
            Row::LostLately => say!(self, "lost lately", "потери недавно", "近期丢失"),
            Row::LostInFlight => say!(self, "lost in flight", "потеряно в пути", "途中丢失"),
            Row::Retransmitted => say!(self, "retransmitted", "повторно", "重传"),
            Row::Copies => say!(self, "copies", "копии", "副本"),
            Row::CopiesBytes => say!(self, "their bytes", "их байты", "副本字节"),
            Row::CopiesEach => say!(self, "copies of each", "копий каждого", "每条副本数"),
            Row::Duplicated => say!(self, "duplicated", "дубликаты", "重复"),
            Row::Reordered => say!(self, "reordered", "не по порядку", "乱序"),
            Row::Corrupt => say!(self, "corrupt", "повреждено", "损坏"),
            Row::BufferFull => say!(self, "buffer was full", "буфер был полон", "缓冲区已满"),
            Row::LeftOut => say!(self, "left out", "пропущено", "略过"),
        }
    }

    pub(crate) fn round_trip(self, min: &str, smoothed: &str, p99: &str, jitter: &str) -> String {
        say!(
            self,
            "round trip: min {min}, smoothed {smoothed}, p99 {p99}; jitter {jitter}",
            "туда-обратно: минимум {min}, сглаженное {smoothed}, p99 {p99}; джиттер {jitter}",
            "往返时间：最小 {min}，平滑 {smoothed}，p99 {p99}；抖动 {jitter}",
        )
    }

    pub(crate) fn path_size(self, size: usize) -> String {
        say!(
            self,
            "; the path is known to carry datagrams of {size} bytes, no larger ones",
            "; путь точно пропускает датаграммы до {size} байт, про большие неизвестно",
            "；已知路径可承载 {size} 字节的数据报，更大的未知",
        )
    }

    pub(crate) fn quic_figures(self, rtt: &str, window: u64) -> String {
        say!(
            self,
            "quic: rtt {rtt}; window {window} bytes",
            "quic: RTT {rtt}; окно {window} байт",
            "quic：往返时间 {rtt}；窗口 {window} 字节",
        )
    }

    pub(crate) fn kernel_figures(
        self,
        rtt: &str,
        varies: &str,
        window: &str,
        rate: &str,
    ) -> String {
        say!(
            self,
            "kernel: rtt {rtt}, varies by {varies}; window {window} segments; {rate} bytes/s",
            "ядро: RTT {rtt}, разброс {varies}; окно в сегментах {window}; {rate} байт/с",
            "内核：往返时间 {rtt}，波动 {varies}；窗口 {window} 个报文段；{rate} 字节/秒",
        )
    }

    pub(crate) fn bad_network(self, counts: &ImpairmentCounts) -> String {
        let (up, down) = (self.packets(&counts.up), self.packets(&counts.down));
        say!(
            self,
            "the bad network: up: {up}; down: {down}",
            "плохая сеть: туда: {up}; обратно: {down}",
            "恶劣网络：上行：{up}；下行：{down}",
        )
    }

    /// One direction of an emulated network; counters at 0 are omitted, except `lost`.
    fn packets(self, counts: &Counts) -> String {
        if self == Self::En {
            return counts.to_string();
        }
        let (all, lost, full) = (counts.packets, counts.lost, counts.overflowed);
        let (twice, damaged, late) = (counts.duplicated, counts.corrupted, counts.reordered);
        let mean = counts.delay_sum_us.checked_div(counts.delivered).unwrap_or_default();
        let ms = self.millis(Duration::from_micros(mean), 1);
        let mut parts = Vec::new();
        for (shown, text) in [
            (
                true,
                translate!(
                    self,
                    all,
                    "пакетов {all}, потеряно {lost}",
                    "{all} 个数据包，丢失 {lost}"
                ),
            ),
            (full > 0, translate!(self, full, "не вошло в очередь {full}", "队列已满丢弃 {full}")),
            (twice > 0, translate!(self, twice, "дубликатов {twice}", "重复 {twice}")),
            (damaged > 0, translate!(self, damaged, "повреждено {damaged}", "损坏 {damaged}")),
            (late > 0, translate!(self, late, "не по порядку {late}", "乱序 {late}")),
            (mean >= 100, translate!(self, ms, "в пути в среднем {ms}", "平均在途 {ms}")),
        ] {
            parts.extend(shown.then_some(text));
        }
        parts.join(if self == Self::Zh { "，" } else { ", " })
    }

    pub(crate) fn delivery(self, delivery: Delivery) -> String {
        let mode = delivery.name();
        say!(self, "delivery: {mode}", "доставка: {mode}", "传送模式：{mode}")
    }
}

/// The texts of the screen of `watch`.
#[cfg_attr(not(feature = "watch"), allow(dead_code))]
impl Language {
    pub(crate) fn watch_head(self, room: &str, server: &str, peers: usize) -> String {
        say!(
            self,
            "{room} at {server}: {peers} here",
            "{room} на {server}: здесь {peers}",
            "{room}（{server}）：在场 {peers} 人",
        )
    }

    pub(crate) fn watch_titles(self) -> [String; 5] {
        [
            say!(self, "name", "имя", "名字"),
            say!(self, "over", "тип", "传输"),
            say!(self, "rtt", "RTT", "往返时间"),
            say!(self, "loss", "потери", "丢失"),
            say!(self, "silent", "молчит", "静默"),
        ]
    }

    /// At most 80 columns, as on most terminals.
    pub(crate) fn watch_legend(self) -> String {
        say!(
            self,
            "q leaves; newest right; loss: both ways, over TCP and QUIC to the peer only",
            "q: выход; новое справа; потери в обе стороны, по TCP и QUIC только к участнику",
            "q 退出；最新在右；丢失：双向，TCP 和 QUIC 仅计发往成员方向",
        )
    }

    pub(crate) fn watch_more(self, more: usize) -> String {
        say!(
            self,
            "and {more} more, who do better",
            "и ещё {more}, у них связь лучше",
            "另有 {more} 人，情况更好",
        )
    }
}

/// A row of `/stats`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    Datagrams,
    Packets,
    Segments,
    Bytes,
    Text,
    Lost,
    LostLately,
    LostInFlight,
    Retransmitted,
    Copies,
    CopiesBytes,
    CopiesEach,
    Duplicated,
    Reordered,
    Corrupt,
    BufferFull,
    LeftOut,
}
