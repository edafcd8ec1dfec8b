//! A Modbus over real sockets and pseudo-terminals, with devices that misbehave by a script.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by a panic, in its helpers too"
)]
#![expect(clippy::print_stdout, reason = "counts and what was skipped are for the reader")]

mod device;
mod peer;
mod storm;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use device::*;
use drivers::modbus::{ModbusBus, SweepProgress, sweep};
use drivers::{
    Bus, BusKind, BusSettings, Meter, MeterAddress, Parity, PortFault, PortSettings, Profiles,
    ReadError,
};
use metering::NoReading;
use support::{Noon, pty};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time;

/// Reads twice from a device that follows `script`, and expects the outcome of the first.
async fn check(wire: Wire, script: Vec<Act>, expected: &str) {
    let told = format!("{wire:?} {script:?}");
    let device = device(wire, script, &[]).await;
    let mut bus = Bus::open(&device.settings, Arc::default());
    let meter = meter(&[10, 11, 14, 30], LIMITS);
    let first = match read(&mut bus, &meter).await {
        Ok(readout) => {
            assert!(readout.telegrams.iter().all(|telegram| telegram.len() > 4), "{told}");
            format!("{} values", honest(&readout))
        }
        Err(error) => error.no_reading().as_str().to_owned(),
    };
    assert_eq!(first, expected, "{told}");

    // Whatever it was: when the device is well again, so is the bus.
    time::sleep(Duration::from_millis(200)).await;
    let mut whole = false;
    for _ in 0..4 {
        whole |= read(&mut bus, &meter).await.is_ok_and(|readout| honest(&readout) == 4);
    }
    assert!(whole, "{told}: it did not recover");
}

#[tokio::test]
async fn one_fault_is_survived_within_the_readout() {
    let mut checks = JoinSet::new();
    for wire in EVERY_WIRE {
        checks.spawn(check(wire, vec![], "4 values"));
        for act in [
            Act::Silence,
            Act::Late(300),
            Act::Twice,
            Act::AsUnit(8),
            Act::Longer(1),
            Act::Longer(-1),
            Act::Part(5),
            Act::Damaged,
            Act::Behind(&[0x01, 0x02, 0x03]),
            Act::Exception(6),
        ] {
            checks.spawn(check(wire, vec![act], "4 values"));
        }
    }
    for wire in [Wire::Tcp, Wire::RtuOverTcp] {
        checks.spawn(check(wire, vec![Act::HangUp(0)], "bus_down"));
        checks.spawn(check(wire, vec![Act::HangUp(4)], "bus_down"));
    }
    for wire in SERIAL {
        checks.spawn(check(wire, vec![Act::Echo; 3], "4 values"));
        for noise in [[0x00, 0xFF].as_slice(), &[0x12, 0x34], &[0x07, 0x04, 0x02, 0x00, 0x0A]] {
            checks.spawn(check(wire, vec![Act::Before(noise)], "4 values"));
        }
    }
    checks.join_all().await;
}

#[tokio::test]
async fn a_fault_that_stays_is_an_absence_with_its_reason() {
    let mut checks = JoinSet::new();
    for wire in EVERY_WIRE {
        checks.spawn(check(wire, vec![Act::Silence; 2], "silent"));
        checks.spawn(check(wire, vec![Act::Exception(1); 2], "refused"));
        checks.spawn(check(wire, vec![Act::AsUnit(8); 2], "garbled"));
        checks.spawn(check(wire, vec![Act::Part(4); 2], "garbled"));
    }
    checks.spawn(check(Wire::RtuOverTcp, vec![Act::Babble; 2], "garbled"));
    checks.spawn(check(Wire::Tcp, vec![Act::Babble; 2], "silent"));
    checks.spawn(check(Wire::Tcp, vec![Act::Exception(11)], "silent"));
    checks.join_all().await;
}

