//! Every difference in the frames of real meters, one by one.

use mbus::{Frame, ci};

/// Frame, record (from 0), what we say, what `m-bus-parser` says, and the rule in `rules.rs` by
/// which we are right.
pub(crate) const DIFFERENCES: &str = "\
abb_f95 | 2 | error invalid W | error: DataInformationError(InvalidValueInformation) | BCD with digits from A to F
abb_f95 | 3 | error invalid m3/h | error: DataInformationError(InvalidValueInformation) | BCD with digits from A to F
abb_f95 | 12 | storage 2 2011-12-31T23:59 | storage 2 invalid | the 31st
buffer_too_long | - | 0 records | Unimplemented { feature: \"SendErrorStatus control information\" } | an error or alarm is no answer to it
electricity-meter-1 | - | 20 records | IdentificationNumberError { digits: [62, 2, 0, 5], number: 50002 } | an id with letters is no id to it
ELV-Elvaco-CMa10 | 1 | 5410e-2 %RH | error: DataInformationError(InvalidValueInformation) | unit as text in front of the VIFEs
ELV-Elvaco-CMa10 | 2 | minimum 3364e-2 %RH | nothing | behind such a record
ELV-Elvaco-CMa10 | 3 | maximum 7363e-2 %RH | nothing | behind such a record
ELV-Elvaco-CMa10 | 4 | 2094e-2 C | nothing | behind such a record
ELV-Elvaco-CMa10 | 5 | minimum 1372e-2 C | nothing | behind such a record
ELV-Elvaco-CMa10 | 6 | maximum 2978e-2 C | nothing | behind such a record
ELV-Elvaco-CMa10 | 7 | 24 h | nothing | behind such a record
ELV-Elvaco-CMa10 | 8 | storage 1 2092e-2 C | nothing | behind such a record
ELV-Elvaco-CMa10 | 9 | storage 2 2079e-2 C | nothing | behind such a record
ELV-Elvaco-CMa10 | 10 | 24011561 | nothing | behind such a record
ELV-Elvaco-CMa10 | 11 | 262144 | nothing | behind such a record
error | - | 0 records | Unimplemented { feature: \"SendErrorStatus control information\" } | an error or alarm is no answer to it
example_data_01 | - | 6 records | taken for encrypted | anything in the configuration field is encryption to it
example_data_02 | - | 6 records | taken for encrypted | anything in the configuration field is encryption to it
manual_frame2 | 0 | 1e-3 m3 | 1 | units of the fixed structure
manual_frame2 | 1 | storage 1 135e-3 m3 | 135 | units of the fixed structure
oms_frame1 | 1 | 2008-05-31T23:50 | invalid | the 31st
premature_end_of_record | - | 0 records | Unimplemented { feature: \"SendErrorStatus control information\" } | an error or alarm is no answer to it
rel_padpuls3 | 1 | 2000-12-31T10:41 | invalid | the 31st
THI_cma10 | 1 | 4660e-2 %RH | error: DataInformationError(InvalidValueInformation) | unit as text in front of the VIFEs
THI_cma10 | 2 | minimum 3782e-2 %RH | nothing | behind such a record
THI_cma10 | 3 | maximum 5122e-2 %RH | nothing | behind such a record
THI_cma10 | 4 | 2262e-2 C | nothing | behind such a record
THI_cma10 | 5 | minimum 2250e-2 C | nothing | behind such a record
THI_cma10 | 6 | maximum 2326e-2 C | nothing | behind such a record
THI_cma10 | 7 | 0 h | nothing | behind such a record
THI_cma10 | 8 | error storage 1 0e-2 C | nothing | behind such a record
THI_cma10 | 9 | error storage 2 0e-2 C | nothing | behind such a record
THI_cma10 | 10 | 2 | nothing | behind such a record
THI_cma10 | 11 | 772 | nothing | behind such a record
too_long_var_vif | 1 | 4564e-2 %RH | error: DataInformationError(InvalidValueInformation) | unit as text in front of the VIFEs
too_long_var_vif | 2 | minimum 4552e-2 %RH | nothing | behind such a record
too_many_difes | - | 0 records | Unimplemented { feature: \"SendErrorStatus control information\" } | an error or alarm is no answer to it
too_many_records | - | 0 records | Unimplemented { feature: \"SendErrorStatus control information\" } | an error or alarm is no answer to it
too_many_vifes | - | 0 records | Unimplemented { feature: \"SendErrorStatus control information\" } | an error or alarm is no answer to it
unspecified_error | - | 0 records | Unimplemented { feature: \"SendErrorStatus control information\" } | an error or alarm is no answer to it";

/// Why `m-bus-parser` may have nothing to say of a whole frame.
pub(crate) fn known(bytes: &[u8]) -> Option<&'static str> {
    let Ok(Frame::Long(long)) = Frame::read(bytes) else { return None };
    let telegram = long.telegram().ok()?;
    let Some(header) = telegram.header else { return Some(NOT_RECORDS) };
    let has_letters = |id: mbus::Id| id.to_string().bytes().any(|digit| !digit.is_ascii_digit());
    if header.id.is_some_and(has_letters) {
        return Some(LETTERS_IN_ID);
    }
    if matches!(long.ci, ci::FIXED | ci::FIXED_MSB_FIRST) {
        return Some(BINARY_COUNTERS);
    }
    let unusual = header.configuration.is_some_and(|configuration| configuration.0 != 0);
    unusual.then_some(NOT_ENCRYPTED)
}

/// CI 70 and 71 are answers too, and say what is wrong. EN 13757-7, "application error", "alarm".
const NOT_RECORDS: &str = "an error or alarm is no answer to it";
/// A number with digits from A to F is one that the wildcard search has to find by other means, and
/// its meter's records are as good as any. EN 13757-3, "identification number".
const LETTERS_IN_ID: &str = "an id with letters is no id to it";
/// Bit 0 of the fixed structure's status says that the counters are binary. EN 13757-3, "fixed data
/// structure".
const BINARY_COUNTERS: &str = "binary counters are BCD to it";
/// Old wired meters put anything into the field that became the configuration: what means no mode,
/// or encrypts no block, is no encryption. EN 13757-7, "configuration field".
const NOT_ENCRYPTED: &str = "anything in the configuration field is encryption to it";
