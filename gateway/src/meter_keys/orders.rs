//! What the pages order of the keys: the same files as the commands, and in force at once.

use drivers::{KeyName, Keyring, MeterKeys};
use web_ui::{KeptKey, KeyOrder, KeysKept, KeysRefused, Secret};

use super::{KeysInForce, MeterKeysError, kem, load, read_file, save};

impl KeysInForce {
    /// Does it, and tells whose keys are kept then.
    pub(crate) fn obey(&mut self, order: KeyOrder) -> Result<KeysKept, KeysRefused> {
        let mut ring = load(&self.state).map_err(|error| failed(&error))?;
        let (mut new, mut replaced) = (0, 0);
        let mut put = |ring: &mut Keyring, meter: KeyName, keys: MeterKeys| {
            let count = if ring.put(meter, keys) { &mut replaced } else { &mut new };
            *count += 1;
        };
        match order {
            KeyOrder::Tell => return Ok(kept(&ring, 0, 0)),
            KeyOrder::Enter { meter, encryption, authentication } => {
                let meter = meter.parse().map_err(|_| KeysRefused::Number)?;
                let key = |Secret(text): Secret<String>| {
                    text.trim().parse().map_err(|_| KeysRefused::Key)
                };
                let authentication = authentication.map(key).transpose()?;
                put(&mut ring, meter, MeterKeys { encryption: key(encryption)?, authentication });
            }
            KeyOrder::Import { file: Secret(bytes), password } => {
                if kem::is_one(&bytes) && password.is_none() {
                    return Err(KeysRefused::Password);
                }
                let password = password.map(|Secret(text)| text).unwrap_or_default();
                let keys = read_file(&bytes, || Ok(password));
                let keys = keys.map_err(|error| KeysRefused::File(format!("{error:#}")))?;
                for (meter, keys) in keys {
                    put(&mut ring, meter, keys);
                }
            }
            KeyOrder::Forget { meter } => {
                let meter: KeyName = meter.parse().map_err(|_| KeysRefused::Number)?;
                if !ring.remove(&meter) {
                    return Err(KeysRefused::Unknown);
                }
            }
        }
        save(&self.state, &ring).map_err(|error| failed(&error))?;
        self.look();
        Ok(kept(&ring, new, replaced))
    }
}

fn kept(ring: &Keyring, new: usize, replaced: usize) -> KeysKept {
    let meters = ring.iter().map(|(name, keys)| KeptKey {
        meter: name.to_string(),
        authentication: keys.authentication.is_some(),
    });
    KeysKept { meters: meters.collect(), new, replaced }
}

fn failed(error: &MeterKeysError) -> KeysRefused {
    tracing::error!(error = crate::chain(error), "the keys of meters");
    KeysRefused::Failed(crate::chain(error))
}
