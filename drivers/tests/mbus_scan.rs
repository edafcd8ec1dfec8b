//! Who is on an M-Bus: scans over real sockets and pseudo-terminals.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic, in its helpers too"
)]

#[expect(dead_code, reason = "its faults are for other tests")]
#[path = "support/slave.rs"]
mod slave;
mod support;

use std::sync::Arc;
use std::time::Duration;

use drivers::mbus::MbusBus;
use drivers::{
    Bus, BusSettings, Discovered, MeterAddress, PortSettings, Profiles, Progress, Scan, ScanStep,
    Whole,
};
use mbus::{Place, Selection};
use slave::{Act, KAM, meter, read, slave};
use support::Noon;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::time;

#[tokio::test]
async fn a_scan_finds_who_is_there_and_tells_how_far_it_is() {
    for on_pty in [false, true] {
        let slave = slave(on_pty, vec![]).await;
        let mut bus = MbusBus::open(&slave.settings, Arc::new(Profiles::embedded()));
        let mut log = Vec::new();
        let by_primary = Scan::primary(3..=6)
            .to_end(&mut bus, &Noon, |progress| {
                log.push(match progress {
                    Progress::Asking(address) => format!("asking {address}"),
                    Progress::Found(meter) => format!("found {}", meter.identity.serial),
                    Progress::Several(address) => format!("several at {address}"),
                });
            })
            .await
            .unwrap();
        assert_eq!(log, ["asking 3", "asking 4", "asking 5", "found 67001122", "asking 6"]);
        assert_eq!(by_primary.len(), 1);
        assert_eq!(by_primary[0].profile.as_deref(), Some("kamstrup.multical-601"));

        let search = Scan::secondary(Place::START, Vec::new()).thoroughly();
        let by_secondary = search.to_end(&mut bus, &Noon, |_| {}).await.unwrap();
        assert_eq!(by_secondary.len(), 1);
        assert_eq!(by_secondary[0].identity, by_primary[0].identity);
        assert_eq!(by_secondary[0].primary, Some(5));
        let found = read(&mut Bus::Mbus(Box::new(bus)), &meter(by_secondary[0].address)).await;
        assert!(found.is_ok(), "what was found can be read: {found:?}");
    }
}

/// The owner of the bus does a readout after each step of a scan, drops steps, and begins anew
/// where it was.
#[tokio::test]
async fn a_scan_gives_way_and_goes_on_where_it_was() {
    let slave = slave(false, vec![]).await;
    // A scan asks once, and this machine may have much else to do.
    let within = Some(Duration::from_millis(600));
    let patient = BusSettings { answer_within: within, ..slave.settings.clone() };
    let mut bus = Bus::open(&patient, Arc::new(Profiles::default()));
    let due = meter(MeterAddress::Primary(5));

    let mut scan = Scan::primary(3..=255);
    let mut found = Vec::new();
    let mut permille = Vec::new();
    while scan.place() != Some(MeterAddress::Primary(8)) {
        let polled = read(&mut bus, &due).await;
        assert_eq!(polled.unwrap().readings.len(), 4, "a readout before each step");
        // Mostly nobody waits for the first, and so the same is asked again.
        let hasty = Duration::from_millis(1);
        let dropped = time::timeout(hasty, bus.scan_step(&mut scan, &Noon)).await;
        let step = match dropped {
            Ok(step) => step,
            Err(_dropped) => bus.scan_step(&mut scan, &Noon).await,
        };
        if let ScanStep::Found(meter) = step.unwrap() {
            found.push(meter.identity.serial);
        }
        permille.push(scan.progress().permille);
    }
    assert_eq!(found, ["67001122"]);
    assert!(permille.is_sorted(), "{permille:?}");
    let progress = scan.progress();
    assert_eq!((progress.of, progress.found, progress.probed), (Some(248), 1, 5));

    // Nobody but the known meter is there; and when it is not known, it is found after a restart.
    for (known, expected) in [(vec![KAM.id], 0), (vec![], 1)] {
        let settings = if expected == 0 { &slave.settings } else { &patient };
        bus = Bus::open(settings, Arc::new(Profiles::default()));
        let mut scan = Scan::secondary(Place::START, known);
        let mut found = 0;
        for _ in 0..200 {
            assert!(read(&mut bus, &due).await.is_ok());
            match bus.scan_step(&mut scan, &Noon).await.unwrap() {
                ScanStep::Done => break,
                ScanStep::Found(_) => found += 1,
                ScanStep::Nothing | ScanStep::Several(_) => {}
            }
            let Some(MeterAddress::Secondary(selection)) = scan.place() else { break };
            let Some(place) = Place::at(selection) else { continue };
            if expected == 0 {
                scan = Scan::secondary(place, vec![KAM.id]);
            }
        }
        assert_eq!(found, expected);
        assert_eq!((scan.progress().permille, scan.place()), (1000, None));
    }
}

