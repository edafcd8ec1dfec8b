//! What the kernel's file says of one conversion.

/// What one look into a thermometer's file showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Thousandths of a degree.
    Measured(i64),
    /// The thermometer has no result: its memory is as after power-on. What it would show.
    PoweredOn(i64),
    /// What came over the wire does not fit its checksum.
    WrongChecksum,
    /// The kernel heard nothing: the file is empty.
    Nothing,
    /// Every bit is 0: the wire is short-circuited, and a checksum of zeros is zero.
    Zeros,
    /// Not what the kernel writes.
    Odd,
}

/// Reads `w1_slave`.
pub(super) fn of_w1_slave(text: &str) -> Answer {
    if text.trim().is_empty() {
        return Answer::Nothing;
    }
    let mut lines = text.lines();
    let (Some(first), Some(second)) = (lines.next(), lines.next()) else { return Answer::Odd };
    let Some((bytes, checksum)) = first.split_once(':') else { return Answer::Odd };
    if checksum.trim_end().ends_with("NO") {
        return Answer::WrongChecksum;
    }
    let scratchpad: Option<Vec<u8>> =
        bytes.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    let measured = second.rsplit_once("t=").and_then(|(_, number)| number.trim().parse().ok());
    match (scratchpad.as_deref(), measured) {
        _ if !checksum.trim_end().ends_with("YES") => Answer::Odd,
        (Some([0, 0, 0, 0, 0, 0, 0, 0, 0]), _) => Answer::Zeros,
        (
            Some([0x50, 0x05, _, _, _, _, 0x0C, _, _] | [0xFF, 0x07, _, _, _, _, 0x0C, _, _]),
            Some(measured),
        ) => Answer::PoweredOn(measured),
        (Some([_, _, _, _, _, _, _, _, _]), Some(measured)) => Answer::Measured(measured),
        _ => Answer::Odd,
    }
}

/// Reads `temperature`, which has no checksum: the kernel has looked at it, and leaves the file
/// empty where it is wrong.
pub(super) fn of_temperature(text: &str) -> Answer {
    match text.trim() {
        "" => Answer::Nothing,
        number => number.parse().map_or(Answer::Odd, Answer::Measured),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &Answer) {
        assert_eq!(of_w1_slave(text), *expected, "{text}");
    }

    #[test]
    fn a_file_says_a_temperature_or_why_there_is_none() {
        let measured =
            "5a 01 55 05 7f a5 a5 66 c3 : crc=c3 YES\n5a 01 55 05 7f a5 a5 66 c3 t=21625\n";
        check(measured, &Answer::Measured(21_625));
        check(&measured.replace("YES", "NO"), &Answer::WrongChecksum);
        check(
            "91 ff 4b 46 7f ff 0f 10 25 : crc=25 YES\n91 ff 4b 46 7f ff 0f 10 25 t=-6937\n",
            &Answer::Measured(-6_937),
        );
        check(
            "50 05 4b 46 7f ff 0c 10 1c : crc=1c YES\n50 05 4b 46 7f ff 0c 10 1c t=85000\n",
            &Answer::PoweredOn(85_000),
        );
        check(
            "50 05 4b 46 7f ff 08 10 56 : crc=56 YES\n50 05 4b 46 7f ff 08 10 56 t=85000\n",
            &Answer::Measured(85_000),
        );
        check(
            "00 00 00 00 00 00 00 00 00 : crc=00 YES\n00 00 00 00 00 00 00 00 00 t=0\n",
            &Answer::Zeros,
        );
        check("", &Answer::Nothing);
        check("\n", &Answer::Nothing);
    }

    #[test]
    fn what_the_kernel_does_not_write_is_no_temperature() {
        for odd in [
            "t=21625",
            "5a 01 55 05 7f a5 a5 66 c3 : crc=c3 YES",
            "5a 01 : crc=c3 YES\n5a 01 t=21625\n",
            "5a 01 55 05 7f a5 a5 66 c3 : crc=c3\n5a t=21625\n",
            "5a 01 55 05 7f a5 a5 66 c3 : crc=c3 YES\nt=21.6\n",
            "zz 01 55 05 7f a5 a5 66 c3 : crc=c3 YES\nt=21625\n",
            "5a 01 55 05 7f a5 a5 66 c3 : crc=c3 YES\nt=99999999999999999999\n",
        ] {
            check(odd, &Answer::Odd);
        }
        assert_eq!(of_temperature("21625\n"), Answer::Measured(21_625));
        assert_eq!(of_temperature("-62\n"), Answer::Measured(-62));
        assert_eq!(of_temperature(""), Answer::Nothing);
        assert_eq!(of_temperature("warm"), Answer::Odd);
    }
}
