//! The charset of a body: from bytes to UTF-8.
//!
//! In: chunks, cut anywhere, and what the definition and the answer say of the charset. Out: UTF-8
//! without a byte order mark. A mark counts more than the definition, and that more than the
//! answer. UTF-8 passes as it is, unchecked and uncopied; whoever reads it checks it. A byte that
//! the charset does not know is an error with its place, never a replacement character.

use encoding_rs::{DecoderResult, Encoding, UTF_8};
use memchr::memmem;

use crate::error::Failure;

/// As much as an XML declaration may take.
const DECLARATION_BYTES_MAX: usize = 256;

pub(super) struct Charset {
    declared: &'static Encoding,
    /// Whether the body may name its charset itself, as XML does.
    is_xml: bool,
    /// The first bytes, until there are enough of them to tell.
    head: Option<Vec<u8>>,
    decoder: Option<encoding_rs::Decoder>,
    text: String,
    offset: u64,
}

impl Charset {
    pub(super) fn new(declared: Option<&'static Encoding>, is_xml: bool) -> Self {
        Self {
            declared: declared.unwrap_or(UTF_8),
            is_xml: is_xml && declared.is_none(),
            head: Some(Vec::new()),
            decoder: None,
            text: String::new(),
            offset: 0,
        }
    }

    /// Gives the chunk as UTF-8 to the sink. Without a chunk the body ends.
    pub(super) fn feed(
        &mut self,
        chunk: Option<&[u8]>,
        mut sink: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (bytes, is_last) = (chunk.unwrap_or_default(), chunk.is_none());
        let Some(mut head) = self.head.take() else {
            return self.pass(bytes, is_last, &mut sink);
        };
        head.extend_from_slice(bytes);
        let needed = if self.is_xml { DECLARATION_BYTES_MAX } else { 3 };
        let is_told = self.is_xml && memchr::memchr(b'>', &head).is_some();
        if head.len() < needed && !is_told && !is_last {
            self.head = Some(head);
            return Ok(());
        }
        let (encoding, mark) = match Encoding::for_bom(&head) {
            Some(found) => found,
            None => (xml_encoding(&head).filter(|_| self.is_xml).unwrap_or(self.declared), 0),
        };
        if encoding != UTF_8 {
            self.decoder = Some(encoding.new_decoder_without_bom_handling());
        }
        self.offset = mark as u64;
        self.pass(&head[mark..], is_last, &mut sink)
    }

    fn pass(
        &mut self,
        bytes: &[u8],
        is_last: bool,
        sink: &mut impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Some(decoder) = &mut self.decoder else {
            return if bytes.is_empty() { Ok(()) } else { sink(bytes) };
        };
        self.text.clear();
        let room = decoder.max_utf8_buffer_length_without_replacement(bytes.len());
        self.text.reserve(room.unwrap_or(bytes.len()));
        let (result, read) =
            decoder.decode_to_string_without_replacement(bytes, &mut self.text, is_last);
        let offset = self.offset + read as u64;
        self.offset += bytes.len() as u64;
        if result != DecoderResult::InputEmpty {
            let name = decoder.encoding().name();
            let problem = format!("up to byte {offset} something is no {name}");
            return Err(Failure::malformed("text", problem));
        }
        if self.text.is_empty() { Ok(()) } else { sink(self.text.as_bytes()) }
    }
}

/// The encoding of an XML declaration (XML 1.0, section 4.3.3).
fn xml_encoding(head: &[u8]) -> Option<&'static Encoding> {
    let end = memchr::memchr(b'>', head)?;
    let declaration = head[..end].strip_prefix(b"<?xml")?;
    let at = memmem::find(declaration, b"encoding")? + b"encoding".len();
    let value = declaration[at..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let quote = *value.first().filter(|quote| matches!(quote, b'"' | b'\''))?;
    let length = memchr::memchr(quote, &value[1..])?;
    // What could be read so far is no UTF-16, whatever it says (as browsers judge it).
    Encoding::for_label(&value[1..=length]).map(|encoding| encoding.output_encoding())
}
