//! The rows of the screen: one per peer, with sparklines of its round-trip time and loss. No I/O.

use super::View;
use super::board::{SAMPLES, Track};
use crate::client::app::output::{cut, delivery_name, transport_name};
use crate::client::session::Transport;
use crate::protocol::clean;
use crate::words::Language;
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

/// Loss from here on is yellow.
const SOME_LOSS: f64 = 0.005;
/// Loss from here on is red.
const MUCH_LOSS: f64 = 0.05;
/// A peer that was silent for this long is red.
const SILENT: Duration = Duration::from_secs(5);
/// The loss that fills the height of a sparkline.
const FULL_LOSS: f64 = 0.2;
/// The heights of a sparkline, in eighths of a row.
const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Least rows of a screen that shows the server's counters; on a lower one peers take the space.
const TALL: usize = 12;

/// A text style: parameters of SGR (ECMA-48, 8.3.117).
type Look = &'static str;
const PLAIN: Look = "";
const BOLD: Look = "1";
const DIM: Look = "2";

/// The styles for the state of a peer, or none without colours.
#[derive(Clone, Copy)]
struct Palette {
    good: Look,
    fair: Look,
    bad: Look,
    rtt: Look,
    warning: Look,
}

const COLOURS: Palette = Palette { good: "32", fair: "33", bad: "31", rtt: "36", warning: "1;31" };
const NO_COLOURS: Palette =
    Palette { good: PLAIN, fair: PLAIN, bad: PLAIN, rtt: PLAIN, warning: BOLD };

/// `view` in `rows` rows, each exactly `columns` wide, without line ends.
pub(super) fn frame(view: &View, columns: usize, rows: usize, colour: bool) -> Vec<String> {
    let palette = if colour { COLOURS } else { NO_COLOURS };
    let lines = view.lines.len().min(rows / 4);
    let counters = view.counters.filter(|_| rows >= TALL);
    let whole = |text: &str, look| Row::of(columns).text(text, columns, look).finish();

    let scale = scale(view);
    let mut frame = vec![head(view, columns, palette), titles(view.language, scale, columns)];
    let peers = rows.saturating_sub(3 + lines + usize::from(counters.is_some())).max(1);
    frame.extend(tracks(view, scale, columns, peers, palette));
    frame.resize_with(2 + peers, || whole("", PLAIN));
    let skip = view.lines.len() - lines;
    frame.extend(view.lines.iter().skip(skip).map(|line| whole(line, DIM)));
    frame.extend(counters.map(|it| whole(&view.language.server_counters(&it), DIM)));
    frame.push(whole(&view.language.watch_legend(), DIM));
    frame.truncate(rows);
    frame
}

fn head(view: &View, columns: usize, palette: Palette) -> String {
    let room = view.language.watch_head(&view.room, &view.server, view.board.len() + 1);
    let row = Row::of(columns).text(&room, room.width(), BOLD);
    let row = if view.status.is_empty() { row } else { row.text(" ", 1, PLAIN) };
    row.text(&view.status, columns, palette.warning).finish()
}

/// The widths of a row's cells: name, mode, RTT, its sparkline, loss, its sparkline, silence. A
/// narrow screen has no sparklines, a very narrow one no mode; width zero omits a cell.
fn widths(columns: usize) -> [usize; 7] {
    let (mode, line) = match columns {
        0..60 => (0, 0),
        60..70 => (4, 0),
        70..96 => (4, (columns - 50) / 2),
        _ => (22, (columns - 68) / 2),
    };
    // Names are shortened before figures.
    let name = if columns < 60 { columns.saturating_sub(25).min(16) } else { 18 };
    [name, mode, 9, line, 7, line, 6]
}

/// The titles. That of a sparkline is its scale.
fn titles(say: Language, scale: Duration, columns: usize) -> String {
    let times = format!("0-{}", say.millis(scale, 0));
    let shares = format!("0-{}", say.percent(FULL_LOSS, 0));
    let [name, over, rtt, loss, silent] = say.watch_titles();
    let titles = [name, over, rtt, times, loss, shares, silent];
    let row = Row::of(columns);
    let cells = titles.iter().zip(widths(columns));
    cells.fold(row, |row, (title, width)| row.text(title, width, DIM)).finish()
}

