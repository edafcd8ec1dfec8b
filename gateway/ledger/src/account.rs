//! From probe attempts to coded spans of whole seconds.
//!
//! An attempt speaks for the time from its start to the next one, but for no longer than its
//! cover: what no attempt covers is a gap. A failure begins an outage; a single success does
//! not end it, so that a flapping service is not forgiven minute by minute.
//!
//! ```text
//! attempts   ok    ok    fail  fail  ok    fail  ok    ok    ok
//! codes      U     U     D     D     D     D     U     U     U
//!                        └─────── one outage ───┘ ends at the first of two successes
//! ```
//!
//! A wall clock can be set, and a machine suspended: then the time between two attempts is not what
//! the wall clock says. Each attempt also says how long the machine had been up. Where the two
//! clocks disagree, the time between is nobody's.

use std::ops::Range;

/// One try of the report probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When it began, in whole seconds UTC since 1970.
    pub at: i64,
    /// How it ended.
    pub outcome: Outcome,
    /// What else could be reached in the same round.
    pub references: References,
    /// Whether the wall clock could be believed when it began.
    pub clock_trusted: bool,
    /// For how many seconds the machine had been up then, through suspend; `None` if nobody looked.
    pub age: Option<u32>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The right value, in time.
    Success,
    /// Something else.
    Failed(Failure),
}

/// The stage at which an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The name did not resolve.
    Dns,
    /// No connection.
    Tcp,
    /// No TLS session.
    Tls(TlsFailure),
    /// A TLS session, and then no answer within the time-out.
    NoAnswer,
    /// An answer with another status than 200.
    Status(u16),
    /// Status 200 with a missing, wrong or late value.
    WrongData,
}

/// What was wrong with the certificate or the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFailure {
    /// The chain ends at a CA that is not the vendor's: somebody on the way intercepts.
    ForeignCa,
    /// The vendor's own CA, but expired or for another name.
    OwnFault,
    /// The handshake broke off.
    Handshake,
}

/// What else could be reached while an attempt failed. Not asked after a success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// How many independent places were asked, on at least two networks.
    pub asked: u8,
    /// How many of them answered.
    pub answered: u8,
    /// The building's own link or its default router is down.
    pub link_down: bool,
}

/// Whose time a second was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// `U`: up.
    Up,
    /// `D`: down, proven by what the cloud itself answered.
    DownProven,
    /// `s`: down, as seen from one place whose references answered.
    DownSingle,
    /// `G`: no attempt covers it.
    Gap,
    /// `C`: the clock was not trusted.
    Clock,
    /// `L`: the building's own link.
    Link,
    /// `a`: fewer than two references answered, so it may have been either side.
    Ambiguous,
    /// `R`: the cloud limited the rate of queries, as the contract lets it.
    RateLimited,
    /// `A`: the cloud refused the credential; down only after a correction says so.
    Refused,
}

impl Code {
    /// The letter of ledgers and statements.
    pub const fn letter(self) -> char {
        match self {
            Self::Up => 'U',
            Self::DownProven => 'D',
            Self::DownSingle => 's',
            Self::Gap => 'G',
            Self::Clock => 'C',
            Self::Link => 'L',
            Self::Ambiguous => 'a',
            Self::RateLimited => 'R',
            Self::Refused => 'A',
        }
    }

    /// Whether the second counts against the promise.
    pub const fn is_down(self) -> bool {
        matches!(self, Self::DownProven | Self::DownSingle)
    }

    /// Whether nobody can say.
    pub const fn is_unknown(self) -> bool {
        !matches!(self, Self::Up) && !self.is_down()
    }

