//! The whole screen: a row for each peer, with sparklines of its round-trip time and its loss.

use super::View;
use super::board::{SAMPLES, Track};
use crate::client::output::{delivery_name, ms, server_text};
use crate::client::session::Transport;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline};
use ratatui::{DefaultTerminal, Frame};
use std::io;
use std::time::Duration;

/// Below this loss all is well, above that one nobody can say so.
const SOME_LOSS: f64 = 0.005;
const MUCH_LOSS: f64 = 0.05;
/// Who has not been heard for so long is marked.
const SILENT: Duration = Duration::from_secs(5);

/// The terminal while it is taken over; given back when dropped.
pub(super) struct Screen {
    terminal: DefaultTerminal,
    colour: bool,
}

impl Screen {
    /// Takes the terminal over, unless it cannot be: then there is none.
    pub(super) fn open() -> io::Result<Option<Self>> {
        if std::env::var_os("TERM").is_none_or(|term| term == "dumb") && cfg!(unix) {
            return Ok(None);
        }
        let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Ok(Some(Self { terminal: ratatui::try_init()?, colour }))
    }

    pub(super) fn draw(&mut self, view: &View) -> io::Result<()> {
        let colour = self.colour;
        self.terminal.draw(|frame| draw(frame, view, colour)).map(|_| ())
    }

    /// Looks at the keys pressed, and draws again for another size.
    pub(super) fn wants_to_leave(&mut self, view: &View) -> io::Result<bool> {
        let mut leave = false;
        let mut stale = false;
        if is_gone() {
            return Ok(true);
        }
        while event::poll(Duration::ZERO)? {
            match event::read()? {
                Event::Key(key) if key.kind == KeyEventKind::Press => {
                    let control = key.modifiers.contains(KeyModifiers::CONTROL);
                    leave |= match key.code {
                        KeyCode::Char('q' | 'Q') | KeyCode::Esc => true,
                        KeyCode::Char('c' | 'd') => control,
                        _ => false,
                    };
                }
                Event::Resize(..) => stale = true,
                _ => {}
            }
        }
        if stale {
            self.draw(view)?;
        }
        Ok(leave)
    }
}

/// Whether nobody is at the terminal any more: crossterm would read its end again and again.
fn is_gone() -> bool {
    #[cfg(unix)]
    {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let stdin = io::stdin();
        let mut terminal = [PollFd::new(&stdin, PollFlags::IN)];
        let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        let looked = poll(&mut terminal, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        looked.is_ok() && terminal[0].revents().intersects(gone)
    }
    #[cfg(not(unix))]
    false
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn draw(frame: &mut Frame<'_>, view: &View, colour: bool) {
    let area = frame.area();
    let lines = view.lines.len().min(usize::from(area.height) / 4) as u16;
    // Where there is little room, the peers have it.
    let counters = view.counters.filter(|_| area.height >= 12);
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(lines),
        Constraint::Length(counters.is_some().into()),
        Constraint::Length(1),
    ]);
    let [head, titles, body, foot, server, keys] = areas.areas(area);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let dim = Style::new().add_modifier(Modifier::DIM);
    let room = format!("{} at {}: {} here", view.room, view.server, view.board.len() + 1);
    let state = if view.status.is_empty() { String::new() } else { format!("  {}", view.status) };
    let warning = tint(colour, Color::Red).add_modifier(Modifier::BOLD);
    frame.render_widget(
        Line::from(vec![Span::styled(room, bold), Span::styled(state, warning)]),
        head,
    );
    draw_titles(frame, titles, dim);
    draw_tracks(frame, body, view, colour);
    let said = view.lines.iter().rev().take(lines.into()).rev();
    let said: Vec<_> = said.map(|line| Line::styled(line.clone(), dim)).collect();
    frame.render_widget(Paragraph::new(said), foot);
    if let Some(counters) = counters {
        let text = format!("server: {}", server_text(&counters));
        frame.render_widget(Line::styled(text, dim), server);
    }
    let legend = "q leaves; the newest is on the right; loss: both ways, over TCP the kernel keeps it to itself";
    frame.render_widget(Line::styled(legend, dim), keys);
}

