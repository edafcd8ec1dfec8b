//! What the portfolio answers.
//!
//! ```text
//!  Ack     = [version, acked] | [version, acked, wishes]
//!  Refusal = [version, code, number | null, number | null, sentence, [series, …]]
//! ```
//!
//! An answer that is neither is not the portfolio's: a proxy or a login page stands between, and
//! nothing follows from it.

use metering::SeriesId;

use crate::cbor::{Flaw, Malformed, Pen, Reader};
use crate::limits;

/// Everything up to a number is stored.
///
/// **Invariant:** sent after the commit that stored it, never before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The highest number up to which nothing is missing.
    pub acked: u64,
}

impl Ack {
    /// The body of a 200.
    pub fn write(&self) -> Vec<u8> {
        self.write_with(Wishes::default())
    }

    /// The body of a 200 that asks for something as well.
    pub fn write_with(&self, wishes: Wishes) -> Vec<u8> {
        let mut pen = Pen::new();
        let any = wishes != Wishes::default();
        pen.list(if any { 3 } else { 2 }).unsigned(crate::VERSION).unsigned(self.acked);
        if any {
            pen.unsigned(wishes.0);
        }
        pen.finish()
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    ///
    /// [`Malformed`]: then the answer is not the portfolio's.
    pub fn read(body: &[u8]) -> Result<Self, Malformed> {
        Ok(Self::read_with(body)?.0)
    }

    /// Reads what [`write_with`](Self::write_with) wrote.
    ///
    /// # Errors
    ///
    /// [`Malformed`]: then the answer is not the portfolio's.
    pub fn read_with(body: &[u8]) -> Result<(Self, Wishes), Malformed> {
        let mut r = Reader::new(body);
        let at = r.at();
        let fields = r.list("acknowledgement", 3)?;
        if fields < 2 {
            return Err(Malformed { at, flaw: Flaw::Expected("acknowledgement") });
        }
        r.version()?;
        let acked = r.unsigned("acknowledged number")?;
        let wishes = if fields == 3 { Wishes(r.unsigned("wishes")?) } else { Wishes::default() };
        r.end()?;
        Ok((Self { acked }, wishes))
    }
}

/// What the portfolio would like of the gateway, beside its readings. The connection goes one way,
/// so it can only say so in an answer.
///
/// A wish that this version does not know is of a later one, and means nothing to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes(u64);

impl Wishes {
    /// Renew the certificate soon: there is something to learn with it.
    pub const RENEW: Self = Self(1);

    /// Fetch what is asked: it is another than the gateway knows.
    pub const ERRANDS: Self = Self(2);

    /// Whether all of `wishes` are among these.
    pub const fn has(self, wishes: Self) -> bool {
        self.0 & wishes.0 == wishes.0
    }

    /// These and `more`.
    #[must_use]
    pub const fn and(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }
}

/// Why a message was not taken, and so what the gateway does next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Numbers are missing in between: go on behind `acked`.
    #[error("the portfolio has the readings up to number {acked}")]
    Behind {
        /// The highest number up to which nothing is missing.
        acked: u64,
    },
    /// More than the portfolio can take now.
    #[error("the portfolio is busy and asks to come back in {retry_after_secs} s")]
    Busy {
        /// When to come back.
        retry_after_secs: u32,
    },
    /// More than it takes of this one asker.
    #[error(
        "this gateway asks more often than the portfolio allows, which asks to come back in \
         {retry_after_secs} s"
    )]
    TooOften {
        /// When to come back.
        retry_after_secs: u32,
    },
    /// Two gateways send under one identity, or one was copied. A person has to look.
    #[error(
        "the portfolio has other readings under these numbers: two gateways send under one \
         identity, one may be a copy of the other's disk; remove one of them and ask the operator \
         of the portfolio to clear the alarm"
    )]
    Clone,
    /// The one-time code has another purpose, or none.
    #[error("this one-time code is wrong; copy it again, or ask for a new one")]
    CodeWrong,
    /// The one-time code was used.
    #[error("this one-time code was used already; ask for a new one")]
    CodeSpent,
    /// The one-time code is too old.
    #[error("this one-time code has expired, it is good for an hour; ask for a new one")]
    CodeExpired,
    /// The message is wrong in itself and will be so the next time.
    #[error("the portfolio cannot read the message: {sentence}")]
    Malformed {
        /// What is wrong with it.
        sentence: String,
    },
    /// The certificate is not, or no longer, on the list.
    #[error("the portfolio refuses this gateway: {sentence}")]
    NotAllowed {
        /// Why.
        sentence: String,
    },
    /// The portfolio counted in another epoch and now counts in this one: go on behind `acked`.
    #[error("the portfolio begins anew with this gateway's database, behind number {acked}")]
    OtherEpoch {
        /// The epoch that it counts in now.
        epoch: u64,
        /// The highest number of that epoch up to which nothing is missing.
        acked: u64,
    },
    /// Series that no table has named: send the table first.
    #[error("the portfolio does not know {} of the series yet", series.len())]
    UnknownSeries {
        /// Some or all of them.
        series: Vec<SeriesId>,
    },
    /// The portfolio speaks other versions of the protocol.
    #[error(
        "the portfolio speaks versions {oldest} to {newest} of the protocol, this gateway version \
         {}: update the older of the two",
        crate::VERSION
    )]
    Version {
        /// The oldest that it speaks.
        oldest: u32,
        /// The newest that it speaks.
        newest: u32,
    },
}

