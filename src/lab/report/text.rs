//! Formats numbers, names and lists for people, and escapes text for HTML.

use crate::lab::record::{Emulation, Mode, ProgramName};
use crate::lab::variant::{Control, Variant};
use crate::link::{Congestion, Copies};
use crate::protocol::clean;

/// Escapes text for HTML and XML 1.0.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            // XML 1.0 §2.2 forbids them.
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            // HTML forbids control characters, even as references.
            c => out.push_str(&clean(c.encode_utf8(&mut [0; 4]))),
        }
    }
    out
}

/// Opens a box that scrolls sideways on a narrow screen, also by keyboard. The label is HTML.
pub(super) fn wide(label: &str) -> String {
    format!("<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"{label}\">")
}

/// The name of a mode with its settings in plots and sentences.
pub(super) fn label(variant: &Variant) -> String {
    // A machine's TCP has one of several congestion controls, and QUIC has CUBIC unless told.
    let usual = variant.mode.is_quic() && variant.control.of_quic() == Congestion::default();
    if let Control::Named(control) = variant.control
        && !usual
    {
        return format!("{}, {control}", mode_label(&variant.mode));
    }
    match variant.redundancy {
        Copies::Auto => mode_label(&variant.mode).to_owned(),
        Copies::Fixed(0) => format!("{}, no copies", mode_label(&variant.mode)),
        Copies::Fixed(1) => format!("{}, 1 copy", mode_label(&variant.mode)),
        Copies::Fixed(n) => format!("{}, {n} copies", mode_label(&variant.mode)),
    }
}

/// The name of a mode.
pub(super) fn mode_label(mode: &Mode) -> &str {
    match mode {
        Mode::Unreliable => "UDP unreliable",
        Mode::ReliableOrdered => "UDP reliable-ordered",
        Mode::ReliableUnordered => "UDP reliable-unordered",
        Mode::Tcp => "TCP",
        Mode::QuicUnreliable => "QUIC unreliable",
        Mode::QuicReliableOrdered => "QUIC reliable-ordered",
        Mode::QuicReliableUnordered => "QUIC reliable-unordered",
        Mode::Program(name) => name.as_str(),
    }
}

/// The mechanism of the impairment, as a phrase.
pub(super) const fn emulation(emulation: Emulation) -> &'static str {
    match emulation {
        Emulation::Namespaces => {
            "emulated by chatagram between two network namespaces: packets are lost between two \
             kernel stacks"
        }
        Emulation::InProcess => "emulated by chatagram in the clients' process: UDP datagrams only",
        Emulation::Netem => "the kernel's tc-netem",
    }
}

/// The CSS classes of a series: the mode's colour, and the dashes of its settings. [`series_style`]
/// has the rules of programs.
pub(super) fn class(variant: &Variant) -> String {
    let colour = match variant.mode {
        Mode::Unreliable => "s m0".to_owned(),
        Mode::ReliableOrdered => "s m1".to_owned(),
        Mode::ReliableUnordered => "s m2".to_owned(),
        Mode::Tcp => "s m3".to_owned(),
        // The colours of UDP's modes, dotted.
        Mode::QuicUnreliable => "s m0 quic".to_owned(),
        Mode::QuicReliableOrdered => "s m1 quic".to_owned(),
        Mode::QuicReliableUnordered => "s m2 quic".to_owned(),
        Mode::Program(name) => format!("s p-{}", name.as_str()),
    };
    // The dashes of copies, which TCP and QUIC lack.
    if let Control::Named(control) = variant.control {
        return match control.name() {
            "cubic" => colour,
            "reno" | "new-reno" => format!("{colour} v1"),
            "bbr" => format!("{colour} v2"),
            _ => format!("{colour} v3"),
        };
    }
    match variant.redundancy {
        Copies::Auto => colour,
        Copies::Fixed(copies) => format!("{colour} v{copies}"),
    }
}

/// The colours and dashes of the programs' series. With more programs than that they repeat.
pub(super) fn series_style(programs: impl Iterator<Item = ProgramName>) -> String {
    const DASHES: [&str; 6] = ["2 3", "9 3 2 3", "14 4", "9 3 2 3 2 3", "4 4", "1 6"];
    let mut style = String::new();
    for (at, name) in programs.enumerate() {
        let (name, at) = (name.as_str(), at % DASHES.len());
        style += &format!(
            ".p-{name}{{color:var(--p{at})}}.thick.p-{name}{{stroke-dasharray:{}}}\n",
            DASHES[at]
        );
    }
    style
}

/// `24 ms`, `3.5 ms`, `12.3 s`.
pub(super) fn ms(value: f64) -> String {
    match value {
        v if v < 9.95 => format!("{v:.1} ms"),
        v if v < 9_999.5 => format!("{v:.0} ms"),
        v => format!("{:.1} s", v / 1e3),
    }
}

/// `95.38 %`. Rounded down, so that only a complete share is 100 %; a share above 0 is never 0 %.
pub(super) fn percent(share: f64) -> String {
    match share {
        s if s >= 1.0 => "100 %".into(),
        s if s <= 0.0 => "0 %".into(),
        s if s < 1e-4 => "< 0.01 %".into(),
        // The share is a ratio of counts; the addend, against rounding error, is far below one
        // count.
        s => format!("{:.2} %", (s * 1e4 + 1e-6).floor() / 100.0),
    }
}

/// The value, or a dash.
pub(super) fn or_dash<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "–".into(), show)
}

/// `1 message`, `2 messages`.
pub(super) fn count(n: usize, one: &str) -> String {
    match one.strip_suffix('y').filter(|_| n != 1) {
        Some(stem) => format!("{n} {stem}ies"),
        None => format!("{n} {one}{}", if n == 1 { "" } else { "s" }),
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_escaped() {
        assert_eq!(escape("<b a='\"'>&\u{7}"), "&lt;b a=&#39;&quot;&#39;&gt;&amp;\u{fffd}");
    }

    #[test]
    fn only_a_complete_share_is_100_percent() {
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.999_999), "99.99 %");
        assert_eq!(percent(0.953_8), "95.38 %");
        assert_eq!(percent(0.29), "29.00 %");
        assert_eq!(percent(1e-6), "< 0.01 %");
        assert_eq!(percent(0.0), "0 %");
    }

    #[test]
    fn lists_and_times() {
        assert_eq!(list(&["a".into(), "b".into(), "c".into()]), "a, b and c");
        assert_eq!(
            (ms(3.45), ms(24.4), ms(12_345.0)),
            ("3.5 ms".into(), "24 ms".into(), "12.3 s".into())
        );
    }
}
