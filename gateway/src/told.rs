//! From the drivers' words to the pages' codes: what went wrong, what a meter said that is no
//! number, what a type of meter is called.

use std::collections::BTreeMap;
use std::sync::Arc;

use drivers::{Garble, OddKind, OddRecord, PortFault, Profile, Profiles, ReadError};
use web_ui::{Device, Devices, RegisterWords, Said, SaidKind, Trouble, TroubleCode, Words};

/// `error` for a page; its text is the whole chain of causes.
pub(crate) fn trouble(error: &ReadError) -> Trouble {
    let (code, params) = match error {
        ReadError::Garbled { address, cause } => {
            let address = ("address", address.to_string());
            match cause {
                Garble::HeldDown => (TroubleCode::HeldDown, vec![address]),
                Garble::Noise(_) => (TroubleCode::Noise, vec![address]),
                Garble::Foreign(_) => (TroubleCode::Foreign, vec![address]),
                Garble::Checksum { times } => {
                    (TroubleCode::Checksum, vec![address, ("times", times.to_string())])
                }
                Garble::BrokeOff(bytes) => {
                    (TroubleCode::BrokeOff, vec![address, ("bytes", bytes.to_string())])
                }
                Garble::Alike { known, found } => {
                    let both = [("known", known.clone()), ("found", found.clone())];
                    (TroubleCode::Alike, [address].into_iter().chain(both).collect())
                }
                Garble::Undecodable(_) => (TroubleCode::Undecodable, vec![address]),
            }
        }
        ReadError::Gone { address } => (TroubleCode::Gone, vec![("address", address.to_string())]),
        ReadError::Locked { address, number, has_key } => {
            let code = if *has_key { TroubleCode::KeyWrong } else { TroubleCode::KeyMissing };
            (code, vec![("address", address.to_string()), ("number", number.clone())])
        }
        ReadError::Misfit { address, .. } => {
            (TroubleCode::Misfit, vec![("address", address.to_string())])
        }
        ReadError::Port { port, cause } => {
            let (code, more) = port_trouble(cause);
            (code, [("port", port.to_string())].into_iter().chain(more).collect())
        }
        ReadError::Quiet { address, waited } => {
            let secs = ("secs", waited.as_secs().to_string());
            (TroubleCode::Quiet, vec![("address", address.to_string()), secs])
        }
        ReadError::Refused { address, register, exception } => {
            let register = ("register", register.to_string());
            let exception = ("exception", exception.to_string());
            (TroubleCode::Refused, vec![("address", address.to_string()), register, exception])
        }
        ReadError::RefusedAnswer { address, error } => {
            let address = ("address", address.to_string());
            (TroubleCode::RefusedAnswer, vec![address, ("error", error.clone())])
        }
        ReadError::Silent { address, waited } => {
            let ms = ("ms", waited.as_millis().to_string());
            (TroubleCode::Silent, vec![("address", address.to_string()), ms])
        }
        ReadError::SilentBehindGateway { address, .. } => {
            (TroubleCode::SilentBehindGateway, vec![("address", address.to_string())])
        }
        ReadError::Unsettled { address, remaining } => {
            let ms = ("ms", remaining.as_millis().to_string());
            (TroubleCode::Unsettled, vec![("address", address.to_string()), ms])
        }
        ReadError::WrongMeter { address, expected, found } => {
            let serials = [("expected", expected.clone()), ("found", found.clone())];
            let address = ("address", address.to_string());
            (TroubleCode::WrongMeter, [address].into_iter().chain(serials).collect())
        }
    };
    Trouble { code, params: BTreeMap::from_iter(params), text: crate::chain(error) }
}

