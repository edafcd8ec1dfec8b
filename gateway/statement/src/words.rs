//! How documents write sums, times and the words of the contract, in bokmål and in English.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike as _, NaiveDate};
use chrono_tz::Tz;
use ledger::case::Reason;
use ledger::entry::Contract;
use ledger::settlement::{ClaimState, Fraction};
use ledger::{Code, Failure, Month, TlsFailure};

/// In which language a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// `nb`
    Bokmal,
    /// `en`
    English,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Bokmal, Self::English];

    /// As in file names and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bokmal => "nb",
            Self::English => "en",
        }
    }

    /// The one of both texts that is in this language.
    pub(crate) const fn of<'t>(self, bokmal: &'t str, english: &'t str) -> &'t str {
        match self {
            Self::Bokmal => bokmal,
            Self::English => english,
        }
    }
}

impl FromStr for Language {
    type Err = NoLanguage;

    fn from_str(text: &str) -> Result<Self, NoLanguage> {
        let found = Self::ALL.into_iter().find(|it| it.as_str() == text);
        found.ok_or_else(|| NoLanguage(text.to_owned()))
    }
}

/// Documents are not written in this language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoLanguage(String);

impl fmt::Display for NoLanguage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "documents are written in `nb` and `en`, not in `{}`", self.0)
    }
}

impl std::error::Error for NoLanguage {}