/// The round-trip time that fills the height of a sparkline: the longest, in whole milliseconds.
fn scale(view: &View) -> Duration {
    let tracks = view.board.by_trouble();
    let most = tracks.iter().flat_map(|track| &track.rtts).flatten().max();
    let millis = most.map_or(0, |most| most.as_micros().div_ceil(1_000));
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX).max(1))
}

/// The peers in at most `room` rows; the last row counts hidden ones.
fn tracks(
    view: &View,
    scale: Duration,
    columns: usize,
    room: usize,
    palette: Palette,
) -> Vec<String> {
    let tracks = view.board.by_trouble();
    let shown = if tracks.len() > room { room - 1 } else { tracks.len() };
    let mut rows: Vec<_> = tracks[..shown]
        .iter()
        .map(|track| row(track, view.language, scale, columns, palette))
        .collect();
    if shown < tracks.len() {
        let more = view.language.watch_more(tracks.len() - shown);
        rows.push(Row::of(columns).text(&more, columns, PLAIN).finish());
    }
    rows
}

/// One peer. A round-trip time of `scale` fills the height of its sparkline.
fn row(track: &Track, say: Language, scale: Duration, columns: usize, palette: Palette) -> String {
    let report = &track.report;
    let [name, over, rtt, rtt_line, loss, loss_line, silent] = widths(columns);
    let recent = track.recent_loss();
    let health = match recent {
        _ if report.silence.is_some_and(|silence| silence >= SILENT) => palette.bad,
        Some(share) if share >= MUCH_LOSS => palette.bad,
        Some(share) if share >= SOME_LOSS => palette.fair,
        _ => palette.good,
    };
    let mode = match report.transport {
        _ if report.silence.is_none() => say.another_server(),
        it @ (Transport::Tcp | Transport::Web) => transport_name(it).to_owned(),
        it if over < 8 => transport_name(it).to_owned(),
        it => format!("{} {}", transport_name(it), delivery_name(report.delivery)),
    };
    let times = track.rtts.iter().map(|rtt| rtt.map(|it| it.div_duration_f64(scale)));
    let shares = track.losses.iter().map(|share| share.map(|it| it / FULL_LOSS));
    let share = recent.map_or_else(|| "-".to_owned(), |it| say.percent(it, 1));
    let silence = match report.silence.map_or(0, |silence| silence.as_secs()) {
        0 => String::new(),
        seconds => say.seconds(seconds),
    };
    Row::of(columns)
        .text(&report.nickname, name, health)
        .text(&mode, over, PLAIN)
        .figure(&say.ms(report.rtt), rtt)
        .text(&sparkline(times, rtt_line), rtt_line, palette.rtt)
        .figure(&share, loss)
        .text(&sparkline(shares, loss_line), loss_line, health)
        .text(&silence, silent, health)
        .finish()
}

/// Samples in `columns` columns, the newest at the right edge; 1.0 is the full height. Any nonzero
/// sample is visible.
fn sparkline(samples: impl ExactSizeIterator<Item = Option<f64>>, columns: usize) -> String {
    let shown = columns.min(SAMPLES);
    let gap = shown.saturating_sub(samples.len());
    let skip = samples.len().saturating_sub(shown);
    let height = |it: Option<f64>| HEIGHTS[it.map_or(0, |it| (it.min(1.0) * 8.0).ceil() as usize)];
    std::iter::repeat_n(HEIGHTS[0], gap).chain(samples.skip(skip).map(height)).collect()
}

#[derive(Clone, Copy, Debug)]
enum Align {
    Left,
    Right,
}

/// A row built from the left, never wider than the screen.
struct Row {
    text: String,
    columns: usize,
    used: usize,
}

impl Row {
    fn of(columns: usize) -> Self {
        Self { text: String::new(), columns, used: 0 }
    }

    /// A cell of `width` columns, one column after the cell before.
    fn text(self, text: &str, width: usize, look: Look) -> Self {
        self.cell(text, width, look, Align::Left)
    }

    /// Like `cell`, right-aligned, for a figure.
    fn figure(self, text: &str, width: usize) -> Self {
        self.cell(text, width, PLAIN, Align::Right)
    }