impl Refusal {
    /// When the asker may come back, if that is all that is wrong.
    pub const fn retry_after_secs(&self) -> Option<u32> {
        match self {
            Self::Busy { retry_after_secs } | Self::TooOften { retry_after_secs } => {
                Some(*retry_after_secs)
            }
            _ => None,
        }
    }

    /// The status that goes with it.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed { .. } | Self::Version { .. } => 400,
            Self::CodeExpired | Self::CodeSpent | Self::CodeWrong | Self::NotAllowed { .. } => 403,
            Self::Behind { .. } | Self::OtherEpoch { .. } => 409,
            Self::Clone => 422,
            Self::UnknownSeries { .. } => 424,
            Self::TooOften { .. } => 429,
            Self::Busy { .. } => 503,
        }
    }

    /// The body.
    pub fn write(&self) -> Vec<u8> {
        let (code, first, second, sentence, series): (u8, _, _, &str, &[SeriesId]) = match self {
            Self::Behind { acked } => (1, Some(*acked), None, "", &[]),
            Self::Busy { retry_after_secs } => {
                (2, Some(u64::from(*retry_after_secs)), None, "", &[])
            }
            Self::Clone => (3, None, None, "", &[]),
            Self::CodeExpired => (4, None, None, "", &[]),
            Self::CodeSpent => (5, None, None, "", &[]),
            Self::CodeWrong => (6, None, None, "", &[]),
            Self::Malformed { sentence } => (7, None, None, sentence, &[]),
            Self::NotAllowed { sentence } => (8, None, None, sentence, &[]),
            Self::OtherEpoch { epoch, acked } => (9, Some(*epoch), Some(*acked), "", &[]),
            Self::UnknownSeries { series } => (10, None, None, "", series),
            Self::Version { oldest, newest } => {
                (11, Some(u64::from(*oldest)), Some(u64::from(*newest)), "", &[])
            }
            Self::TooOften { retry_after_secs } => {
                (12, Some(u64::from(*retry_after_secs)), None, "", &[])
            }
        };
        let mut pen = Pen::new();
        pen.list(6).unsigned(crate::VERSION).unsigned(code);
        for number in [first, second] {
            match number {
                Some(number) => pen.unsigned(number),
                None => pen.null(),
            };
        }
        let sentence: String = sentence.chars().take(limits::SENTENCE_BYTES / 4).collect();
        pen.text(&sentence);
        let series = series.get(..limits::UNKNOWN_SERIES).unwrap_or(series);
        pen.list(series.len());
        for series in series {
            pen.unsigned(series.get());
        }
        pen.finish()
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    ///
    /// [`Malformed`]: then the answer is not the portfolio's.
    pub fn read(body: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        r.fields("refusal", 6)?;
        r.version()?;
        let at = r.at();
        let code = r.unsigned("code")?;
        let mut numbers = [None; 2];
        for number in &mut numbers {
            *number = r.optional(|r| r.unsigned("number"))?;
        }
        let sentence = r.text("sentence", limits::SENTENCE_BYTES)?.to_owned();
        let mut series = Vec::new();
        for _ in 0..r.list("series", limits::UNKNOWN_SERIES)? {
            let at = r.at();
            let number = u32::try_from(r.unsigned("series")?).ok().and_then(SeriesId::new);
            series.push(number.ok_or(Malformed { at, flaw: Flaw::Expected("series") })?);
        }
        r.end()?;

        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(match (code, numbers) {
            (1, [Some(acked), None]) => Self::Behind { acked },
            (2, [Some(secs), None]) => Self::Busy { retry_after_secs: small(secs) },
            (3, [None, None]) => Self::Clone,
            (4, [None, None]) => Self::CodeExpired,
            (5, [None, None]) => Self::CodeSpent,
            (6, [None, None]) => Self::CodeWrong,
            (7, [None, None]) => Self::Malformed { sentence },
            (8, [None, None]) => Self::NotAllowed { sentence },
            (9, [Some(epoch), Some(acked)]) => Self::OtherEpoch { epoch, acked },
            (10, [None, None]) => Self::UnknownSeries { series },
            (11, [Some(oldest), Some(newest)]) => {
                Self::Version { oldest: small(oldest), newest: small(newest) }
            }
            (12, [Some(secs), None]) => Self::TooOften { retry_after_secs: small(secs) },
            _ => return Err(Malformed { at, flaw: Flaw::Code("refusal", code) }),
        })
    }
}

