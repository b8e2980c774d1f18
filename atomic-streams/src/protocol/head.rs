//! The one field that every commit compares.

use std::fmt;
use std::sync::Arc;

/// The unique name of one attach, made by the attach script; the fence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Token(Arc<str>);

impl Token {
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `token:sequence`: which attach owns the record, and how many commits it has had.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Head {
    pub token: Token,
    pub sequence: u64,
}

impl Head {
    pub fn parse(text: &str) -> Option<Self> {
        let (token, sequence) = text.rsplit_once(':')?;
        Some(Self { token: Token::new(token), sequence: sequence.parse().ok()? })
    }

    /// Writes what [`fmt::Display`] shows, without its cost.
    pub fn write(token: &str, sequence: u64, into: &mut Vec<u8>) {
        into.extend_from_slice(token.as_bytes());
        into.push(b':');
        into.extend_from_slice(itoa::Buffer::new().format(sequence).as_bytes());
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.token, self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_written_as_it_is_shown_and_read() {
        let head = Head::parse("f00.3.2.1700000000000000:41").unwrap();
        assert_eq!(head.sequence, 41);
        let mut written = Vec::new();
        Head::write(head.token.as_str(), head.sequence, &mut written);
        assert_eq!(String::from_utf8(written).unwrap(), head.to_string());
        assert_eq!(Head::parse("no head"), None);
    }
}
