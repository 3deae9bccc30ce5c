//! Compares the placeholders of a text's languages when it is compiled.

/// Fails to compile unless all texts have the same placeholders.
pub(super) const fn assert_same(texts: &[&str; 3]) {
    let mut at = 0;
    while at < texts.len() {
        let (one, other) = (texts[at].as_bytes(), texts[(at + 1) % texts.len()].as_bytes());
        assert!(has_all(one, other), "the languages of this text differ in their placeholders");
        at += 1;
    }
}

/// True if each placeholder of `one` is in `other`.
const fn has_all(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() {
        if one[at] == b'{' && !has(other, one, at) {
            return false;
        }
        at += 1;
    }
    true
}

/// True if the placeholder at this place of `one` is in `other`.
const fn has(other: &[u8], one: &[u8], place: usize) -> bool {
    let mut start = 0;
    while start < other.len() {
        let mut same = 0;
        while place + same < one.len()
            && start + same < other.len()
            && one[place + same] == other[start + same]
        {
            if one[place + same] == b'}' {
                return true;
            }
            same += 1;
        }
        start += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_that_one_language_lacks_is_found() {
        let differ =
            |texts: [&'static str; 3]| std::panic::catch_unwind(|| assert_same(&texts)).is_err();
        assert!(!differ(["{a} left, {b} here", "здесь {b}, ушёл {a}", "{a}{b}"]));
        assert!(!differ(["no", "нет", "无"]));
        assert!(differ(["{a} {b}", "{a} {b}", "{a}"]));
        assert!(differ(["{a}", "{a} {b}", "{a}"]));
        assert!(differ(["{name}", "{name}", "{names}"]));
    }
}