impl From<Malformed> for Refusal {
    /// Another version is not a mistake of the message, and must not be taken for one: a gateway
    /// parks what is malformed.
    fn from(malformed: Malformed) -> Self {
        match malformed.flaw {
            Flaw::Version(_) => Self::Version { oldest: crate::VERSION, newest: crate::VERSION },
            _ => Self::Malformed { sentence: malformed.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_refusal_is_read_as_it_is_written() {
        let series = [1, 7].map(|number| SeriesId::new(number).unwrap()).to_vec();
        for refusal in [
            Refusal::Behind { acked: u64::MAX },
            Refusal::Busy { retry_after_secs: 5 },
            Refusal::TooOften { retry_after_secs: 1 },
            Refusal::Clone,
            Refusal::CodeExpired,
            Refusal::CodeSpent,
            Refusal::CodeWrong,
            Refusal::Malformed { sentence: "byte 5: too many readings".to_owned() },
            Refusal::NotAllowed { sentence: "revoked".to_owned() },
            Refusal::OtherEpoch { epoch: 0, acked: 3 },
            Refusal::UnknownSeries { series },
            Refusal::Version { oldest: 1, newest: 1 },
        ] {
            assert_eq!(Refusal::read(&refusal.write()), Ok(refusal));
        }
        assert_eq!(Ack::read(&Ack { acked: 12 }.write()), Ok(Ack { acked: 12 }));
    }

    #[test]
    fn a_wish_goes_with_an_acknowledgement_and_one_of_a_later_version_means_nothing() {
        let ack = Ack { acked: 12 };
        let wishes = Wishes::RENEW.and(Wishes(1 << 40));
        assert_eq!(Ack::read_with(&ack.write_with(wishes)), Ok((ack, wishes)));
        assert!(wishes.has(Wishes::RENEW) && !Wishes::default().has(Wishes::RENEW));
        assert_eq!(Ack::read_with(&ack.write()), Ok((ack, Wishes::default())));
        assert_eq!(Ack::read(&ack.write_with(wishes)), Ok(ack));
    }

    #[test]
    fn what_another_server_says_is_no_answer() {
        for body in [&b"<html>Sign in</html>"[..], b"{\"acked\":12}", b"", b"OK"] {
            assert!(Ack::read(body).is_err());
            assert!(Refusal::read(body).is_err());
        }
    }

    #[test]
    fn another_version_is_not_a_malformed_message() {
        let other = Malformed { at: 1, flaw: Flaw::Version(2) };
        assert_eq!(Refusal::from(other), Refusal::Version { oldest: 1, newest: 1 });
    }

    #[test]
    fn a_long_sentence_and_a_long_list_are_cut() {
        let refusal = Refusal::Malformed { sentence: "å".repeat(10_000) };
        assert!(Refusal::read(&refusal.write()).is_ok());
        let refusal = Refusal::UnknownSeries { series: vec![SeriesId::new(1).unwrap(); 10_000] };
        assert!(Refusal::read(&refusal.write()).is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Ack::read(&bytes);
            let _ = Refusal::read(&bytes);
        }
    }
}
