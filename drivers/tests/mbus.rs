//! An M-Bus over real sockets and pseudo-terminals, with slaves that misbehave by a script.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by a panic, in its helpers too"
)]

#[path = "support/slave.rs"]
mod slave;
mod support;

use std::sync::Arc;
use std::time::Duration;

use drivers::{Bus, BusSettings, Garble, Meter, MeterAddress, PortSettings, Profiles, ReadError};
use mbus::{Frame, Primary, Request, ci, write_frame};
use metering::NoReading;
use slave::{Act, KAM, Slave, behind_datagrams, meter, read, said, serve, settings, shown, slave};
use support::Noon;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time;

/// Its second telegram has the short header, which does not say who it is.
#[tokio::test]
async fn telegrams_with_different_headers_are_of_one_meter() {
    fn said_shortly(telegram: u8) -> Vec<u8> {
        let whole = said(telegram, 5, KAM);
        let Ok(Frame::Long(long)) = Frame::read(&whole) else { return whole };
        let (control, address) = (long.control, long.address);
        let (_, behind) = long.data.split_at(if telegram == 0 { 0 } else { 8 });
        let code = if telegram == 0 { ci::RECORDS } else { ci::RECORDS_SHORT_HEADER };
        let mut buffer = [0; Frame::MAX_LEN];
        write_frame(&mut buffer, control, address, code, |w| w.bytes(behind)).unwrap().to_vec()
    }
    let slave = slave(false, vec![Act::Own(said_shortly); 2]).await;
    let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::default()));
    let readout = read(&mut bus, &meter(MeterAddress::Primary(5))).await.unwrap();
    assert_eq!((readout.readings.len(), readout.identity.serial.as_str()), (4, "67001122"));
}

/// Reads from a slave that follows `script`, then again from the same one, now well.
async fn check(on_pty: bool, script: Vec<Act>, expected: &str) {
    let told = format!("pty {on_pty}: {script:?}");
    let slave = slave(on_pty, script).await;
    let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::default()));
    let meter = meter(MeterAddress::Primary(5));
    let outcome = match read(&mut bus, &meter).await {
        Ok(readout) => format!("{} readings", readout.readings.len()),
        Err(error) => error.no_reading().as_str().to_owned(),
    };
    assert_eq!(outcome, expected, "{told}");
    let mut whole = false;
    for _ in 0..3 {
        whole |= read(&mut bus, &meter).await.is_ok_and(|it| it.readings.len() == 4);
    }
    assert!(whole, "{told}: it did not recover");
}

#[tokio::test]
async fn the_telegrams_of_an_answer_are_joined() {
    for on_pty in [false, true] {
        let slave = slave(on_pty, vec![]).await;
        let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::default()));
        for address in [
            MeterAddress::Primary(5),
            MeterAddress::Secondary("67001122KAM0804".parse().unwrap()),
            MeterAddress::Secondary("6700FFFF".parse().unwrap()),
        ] {
            let readout = read(&mut bus, &meter(address)).await.unwrap();
            assert_eq!(
                shown(&readout),
                [
                    "energy = 12345 kWh",
                    "volume = 456.78 m³",
                    "power = 23.4 kW",
                    "energy_negative_only = 7 kWh"
                ],
                "{address}"
            );
            assert_eq!(readout.telegrams.len(), 2);
            assert_eq!(readout.identity.serial, "67001122");
            assert_eq!(readout.identity.manufacturer, "KAM");
            assert_eq!(readout.identity.version, "08");
            assert_eq!(readout.medium, Some(metering::Medium::Heat));
        }
    }
}

#[tokio::test]
async fn a_profile_is_found_by_identity_and_tells_what_was_left_out() {
    let slave = slave(false, vec![]).await;
    let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::embedded()));
    let readout = read(&mut bus, &meter(MeterAddress::Primary(5))).await.unwrap();
    assert_eq!(readout.profile.as_deref(), Some("kamstrup.multical-601"));
    let shown = shown(&readout);
    assert!(shown.contains(&"energy = 12345 kWh".to_owned()), "{shown:?}");
    assert!(shown.contains(&"flow_temperature = left_out".to_owned()), "{shown:?}");
    assert!(shown.contains(&"energy_negative_only = 7 kWh".to_owned()), "{shown:?}");
}