#[tokio::test]
async fn a_hole_that_is_refused_is_learned_and_no_value_is_lost() {
    for wire in EVERY_WIRE {
        let device = device(wire, vec![], &[12]).await;
        let mut bus = Bus::open(&device.settings, Arc::default());
        let meter = meter(&[10, 11, 14, 30], LIMITS);
        let mut requests = Vec::new();
        for _ in 0..4 {
            assert_eq!(honest(&read(&mut bus, &meter).await.unwrap()), 4);
            requests.push(device.requests.swap(0, Ordering::SeqCst));
        }
        assert!(requests[0] > 2, "{wire:?}: the first readout had to learn: {requests:?}");
        assert_eq!(requests[3], 2, "{wire:?}: one request on each side of the hole: {requests:?}");
    }
}

#[tokio::test]
async fn a_register_that_does_not_exist_costs_no_other() {
    let device = device(Wire::RtuOverTcp, vec![], &[11]).await;
    let mut bus = Bus::open(&device.settings, Arc::default());
    let meter = meter(&[10, 11, 12, 14], LIMITS);
    for _ in 0..3 {
        let readout = read(&mut bus, &meter).await.unwrap();
        assert_eq!(honest(&readout), 3);
        let refused = &readout.readings[1];
        assert_eq!(refused.value, Err(NoReading::Refused), "{}", refused.register);
    }
}

/// Four registers in one request, cut to pieces: seven refusals.
#[tokio::test]
async fn a_device_that_refuses_everything_while_it_starts_is_soon_read_as_before() {
    let device = device(Wire::RtuOverTcp, vec![Act::Exception(4); 7], &[]).await;
    let mut bus = Bus::open(&device.settings, Arc::default());
    let meter = meter(&[10, 11, 12, 14], LIMITS);
    assert!(matches!(read(&mut bus, &meter).await, Err(ReadError::Refused { .. })));
    let mut requests = Vec::new();
    for _ in 0..2 {
        device.requests.store(0, Ordering::SeqCst);
        assert_eq!(honest(&read(&mut bus, &meter).await.unwrap()), 4);
        requests.push(device.requests.load(Ordering::SeqCst));
    }
    assert_eq!(requests, [4, 1]);
}

#[tokio::test]
async fn a_sweep_finds_who_is_there_and_of_which_type_and_writes_nothing() {
    for wire in EVERY_WIRE {
        let device = device(wire, vec![], &[0]).await;
        let settings = BusSettings {
            answer_within: Some(Duration::from_millis(60)),
            ..device.settings.clone()
        };
        let mut bus = ModbusBus::open(&settings);
        // The register at each address holds the address. Register 0 is refused: that is a sign
        // of life too.
        let folder = tempfile::tempdir().unwrap();
        for (id, address, value) in
            [("test.absent", 400, 1), ("test.other", 20, 1), ("test.right", 30, 30)]
        {
            let identify = format!(
                "serial = {{ address = 55, type = \"u16\" }}\n\
                 [[modbus.identify]]\naddress = {address}\ntype = \"u16\"\nany_of = [{value}]"
            );
            let text = profile(&[10], &identify).replace("test.meter", id);
            std::fs::write(folder.path().join(format!("{}.toml", id.replace('.', "-"))), text)
                .unwrap();
        }
        let (profiles, mistakes) = Profiles::load_over(folder.path());
        assert_eq!(mistakes, []);
        let mut told = Vec::new();
        let note = |progress: SweepProgress<'_>| told.push(format!("{progress:?}"));
        let found = sweep(&mut bus, 6..=8, &Arc::new(profiles), &Noon, note).await.unwrap();
        // This device answers for every unit.
        let units: Vec<u8> = found.iter().map(|it| it.unit).collect();
        assert_eq!(units, [6, 7, 8], "{wire:?}");
        for it in &found {
            let own: Vec<&str> = it
                .profiles
                .iter()
                .map(String::as_str)
                .filter(|id| id.starts_with("test."))
                .collect();
            assert_eq!((own, it.serial.as_deref()), (vec!["test.right"], Some("55")), "{wire:?}");
        }
        assert_eq!(told[0], "Asking(6)");
        assert!(told[1].starts_with("Found(") && told.len() == 6, "{told:?}");
    }
}