/// The columns of a row: name, over, rtt, its line, loss, its line, silence. What is narrow does
/// without the lines, what is very narrow without the mode.
fn columns(row: Rect) -> [Rect; 7] {
    let (mode, line) = match row.width {
        0..60 => (0, 0),
        60..90 => (4, 8),
        width => (22, (width - 66) / 2),
    };
    // Names are cut before figures are.
    let name = if row.width < 60 { row.width.saturating_sub(28).min(16) } else { 18 };
    Layout::horizontal([
        Constraint::Length(name),
        Constraint::Length(mode),
        Constraint::Length(9),
        Constraint::Length(line),
        Constraint::Length(7),
        Constraint::Length(line),
        Constraint::Min(6),
    ])
    .spacing(1)
    .areas(row)
}

fn draw_titles(frame: &mut Frame<'_>, row: Rect, style: Style) {
    let titles = ["name", "over", "rtt", "", "loss", "", "silent"];
    for (title, cell) in titles.iter().zip(columns(row)) {
        frame.render_widget(Line::styled(*title, style), cell);
    }
}

fn draw_tracks(frame: &mut Frame<'_>, body: Rect, view: &View, colour: bool) {
    let tracks = view.board.by_trouble();
    let room = usize::from(body.height);
    // The last row says how many there is no row for.
    let shown = if tracks.len() > room { room.saturating_sub(1) } else { tracks.len() };
    let most = tracks.iter().flat_map(|track| &track.rtts).flatten().max();
    let scale = most.copied().unwrap_or_default().max(Duration::from_millis(1));
    let rows = body.rows();
    for (index, row) in rows.enumerate().take(room) {
        if let Some(track) = tracks.get(index).filter(|_| index < shown) {
            draw_track(frame, row, track, scale, colour);
        } else if index == shown && tracks.len() > shown {
            let more = format!("and {} more, who do better", tracks.len() - shown);
            frame.render_widget(Line::raw(more), row);
        }
    }
}

fn draw_track(frame: &mut Frame<'_>, row: Rect, track: &Track, scale: Duration, colour: bool) {
    let report = &track.report;
    let [name, over, rtt, rtts, loss, losses, silent] = columns(row);
    let quiet = report.silence >= SILENT;
    let lost = track.recent_loss();
    let health = match lost {
        _ if quiet => tint(colour, Color::Red),
        Some(lost) if lost >= MUCH_LOSS => tint(colour, Color::Red),
        Some(lost) if lost >= SOME_LOSS => tint(colour, Color::Yellow),
        _ => tint(colour, Color::Green),
    };
    frame.render_widget(Line::styled(report.nickname.clone(), health), name);
    let carrier = match report.transport {
        Transport::Tcp => "tcp".to_owned(),
        Transport::Udp if over.width < 8 => "udp".to_owned(),
        Transport::Udp => format!("udp {}", delivery_name(report.delivery)),
    };
    frame.render_widget(Line::raw(carrier), over);
    frame.render_widget(Line::raw(ms(report.rtt)).right_aligned(), rtt);
    let heights = track
        .rtts
        .iter()
        .map(|rtt| rtt.map(|rtt| (rtt.as_secs_f64() / scale.as_secs_f64() * 100.0).ceil() as u64));
    sparkline(frame, rtts, heights.collect(), tint(colour, Color::Cyan));
    let share = lost.map_or_else(|| "-".to_owned(), |lost| format!("{:.1} %", lost * 100.0));
    frame.render_widget(Line::raw(share).right_aligned(), loss);
    // A fifth lost fills the line.
    let heights =
        track.losses.iter().map(|lost| lost.map(|it| (it * 500.0).ceil().min(100.0) as u64));
    sparkline(frame, losses, heights.collect(), health);
    let silence = match report.silence.as_secs() {
        0 => String::new(),
        seconds => format!("{seconds} s"),
    };
    frame.render_widget(Line::styled(silence, health), silent);
}

/// The newest sample at the right edge.
fn sparkline(frame: &mut Frame<'_>, cell: Rect, mut heights: Vec<Option<u64>>, style: Style) {
    let width = usize::from(cell.width).min(SAMPLES);
    let skip = heights.len().saturating_sub(width);
    heights.drain(..skip);
    let mut padded = vec![None; width - heights.len()];
    padded.append(&mut heights);
    frame.render_widget(Sparkline::default().data(padded).max(100).style(style), cell);
}

fn tint(colour: bool, wanted: Color) -> Style {
    if colour { Style::new().fg(wanted) } else { Style::new() }
}