#[tokio::test]
async fn one_fault_is_survived_within_the_readout() {
    let mut checks = JoinSet::new();
    for on_pty in [false, true] {
        for act in [Act::Answer, Act::Silence, Act::Damaged, Act::Part(20), Act::Echo] {
            checks.spawn(check(on_pty, vec![act], "4 readings"));
        }
    }
    checks.join_all().await;
}

#[tokio::test]
async fn a_fault_that_stays_is_an_absence_with_its_reason() {
    let mut checks = JoinSet::new();
    for on_pty in [false, true] {
        checks.spawn(check(on_pty, vec![Act::Silence; 3], "silent"));
        checks.spawn(check(on_pty, vec![Act::Damaged; 3], "garbled"));
        checks.spawn(check(on_pty, vec![Act::AsAddress(6); 3], "garbled"));
        checks.spawn(check(on_pty, vec![Act::SecondMaster; 3], "garbled"));
        checks.spawn(check(on_pty, vec![Act::Busy], "refused"));
    }
    checks.spawn(check(false, vec![Act::HangUp], "bus_down"));
    checks.join_all().await;
}

/// A converter in somebody else's hands takes a moment of everybody's time, and no more.
#[tokio::test]
async fn who_never_ends_is_given_up() {
    let mut checks = JoinSet::new();
    checks.spawn(check(false, vec![Act::Babble], "garbled"));
    checks.spawn(check(false, vec![Act::Drip], "garbled"));
    // Some seconds; a machine with much else to do takes longer.
    let given_up = time::timeout(Duration::from_mins(1), checks.join_all()).await;
    assert!(given_up.is_ok(), "they are still listened to");
}

#[tokio::test]
async fn what_came_before_a_fault_stays() {
    let script = [vec![Act::Answer], vec![Act::Silence; 3]].concat();
    let slave = slave(false, script).await;
    let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::default()));
    let readout = read(&mut bus, &meter(MeterAddress::Primary(5))).await.unwrap();
    assert_eq!(shown(&readout), ["energy = 12345 kWh", "volume = 456.78 m³"]);
    let note = &readout.odd.last().unwrap().note;
    assert!(note.starts_with("the telegram after this one did not come"), "{note}");
}

#[tokio::test]
async fn another_meter_is_no_value() {
    let slave = slave(false, vec![Act::AsId(0x1234_5678); 2]).await;
    let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::default()));
    let meter = Meter { serial: Some("67001122".to_owned()), ..meter(MeterAddress::Primary(5)) };
    let error = read(&mut bus, &meter).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "meter 5 has the serial number 12345678, and 67001122 is configured; if the meter was \
         exchanged, put the new number into the configuration"
    );
    assert!(read(&mut bus, &meter).await.is_ok());
}

#[tokio::test]
async fn telegrams_of_two_meters_are_never_joined() {
    let slave = slave(false, vec![Act::Answer, Act::AsId(0x1234_5678)]).await;
    let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::default()));
    let error = read(&mut bus, &meter(MeterAddress::Primary(5))).await.unwrap_err();
    assert!(matches!(&error, ReadError::Garbled { cause: Garble::Foreign(_), .. }), "{error:?}");
}

#[tokio::test]
async fn a_question_that_was_dropped_does_not_answer_the_next() {
    for on_pty in [false, true] {
        let slave = slave(on_pty, vec![]).await;
        let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::default()));
        let five = meter(MeterAddress::Primary(5));
        assert!(read(&mut bus, &five).await.is_ok());
        let _ = time::timeout(Duration::from_millis(1), bus.read(&five, &Noon)).await;
        assert!(read(&mut bus, &meter(MeterAddress::Primary(6))).await.is_err());
        assert_eq!(read(&mut bus, &five).await.unwrap().readings.len(), 4);
    }
}