#[tokio::test]
async fn a_sweep_passes_over_units_that_are_not_there() {
    for wire in EVERY_WIRE {
        let device = device(wire, vec![Act::Silence, Act::Exception(11), Act::Answer], &[]).await;
        let settings = BusSettings {
            answer_within: Some(Duration::from_millis(60)),
            ..device.settings.clone()
        };
        let mut bus = ModbusBus::open(&settings);
        let mut garbled = Vec::new();
        let note = |progress: SweepProgress<'_>| {
            if let SweepProgress::Garbled(unit) = progress {
                garbled.push(unit);
            }
        };
        let found =
            sweep(&mut bus, 1..=3, &Arc::new(Profiles::embedded()), &Noon, note).await.unwrap();
        let units: Vec<u8> = found.iter().map(|it| it.unit).collect();
        assert_eq!((units, garbled), (vec![3], vec![]), "{wire:?}");
    }
}

#[tokio::test]
async fn what_was_learned_of_a_device_is_known_again_after_a_restart() {
    let device = device(Wire::Tcp, vec![], &[12]).await;
    let meter = meter(&[10, 11, 14, 30], LIMITS);
    let mut bus = ModbusBus::open(&device.settings);
    for _ in 0..3 {
        assert_eq!(honest(&bus.read(&meter, &Noon).await.unwrap()), 4);
    }
    let lessons = bus.lessons();
    assert_eq!(lessons, "7 test.meter seam 4 14\n");
    drop(bus);

    device.requests.store(0, Ordering::SeqCst);
    let mut bus = ModbusBus::open(&device.settings);
    bus.recall(&lessons);
    assert_eq!(honest(&bus.read(&meter, &Noon).await.unwrap()), 4);
    assert_eq!(device.requests.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn unit_0_is_asked_nothing() {
    let device = device(Wire::Tcp, vec![], &[]).await;
    let mut bus = Bus::open(&device.settings, Arc::default());
    let meter = Meter { address: MeterAddress::Unit(0), ..meter(&[10], "") };
    assert!(matches!(read(&mut bus, &meter).await, Err(ReadError::Misfit { .. })));
    assert_eq!(device.requests.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_gateway_is_left_alone_after_a_connection_was_made() {
    let device = device(Wire::Tcp, vec![], &[]).await;
    let pause = Duration::from_millis(150);
    let settings = BusSettings { pause_after_connect: pause, ..device.settings.clone() };
    let mut bus = Bus::open(&settings, Arc::default());
    let begun = time::Instant::now();
    assert_eq!(honest(&read(&mut bus, &meter(&[10], "")).await.unwrap()), 1);
    assert!(begun.elapsed() >= pause);
    // That was once: the connection is kept.
    assert_eq!(honest(&read(&mut bus, &meter(&[10], "")).await.unwrap()), 1);
    assert_eq!(device.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_time_out_teaches_nothing() {
    let device = device(Wire::Tcp, vec![Act::Silence; 2], &[]).await;
    let mut bus = Bus::open(&device.settings, Arc::default());
    let meter = meter(&[10, 11, 14, 30], LIMITS);
    assert!(read(&mut bus, &meter).await.is_err());
    device.requests.store(0, Ordering::SeqCst);
    assert_eq!(honest(&read(&mut bus, &meter).await.unwrap()), 4);
    assert_eq!(device.requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_question_that_was_dropped_does_not_answer_the_next() {
    for wire in EVERY_WIRE {
        let device = device(wire, vec![Act::Late(150)], &[]).await;
        let mut bus = Bus::open(&device.settings, Arc::default());
        let dropped = meter(&[50, 51, 54, 70], LIMITS);
        let _ = time::timeout(Duration::from_millis(50), bus.read(&dropped, &Noon)).await;
        let meter = meter(&[10, 11, 14, 30], LIMITS);
        assert_eq!(honest(&read(&mut bus, &meter).await.unwrap()), 4, "{wire:?}");
    }
}

#[tokio::test]
async fn a_port_that_someone_else_uses_says_so_and_is_free_again_later() {
    let device = device(Wire::Pty, vec![], &[]).await;
    let PortSettings::Serial(path) = &device.settings.port else { unreachable!() };
    let lock = std::fs::File::open(path).unwrap();
    lock.try_lock().unwrap();
    let mut bus = Bus::open(&device.settings, Arc::default());
    let meter = meter(&[10], "");
    let error = read(&mut bus, &meter).await.unwrap_err();
    assert!(matches!(error, ReadError::Port { cause: PortFault::Taken, .. }), "{error:?}");
    assert_eq!(error.no_reading(), NoReading::BusDown);

    drop(lock);
    time::timeout(Duration::from_mins(1), async {
        while read(&mut bus, &meter).await.is_err() {
            time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("the bus takes the port when it is free");
}

#[tokio::test]
async fn an_adapter_that_is_unplugged_is_told_and_its_name_may_be_gone() {
    let (master, slave, kept) = pty();
    // By a name of its own, as udev gives one: the number of a pty that is gone is soon another's.
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("adapter");
    std::os::unix::fs::symlink(&slave, &name).unwrap();
    let settings = BusSettings {
        kind: BusKind::Modbus,
        port: PortSettings::Serial(name.clone()),
        baud: 9_600,
        parity: Parity::None,
        answer_within: Some(Duration::from_millis(50)),
        pause_after_connect: Duration::ZERO,
    };
    let mut bus = Bus::open(&settings, Arc::default());
    let meter = meter(&[10], "");
    let silent = read(&mut bus, &meter).await;
    assert!(matches!(silent, Err(ReadError::Silent { .. })), "{silent:?}");
    drop((master, kept));
    std::fs::remove_file(&name).unwrap();
    for _ in 0..2 {
        let error = read(&mut bus, &meter).await.unwrap_err();
        assert_eq!(error.no_reading(), NoReading::BusDown, "{error:?}");
    }
}

#[tokio::test]
async fn a_connection_that_is_half_open_is_made_anew() {
    // The first connection takes bytes and says nothing, like a converter that was restarted
    // behind a firewall; the second one answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = PortSettings::Tcp(listener.local_addr().unwrap().to_string());
    let task = tokio::spawn(async move {
        let (dead, _) = listener.accept().await.unwrap();
        let (alive, _) = listener.accept().await.unwrap();
        let mut script = Vec::new().into_iter();
        serve(Wire::Tcp, alive, &mut script, &[], &AtomicUsize::new(0)).await;
        drop(dead);
    });
    let settings = BusSettings {
        kind: BusKind::Modbus,
        port,
        baud: 9_600,
        parity: Parity::Even,
        answer_within: Some(Duration::from_millis(50)),
        pause_after_connect: Duration::ZERO,
    };
    let mut bus = Bus::open(&settings, Arc::default());
    assert_eq!(honest(&read(&mut bus, &meter(&[10], "")).await.unwrap()), 1);
    task.abort();
}

#[tokio::test]
async fn another_serial_number_is_another_meter() {
    let device = device(Wire::Tcp, vec![], &[]).await;
    let mut bus = Bus::open(&device.settings, Arc::default());
    let with_serial = "serial = { address = 20, type = \"u16\" }";
    let meter = Meter { serial: Some("21".to_owned()), ..meter(&[10], with_serial) };
    let error = read(&mut bus, &meter).await.unwrap_err();
    assert_eq!(error.no_reading(), NoReading::WrongMeter);
    let meter = Meter { serial: Some("20".to_owned()), ..meter };
    assert_eq!(read(&mut bus, &meter).await.unwrap().identity.serial, "20");
}
