//! What may come next in a JSON text (RFC 8259).
//!
//! In: one byte outside of a string at a time. Out: the next expectation, or what should have been
//! there. The containers that are open are the reader's to keep: it also wants to know where it is.

/// What the reader is in the middle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    /// The first byte of all: a byte order mark may stand before the value.
    Start,
    /// The rest of a byte order mark, so many bytes of it read.
    Mark(usize),
    /// A value.
    Value,
    /// A value, or the end of a list that is empty.
    ValueOrEnd,
    /// A member's name, or the end of an object that is empty.
    NameOrEnd,
    /// A member's name.
    Name,
    /// The colon after a name.
    Colon,
    /// The comma after an item or member, or the end of its container.
    CommaOrEnd,
    /// The rest of a string; of a member's name or of a value.
    Text { is_name: bool },
    /// The byte after a backslash in a string.
    Escape { is_name: bool },
    /// The rest of a number, `true`, `false` or `null`.
    Scalar,
    /// Nothing but white space.
    End,
    /// The rest of a page that is not JSON, for its title.
    Page,
}

/// The bytes of the UTF-8 byte order mark.
pub(super) const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

impl Expect {
    /// The words for an error message.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Start | Self::Mark(_) | Self::Value => "a value",
            Self::ValueOrEnd => "a value or `]`",
            Self::NameOrEnd => "a field name or `}`",
            Self::Name => "a field name",
            Self::Colon => "`:`",
            Self::CommaOrEnd => "`,` or the end of the list or object",
            Self::Text { .. } | Self::Escape { .. } => "the end of a text",
            Self::Scalar => "the end of a number or word",
            Self::End => "nothing more",
            Self::Page => "JSON",
        }
    }

    /// Whether a value may begin here.
    pub(super) const fn takes_value(self) -> bool {
        matches!(self, Self::Start | Self::Value | Self::ValueOrEnd)
    }
}

pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether a number, `true`, `false` or `null` may begin so.
pub(super) const fn begins_scalar(byte: u8) -> bool {
    matches!(byte, b'-' | b'0'..=b'9' | b't' | b'f' | b'n')
}

/// Whether a number, `true`, `false` or `null` may go on so.
pub(super) const fn is_scalar(byte: u8) -> bool {
    matches!(byte, b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z')
}
