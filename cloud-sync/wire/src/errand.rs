//! What the portfolio asks of a gateway, which fetches it over its own connection.
//!
//! ```text
//!  Told   = [version, gateway, [[id, state, number, text], …]]
//!  Asked  = [version, [[id, kind, until, who, body], …]]
//! ```
//!
//! The gateway tells how the errands stand that it knows, and hears which are open. One that it does not
//! hear any more was taken back, or is over. A bundle goes up as a [`Document`](crate::Document), beside.
//!
//! **Never true:** that an errand is more than a question. Whether it is followed the gateway decides, and
//! the people at the gateway.

use metering::GatewayId;
use uuid::Uuid;

use crate::cbor::{Malformed, Pen, Reader};
use crate::limits;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrandKind {
    /// A diagnosis bundle.
    Diagnosis,
    /// What a [`SignedChange`](crate::SignedChange) would do to the configuration; it changes nothing.
    DryRun,
    /// A [`SignedChange`](crate::SignedChange) of the configuration.
    Change,
}

impl ErrandKind {
    /// As on the wire and in the portfolio's database.
    pub const fn code(self) -> u8 {
        match self {
            Self::Diagnosis => 1,
            Self::DryRun => 2,
            Self::Change => 3,
        }
    }

    /// The kind with this code, if this version knows it.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Diagnosis),
            2 => Some(Self::DryRun),
            3 => Some(Self::Change),
            _ => None,
        }
    }

    /// The kind with this word, as in both APIs.
    pub fn from_word(word: &str) -> Option<Self> {
        (1..=3).filter_map(Self::from_code).find(|it| it.as_str() == word)
    }

    /// As in both APIs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Diagnosis => "diagnosis",
            Self::DryRun => "dry_run",
            Self::Change => "change",
        }
    }
}

/// How an errand stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrandState {
    /// The gateway has not fetched it yet.
    Asked,
    /// Somebody at the gateway has to allow it.
    Waiting,
    /// It is being done.
    Going,
    /// It was done.
    Done,
    /// The people at the gateway do not want it.
    Refused,
    /// It could not be done.
    Failed,
    /// Who asked has taken it back.
    Withdrawn,
    /// Nobody at the gateway has answered in time.
    Expired,
}

impl ErrandState {
    /// As on the wire and in the portfolio's database.
    pub const fn code(self) -> u8 {
        match self {
            Self::Asked => 1,
            Self::Waiting => 2,
            Self::Going => 3,
            Self::Done => 4,
            Self::Refused => 5,
            Self::Failed => 6,
            Self::Withdrawn => 7,
            Self::Expired => 8,
        }
    }

    /// The state with this code, if this version knows it.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Asked),
            2 => Some(Self::Waiting),
            3 => Some(Self::Going),
            4 => Some(Self::Done),
            5 => Some(Self::Refused),
            6 => Some(Self::Failed),
            7 => Some(Self::Withdrawn),
            8 => Some(Self::Expired),
            _ => None,
        }
    }

    /// As in both APIs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Waiting => "waiting",
            Self::Going => "going",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
        }
    }

    /// Whether anything can still become of it.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Asked | Self::Waiting | Self::Going)
    }

    /// Whether a gateway may say so of an errand that stands as `before`.
    pub const fn follows(self, before: Self) -> bool {
        match self {
            Self::Waiting => matches!(before, Self::Asked),
            Self::Going => matches!(before, Self::Asked | Self::Waiting),
            Self::Done | Self::Refused | Self::Failed | Self::Expired => before.is_open(),
            Self::Asked | Self::Withdrawn => false,
        }
    }
}

/// What a gateway says of one errand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrandStand {
    /// Which.
    pub id: Uuid,
    /// How it stands.
    pub state: ErrandState,
    /// The version of the gateway's configuration that it is about; 0 where it is about none, as a diagnosis.
    pub number: u64,
    /// What there is to say, such as why not, in English; of a change, the lines of the configuration that
    /// are other, or what would be wrong with it.
    pub text: String,
}

/// What a gateway says of all errands that it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrandsTold {
    /// Who says it.
    pub gateway: GatewayId,
    /// At most [`limits::ERRANDS`]; what is longer than [`limits::ERRAND_BYTES`] of a text is cut.
    pub stands: Vec<ErrandStand>,
}

impl ErrandsTold {
    /// What is posted.
    pub fn write(&self) -> Vec<u8> {
        let mut pen = Pen::new();
        pen.list(3).unsigned(crate::VERSION).id(self.gateway.uuid());
        pen.list(self.stands.len().min(limits::ERRANDS));
        for stand in self.stands.iter().take(limits::ERRANDS) {
            pen.list(4).id(stand.id).unsigned(stand.state.code()).unsigned(stand.number);
            pen.text(cut(&stand.text, limits::ERRAND_BYTES));
        }
        pen.finish()
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    ///
    /// [`Malformed`] with the first thing that is wrong.
    pub fn read(message: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(message);
        r.fields("errands", 3)?;
        r.version()?;
        let gateway = GatewayId::from_uuid(r.id("gateway")?);
        let mut stands = Vec::new();
        for _ in 0..r.list("errands", limits::ERRANDS)? {
            r.fields("errand", 4)?;
            let id = r.id("errand")?;
            let state = r.code("state", ErrandState::from_code)?;
            let number = r.unsigned("version")?;
            let text = r.text("text", limits::ERRAND_BYTES)?.to_owned();
            stands.push(ErrandStand { id, state, number, text });
        }
        r.end()?;
        Ok(Self { gateway, stands })
    }
}

/// One thing that the portfolio asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrandAsked {
    /// Its name for ever.
    pub id: Uuid,
    /// What is asked; `None` is of a later version, and nothing can be done about it here.
    pub kind: Option<ErrandKind>,
    /// Until when, in milliseconds since 1970.
    pub until_ms: i64,
    /// Who asks, by the name that the portfolio knows them under.
    pub who: String,
    /// What else there is to know: a [`SignedChange`](crate::SignedChange), or nothing for a diagnosis.
    pub body: Vec<u8>,
}