/// Nobody listens between two questions. A bus with a meter that said its answer twice is not one
/// answer behind from then on.
#[tokio::test]
async fn what_comes_between_two_questions_answers_neither() {
    static SAID: Notify = Notify::const_new();
    for on_pty in [false, true] {
        let script =
            vec![Act::Says(&[1, 1], &SAID), Act::Says(&[2], &SAID), Act::Says(&[3], &SAID)];
        let slave = slave(on_pty, script).await;
        let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::default()));
        let meter = meter(MeterAddress::Primary(5));
        for number in 1..=3 {
            let readout = read(&mut bus, &meter).await.unwrap();
            assert_eq!(readout.telegrams, [said(number, 5, KAM)], "on_pty {on_pty}");
            // What was said behind the answer has to come through the system's buffers.
            SAID.notified().await;
            time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Some converters close a connection over which nothing was said for a while.
#[tokio::test]
async fn a_connection_that_ended_between_two_questions_costs_no_reading() {
    let slave = slave(false, vec![Act::Answer, Act::LastWord]).await;
    let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::default()));
    let meter = meter(MeterAddress::Primary(5));
    for _ in 0..2 {
        assert_eq!(read(&mut bus, &meter).await.unwrap().telegrams.len(), 2);
        time::sleep(Duration::from_millis(30)).await;
    }
}

/// A converter that lost its power keeps the connection open, as far as anybody here can tell.
#[tokio::test]
async fn a_converter_that_is_gone_is_noticed_though_the_question_was_dropped() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = BusSettings {
        port: PortSettings::Tcp(listener.local_addr().unwrap().to_string()),
        ..slave(false, vec![]).await.settings.clone()
    };
    let converter = tokio::spawn(async move {
        let (_gone, _) = listener.accept().await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream, &mut std::iter::empty()).await;
    });
    let mut bus = Bus::open(&settings, Arc::new(Profiles::default()));
    let five = meter(MeterAddress::Primary(5));
    let dropped = time::timeout(Duration::from_millis(100), bus.read(&five, &Noon)).await;
    assert!(dropped.is_err(), "{dropped:?}");
    assert_eq!(read(&mut bus, &five).await.unwrap().readings.len(), 4);
    converter.abort();
}

/// A frame may come in many datagrams, and several frames in one.
#[tokio::test]
async fn the_bounds_of_datagrams_are_no_bounds_of_frames() {
    for size in [1, 7, 2_048] {
        let slave = behind_datagrams(vec![], size, &[]).await;
        let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::default()));
        for _ in 0..3 {
            let readout = read(&mut bus, &meter(MeterAddress::Primary(5))).await.unwrap();
            assert_eq!((readout.readings.len(), readout.telegrams.len()), (4, 2), "{size} bytes");
        }
    }
}

/// Reset, its acknowledge, request, telegram, request, telegram: each is lost once.
#[tokio::test]
async fn a_lost_datagram_is_asked_for_again() {
    for lost in [&[0][..], &[1], &[2], &[3], &[4], &[5], &[0, 2, 5]] {
        let slave = behind_datagrams(vec![], 2_048, lost).await;
        let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::default()));
        let readout = read(&mut bus, &meter(MeterAddress::Primary(5))).await;
        assert_eq!(readout.unwrap().readings.len(), 4, "lost {lost:?}");
        let Bus::Mbus(bus) = bus else { unreachable!("it is one") };
        assert!(bus.traffic().repeats >= 1, "{:?}", bus.traffic());
    }
}