impl Language {
    /// A whole number, in groups of three: `2 592 000`, `2,592,000`.
    pub(crate) fn number(self, number: i64) -> String {
        let digits = number.unsigned_abs().to_string();
        let mut grouped = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                grouped.push_str(self.of("\u{a0}", ","));
            }
            grouped.push(digit);
        }
        if number < 0 { format!("\u{2212}{grouped}") } else { grouped }
    }

    /// A sum in hundredths: `kr 1 234,50`, `NOK 1,234.50`.
    pub(crate) fn money(self, ore: i64, contract: &Contract) -> String {
        let whole = self.number(ore / 100);
        let sum = format!("{whole}{}{:02}", self.of(",", "."), ore.unsigned_abs() % 100);
        let currency = match contract.currency.as_str() {
            "NOK" if self == Self::Bokmal => "kr",
            other => other,
        };
        format!("{currency}\u{a0}{sum}")
    }

    /// A sum that is not whole: to the nearest hundredth, and what it is exactly.
    pub(crate) fn fraction(self, sum: Fraction, contract: &Contract) -> String {
        let Fraction { numerator, denominator } = sum;
        let near = (2 * numerator + denominator) / (2 * denominator).max(1);
        let near = self.money(near, contract);
        if denominator == 1 {
            return near;
        }
        let exactly = self.of("nøyaktig", "exactly");
        format!("{near} ({exactly} {numerator}/{denominator} {})", self.of("øre", "hundredths"))
    }

    /// `99.4999` as people write it: `99,4999 %`.
    pub(crate) fn percent(self, percent: &str) -> String {
        format!("{}\u{a0}%", percent.replace('.', self.of(",", ".")))
    }

    /// A limit in hundredths of a percent: `99,5 %`.
    pub(crate) fn limit(self, below: u16) -> String {
        let (whole, rest) = (below / 100, format!("{:02}", below % 100));
        let rest = rest.trim_end_matches('0');
        let point = if rest.is_empty() { "" } else { "." };
        self.percent(&format!("{whole}{point}{rest}"))
    }

    /// `30.11.2026`, `30 Nov 2026`
    pub(crate) fn day(self, day: NaiveDate) -> String {
        match self {
            Self::Bokmal => day.format("%d.%m.%Y").to_string(),
            Self::English => day.format("%-d %b %Y").to_string(),
        }
    }

    /// A second in the contract's zone, with the zone's name at that time: the hour that comes
    /// twice is told apart.
    pub(crate) fn time(self, second: i64, zone: Tz) -> String {
        let at = DateTime::from_timestamp(second, 0).unwrap_or_default().with_timezone(&zone);
        format!("{} {}", self.day(at.date_naive()), at.format("%H:%M:%S %Z"))
    }

    /// `november 2026`
    pub(crate) fn month(self, month: Month) -> String {
        let first = month.first_day();
        let bokmal = [
            "januar",
            "februar",
            "mars",
            "april",
            "mai",
            "juni",
            "juli",
            "august",
            "september",
            "oktober",
            "november",
            "desember",
        ];
        match self {
            Self::Bokmal => {
                let name = usize::try_from(first.month0()).ok().and_then(|at| bokmal.get(at));
                format!("{} {}", name.copied().unwrap_or_default(), first.year())
            }
            Self::English => first.format("%B %Y").to_string(),
        }
    }

    /// What an exclusion invokes.
    pub(crate) fn ground(self, kind: &str) -> &'static str {
        let (bokmal, english) = match kind {
            "agreed_suspension" => ("avtalt stans", "agreed suspension"),
            "planned_maintenance" => ("varslet vedlikehold", "planned maintenance"),
            "security_maintenance" => ("sikkerhetsvedlikehold", "security maintenance"),
            "authority_order" => ("pålegg fra myndighet", "order of an authority"),
            "outside_control" => ("utenfor leverandørens kontroll", "outside the vendor's control"),
            "customer_caused" => ("forårsaket av kunden", "caused by the customer"),
            "product_connectivity" => ("produkt eller byggets nett", "product or building network"),
            _ => ("batteri", "battery"),
        };
        self.of(bokmal, english)
    }

    /// Why an exclusion does not act, or that it does.
    pub(crate) fn reason(self, reason: Reason) -> &'static str {
        let (bokmal, english) = match reason {
            Reason::Rejected => ("avvist", "rejected"),
            Reason::NoNotice => ("ikke varslet", "no notice was given"),
            Reason::NotWritten => ("ikke varslet skriftlig", "notice was not in writing"),
            Reason::LateNotice => ("varslet for sent", "notice was too late"),
            Reason::NotAgreed => ("ikke avtalt på forhånd", "not agreed before it began"),
            Reason::Disputed => ("ikke godtatt", "not accepted"),
            Reason::Ok => ("godtatt", "accepted"),
        };
        self.of(bokmal, english)
    }

    /// Whose time a span was.
    pub(crate) fn code(self, code: Code) -> &'static str {
        let (bokmal, english) = match code {
            Code::Up => ("oppe", "up"),
            Code::DownProven => {
                ("nede, vist av tjenestens eget svar", "down, shown by the service itself")
            }
            Code::DownSingle => ("nede, sett fra ett sted", "down, as seen from one place"),
            Code::Gap => ("ikke målt", "nothing was measured"),
            Code::Clock => ("klokken var ikke til å stole på", "the clock was not trusted"),
            Code::Link => ("byggets egen forbindelse var nede", "the building's own link was down"),
            Code::Ambiguous => ("for lite annet svarte", "too little else answered"),
            Code::RateLimited => ("tjenesten begrenset spørringer", "the service limited queries"),
            Code::Refused => ("tjenesten avviste tilgangen", "the service refused the credential"),
        };
        self.of(bokmal, english)
    }

    /// How an attempt failed.
    pub(crate) fn failure(self, failure: Failure) -> String {
        let (bokmal, english) = match failure {
            Failure::Dns => ("navnet ble ikke funnet", "the name did not resolve"),
            Failure::Tcp => ("ingen forbindelse", "no connection"),
            Failure::Tls(TlsFailure::ForeignCa) => {
                ("fremmed sertifikatutsteder", "certificate of a foreign issuer")
            }
            Failure::Tls(TlsFailure::OwnFault) => {
                ("ugyldig sertifikat", "certificate expired or for another name")
            }
            Failure::Tls(TlsFailure::Handshake) => ("TLS brøt sammen", "TLS broke off"),
            Failure::NoAnswer => ("intet svar i tide", "no answer in time"),
            Failure::Status(status) => {
                return format!("{} {status}", self.of("svar", "answer"));
            }
            Failure::WrongData => ("feil eller manglende verdi", "wrong or missing value"),
        };
        self.of(bokmal, english).to_owned()
    }

    /// How far a claim has come.
    pub(crate) fn claim(self, state: ClaimState) -> &'static str {
        let (bokmal, english) = match state {
            ClaimState::NoBreach => ("løftet er holdt", "the promise was kept"),
            ClaimState::NotNotified => ("ikke varslet ennå", "no notice was given yet"),
            ClaimState::NotWritten => ("varslet, men ikke skriftlig", "notice was not in writing"),
            ClaimState::Premature => ("varslet før bruddet", "notice was before the breach"),
            ClaimState::Late => ("varslet for sent", "notice was too late"),
            ClaimState::NoEvidence => ("varslet uten bevis", "notice came without evidence"),
            ClaimState::Ok => ("varslet i tide, med bevis", "notice in time, with evidence"),
        };
        self.of(bokmal, english)
    }
}

/// `1:02:03`
pub(crate) fn duration(seconds: i64) -> String {
    format!("{}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_written_as_people_do() {
        let contract = Contract::new("1", "A", "B", ledger::case::Ore::default());
        let (nb, en) = (Language::Bokmal, Language::English);
        assert_eq!(nb.money(123_456_705, &contract), "kr\u{a0}1\u{a0}234\u{a0}567,05");
        assert_eq!(en.money(123_456_705, &contract), "NOK\u{a0}1,234,567.05");
        assert_eq!(en.money(5, &contract), "NOK\u{a0}0.05");
        let third = Fraction { numerator: 100_000, denominator: 3 };
        assert_eq!(en.fraction(third, &contract), "NOK\u{a0}333.33 (exactly 100000/3 hundredths)");
        assert_eq!((nb.limit(9_950), nb.limit(9_900)), ("99,5\u{a0}%".into(), "99\u{a0}%".into()));
    }

    #[test]
    fn the_hour_that_comes_twice_is_told_apart() {
        let at = |second| Language::Bokmal.time(second, Tz::Europe__Oslo);
        assert_eq!(at(1_792_888_200), "25.10.2026 02:30:00 CEST");
        assert_eq!(at(1_792_891_800), "25.10.2026 02:30:00 CET");
    }
}