/// What a scan of address 5 finds beside a known meter of the number of [`KAM`], where the slave
/// tells these numbers in its first readouts, and then its own.
async fn found_beside_the_known(told: &[u32]) -> Discovered {
    // A readout is of two telegrams.
    let script = told.iter().flat_map(|id| [Act::AsId(*id), Act::AsId(*id)]).collect();
    let slave = slave(false, script).await;
    let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::default()));
    let mut scan = Scan::primary(5..=5).beside([Whole::of(Selection::of(KAM))]);
    loop {
        match bus.scan_step(&mut scan, &Noon).await.unwrap() {
            ScanStep::Found(meter) => return meter,
            ScanStep::Nothing => {
                assert_eq!(scan.place(), Some(MeterAddress::Primary(5)), "it would be found again");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Numbers that differ from that of [`KAM`] in a bit or two.
const NEAR: [u32; 4] = [0x6700_1322, 0x6700_1123, 0x6700_1126, 0x6700_112A];

#[tokio::test]
async fn what_is_nearly_a_known_meter_has_to_show_that_it_is_another() {
    let [a, b, c, d] = NEAR;
    for (told, expected, nearly) in [
        // The known one itself, and quite another.
        (&[][..], "67001122", false),
        (&[0x1234_5678], "12345678", false),
        // A fault of the wire that is gone; a device that says the same again.
        (&[a], "67001122", false),
        (&[a, a], "67001322", false),
        (&[a, b, b], "67001123", false),
        // Something else each time.
        (&[a, b, c, d, a], "67001322", true),
    ] {
        let found = found_beside_the_known(told).await;
        assert_eq!(found.identity.serial, expected, "{told:X?}");
        let known = Whole::of(Selection::of(KAM));
        assert_eq!(found.nearly, nearly.then_some(known), "{told:X?}");
    }
}

#[tokio::test]
async fn a_near_meter_that_is_selected_by_its_own_address_is_there() {
    let slave = slave(false, vec![]).await;
    let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::default()));
    let near = Selection { id: NEAR[0], ..Selection::of(KAM) };
    let mut scan = Scan::secondary(Place::START, vec![]).beside([Whole::of(near)]);
    let found = loop {
        match bus.scan_step(&mut scan, &Noon).await.unwrap() {
            ScanStep::Found(meter) => break meter,
            ScanStep::Nothing => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((found.own, found.nearly), (Some(Whole::of(Selection::of(KAM))), None));
}

/// A converter that takes what it is told and passes nothing on, and then lets go.
#[tokio::test]
async fn a_scan_goes_back_to_where_the_connection_was_there() {
    for (mut scan, heard) in [
        (Scan::primary(3..=6), 3 * 5),
        (Scan::secondary(Place::at("6FFFFFFF".parse().unwrap()).unwrap(), vec![]), 2 * 17),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = PortSettings::Tcp(listener.local_addr().unwrap().to_string());
        let converter = tokio::spawn(async move {
            let (mut deaf, _) = listener.accept().await.unwrap();
            deaf.read_exact(&mut vec![0; heard]).await.unwrap();
            drop(deaf);
            let (stream, _) = listener.accept().await.unwrap();
            slave::serve(stream, &mut std::iter::empty()).await;
        });
        let mut bus = MbusBus::open(&slave::settings(port), Arc::new(Profiles::default()));
        let (mut found, mut failures) = (Vec::new(), 0);
        loop {
            match scan.step(&mut bus, &Noon).await {
                Ok(ScanStep::Found(meter)) => found.push(meter.identity.serial),
                Ok(ScanStep::Done) => break,
                Ok(_) => {}
                Err(_) => failures += 1,
            }
            assert!(failures < 100, "the connection is not made again");
        }
        assert_eq!(found, ["67001122"]);
        assert!(failures > 0);
        converter.abort();
    }
}
