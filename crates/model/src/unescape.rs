//! A text as it reads without one way of escaping, byte by byte with where each came from.
//!
//! In: bytes. Out: the bytes that they stand for, or nothing where no escape is in them. What is
//! no proper escape stands for itself, so that nothing is ever refused.

/// Reads an escape at the beginning of a text: its length, and the bytes that it stands for.
pub(crate) type Way = fn(&[u8]) -> Option<(usize, Vec<u8>)>;

/// The ways in which servers and clients write a text inside another.
pub(crate) const WAYS: [Way; 3] = [percent, html, json];

/// The longest name or number of an HTML entity that is looked for.
const ENTITY_MAX: usize = 8;

/// A text, and for each of its bytes where it begins in the text that was escaped.
#[derive(Clone)]
pub(crate) struct View {
    pub(crate) bytes: Vec<u8>,
    /// One more than there are bytes: the last is the end.
    pub(crate) starts: Vec<usize>,
}

impl View {
    pub(crate) fn of(text: &str) -> Self {
        Self { bytes: text.as_bytes().to_vec(), starts: (0..=text.len()).collect() }
    }

    /// The same without escapes of one way; `None` when there are none.
    pub(crate) fn without(&self, way: Way) -> Option<Self> {
        let mut view = Self { bytes: Vec::new(), starts: Vec::new() };
        let mut at = 0;
        let mut has_escapes = false;
        while let Some(&byte) = self.bytes.get(at) {
            let start = self.starts.get(at).copied().unwrap_or_default();
            let escape = match byte {
                b'%' | b'&' | b'\\' => way(self.bytes.get(at..).unwrap_or_default()),
                _ => None,
            };
            has_escapes |= escape.is_some();
            let (length, meant) = escape.unwrap_or_else(|| (1, vec![byte]));
            view.starts.extend(meant.iter().map(|_| start));
            view.bytes.extend(meant);
            at += length;
        }
        view.starts.extend(self.starts.last());
        has_escapes.then_some(view)
    }
}

fn character(code: u32) -> Option<Vec<u8>> {
    char::from_u32(code).map(|one| one.to_string().into_bytes())
}

fn hex(digits: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(digits).ok()?;
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| is_hex)
}

/// `%2F` (RFC 3986, section 2.1).
fn percent(text: &[u8]) -> Option<(usize, Vec<u8>)> {
    let digits = text.strip_prefix(b"%")?.get(..2)?;
    Some((3, vec![u8::try_from(hex(digits)?).ok()?]))
}

/// `&amp;`, `&#47;` and `&#x2F;` (HTML, section 13.5; the names that escaping writes).
fn html(text: &[u8]) -> Option<(usize, Vec<u8>)> {
    let rest = text.strip_prefix(b"&")?;
    let end = rest.iter().take(ENTITY_MAX + 1).position(|byte| *byte == b';')?;
    let name = std::str::from_utf8(rest.get(..end)?).ok()?;
    let code = match name {
        "amp" => 38,
        "lt" => 60,
        "gt" => 62,
        "quot" => 34,
        "apos" => 39,
        name => match name.strip_prefix('#')?.strip_prefix(['x', 'X']) {
            Some(digits) => hex(digits.as_bytes())?,
            None => name.strip_prefix('#')?.parse().ok()?,
        },
    };
    Some((end + 2, character(code)?))
}

/// `\/`, `\n`, `\u002F` (RFC 8259, section 7).
fn json(text: &[u8]) -> Option<(usize, Vec<u8>)> {
    let meant = match text.strip_prefix(b"\\")?.first()? {
        b'u' => return json_unit(text),
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        same @ (b'"' | b'\\' | b'/') => *same,
        _ => return None,
    };
    Some((2, vec![meant]))
}

/// One character, or two units that are one together.
fn json_unit(text: &[u8]) -> Option<(usize, Vec<u8>)> {
    let unit = |text: &[u8]| hex(text.strip_prefix(b"\\u")?.get(..4)?);
    let first = unit(text)?;
    if let Some(meant) = character(first) {
        return Some((6, meant));
    }
    let second = unit(text.get(6..)?)?.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
    let high = first.checked_sub(0xD800).filter(|high| *high < 0x400)?;
    Some((12, character(0x1_0000 + (high << 10) + second)?))
}
