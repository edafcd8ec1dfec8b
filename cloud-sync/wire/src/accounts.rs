//! What was expected of each meter day by day, what came, and why the rest did not.
//!
//! ```text
//!  Accounts = [version, gateway, epoch, head, length, packed content]
//!  content  = [[meter, start, end, expected, received, late, from memory, corrected, unplanned,
//!               [[cause, count], …]], …]
//! ```
//!
//! Only the gateway knows what was planned, so the portfolio takes its word for it. A day's account changes
//! while the day lasts, and afterwards when a meter tells what it remembers: whatever comes replaces what was
//! said before, unless it was said by a gateway that had stored less.
//!
//! **Invariant:** `expected` is the sum of what came and what is missing. An account that does not close is
//! malformed.

use metering::{GatewayId, MeterId};

use crate::cbor::{Flaw, Malformed, Pen, Reader};
use crate::limits;
use crate::pack::TooLarge;
use crate::stamp::Stamp;

/// Accounts of some meters and days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accounts {
    /// Whose they are.
    pub gateway: GatewayId,
    /// Which of its databases numbered its readings.
    pub epoch: u64,
    /// The highest number that it had given when it added them up.
    pub head: u64,
    /// At most [`limits::ACCOUNTS`].
    pub days: Vec<AccountDay>,
}

/// The account of one meter's answers on one of the building's days.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccountDay {
    /// Which meter.
    pub meter: MeterId,
    /// The day's first millisecond since 1970.
    pub start_ms: i64,
    /// The one after its last.
    pub end_ms: i64,
    /// What the schedule of that time planned, so far.
    pub expected: u32,
    /// What came when it was asked for.
    pub received: u32,
    /// What came after its quarter hour, before the next was planned.
    pub late: u32,
    /// What the meter remembered and told later.
    pub from_memory: u32,
    /// What a person put in.
    pub corrected: u32,
    /// What came beyond the expected.
    pub unplanned: u32,
    /// The rest by cause, as in the gateway's API: `silent`, `power_off`, …. A cause that is new to the
    /// reader is one all the same.
    pub missing: Vec<(String, u32)>,
}

impl AccountDay {
    /// How many are missing, whatever the cause.
    pub fn missing_in_all(&self) -> u64 {
        self.missing.iter().map(|(_, count)| u64::from(*count)).sum()
    }

    fn closes(&self) -> bool {
        let came = [self.received, self.late, self.from_memory, self.corrected];
        let came: u64 = came.into_iter().map(u64::from).sum();
        came + self.missing_in_all() == u64::from(self.expected)
    }
}

impl Accounts {
    /// What is posted.
    ///
    /// # Errors
    ///
    /// [`TooLarge`].
    pub fn write(&self) -> Result<Vec<u8>, TooLarge> {
        let mut content = Pen::new();
        content.list(self.days.len());
        for day in &self.days {
            content.list(10).id(day.meter.uuid()).signed(day.start_ms).signed(day.end_ms);
            for count in [day.expected, day.received, day.late, day.from_memory] {
                content.unsigned(count);
            }
            content.unsigned(day.corrected).unsigned(day.unplanned).list(day.missing.len());
            for (cause, count) in &day.missing {
                content.list(2).text(cause).unsigned(*count);
            }
        }
        let Self { gateway, epoch, head, .. } = *self;
        Stamp { gateway, epoch, head }.write(&content.finish())
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    ///
    /// [`Malformed`] with the first thing that is wrong.
    pub fn read(message: &[u8]) -> Result<Self, Malformed> {
        let (Stamp { gateway, epoch, head }, content) = Stamp::read("accounts", message)?;
        let mut r = Reader::new(&content);
        let mut days = Vec::new();
        for _ in 0..r.list("accounts", limits::ACCOUNTS)? {
            days.push(AccountDay::read(&mut r)?);
        }
        r.end()?;
        Ok(Self { gateway, epoch, head, days })
    }
}

impl AccountDay {
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let begins_at = r.at();
        r.fields("account", 10)?;
        let meter = MeterId::from_uuid(r.id("meter")?);
        let [start_ms, end_ms] = [time(r)?, time(r)?];
        let expected = count(r)?;
        let [received, late, from_memory] = [count(r)?, count(r)?, count(r)?];
        let [corrected, unplanned] = [count(r)?, count(r)?];
        let mut missing = Vec::new();
        for _ in 0..r.list("causes", limits::CAUSES)? {
            r.fields("cause", 2)?;
            let cause = r.parsed("cause", |text| is_cause(text).then(|| text.to_owned()))?;
            missing.push((cause, count(r)?));
        }
        let day = Self {
            meter,
            start_ms,
            end_ms,
            expected,
            received,
            late,
            from_memory,
            corrected,
            unplanned,
            missing,
        };
        if day.closes() && start_ms < end_ms {
            Ok(day)
        } else {
            Err(Malformed { at: begins_at, flaw: Flaw::Account })
        }
    }
}

