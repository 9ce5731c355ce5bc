//! What a certificate says about itself, for errors and warnings.
//!
//! In: a certificate (RFC 5280, section 4.1), of which nothing is believed. Out: whose it is, who
//! signed it and until when it holds, or nothing where it cannot be read. What never happens here:
//! a judgement; that is the verifier's.

use std::fmt;

use chrono::{DateTime, NaiveDateTime, Utc};

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
/// The version, in a field of its own (RFC 5280, section 4.1.2.1).
const VERSION: u8 = 0xa0;
/// The object identifier of a common name (RFC 5280, appendix A.1), and that of an organization.
const NAMES: [[u8; 3]; 2] = [[0x55, 4, 3], [0x55, 4, 10]];
/// A certificate of ours that ends within so many days is warned of, each time anew.
const SOON_DAYS: [i64; 3] = [30, 7, 1];
/// More of a name than this is not shown.
const NAME_CHARS_MAX: usize = 100;

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) until: DateTime<Utc>,
}

impl fmt::Display for Facts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, issuer, until } = self;
        let until = until.format("%Y-%m-%d");
        write!(formatter, "the certificate is for `{subject}`, by `{issuer}`, until {until}")
    }
}

impl Facts {
    /// Reads a certificate in DER.
    pub(crate) fn of(certificate: &[u8]) -> Option<Self> {
        let (_, certificate, _) = field(certificate)?;
        let (_, mut fields, _) = field(certificate)?;
        if fields.first() == Some(&VERSION) {
            fields = field(fields)?.2;
        }
        // The serial number and the algorithm.
        let fields = field(field(fields)?.2)?.2;
        let (_, issuer, fields) = field(fields)?;
        let (_, validity, fields) = field(fields)?;
        let (_, subject, _) = field(fields)?;
        let (tag, until, _) = field(field(validity)?.2)?;
        Some(Self { subject: name(subject)?, issuer: name(issuer)?, until: time(tag, until)? })
    }
}

/// What is to be said of a certificate of ours that ends soon, and how many of the bounds are behind
/// us.
pub(crate) fn ending(until: DateTime<Utc>, now: DateTime<Utc>) -> Option<(u8, String)> {
    let left = (until - now).num_days();
    let stage = SOON_DAYS.iter().filter(|days| left < **days).count();
    let message = || format!("its client certificate ends on {}", until.format("%Y-%m-%d"));
    u8::try_from(stage).ok().filter(|stage| *stage > 0).map(|stage| (stage, message()))
}

/// The first field: its tag, its value, and what follows it (X.690, section 8.1).
fn field(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((tag, value, rest))
}

/// The common name, or the organization where there is none.
fn name(mut parts: &[u8]) -> Option<String> {
    let mut found: [Option<String>; 2] = [None, None];
    while !parts.is_empty() {
        let (_, set, rest) = field(parts)?;
        let (tag, pair, _) = field(set)?;
        let (_, kind, value) = field(pair).filter(|_| tag == SEQUENCE)?;
        if let Some(at) = NAMES.iter().position(|known| known == kind) {
            let text = String::from_utf8_lossy(field(value)?.1);
            let shown = text.chars().filter(|char| !char.is_control()).take(NAME_CHARS_MAX);
            found[at] = Some(shown.collect());
        }
        parts = rest;
    }
    let [common, organization] = found;
    Some(common.or(organization).unwrap_or_default())
}

fn time(tag: u8, value: &[u8]) -> Option<DateTime<Utc>> {
    let text = std::str::from_utf8(value).ok()?;
    // Two digits of a year are 1950 to 2049 (RFC 5280, section 4.1.2.5.1).
    let text = match (tag, value.first()?) {
        (UTC_TIME, b'5'..=b'9') => format!("19{text}"),
        (UTC_TIME, _) => format!("20{text}"),
        _ => text.to_owned(),
    };
    NaiveDateTime::parse_from_str(&text, "%Y%m%d%H%M%SZ").ok().map(|time| time.and_utc())
}

#[cfg(test)]
mod tests {
    use chrono::Datelike;

    use super::*;

    #[test]
    fn a_certificate_is_warned_of_in_its_last_month() {
        let at = |text| time(UTC_TIME, text).expect("a time");
        let until = at(b"260301120000Z");
        let said = |now| ending(until, at(now));
        assert_eq!(said(b"260130120000Z"), None);
        for (now, stage) in [(b"260130120001Z", 1), (b"260222120001Z", 2), (b"260228120001Z", 3)] {
            let expected = (stage, "its client certificate ends on 2026-03-01".to_owned());
            assert_eq!(said(now), Some(expected));
        }
    }

    #[test]
    fn what_is_no_certificate_says_nothing() {
        let cut = [0x30, 0x82, 0xff, 0xff, 0x30];
        let endless = [0x30, 0x80, 0, 0];
        for bytes in [&[][..], &[0x30], &[0x30, 0], &cut, &endless, &[0xff; 64]] {
            assert_eq!(Facts::of(bytes), None, "{bytes:?}");
        }
        let year = |text: &[u8]| time(UTC_TIME, text).map(|time| time.year());
        assert_eq!(year(b"490101000000Z"), Some(2049));
        assert_eq!(year(b"500101000000Z"), Some(1950));
        assert_eq!(time(UTC_TIME, "é".as_bytes()), None);
    }
}
