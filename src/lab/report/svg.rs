//! SVG: lines, text and axes.

use super::text::{escape, wide};
use std::fmt::Write;

/// The width of every plot, in SVG units.
pub(super) const WIDTH: f64 = 720.0;
/// The top of every plot: nothing is drawn above it.
const TOP: f64 = 20.0;
/// Room for the last tick's text beside a plot whose series are named below.
const MARGIN: f64 = 18.0;

/// An SVG document in progress.
pub(super) struct Svg {
    height: f64,
    title: String,
    body: String,
    /// The class and name of each series, and the right edge of the plot that they are beside.
    key: (f64, Vec<(String, String)>),
}

impl Svg {
    pub(super) fn new(height: f64, title: &str) -> Self {
        let key = (WIDTH, Vec::new());
        Self { height, title: escape(title), body: String::new(), key }
    }

    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let line = format!("<path class=\"{class}\" d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\"/>");
        self.body.push_str(&line);
    }

    /// Draws many lines as one path, which repeats no attributes.
    pub(super) fn path(&mut self, class: &str, points: &str) {
        if !points.is_empty() {
            let _ = write!(self.body, "<path class=\"{class}\" d=\"{points}\"/>");
        }
    }

    /// A wide invisible line with a text for the pointer, over a line that is drawn.
    pub(super) fn tip(&mut self, points: &str, text: &str) {
        let text = escape(text);
        let _ = write!(self.body, "<path class=\"h\" d=\"{points}\"><title>{text}</title></path>");
    }

    pub(super) fn text(&mut self, at: (f64, f64), class: &str, anchor: &str, text: &str) {
        let (x, y) = at;
        let _ = write!(
            self.body,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
            escape(text)
        );
    }

    pub(super) fn dot(&mut self, class: &str, (x, y): (f64, f64)) {
        let _ =
            write!(self.body, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>");
    }

    pub(super) fn small_dot(&mut self, class: &str, (x, y): (f64, f64)) {
        let _ =
            write!(self.body, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"1.8\"/>");
    }

    /// The `<figure>` with its title, which a narrow page wraps, and its caption. A narrow page has
    /// no room beside a plot: it shows the names of the series below.
    pub(super) fn figure(self, caption: &str) -> String {
        let Self { height, title, body, key: (right, series) } = self;
        let mut key = String::new();
        for (class, name) in &series {
            let line = format!("<path class=\"l thick {class}\" d=\"M0 4H32\"/>");
            let _ = write!(
                key,
                "<span class=\"{class}\"><svg viewBox=\"0 0 32 8\">{line}</svg>{}</span> ",
                escape(name)
            );
        }
        let (region, key) = match key.as_str() {
            "" => (wide(&title), key),
            _ => {
                let width = WIDTH / (right + MARGIN) * 100.0;
                let region = format!("<div class=\"plot\" style=\"--w:{width:.0}%\">");
                (region, format!("<p class=\"key\" aria-hidden=\"true\">{key}</p>"))
            }
        };
        format!(
            "<figure><p class=\"t\">{title}</p>{region}<svg viewBox=\"0 {TOP} {WIDTH} {:.0}\" \
             role=\"img\" aria-label=\"{title}\"><title>{title}</title>{body}</svg></div>{key}\
             <figcaption>{}</figcaption></figure>\n",
            height - TOP,
            escape(caption)
        )
    }
}

/// The area inside the axes: maps values to coordinates.
pub(super) struct Plot {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    pub(super) x: (f64, f64),
    pub(super) y: (f64, f64),
}

impl Plot {
    pub(super) fn at_x(&self, x: f64) -> f64 {
        scale(x, self.x, (self.left, self.right))
    }

    pub(super) fn at_y(&self, y: f64) -> f64 {
        scale(y, self.y, (self.bottom, self.top))
    }

    pub(super) fn tick_x(&self, svg: &mut Svg, x: f64, text: &str) {
        let x = self.at_x(x);
        svg.line("g", (x, self.top), (x, self.bottom));
        svg.text((x, self.bottom + 18.0), "", "middle", text);
    }

    pub(super) fn tick_y(&self, svg: &mut Svg, y: f64, text: &str) {
        let y = self.at_y(y);
        svg.line("g", (self.left, y), (self.right, y));
        svg.text((self.left - 8.0, y + 4.5), "", "end", text);
    }

    pub(super) fn name_x(&self, svg: &mut Svg, text: &str) {
        let middle = f64::midpoint(self.left, self.right);
        svg.text((middle, self.bottom + 38.0), "q", "middle", text);
    }

    /// Places labels at the right edge, each near the end of its line and without overlap.
    pub(super) fn labels(&self, svg: &mut Svg, mut labels: Vec<(f64, String, String)>) {
        const APART: f64 = 17.0;
        labels.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut last = f64::NEG_INFINITY;
        for label in &mut labels {
            label.0 = label.0.max(last + APART);
            last = label.0;
        }
        let mut next = self.bottom + APART;
        for label in labels.iter_mut().rev() {
            label.0 = label.0.min(next - APART);
            next = label.0;
        }
        for (y, class, text) in labels {
            svg.text((self.right + 8.0, y + 4.5), &class, "start", &text);
            svg.key.1.push((class, text));
        }
        svg.key.0 = self.right;
    }
}

/// Maps `value` linearly from one range to another; an empty range maps to the middle.
fn scale(value: f64, from: (f64, f64), to: (f64, f64)) -> f64 {
    let part = (value - from.0) / (from.1 - from.0);
    let part = if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.5 };
    to.0 + part * (to.1 - to.0)
}

/// A round step (1, 2 or 5 times a power of ten) that divides `span` into about `parts`.
pub(super) fn step(span: f64, parts: f64) -> f64 {
    let raw = span / parts;
    if !raw.is_finite() || raw <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(raw.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|it| it * power >= raw * 0.999);
    factor.unwrap_or(10.0) * power
}

/// The lower end of an axis of shares, well below `lowest`: comparing 95 % with 100 % needs no 0 %.
pub(super) fn floor(lowest: f64) -> f64 {
    [(0.96, 0.9), (0.9, 0.8), (0.7, 0.5)]
        .into_iter()
        .find(|(from, _)| lowest >= *from)
        .map_or(0.0, |(_, floor)| floor)
}