    fn cell(mut self, text: &str, width: usize, look: Look, align: Align) -> Self {
        let between = usize::from(self.used > 0);
        let width = width.min(self.columns.saturating_sub(self.used + between));
        if width == 0 {
            return self;
        }
        let text = clean(text);
        let (text, taken) = cut(&text, width);
        let (before, after) = match align {
            Align::Left => (0, width - taken),
            Align::Right => (width - taken, 0),
        };
        self.pad(between + before);
        if look.is_empty() || text.is_empty() {
            self.text += text;
        } else {
            self.text += &format!("\u{1b}[{look}m{text}\u{1b}[0m");
        }
        self.used += taken;
        self.pad(after);
        self
    }

    fn pad(&mut self, columns: usize) {
        self.text.extend(std::iter::repeat_n(' ', columns));
        self.used += columns;
    }

    fn finish(mut self) -> String {
        self.pad(self.columns - self.used);
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::session::PeerReport;
    use crate::protocol::Delivery;

    fn peer(peer: u16, nickname: &str, rtt_ms: u64) -> PeerReport {
        PeerReport {
            peer,
            nickname: nickname.to_owned(),
            transport: Transport::Udp,
            delivery: Delivery::ReliableOrdered,
            rtt: Some(Duration::from_millis(rtt_ms)),
            silence: Some(Duration::ZERO),
            sent: None,
            lost: None,
            received: None,
            missing: None,
        }
    }

    fn view(names: &[&str]) -> View {
        let mut view = View { room: "class".into(), server: "host:4000".into(), ..View::default() };
        let reports = names.iter().zip(0..).map(|(name, id)| peer(id, name, 10)).collect();
        view.board.update(reports);
        view.lines.push_back("10:00:00 <böb> \u{1b}[2Jwhat\na 漢字 line".repeat(9));
        view
    }

    #[test]
    fn rows_fill_the_screen_exactly() {
        let mut view =
            view(&["alice", "a漢字漢字漢字漢字漢字漢", "e\u{301}\u{301}👨‍👩‍👧‍👦", "d", "e", "f"]);
        let languages = Language::ALL.into_iter().cycle();
        let sizes = (1..140).flat_map(|columns| (1..30).map(move |rows| (columns, rows)));
        for ((columns, rows), language) in sizes.zip(languages) {
            view.language = language;
            let frame = frame(&view, columns, rows, false);
            assert_eq!(frame.len(), rows.max(1), "{columns}x{rows}");
            for row in &frame {
                let plain = row.replace("\u{1b}[0m", "").replace("\u{1b}[1m", "");
                let plain = plain.replace("\u{1b}[2m", "");
                assert_eq!(plain.width(), columns, "{columns}x{rows}: {row:?}");
                assert!(!plain.contains('\u{1b}'), "{row:?}");
            }
        }
    }

    #[test]
    fn eighty_columns_are_enough_and_sparklines_say_their_scale() {
        let mut view = view(&["alice"]);
        for language in Language::ALL {
            view.language = language;
            let frame = frame(&view, 80, 24, false);
            let plain = |row: &String| row.replace("\u{1b}[2m", "").replace("\u{1b}[0m", "");
            let titles = plain(&frame[1]);
            assert!(titles.contains("0-10 ") && titles.contains("0-20"), "{titles:?}");
            let [.., silent] = language.watch_titles();
            assert!(titles.trim_end().ends_with(&silent), "{titles:?}");
            let legend = language.watch_legend();
            assert_eq!(plain(frame.last().unwrap()).trim_end(), legend, "cut off");
        }
    }

    #[test]
    fn rows_have_figures_and_the_last_counts_hidden_peers() {
        let names: Vec<_> = (0..20).map(|n| format!("peer-{n}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let frame = frame(&view(&names), 120, 10, false);
        assert!(frame[0].contains("class at host:4000: 21 here"), "{frame:?}");
        assert!(frame[2].contains("udp reliable-ordered"), "{frame:?}");
        assert!(frame[2].contains(" 10.0 ms "), "{frame:?}");
        assert!(frame.iter().any(|row| row.contains("and 15 more")), "{frame:?}");
    }

    #[test]
    fn a_sparkline_has_its_newest_sample_at_the_right_edge() {
        let samples = [Some(0.0), Some(0.01), None, Some(0.5), Some(7.0)];
        assert_eq!(sparkline(samples.into_iter(), 7), "   ▁ ▄█");
        assert_eq!(sparkline(samples.into_iter(), 2), "▄█");
        assert_eq!(sparkline(samples.into_iter(), 0), "");
    }
}
