//! A body that is a gzip file (RFC 1952), and not merely sent as one.
//!
//! In: chunks. Out: what they unpack to; several members are one body after the other. What is
//! unpacked in all has a bound, and so has how much larger it may be than what came, so that a
//! bomb ends early. A body without its end is cut.

use std::io::Write;

use flate2::write::MultiGzDecoder;

use crate::error::Failure;

/// How much larger a body may become, once it is large.
const RATIO_MAX: u64 = 200;
/// From where on that counts: small bodies of equal rows pack better than that.
const RATIO_FROM: u64 = 64 << 20;

pub(super) struct Gunzip {
    decoder: MultiGzDecoder<Vec<u8>>,
    bytes_max: u64,
    packed: u64,
    unpacked: u64,
}

impl Gunzip {
    pub(super) fn new(bytes_max: u64) -> Self {
        let decoder = MultiGzDecoder::new(Vec::new());
        Self { decoder, bytes_max, packed: 0, unpacked: 0 }
    }

    pub(super) fn feed(&mut self, chunk: &[u8]) -> Result<Vec<u8>, Failure> {
        let written = self.decoder.write_all(chunk).and_then(|()| self.decoder.flush());
        written.map_err(|_| {
            let place = format!("it breaks within {} bytes of byte {}", chunk.len(), self.packed);
            let problem = match self.packed {
                0 => "it does not begin as gzip does; leave out `archive` if it is not packed",
                _ => &place,
            };
            Failure::malformed("gzip", problem.to_owned())
        })?;
        self.packed += chunk.len() as u64;
        self.take()
    }

    fn take(&mut self) -> Result<Vec<u8>, Failure> {
        let unpacked = std::mem::take(self.decoder.get_mut());
        self.unpacked += unpacked.len() as u64;
        check(self.packed, self.unpacked, self.bytes_max)?;
        Ok(unpacked)
    }

    pub(super) fn finish(mut self) -> Result<Vec<u8>, Failure> {
        self.decoder.try_finish().map_err(|_| {
            let problem = "the gzip file has no end".to_owned();
            Failure::Unfinished { problem, offset: self.packed }
        })?;
        self.take()
    }
}

/// The bounds of what is unpacked.
pub(super) fn check(packed: u64, unpacked: u64, bytes_max: u64) -> Result<(), Failure> {
    let bound = if unpacked > bytes_max {
        format!("{bytes_max} bytes")
    } else if unpacked > RATIO_FROM && unpacked / RATIO_MAX > packed {
        format!("{RATIO_MAX} times its packed size")
    } else {
        return Ok(());
    };
    Err(Failure::TooLarge { what: "what the archive unpacks to", bound, hint: None })
}
