//! The user's wish for output without colours (no-color.org).

use std::ffi::OsStr;

/// Returns true if the user refuses colours: `NO_COLOR` is set and not empty.
#[must_use]
pub fn no_color() -> bool {
    refuses_colour(std::env::var_os("NO_COLOR").as_deref())
}

fn refuses_colour(value: Option<&OsStr>) -> bool {
    value.is_some_and(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_no_color_does_not_refuse_colours() {
        assert!(refuses_colour(Some(OsStr::new("0"))));
        assert!(!refuses_colour(Some(OsStr::new(""))));
        assert!(!refuses_colour(None));
    }
}