fn time(r: &mut Reader<'_>) -> Result<i64, Malformed> {
    let at = r.at();
    let at_ms = r.signed("time")?;
    if limits::TIMES_MS.contains(&at_ms) {
        Ok(at_ms)
    } else {
        Err(Malformed { at, flaw: Flaw::Time(at_ms) })
    }
}

fn count(r: &mut Reader<'_>) -> Result<u32, Malformed> {
    let at = r.at();
    let found = r.unsigned("count")?;
    u32::try_from(found).map_err(|_| Malformed { at, flaw: Flaw::Expected("count") })
}

/// A word that can be kept in a list of such words, and looked up in the language files.
fn is_cause(text: &str) -> bool {
    (1..=limits::CAUSE_BYTES).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn day() -> AccountDay {
        AccountDay {
            meter: MeterId::from_uuid(Uuid::from_u128(7)),
            start_ms: 1_795_000_000_000,
            end_ms: 1_795_090_000_000,
            expected: 96,
            received: 88,
            late: 1,
            from_memory: 1,
            corrected: 0,
            unplanned: 3,
            missing: vec![("silent".to_owned(), 4), ("power_off".to_owned(), 2)],
        }
    }

    fn accounts(days: Vec<AccountDay>) -> Accounts {
        let gateway = GatewayId::from_uuid(Uuid::from_u128(1));
        Accounts { gateway, epoch: u64::MAX, head: 9, days }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let all = accounts(vec![day(), AccountDay { missing: Vec::new(), expected: 90, ..day() }]);
        assert_eq!(Accounts::read(&all.write().unwrap()), Ok(all));
    }

    #[track_caller]
    fn refused(day: AccountDay, expected: &str) {
        let message = accounts(vec![day]).write().unwrap();
        assert_eq!(Accounts::read(&message).unwrap_err().to_string(), expected);
    }

    #[test]
    fn an_account_that_does_not_close_is_refused() {
        let sum = "byte 1: the account does not add up";
        refused(AccountDay { expected: 97, ..day() }, sum);
        refused(AccountDay { missing: Vec::new(), ..day() }, sum);
        refused(AccountDay { end_ms: day().start_ms, ..day() }, sum);
        let most = vec![("silent".to_owned(), u32::MAX), ("disk".to_owned(), 97)];
        refused(AccountDay { missing: most, received: 0, ..day() }, sum);
    }

    #[test]
    fn a_cause_is_one_word() {
        for cause in ["", "power off", "Silent", "silent:4", &"a".repeat(33)] {
            let missing = vec![(cause.to_owned(), 6)];
            refused(AccountDay { missing, ..day() }, "byte 47: cause expected");
        }
    }

    #[test]
    fn as_many_as_fit_into_one_message_may_be_sent() {
        let causes = (0..limits::CAUSES).map(|n| {
            let letter = char::from(b'a' + u8::try_from(n).unwrap() % 26);
            (letter.to_string().repeat(20), 1_000_000)
        });
        let missing: Vec<_> = causes.collect();
        let expected = 88 + 1 + 1 + 1_000_000 * u32::try_from(missing.len()).unwrap();
        let day = AccountDay { expected, missing, ..day() };
        let all = accounts(vec![day; limits::ACCOUNTS]);
        assert_eq!(Accounts::read(&all.write().unwrap()), Ok(all));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Accounts::read(&bytes);
        }
    }
}
