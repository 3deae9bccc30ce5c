//! The secret of the page that may change things. It is in the fragment of the page's address,
//! which a browser sends to no server.

use super::Error;
use std::fmt;

/// 128 random bits.
#[derive(Clone)]
pub(super) struct Token([u8; 16]);

impl Token {
    pub(super) fn random() -> Result<Self, Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(Error::Random)?;
        Ok(Self(bytes))
    }

    /// The secret, in hexadecimal.
    pub(super) fn reveal(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether a text is the token. The time does not depend on where they differ.
    pub(super) fn is(&self, text: &str) -> bool {
        let own = self.reveal();
        let differences = own.bytes().zip(text.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
        own.len() == text.len() && std::hint::black_box(differences) == 0
    }
}

/// Without the secret.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_right() {
        let token = Token::random().unwrap();
        let text = token.reveal();
        assert_eq!(text.len(), 32);
        assert!(token.is(&text));
        for wrong in ["", &text[1..], &format!("{text}0"), &text.replace(&text[31..], "x")] {
            assert!(!token.is(wrong), "{wrong}");
        }
        assert!(!token.is(&Token::random().unwrap().reveal()));
        assert!(!format!("{token:?}").contains(&text));
    }
}
