//! How a person gets in beside the password: an app's codes, recovery codes, passkeys.

use data_encoding::BASE64URL_NOPAD;
use metering::Moment;
use serde::{Deserialize, Serialize};

use crate::{OneTimeCode, Passkey, SecretHash, Totp};

/// Of one person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// The app whose codes are asked for after the password.
    pub app: Option<App>,
    /// Codes that stand in for the app, once each.
    pub recovery: Vec<SecretHash>,
    /// Each stands for name, password and code together.
    pub passkeys: Vec<KnownPasskey>,
}

/// An app that shows codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// What it shares with us.
    pub totp: Totp,
    /// The step of time of the last code that was taken.
    pub taken: u64,
}

/// A passkey, and what its owner calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPasskey {
    /// The key itself.
    pub passkey: Passkey,
    /// What its owner calls it.
    pub name: String,
    /// The gateway's name for which it was made; it works under no other.
    pub host: String,
    /// When it was made, in milliseconds since 1970.
    pub made_ms: i64,
    /// When somebody got in with it last.
    pub used_ms: Option<i64>,
}

/// With what a person got in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Second {
    /// The code that the app showed.
    App,
    /// One that stood in for it, and is spent.
    Recovery,
}

impl Ways {
    /// Takes `code` if it is the app's or one for recovery; the row has to be kept then.
    pub fn take(&mut self, code: &str, now: &Moment) -> Option<Second> {
        let app = self.app.as_mut()?;
        if let Some(step) = app.totp.check(code, now, app.taken) {
            app.taken = step;
            return Some(Second::App);
        }
        let hash = OneTimeCode::hash_of(code);
        let found = self.recovery.iter().position(|known| *known == hash)?;
        self.recovery.remove(found);
        Some(Second::Recovery)
    }

    /// Fresh recovery codes as a person notes them down; those before are void.
    pub fn new_recovery(&mut self) -> Vec<String> {
        let codes: Vec<OneTimeCode> = (0..RECOVERY).map(|_| OneTimeCode::new()).collect();
        self.recovery = codes.iter().map(OneTimeCode::hash).collect();
        codes.iter().map(OneTimeCode::text).collect()
    }

    /// As it is kept.
    pub fn data(&self) -> WaysData {
        WaysData {
            app: self.app.as_ref().map(|app| AppData { secret: app.totp.text(), taken: app.taken }),
            recovery: self.recovery.iter().map(SecretHash::to_string).collect(),
            passkeys: self.passkeys.iter().map(KnownPasskey::data).collect(),
        }
    }

    /// What was kept. `None` if an app is meant that cannot be read: without it the password alone would do.
    pub fn of_data(data: WaysData) -> Option<Self> {
        let app = match data.app {
            None => None,
            Some(AppData { secret, taken }) => Some(App { totp: secret.parse().ok()?, taken }),
        };
        let recovery = data.recovery.iter().filter_map(|hash| hash.parse().ok()).collect();
        let passkeys = data.passkeys.into_iter().filter_map(KnownPasskey::of_data).collect();
        Some(Self { app, recovery, passkeys })
    }
}

/// As many as fit on a card.
const RECOVERY: usize = 8;

impl KnownPasskey {
    /// As the browser writes its id.
    pub fn id(&self) -> String {
        BASE64URL_NOPAD.encode(&self.passkey.id)
    }

    fn data(&self) -> PasskeyData {
        PasskeyData {
            id: self.id(),
            key: self.passkey.key.to_string(),
            count: self.passkey.count,
            name: self.name.clone(),
            host: self.host.clone(),
            made_ms: self.made_ms,
            used_ms: self.used_ms,
        }
    }

    fn of_data(data: PasskeyData) -> Option<Self> {
        let PasskeyData { id, key, count, name, host, made_ms, used_ms } = data;
        let id = BASE64URL_NOPAD.decode(id.as_bytes()).ok()?;
        let passkey = Passkey { id, key: key.parse().ok()?, count };
        Some(Self { passkey, name, host, made_ms, used_ms })
    }
}

/// What is kept of it. A field that is absent is empty.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WaysData {
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<AppData>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recovery: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    passkeys: Vec<PasskeyData>,
}

#[derive(Serialize, Deserialize)]
struct AppData {
    secret: String,
    taken: u64,
}

impl std::fmt::Debug for AppData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AppData(…)")
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct PasskeyData {
    id: String,
    key: String,
    count: u32,
    name: String,
    host: String,
    made_ms: i64,
    used_ms: Option<i64>,
}