/// All that the portfolio asks now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrandsAsked {
    /// At most [`limits::ERRANDS`].
    pub errands: Vec<ErrandAsked>,
}

impl ErrandsAsked {
    /// The body of a 200.
    pub fn write(&self) -> Vec<u8> {
        let mut pen = Pen::new();
        pen.list(2).unsigned(crate::VERSION);
        pen.list(self.errands.len().min(limits::ERRANDS));
        for errand in self.errands.iter().take(limits::ERRANDS) {
            pen.list(5).id(errand.id);
            pen.unsigned(errand.kind.map_or(0, ErrandKind::code)).signed(errand.until_ms);
            pen.text(cut(&errand.who, limits::NAME_BYTES)).bytes(&errand.body);
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
        r.fields("errands", 2)?;
        r.version()?;
        let mut errands = Vec::new();
        for _ in 0..r.list("errands", limits::ERRANDS)? {
            r.fields("errand", 5)?;
            let id = r.id("errand")?;
            let kind = r.unsigned("kind")?;
            let kind = u8::try_from(kind).ok().and_then(ErrandKind::from_code);
            let until_ms = r.signed("end")?;
            let who = r.text("name", limits::NAME_BYTES)?.to_owned();
            let body = r.bytes("errand", limits::ERRAND_BYTES)?.to_vec();
            errands.push(ErrandAsked { id, kind, until_ms, who, body });
        }
        r.end()?;
        Ok(Self { errands })
    }
}

/// As much of `text` as goes into `most` bytes, in whole letters.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stand(text: &str) -> ErrandStand {
        let (id, state) = (Uuid::from_u128(9), ErrandState::Waiting);
        ErrandStand { id, state, number: 7, text: text.to_owned() }
    }

    fn asked(kind: Option<ErrandKind>, body: usize) -> ErrandAsked {
        let who = "kari".to_owned();
        ErrandAsked { id: Uuid::from_u128(9), kind, until_ms: -5, who, body: vec![1; body] }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let gateway = GatewayId::from_uuid(Uuid::from_u128(7));
        for stands in [vec![], vec![stand(""), stand("+ name = \"Åsen\"")]] {
            let told = ErrandsTold { gateway, stands };
            assert_eq!(ErrandsTold::read(&told.write()), Ok(told));
        }
        let full = vec![asked(Some(ErrandKind::Diagnosis), limits::ERRAND_BYTES); limits::ERRANDS];
        for errands in [vec![], vec![asked(Some(ErrandKind::Diagnosis), 0)], full] {
            let asked = ErrandsAsked { errands };
            let written = asked.write();
            // A gateway reads no longer answer.
            assert!(written.len() <= 64 * 1024);
            assert_eq!(ErrandsAsked::read(&written), Ok(asked));
        }
    }

    #[test]
    fn a_kind_of_a_later_version_is_read_and_none_of_ours() {
        let of_later = ErrandsAsked { errands: vec![asked(None, 3)] };
        assert_eq!(ErrandsAsked::read(&of_later.write()), Ok(of_later));
    }

    #[test]
    fn a_long_text_is_cut_between_two_letters() {
        let gateway = GatewayId::from_uuid(Uuid::from_u128(7));
        let told = ErrandsTold { gateway, stands: vec![stand(&"å".repeat(limits::ERRAND_BYTES))] };
        let read = ErrandsTold::read(&told.write()).unwrap();
        assert_eq!(read.stands[0].text.len(), limits::ERRAND_BYTES);
        assert_eq!(cut("aå", 2), "a");
    }

    #[test]
    fn a_state_has_one_code_and_an_errand_that_is_over_stays_so() {
        let all: Vec<ErrandState> = (0..=20).filter_map(ErrandState::from_code).collect();
        assert_eq!(all.len(), 8);
        for state in &all {
            assert_eq!(ErrandState::from_code(state.code()), Some(*state));
            assert!(all.iter().all(|after| state.is_open() || !after.follows(*state)));
        }
        assert!(ErrandState::Going.follows(ErrandState::Waiting));
        assert!(!ErrandState::Waiting.follows(ErrandState::Going));
        assert!(!ErrandState::Withdrawn.follows(ErrandState::Asked), "no gateway takes it back");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = ErrandsTold::read(&bytes);
            let _ = ErrandsAsked::read(&bytes);
        }
    }
}
