//! Who is on an M-Bus: what an installer wants to know before anything is configured.
//!
//! The search and the scan are those of `mbus-rs`; here they get a port. Both take minutes on a
//! bus with many meters, so they tell how far they are, and can be dropped at any time: the bus is
//! then as fit for the next question as after a readout that was dropped.

use std::sync::Arc;

use ::mbus::{Secondary, Selection};
use metering::{Clock, Identity, Medium};

use crate::error::ReadError;
use crate::mbus::MbusBus;
use crate::mbus::readout::{identity_of, medium};
use crate::profile::Profiles;
use crate::scan::{Scan, ScanStep};
use crate::{MeterAddress, Whole};

/// A meter that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovered {
    /// Where it answers, and no other meter does.
    pub address: MeterAddress,
    /// Its own address, if it tells all of it.
    pub own: Option<Whole>,
    /// Who it is, as far as it says.
    pub identity: Identity,
    /// What it counts.
    pub medium: Option<Medium>,
    /// Its address on the bus, where it was found by its own.
    pub primary: Option<u8>,
    /// The profile that fits it.
    pub profile: Option<String>,
    /// The known address that its own is nearly, where it could not show that it is another device:
    /// most likely a fault of the wire has made it up.
    pub nearly: Option<Whole>,
}

impl Discovered {
    /// Its own address as a selection, with the fabrication number where that was needed to tell it
    /// from a twin.
    pub fn selection(&self) -> Option<Selection> {
        let fabrication = match self.address {
            MeterAddress::Secondary(Selection { fabrication, .. }) => fabrication,
            _ => None,
        };
        Some(Selection { fabrication, ..self.own?.selection() })
    }
}

/// How far a scan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// This address or selection is being asked.
    Asking(MeterAddress),
    /// A meter.
    Found(&'a Discovered),
    /// Several meters answer here and cannot be told apart. Those with the same address on the bus
    /// can still be found by their own addresses.
    Several(MeterAddress),
}

impl Scan {
    /// Goes on to the end, for whom nobody else waits.
    ///
    /// A device that feels addressed by everything would make a search endless: it ends after
    /// [`MOST_FOUND`] meters, with these, and after [`MOST_UNRESOLVED`] selections that lead to
    /// none. A meter that gives a sign of life and no telegram is found without an identity.
    ///
    /// # Errors
    ///
    /// As [`Scan::step`].
    pub async fn to_end(
        mut self,
        bus: &mut MbusBus,
        clock: &dyn Clock,
        mut progress: impl FnMut(Progress<'_>),
    ) -> Result<Vec<Discovered>, ReadError> {
        let mut found = Vec::new();
        let mut asked = None;
        loop {
            if let Some(place) = self.place()
                && asked.replace(place) != Some(place)
            {
                progress(Progress::Asking(place));
            }
            let step = self.step(bus, clock).await;
            if let (Err(_), Some(place)) = (&step, self.place()) {
                // It may have gone back.
                progress(Progress::Asking(place));
            }
            match step? {
                ScanStep::Nothing => {}
                ScanStep::Found(meter) => {
                    progress(Progress::Found(&meter));
                    found.push(meter);
                }
                ScanStep::Several(address) => progress(Progress::Several(address)),
                ScanStep::Done => return Ok(found),
            }
        }
    }
}

/// Four segments of 250 meters behind repeaters, which is more than anybody builds.
pub const MOST_FOUND: usize = 1_000;
/// Meters that cannot be told apart are a rare fault of their makers.
pub const MOST_UNRESOLVED: u32 = 64;

/// The meter that says that it is `own`, found at `address`.
pub(crate) fn known(
    own: Secondary,
    address: MeterAddress,
    primary: Option<u8>,
    profiles: &Arc<Profiles>,
) -> Discovered {
    let identity = identity_of(own);
    let profile = profiles.matching(&identity, own.medium.code());
    Discovered {
        address,
        own: Some(Whole::of(Selection::of(own))),
        identity,
        medium: Some(medium(own.medium)),
        primary,
        profile: profile.map(|profile| profile.id.clone()),
        nearly: None,
    }
}

pub(crate) fn nameless(selection: Selection, primary: Option<u8>) -> Discovered {
    Discovered {
        address: MeterAddress::Secondary(selection),
        own: None,
        identity: Identity::default(),
        medium: None,
        primary,
        profile: None,
        nearly: None,
    }
}
