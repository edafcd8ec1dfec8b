//! No meter is asked more often than its type bears.
//!
//! Asked every ten seconds, a meter on a battery is empty years before its time, and some fall
//! silent. Its profile says how often is too often; a shorter interval in `site.toml` is no mistake
//! that keeps the file out of force: the longer one is used, and it is said.

use std::fmt;

use drivers::Profiles;

use super::{PollEvery, Site};

/// A meter that is asked less often than the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    /// What people call the meter.
    pub meter: String,
    /// Its interval in the file.
    pub from: PollEvery,
    /// The one that is used.
    pub to: PollEvery,
    /// The profile that wants it.
    pub profile: String,
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { meter, from, to, profile } = self;
        write!(
            f,
            "meter `{meter}` is asked every {} s and not every {} s, because `{profile}` bears no \
             more; write poll_every_secs = {}",
            to.secs(),
            from.secs(),
            to.secs()
        )
    }
}

impl Site {
    /// Has every meter asked as seldom as its profile of `profiles` wants it, and tells for which
    /// that is less often than the file says. Doing it again changes nothing.
    pub fn heed(&mut self, profiles: &Profiles) -> Vec<Raised> {
        let mut raised = Vec::new();
        for meter in self.buses.iter_mut().flat_map(|bus| &mut bus.meters) {
            let profile = meter.profile.as_deref().and_then(|id| profiles.get(id));
            let Some(profile) = profile else { continue };
            let Some(least) = profile.quirks().min_interval else { continue };
            let secs = least.as_secs() + u64::from(least.subsec_nanos() > 0);
            let Some(to) = PollEvery::new(secs.clamp(PollEvery::SECS.0, PollEvery::SECS.1)) else {
                continue;
            };
            if meter.poll_every.secs() < to.secs() {
                let from = std::mem::replace(&mut meter.poll_every, to);
                let (meter, profile) = (meter.name.clone(), profile.id.clone());
                raised.push(Raised { meter, from, to, profile });
            }
        }
        raised
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The embedded profiles, and over them that of a type that bears a question every 15 minutes.
    fn profiles() -> Profiles {
        let dir = tempfile::tempdir().unwrap();
        let text = "schema = 1\nid = \"example.battery\"\nvendor = \"Example\"\n\
                    models = [\"B1\"]\nmedium = \"heat\"\nstatus = \"document\"\nsource = \"its manual\"\n\
                    [mbus]\nmin_interval = \"15m\"\nbecause = \"its manual, section 4\"\n\
                    [[mbus.identify]]\nmanufacturer = \"EXA\"\nversions = [0x11]\nmedia = [0x04]\n\
                    [[register]]\nkey = \"energy\"\nquantity = \"energy\"\nunit = \"kWh\"\n\
                    kind = \"counter\"\nmbus = { vif = \"energy\" }\n\
                    [[vector]]\nframe = \"b1.hex\"\nexpect = { energy = \"12345\" }\n";
        let frame = "68 15 15 68 08 01 72 78 56 34 12 01 17 11 04 01 00 00 00 04 06 39 30 00 00";
        let sum = frame.split(' ').skip(4).map(|it| u8::from_str_radix(it, 16).unwrap());
        let sum = sum.fold(0, u8::wrapping_add);
        std::fs::write(dir.path().join("b1.toml"), text).unwrap();
        std::fs::write(dir.path().join("b1.hex"), format!("{frame} {sum:02X} 16")).unwrap();
        let (profiles, mistakes) = Profiles::load_over(dir.path());
        assert_eq!(mistakes, []);
        profiles
    }

    #[test]
    fn a_meter_is_asked_as_seldom_as_its_type_wants() {
        let profiles = profiles();
        let ids: Vec<&str> = profiles.iter().map(|profile| profile.id.as_str()).collect();
        let file = "[site]\nid = \"019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77\"\nname = \"A\"\n\
                    [[bus]]\nid = \"a\"\nkind = \"mbus\"\nport = \"tcp://127.0.0.1:1\"\n\
                    poll_every_secs = 60\n\
                    [[meter]]\nid = \"019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e78\"\nname = \"Heat\"\n\
                    bus = \"a\"\naddress = 1\nprofile = \"example.battery\"\n\
                    [[meter]]\nid = \"019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e79\"\nname = \"Slow\"\n\
                    bus = \"a\"\naddress = 2\nprofile = \"example.battery\"\n\
                    poll_every_secs = 3600\n\
                    [[meter]]\nid = \"019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e80\"\nname = \"Other\"\n\
                    bus = \"a\"\naddress = 3\n";
        let mut site = Site::load(file, &ids).unwrap();
        let raised = site.heed(&profiles);
        let said: Vec<String> = raised.iter().map(Raised::to_string).collect();
        let heat = "meter `Heat` is asked every 900 s and not every 60 s, because \
                    `example.battery` bears no more; write poll_every_secs = 900";
        assert_eq!(said, [heat]);
        let every: Vec<u32> =
            site.buses[0].meters.iter().map(|meter| meter.poll_every.secs()).collect();
        assert_eq!(every, [900, 3_600, 60]);
        assert_eq!(site.heed(&profiles), [], "it is done");
    }
}
