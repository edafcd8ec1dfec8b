//! Who is on an M-Bus: what an installer wants to know before anything is configured.
//!
//! The search and the scan are those of `mbus-rs`; here they get a port. Both take minutes on a
//! bus with many meters, so they tell how far they are, and can be dropped at any time: the bus is
//! then as fit for the next question as after a readout that was dropped.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use ::mbus::{Place, Primary, PrimaryScan, ScanAction, Search, SearchAction, Secondary, Selection};
use metering::{Clock, Identity, Medium};

use crate::error::{Garble, ReadError};
use crate::mbus::MbusBus;
use crate::mbus::bus::{Line, read_error};
use crate::mbus::readout::{identity_of, medium};
use crate::profile::Profiles;
use crate::{Meter, MeterAddress};

/// A meter that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovered {
    /// Where it answers, and no other meter does.
    pub address: MeterAddress,
    /// Who it is, as far as it says.
    pub identity: Identity,
    /// What it counts.
    pub medium: Option<Medium>,
    /// Its address on the bus, where it was found by its own.
    pub primary: Option<u8>,
    /// The profile that fits it.
    pub profile: Option<String>,
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

/// Asks every address of `range` on the bus for a sign of life, and those that give one who they
/// are.
///
/// # Errors
///
/// [`ReadError::Port`], and [`ReadError::Garbled`] if the line never falls silent. A meter that
/// gives a sign of life and no telegram is found without an identity.
pub async fn scan_primary(
    bus: &mut MbusBus,
    range: RangeInclusive<u8>,
    clock: &dyn Clock,
    mut progress: impl FnMut(Progress<'_>),
) -> Result<Vec<Discovered>, ReadError> {
    let mut scan = PrimaryScan::new(Primary(*range.start()), Primary(*range.end()));
    let mut found = Vec::new();
    let mut asked = None;
    bus.ready().await?;
    loop {
        if asked.replace(scan.place()) != Some(scan.place()) && scan.place().is_of_a_meter() {
            progress(Progress::Asking(MeterAddress::Primary(scan.place().0)));
        }
        let Line { port, session, now, .. } = bus.line();
        match scan.poll(session, now) {
            ScanAction::Send(bytes) => {
                port.write(bytes).await.map_err(|cause| bus.out_of_reach(cause))?;
            }
            ScanAction::Wait(until) => bus.listen(until).await?,
            ScanAction::Found(Primary(number)) => {
                let discovered = identified(bus, number, clock).await?;
                progress(Progress::Found(&discovered));
                found.push(discovered);
            }
            ScanAction::Several(address) => {
                progress(Progress::Several(MeterAddress::Primary(address.0)));
            }
            ScanAction::Failed(failure) => {
                let address = MeterAddress::Primary(scan.place().0);
                return Err(read_error(failure, address, Duration::ZERO));
            }
            ScanAction::Done => return Ok(found),
        }
    }
}

/// Asks who is alive at `number`.
async fn identified(
    bus: &mut MbusBus,
    number: u8,
    clock: &dyn Clock,
) -> Result<Discovered, ReadError> {
    let address = MeterAddress::Primary(number);
    match bus.read(&Meter::stranger(address), clock).await {
        Ok(readout) => Ok(Discovered {
            address,
            identity: readout.identity,
            medium: readout.medium,
            primary: Some(number),
            profile: readout.profile,
        }),
        Err(error @ ReadError::Port { .. }) => Err(error),
        Err(_) => Ok(Discovered {
            address,
            identity: Identity::default(),
            medium: None,
            primary: Some(number),
            profile: None,
        }),
    }
}

/// Searches for every meter on the bus by its own address, from a place on; that of the selection
/// that was told last ([`Progress::Asking`]) goes on with a search that was dropped.
///
/// A device that feels addressed by everything would make the search endless: it ends after
/// [`MOST_FOUND`] meters, with these, and after [`MOST_UNRESOLVED`] selections that lead to none.
///
/// # Errors
///
/// As [`scan_primary`], and [`ReadError::Garbled`] if nearly every selection is answered by
/// something that is no meter.
pub async fn scan_secondary(
    bus: &mut MbusBus,
    from: Place,
    mut progress: impl FnMut(Progress<'_>),
) -> Result<Vec<Discovered>, ReadError> {
    let mut search = Search::resume(from, &[]);
    let mut found = Vec::new();
    let mut unresolved = 0;
    let mut asked = None;
    bus.ready().await?;
    loop {
        let selection = search.place().selection();
        if asked.replace(selection) != Some(selection) {
            progress(Progress::Asking(MeterAddress::Secondary(selection)));
        }
        let Line { port, session, now, profiles } = bus.line();
        match search.poll(session, now) {
            SearchAction::Send(bytes) => {
                port.write(bytes).await.map_err(|cause| bus.out_of_reach(cause))?;
            }
            SearchAction::Wait(until) => bus.listen(until).await?,
            SearchAction::Found(meter) => {
                let primary = meter.primary.map(|Primary(number)| number);
                let discovered = match meter.meter {
                    Some(address) => known(address, primary, profiles),
                    None => nameless(meter.selection, primary),
                };
                progress(Progress::Found(&discovered));
                found.push(discovered);
                if found.len() == MOST_FOUND {
                    return Ok(found);
                }
            }
            SearchAction::Unresolved(selection) => {
                let address = MeterAddress::Secondary(selection);
                progress(Progress::Several(address));
                unresolved += 1;
                if unresolved == MOST_UNRESOLVED {
                    let what = "something answers to every selection".to_owned();
                    return Err(ReadError::Garbled { address, cause: Garble::Foreign(what) });
                }
            }
            SearchAction::Failed(failure) => {
                let address = MeterAddress::Secondary(selection);
                return Err(read_error(failure, address, Duration::ZERO));
            }
            SearchAction::Done => return Ok(found),
        }
    }
}

/// Four segments of 250 meters behind repeaters, which is more than anybody builds.
pub const MOST_FOUND: usize = 1_000;
/// Meters that cannot be told apart are a rare fault of their makers.
pub const MOST_UNRESOLVED: usize = 64;

fn known(address: Secondary, primary: Option<u8>, profiles: &Arc<Profiles>) -> Discovered {
    let identity = identity_of(address);
    let profile = profiles.matching(&identity, address.medium.code());
    Discovered {
        address: MeterAddress::Secondary(Selection::of(address)),
        identity,
        medium: Some(medium(address.medium)),
        primary,
        profile: profile.map(|profile| profile.id.clone()),
    }
}

fn nameless(selection: Selection, primary: Option<u8>) -> Discovered {
    Discovered {
        address: MeterAddress::Secondary(selection),
        identity: Identity::default(),
        medium: None,
        primary,
        profile: None,
    }
}
