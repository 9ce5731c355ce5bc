//! What is published and will not be for ever.

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

/// Since when something should not be used any more, and until when it can be. Its answers say so
/// in `Deprecation` (RFC 9745) and `Sunset` (RFC 8594).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deprecated {
    /// The day since when: `2026-06-01`.
    #[schemars(with = "String")]
    pub since: NaiveDate,
    /// The day on which it may be gone.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub until: Option<NaiveDate>,
    /// A page that says what to use instead.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub more: Option<Url>,
}
