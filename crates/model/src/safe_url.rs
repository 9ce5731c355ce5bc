//! A URL that may be shown: user info and the values of telling query parameters are masked.

use std::fmt;
use std::sync::Arc;

use url::Url;

use crate::is_telling;

const MASK: &str = "***";

/// A URL as it was or will be sent, printable without its credentials. A clone is cheap.
#[derive(Clone, PartialEq, Eq)]
pub struct SafeUrl(Arc<Url>);

impl SafeUrl {
    /// Wraps a parsed URL.
    pub fn new(url: Url) -> Self {
        Self(Arc::new(url))
    }

    /// The whole URL, for the one place that opens it.
    pub fn expose(&self) -> &Url {
        &self.0
    }

    /// Scheme, host and port: what credentials are bound to (RFC 6454).
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }
}

impl fmt::Display for SafeUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = Url::clone(&self.0);
        if !url.username().is_empty() || url.password().is_some() {
            // Both calls fail only for URLs that cannot have user info, and this one has it.
            let _ = url.set_username(MASK);
            let _ = url.set_password(None);
        }
        if let Some(query) = self.0.query() {
            let masked: Vec<String> = query.split('&').map(mask_pair).collect();
            url.set_query(Some(&masked.join("&")));
        }
        url.set_fragment(None);
        formatter.write_str(url.as_str())
    }
}

fn mask_pair(pair: &str) -> String {
    match pair.split_once('=') {
        Some((name, _)) if is_telling(name) => format!("{name}={MASK}"),
        _ => pair.to_owned(),
    }
}

impl fmt::Debug for SafeUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

impl serde::Serialize for SafeUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_user_info_and_telling_parameters_only() {
        let shown = |text: &str| SafeUrl::new(Url::parse(text).expect("a URL")).to_string();
        assert_eq!(shown("https://u:p@h/x?a=1#f"), "https://***@h/x?a=1");
        assert_eq!(
            shown("https://h/x?api_key=k&page=2&X-Amz-Signature=s&pageToken=t"),
            "https://h/x?api_key=***&page=2&X-Amz-Signature=***&pageToken=t"
        );
    }
}
