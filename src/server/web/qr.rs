//! A QR code as SVG.

use qrcodegen::{QrCode, QrCodeEcc};
use std::fmt::Write;

/// Modules of quiet zone on each side (ISO/IEC 18004 §6.3.8).
const QUIET: i32 = 4;

/// The code of a short text; `None` if it is too long for one.
pub(super) fn svg(text: &str) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let size = code.size() + 2 * QUIET;
    let mut path = String::new();
    for (y, x) in (0..code.size()).flat_map(|y| (0..code.size()).map(move |x| (y, x))) {
        if code.get_module(x, y) {
            // Writing to a string does not fail.
            let _ = write!(path, "M{},{}h1v1h-1z", x + QUIET, y + QUIET);
        }
    }
    // White behind it in dark colours too: readers expect dark on light.
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {size} {size}\" \
         shape-rendering=\"crispEdges\"><rect width=\"{size}\" height=\"{size}\" \
         fill=\"#fff\"/><path fill=\"#000\" d=\"{path}\"/></svg>\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The three finder patterns have 33 dark modules each, and the code of the text follows.
    #[test]
    fn a_code_is_an_image_with_its_quiet_zone() {
        let image = svg("http://192.168.1.5:2431/").unwrap();
        assert!(image.starts_with("<svg xmlns=") && image.contains("viewBox=\"0 0 33 33\""));
        let corner = (4..11).filter(|x| image.contains(&format!("M{x},4h1"))).count();
        assert_eq!(corner, 7);
        assert!(!image.contains("M3,") && !image.contains("M29,"));
        assert_eq!(svg(&"x".repeat(4_000)), None);
    }
}
