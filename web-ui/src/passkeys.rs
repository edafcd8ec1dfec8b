//! Passkeys as browsers speak of them, and under which names of the gateway they work.
//!
//! A browser lets a page use passkeys of its own name only, over TLS or on `localhost`; an IP
//! address is no name. Whether it trusts the certificate, only the browser knows.

use access::{ClientData, PasskeyProblem, RelyingParty};
use axum::http::{HeaderMap, Uri, header};
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;

use crate::problem::{Code, Problem};
use crate::{Listener, Web, guard};

/// As whom the gateway was asked.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    pub(crate) host: String,
    origin: String,
    secure: bool,
}

/// Why no passkey works under an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPasskeys {
    /// It is an IP address.
    Address,
    /// It is asked in the clear.
    Plain,
}

impl NoPasskeys {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Plain => "plain",
        }
    }
}

impl From<NoPasskeys> for Problem {
    fn from(why: NoPasskeys) -> Self {
        let detail = match why {
            NoPasskeys::Address => "A passkey needs a name, and this is an IP address.",
            NoPasskeys::Plain => "A passkey needs TLS, and this is in the clear.",
        };
        Self::new(Code::PasskeyHost, detail).with("why", &why.as_str())
    }
}

impl Address {
    /// Of a request that the guard has let through.
    pub(crate) fn of(web: &Web, headers: &HeaderMap, uri: &Uri) -> Result<Self, Problem> {
        let authority = guard::host(headers, uri)?;
        let host = guard::name_of(&authority);
        // What changes something says where its page comes from, and the guard has compared that
        // with the name. Behind a proxy its scheme is the proxy's.
        let told = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
        let scheme = if web.listener == Listener::Https { "https" } else { "http" };
        let origin = told.map_or_else(|| format!("{scheme}://{authority}"), str::to_owned);
        let secure = origin.starts_with("https://") || host == "localhost";
        Ok(Self { host, origin, secure })
    }

    /// For whom a passkey is, under this address.
    pub(crate) fn party(&self) -> Result<RelyingParty<'_>, NoPasskeys> {
        if self.host.parse::<std::net::IpAddr>().is_ok() {
            return Err(NoPasskeys::Address);
        }
        if !self.secure {
            return Err(NoPasskeys::Plain);
        }
        Ok(RelyingParty { id: &self.host, origin: &self.origin })
    }
}

/// Base64url as a browser's script sends bytes.
pub(crate) fn bytes(text: &str) -> Result<Vec<u8>, Problem> {
    let decoded = BASE64URL_NOPAD.decode(text.as_bytes());
    decoded.map_err(|_| Problem::malformed("bytes are sent as base64url without padding"))
}

/// `clientDataJSON`, read.
#[derive(Debug)]
pub(crate) struct ClientJson {
    bytes: Vec<u8>,
    read: Read,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
}

impl ClientJson {
    pub(crate) fn read(text: &str) -> Result<Self, Problem> {
        let bytes = bytes(text)?;
        let read = serde_json::from_slice(&bytes);
        let read = read.map_err(|_| Problem::from(PasskeyProblem::Malformed))?;
        Ok(Self { bytes, read })
    }

    pub(crate) fn data(&self) -> ClientData<'_> {
        let Read { kind, challenge, origin, cross_origin } = &self.read;
        ClientData { bytes: &self.bytes, kind, challenge, origin, framed: *cross_origin }
    }
}

impl From<PasskeyProblem> for Problem {
    fn from(problem: PasskeyProblem) -> Self {
        let why = match problem {
            PasskeyProblem::Malformed => "malformed",
            PasskeyProblem::Elsewhere => "elsewhere",
            PasskeyProblem::Unverified => "unverified",
            PasskeyProblem::Algorithm => "algorithm",
            PasskeyProblem::Signature => "signature",
            PasskeyProblem::Copied => "copied",
            PasskeyProblem::Challenge => "challenge",
        };
        Self::new(Code::PasskeyWrong, format!("{problem}.")).with("why", &why)
    }
}
