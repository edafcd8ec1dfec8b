//! The certificate that the pages come with, as the daemon tells of it.

use std::net::IpAddr;

use chrono::{DateTime, Utc};

/// What browsers are shown, and whose word they can take for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PagesCertificate {
    /// The certificate of the gateway's own authority, in DER.
    pub authority: Vec<u8>,
    /// Its SHA-256 as browsers show it.
    pub authority_fingerprint: String,
    /// The pages come with one that the owner has brought, and not with one of that authority.
    pub brought: bool,
    /// The SHA-256 of the one that they come with.
    pub fingerprint: String,
    /// The names in it, but for those with a `*`.
    pub names: Vec<String>,
    /// The addresses in it.
    pub addresses: Vec<IpAddr>,
    /// Until when it is good.
    pub ends: Option<DateTime<Utc>>,
    /// Why the one that the owner has brought is not used, as one English sentence.
    pub trouble: Option<String>,
}

impl PagesCertificate {
    /// The fingerprint that stays, and that people compare with a label.
    pub fn to_compare(&self) -> &str {
        if self.brought { &self.fingerprint } else { &self.authority_fingerprint }
    }
}