#[tokio::test]
async fn a_host_that_takes_no_datagrams_is_a_bus_that_is_down() {
    // Held, so that nobody else gets the port; what is tied to another peer takes nothing of us.
    let nobody = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    nobody.connect("127.0.0.1:9").await.unwrap();
    let settings = settings(PortSettings::Udp(nobody.local_addr().unwrap().to_string()));
    let mut bus = Bus::open(&settings, Arc::new(Profiles::default()));
    let error = read(&mut bus, &meter(MeterAddress::Primary(5))).await.unwrap_err();
    assert_eq!(error.no_reading(), NoReading::BusDown, "{error}");
}

/// The meter [`KAM`] at address 5, which says one telegram after each reset and then no more.
async fn deaf_until_reset() -> Slave {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = PortSettings::Tcp(listener.local_addr().unwrap().to_string());
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut heard, mut listens) = (Vec::new(), false);
            while let Ok(byte) = stream.read_u8().await {
                heard.push(byte);
                let Ok(frame) = Frame::read(&heard) else { continue };
                let answer = match Request::read(&frame) {
                    Some(Request::Reset(Primary(5))) => {
                        listens = true;
                        vec![0xE5]
                    }
                    Some(Request::Data { to: Primary(5), .. }) if listens => {
                        listens = false;
                        said(1, 5, KAM)
                    }
                    _ => vec![],
                };
                heard.clear();
                if stream.write_all(&answer).await.is_err() {
                    break;
                }
            }
        }
    });
    Slave { settings: settings(port), task }
}

/// The embedded profiles, and over them one for [`KAM`] with this in its `[mbus]`.
fn profiles_with(quirk: &str) -> Arc<Profiles> {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "schema = 1\nid = \"example.odd\"\nvendor = \"Example\"\nmodels = [\"Odd 1\"]\n\
         medium = \"heat\"\nstatus = \"community\"\nsource = \"this test\"\n\n\
         [mbus]\n{quirk}\nbecause = \"this test\"\n\n\
         [[mbus.identify]]\nmanufacturer = \"KAM\"\nversions = [0x08]\nmedia = [0x04]\n\n\
         [[register]]\nkey = \"volume\"\nquantity = \"volume\"\nunit = \"m3\"\nkind = \"counter\"\n\
         mbus = {{ vif = \"volume\" }}\n\n\
         [[vector]]\nframe = \"example.hex\"\nexpect = {{ volume = \"456.78\" }}\n"
    );
    let frame: Vec<String> = said(1, 5, KAM).iter().map(|byte| format!("{byte:02X}")).collect();
    std::fs::write(dir.path().join("example.hex"), frame.join(" ")).unwrap();
    std::fs::write(dir.path().join("example.toml"), text).unwrap();
    let (profiles, mistakes) = Profiles::load_over(dir.path());
    assert_eq!(mistakes, []);
    Arc::new(profiles)
}

#[tokio::test]
async fn a_meter_is_reset_as_its_profile_says_once_its_answer_told_which_it_is() {
    let meter = meter(MeterAddress::Primary(5));
    for (profiles, second) in [
        (Arc::new(Profiles::embedded()), Err(NoReading::Silent)),
        (profiles_with("reset = \"always\""), Ok(Some("example.odd".to_owned()))),
    ] {
        let slave = deaf_until_reset().await;
        let mut bus = Bus::open(&slave.settings, profiles);
        read(&mut bus, &meter).await.unwrap();
        let again = read(&mut bus, &meter).await;
        assert_eq!(again.map(|it| it.profile).map_err(|error| error.no_reading()), second);
    }
}

#[tokio::test]
async fn no_more_telegrams_are_asked_for_than_the_profile_wants() {
    let slave = slave(false, vec![]).await;
    let mut bus = Bus::open(&slave.settings, profiles_with("max_telegrams = 1"));
    let meter = meter(MeterAddress::Primary(5));
    let mut telegrams = Vec::new();
    for _ in 0..3 {
        telegrams.push(read(&mut bus, &meter).await.unwrap().telegrams.len());
    }
    assert_eq!(telegrams, [2, 1, 1], "the first answer told which meter it is");
}