    /// The first rule that fits, in the order of the contract's specification.
    fn of(attempt: &Attempt, settings: Settings) -> Self {
        let failure = match attempt.outcome {
            _ if !attempt.clock_trusted => return Self::Clock,
            Outcome::Success => return Self::Up,
            Outcome::Failed(failure) => failure,
        };
        let References { asked, answered, link_down } = attempt.references;
        if settings.references && (link_down || (asked > 0 && answered == 0)) {
            return Self::Link;
        }
        match failure {
            Failure::Tls(TlsFailure::ForeignCa) => Self::Link,
            _ if settings.references && answered < 2 => Self::Ambiguous,
            Failure::Status(429) => Self::RateLimited,
            Failure::Status(401 | 403) => Self::Refused,
            Failure::Status(_)
            | Failure::NoAnswer
            | Failure::WrongData
            | Failure::Tls(TlsFailure::OwnFault) => Self::DownProven,
            Failure::Dns | Failure::Tcp | Failure::Tls(TlsFailure::Handshake) => Self::DownSingle,
        }
    }
}

/// Seconds in a row of one code: from the first, which is in it, to the last, which is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Seconds UTC since 1970.
    pub from: i64,
    /// Seconds UTC since 1970; after `from`.
    pub until: i64,
    /// Whose time it was.
    pub code: Code,
}

/// How attempts speak for time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// For how many seconds an attempt speaks: 60 on a wired link, 120 on a metered one.
    pub cover: i64,
    /// Two successes prove a recovery only this many seconds apart.
    pub recovery: i64,
    /// A single success ends an outage; else it takes two.
    pub one_success_ends: bool,
    /// Whoever asks has a link of its own to answer for: a failure counts only with references that
    /// answered.
    pub references: bool,
}

impl Settings {
    /// A link that costs nothing: a probe every 20 s.
    pub const WIRED: Self =
        Self { cover: 60, recovery: 10, one_success_ends: false, references: true };
    /// A link that is paid by the byte: a probe every 60 s.
    pub const METERED: Self = Self { cover: 120, ..Self::WIRED };
    /// The vendor's own probe, once a minute: its link is the vendor's affair.
    pub const VENDOR: Self = Self { references: false, ..Self::METERED };
}

/// The code of every second of `time`, as spans in order without a hole between them.
///
/// `attempts` are in order of their start; of two in the same second the later holds. Give the
/// attempts from before `time` too, so that an outage under way at its beginning is seen; those
/// after it confirm or deny a recovery at its end.
pub fn account(attempts: &[Attempt], time: Range<i64>, settings: Settings) -> Vec<Span> {
    let mut spans = Spans { time: time.clone(), spans: Vec::new() };
    let mut covered_until = time.start;
    let mut outage: Option<Code> = None;

    for (index, attempt) in attempts.iter().enumerate() {
        let next = attempts.get(index + 1);
        let until = match next {
            Some(next) => next.at.min(attempt.at + settings.cover),
            None => attempt.at + settings.cover,
        };
        if attempt.at > covered_until {
            spans.push(covered_until, attempt.at, Code::Gap);
            outage = None;
        }

        let leaps = next.filter(|next| leaps(attempt, next));
        let until = leaps.map_or(until, |next| next.at);
        let code = match (Code::of(attempt, settings), outage) {
            _ if leaps.is_some() => Code::Clock,
            (Code::Up, Some(down)) if !recovered(attempt, next, settings) => down,
            (code, _) => code,
        };
        outage = code.is_down().then_some(code);
        spans.push(attempt.at, until, code);
        covered_until = covered_until.max(until);
    }
    spans.push(covered_until, time.end, Code::Gap);
    spans.spans
}

/// Whether the wall clock was set between two attempts: it and the age of the boot disagree on what
/// has passed. Where it was set back, the attempts of before and after lie between each other, and
/// every pair of them disagrees.
pub(crate) fn leaps(attempt: &Attempt, next: &Attempt) -> bool {
    let (Some(before), Some(after)) = (attempt.age, next.age) else { return false };
    let (before, after) = (i64::from(before), i64::from(after));
    let passed = next.at - attempt.at;
    // A boot that began in between has nothing to compare with.
    let rebooted = after < before && after <= passed + CUT_S;
    !rebooted && (passed - (after - before)).abs() > CUT_S
}