fn port_trouble(fault: &PortFault) -> (TroubleCode, Option<(&'static str, String)>) {
    match fault {
        PortFault::Lost(_) => (TroubleCode::PortLost, None),
        PortFault::Denied => (TroubleCode::PortDenied, None),
        PortFault::HostUnknown(_) => (TroubleCode::PortHost, None),
        PortFault::Missing { .. } => (TroubleCode::PortMissing, None),
        PortFault::Mute(waited) => {
            (TroubleCode::PortMute, Some(("ms", waited.as_millis().to_string())))
        }
        PortFault::Login => (TroubleCode::PortLogin, None),
        PortFault::NotAllowed => (TroubleCode::PortNotAllowed, None),
        PortFault::NoBroker => (TroubleCode::PortNoBroker, None),
        PortFault::NoPassword(_) => (TroubleCode::PortNoPassword, None),
        PortFault::Untrusted => (TroubleCode::PortUntrusted, None),
        PortFault::NoForecast => (TroubleCode::PortNoForecast, None),
        PortFault::NoGpio => (TroubleCode::PortNoGpio, None),
        PortFault::NoOneWire => (TroubleCode::PortNoOneWire, None),
        PortFault::Status(status) => {
            (TroubleCode::PortStatus, Some(("status", status.to_string())))
        }
        PortFault::NotListening => (TroubleCode::PortRefused, None),
        PortFault::NotSerial(_) => (TroubleCode::PortNotSerial, None),
        PortFault::Settings { baud, .. } => {
            (TroubleCode::PortSpeed, Some(("baud", baud.to_string())))
        }
        PortFault::Taken => (TroubleCode::PortTaken, None),
        PortFault::Unreachable(waited) => {
            (TroubleCode::PortUnreachable, Some(("ms", waited.as_millis().to_string())))
        }
        PortFault::NoLine | PortFault::System(_) => (TroubleCode::PortSystem, None),
    }
}

/// What a meter said besides its numbers. Bits that are set are left out: the pages tell them of
/// the register's value, in the words of its profile.
pub(crate) fn said(odd: &[OddRecord]) -> Vec<Said> {
    let said = odd.iter().filter_map(|it| {
        Some(Said {
            telegram: it.telegram,
            record: it.at,
            what: it.what.clone(),
            kind: said_kind(it.kind)?,
            text: it.note.clone(),
        })
    });
    said.collect()
}

const fn said_kind(kind: OddKind) -> Option<SaidKind> {
    Some(match kind {
        OddKind::Value => SaidKind::Value,
        OddKind::SetBit => return None,
        OddKind::Secret => SaidKind::Secret,
        OddKind::Invalid => SaidKind::Invalid,
        OddKind::Unread => SaidKind::Unread,
        OddKind::Nameless => SaidKind::Nameless,
        OddKind::PermanentError => SaidKind::PermanentError,
        OddKind::TemporaryError => SaidKind::TemporaryError,
        OddKind::PowerLow => SaidKind::PowerLow,
        OddKind::Alarm => SaidKind::Alarm,
        OddKind::MoreFollow => SaidKind::MoreFollow,
        OddKind::CutShort => SaidKind::CutShort,
        OddKind::Lost => SaidKind::Lost,
    })
}

/// What `profiles` say of their types of meters to people.
pub(crate) fn devices(profiles: &Profiles) -> Devices {
    profiles.iter().map(|profile| (profile.id.clone(), Arc::new(device(profile)))).collect()
}

fn device(profile: &Profile) -> Device {
    let registers = profile.registers().filter(|spec| spec.name.is_some() || !spec.bits.is_empty());
    let registers = registers.map(|spec| RegisterWords {
        register: spec.register.clone(),
        name: spec.name.as_ref().map(words),
        bits: spec.bits.iter().map(|it| (it.bit, words(&it.text))).collect(),
    });
    Device {
        vendor: profile.vendor.clone(),
        models: profile.models.clone(),
        registers: registers.collect(),
    }
}

fn words(texts: &drivers::Texts) -> Words {
    Words { nb: texts.nb.clone(), en: texts.en.clone(), da: texts.da.clone() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use drivers::MeterAddress;

    use super::*;

    #[track_caller]
    fn check(error: &ReadError, code: &str, params: &[(&str, &str)], text: &str) {
        let told = trouble(error);
        let found: Vec<_> =
            told.params.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!((told.code.as_str(), &*found, told.text.as_str()), (code, params, text));
    }

    #[test]
    fn an_error_is_a_code_with_its_parameters_and_a_sentence() {
        let address = MeterAddress::Primary(5);
        check(
            &ReadError::Silent { address, waited: Duration::from_millis(330) },
            "silent",
            &[("address", "5"), ("ms", "330")],
            "meter 5 did not answer within 330 ms",
        );
        check(
            &ReadError::Garbled { address, cause: Garble::BrokeOff(3) },
            "broke_off",
            &[("address", "5"), ("bytes", "3")],
            "meter 5 did not give an answer that fits the question: the answer broke off after 3 \
             bytes",
        );
        let port: drivers::PortSettings = "tcp://10.0.4.2:10001".parse().unwrap();
        check(
            &ReadError::Port { port, cause: PortFault::Unreachable(Duration::from_millis(1_500)) },
            "port_unreachable",
            &[("ms", "1500"), ("port", "tcp://10.0.4.2:10001")],
            "bus port tcp://10.0.4.2:10001 cannot be used: the host did not answer within 1500 \
             ms; is it powered and on this network?",
        );
    }

    #[test]
    fn set_bits_are_told_by_their_register_alone() {
        let odd = |kind, note: &str| OddRecord {
            telegram: 0,
            at: 2,
            kind,
            what: "error_flags".to_owned(),
            note: note.to_owned(),
        };
        let said = said(&[odd(OddKind::SetBit, "air"), odd(OddKind::Value, "2026-10-31")]);
        let said: Vec<_> = said.iter().map(|it| (it.kind.as_str(), it.text.as_str())).collect();
        assert_eq!(said, [("value", "2026-10-31")]);
    }

    #[test]
    fn the_pages_know_every_type_by_its_maker() {
        let profiles = Profiles::embedded();
        let devices = devices(&profiles);
        let device = &devices["kamstrup.multical-601"];
        assert_eq!((device.vendor.as_str(), &*device.models[0]), ("Kamstrup", "MULTICAL 601"));
        assert!(devices.values().any(|it| it.registers.iter().any(|it| !it.bits.is_empty())));
        assert!(devices.values().any(|it| it.registers.iter().any(|it| it.name.is_some())));
    }
}