/// Two clocks cut to whole seconds agree if they are no further apart than this.
const CUT_S: i64 = 2;

/// Whether a success is the first of two that prove a recovery.
fn recovered(success: &Attempt, next: Option<&Attempt>, settings: Settings) -> bool {
    if settings.one_success_ends {
        return true;
    }
    next.is_some_and(|next| {
        Code::of(next, settings) == Code::Up
            && next.at - success.at >= settings.recovery
            && next.at - success.at <= settings.cover
    })
}

/// Spans cut to a time, neighbours of one code joined.
struct Spans {
    time: Range<i64>,
    spans: Vec<Span>,
}

impl Spans {
    fn push(&mut self, from: i64, until: i64, code: Code) {
        let (from, until) = (from.max(self.time.start), until.min(self.time.end));
        if from >= until {
            return;
        }
        match self.spans.last_mut() {
            Some(last) if last.code == code && last.until == from => last.until = until,
            _ => self.spans.push(Span { from, until, code }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REACHED: References = References { asked: 3, answered: 3, link_down: false };

    /// An attempt at second `at`: `.` is a success, the others fail.
    fn attempt(at: i64, sign: char) -> Attempt {
        let (outcome, references) = match sign {
            '.' => (Outcome::Success, References::default()),
            '5' => (Outcome::Failed(Failure::Status(503)), REACHED),
            'w' => (Outcome::Failed(Failure::WrongData), REACHED),
            't' => (Outcome::Failed(Failure::Tcp), REACHED),
            'i' => (Outcome::Failed(Failure::Tls(TlsFailure::ForeignCa)), REACHED),
            'l' => (Outcome::Failed(Failure::Tcp), References { answered: 0, ..REACHED }),
            '1' => (Outcome::Failed(Failure::Status(503)), References { answered: 1, ..REACHED }),
            'r' => (Outcome::Failed(Failure::Status(429)), REACHED),
            _ => (Outcome::Failed(Failure::Status(403)), REACHED),
        };
        Attempt { at, outcome, references, clock_trusted: true, age: None }
    }

    /// Attempts every 20 s from second 0, one for each sign, `_` for none.
    #[track_caller]
    fn check(signs: &str, expected: &str) {
        let attempts: Vec<Attempt> = (0..)
            .step_by(20)
            .zip(signs.chars())
            .filter(|(_, sign)| *sign != '_')
            .map(|(at, sign)| attempt(at, sign))
            .collect();
        let until = 20 * i64::try_from(signs.len()).unwrap();
        let found: Vec<String> = account(&attempts, 0..until, Settings::WIRED)
            .iter()
            .map(|span| format!("{}{}", span.code.letter(), span.until - span.from))
            .collect();
        assert_eq!(found.join(" "), expected);
    }

    #[test]
    fn an_attempt_speaks_until_the_next_one() {
        check("...", "U60");
    }

    #[test]
    fn what_no_attempt_covers_is_a_gap() {
        check(".____..", "U60 G40 U40");
        check("__..", "G40 U40");
    }

    #[test]
    fn an_outage_ends_at_the_first_of_two_successes() {
        check("..55....", "U40 D40 U80");
    }

    #[test]
    fn one_success_between_failures_ends_nothing() {
        check("..5.5.5...", "U40 D100 U60");
    }

    #[test]
    fn a_last_success_that_nothing_confirms_is_still_the_outage() {
        check("..5.", "U40 D40");
    }

    #[test]
    fn unknown_time_ends_an_outage() {
        check("5l.", "D20 L20 U20");
        check("5___..", "D60 G20 U40");
    }

    #[test]
    fn each_failure_has_its_code() {
        check("5w", "D40");
        check("t", "s20");
        check("i", "L20");
        check("l", "L20");
        check("1", "a20");
        check("r", "R20");
        check("3", "A20");
    }

    #[test]
    fn an_untrusted_clock_proves_nothing_either_way() {
        let attempts = [Attempt { clock_trusted: false, ..attempt(0, '5') }];
        let spans = account(&attempts, 0..60, Settings::WIRED);
        assert_eq!(spans, [Span { from: 0, until: 60, code: Code::Clock }]);
    }

    #[test]
    fn two_successes_too_close_together_prove_no_recovery() {
        let attempts = [attempt(0, '5'), attempt(20, '.'), attempt(25, '.'), attempt(45, '.')];
        let spans = account(&attempts, 0..65, Settings::WIRED);
        assert_eq!(spans.first().map(|span| span.until), Some(25));
    }

    /// Attempts at these seconds, at these ages of the boot; `.` and `5` as above.
    #[track_caller]
    fn check_clocks(attempts: &[(i64, u32, char)], expected: &str) {
        let attempts: Vec<Attempt> = attempts
            .iter()
            .map(|(at, age, sign)| Attempt { age: Some(*age), ..attempt(*at, *sign) })
            .collect();
        let found: Vec<String> = account(&attempts, 0..100, Settings::WIRED)
            .iter()
            .map(|span| format!("{}{}", span.code.letter(), span.until - span.from))
            .collect();
        assert_eq!(found.join(" "), expected);
    }

    #[test]
    fn a_clock_that_is_set_makes_unknown_time() {
        let steady = [(0, 1_000, '.'), (20, 1_021, '.'), (40, 1_040, '.'), (60, 1_060, '.')];
        check_clocks(&steady, "U100");
        // Set forward by half a minute between the second and the third.
        check_clocks(&[(0, 1_000, '5'), (20, 1_020, '5'), (70, 1_040, '5')], "D20 C50 D30");
        // Set back by 30 s after 60: what came before and after lies between each other.
        let back = [(0, 0, '.'), (40, 40, '5'), (50, 80, '.'), (60, 60, '5'), (70, 100, '.')];
        check_clocks(&back, "U40 C30 U30");
    }

    #[test]
    fn a_machine_that_slept_or_began_anew_has_a_gap_and_no_leap() {
        check_clocks(&[(0, 1_000, '.'), (90, 1_090, '.')], "U60 G30 U10");
        check_clocks(&[(0, 1_000, '.'), (90, 20, '.')], "U60 G30 U10");
    }

    #[test]
    fn a_contract_may_let_one_success_end_an_outage() {
        let settings = Settings { one_success_ends: true, ..Settings::WIRED };
        let attempts = [attempt(0, '5'), attempt(20, '.'), attempt(40, '5'), attempt(60, '.')];
        let spans = account(&attempts, 0..80, settings);
        let codes: String = spans.iter().map(|span| span.code.letter()).collect();
        assert_eq!(codes, "DUDU");
    }

    #[test]
    fn a_metered_link_speaks_for_longer() {
        let spans = account(&[attempt(0, '.')], 0..200, Settings::METERED);
        assert_eq!(spans.first().map(|span| span.until), Some(120));
    }

    proptest! {
        #[test]
        fn every_second_has_one_code(
            steps in prop::collection::vec((0_i64..200, prop::sample::select(&['.', '5', 't', 'l', 'r'][..])), 0..60),
            from in -500_i64..3_000,
            length in 1_i64..3_000,
        ) {
            let mut at = 0;
            let attempts: Vec<Attempt> = steps
                .iter()
                .map(|(step, sign)| { at += step; attempt(at, *sign) })
                .collect();
            let spans = account(&attempts, from..from + length, Settings::WIRED);
            let mut reached = from;
            for span in &spans {
                prop_assert_eq!(span.from, reached);
                prop_assert!(span.until > span.from);
                reached = span.until;
            }
            prop_assert_eq!(reached, from + length);
        }
    }
}
