//! The unit under a systemd that runs: as process 1 of namespaces of its own, with stubs for the
//! targets around it, and the files of this machine under an overlay that goes away with them.
//!
//! Needs root and cgroups; where that is not to be had the test says so and looks at nothing.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on, or has to be left out, says so"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use site_tests::paths;
use site_tests::process::Program;
use site_tests::site::wait_for;
use tempfile::TempDir;

/// Puts a machine together and becomes its systemd. `$1` is a folder of this machine with the
/// units, `$2` the program. Exit status 77 where the kernel does not let us.
///
/// What systemd sets for a whole machine, as cgroups and `/proc/sys`, is mounted anew or read-only,
/// so that this one is left as it is.
const BOOT: &str = r#"
    in="$1"; ns="$in/ns"
    mkdir -p "$ns" && mount -t tmpfs tmpfs "$ns" || exit 77
    over() {
        mkdir -p "$ns/$1.upper" "$ns/$1.work" &&
        mount -t overlay overlay -o "lowerdir=$2,upperdir=$ns/$1.upper,workdir=$ns/$1.work" "$2"
    }
    over etc /etc && over bin /usr/bin && over lib /var/lib && over cache /var/cache || exit 77
    mount -t tmpfs tmpfs /run && mount -t proc proc /proc || exit 77
    mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys || exit 77
    umount --recursive /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit 77
    cp "$2" /usr/bin/fyrhus && mkdir -p /etc/fyrhus || exit 77
    cp "$in/fyrhus.toml" /etc/fyrhus/fyrhus.toml || exit 77
    echo 'fyrhus:x:990:990::/nonexistent:/usr/sbin/nologin' >> /etc/passwd
    echo 'fyrhus:x:990:' >> /etc/group
    grep -q '^dialout:' /etc/group || echo 'dialout:x:991:' >> /etc/group
    echo 0123456789abcdef0123456789abcdef > /etc/machine-id
    # As systemd has it on a real machine: what is mounted later is seen by services, too.
    mount -t tmpfs tmpfs /media && mkdir -p /media/fyrhus/early || exit 77
    mount -t tmpfs -o uid=990 tmpfs /media/fyrhus/early && mount --make-rshared / || exit 77
    export container=other SYSTEMD_UNIT_PATH="$in/units"
    exec /lib/systemd/systemd --system --unit=test.target --log-target=console --show-status=0
"#;

/// Goes into the cgroup `$1`, which is all that systemd sees of them, and boots what follows.
const ENTER: &str = r#"
    echo $$ > "$1/cgroup.procs" || exit 77
    shift
    exec unshare --fork --pid --mount --uts --ipc --cgroup --kill-child=KILL "$@"
"#;

/// A cgroup of this machine, for the test alone. It goes away with everything below it.
struct Cgroup(PathBuf);

impl Cgroup {
    /// `None` where there are none of version 2, or none to be had.
    fn make() -> Option<Self> {
        let all = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        let root = all.into_iter().find(|root| root.join("cgroup.controllers").exists())?;
        let own = root.join(format!("fyrhus-test-{}", std::process::id()));
        std::fs::create_dir(&own).ok()?;
        Some(Self(own))
    }
}

impl Drop for Cgroup {
    #[expect(clippy::disallowed_methods, reason = "nothing else of the test runs any more")]
    fn drop(&mut self) {
        // Those who were in it have been killed, and are gone in a moment.
        for _ in 0..100 {
            let remove = ["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"];
            let _some_are_busy = Command::new("find").arg(&self.0).args(remove).output();
            if !self.0.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A machine with the unit, and its systemd.
struct Machine {
    folder: TempDir,
    /// Killed when it is dropped, and everything in there with it.
    init: Program,
    _cgroup: Cgroup,
}

impl Machine {
    /// `None`, with a word, where it cannot be started.
    async fn boot() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let (units, log) = (folder.path().join("units"), folder.path().join("fyrhus.log"));
        let changes = units.join("fyrhus.service.d");
        std::fs::create_dir_all(&changes).unwrap();
        std::fs::copy(paths::root().join("systemd/fyrhus.service"), units.join("fyrhus.service"))
            .unwrap();
        let target = "[Unit]\nDefaultDependencies=no\n";
        for stub in ["sysinit", "basic", "network-online", "time-sync", "shutdown", "umount"] {
            std::fs::write(units.join(format!("{stub}.target")), target).unwrap();
        }
        let wants = format!("{target}Wants=fyrhus.service\n");
        std::fs::write(units.join("test.target"), wants).unwrap();
        // Nobody waits for half a minute, and there is no journal.
        let change = format!(
            "[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\nRestartSec=0\nStandardError=append:{}\n",
            log.display()
        );
        std::fs::write(changes.join("test.conf"), change).unwrap();
        let machine = "[web]\nlisten = \"127.0.0.1:0\"\n[clock]\nsource = \"host\"\n";
        std::fs::write(folder.path().join("fyrhus.toml"), machine).unwrap();

        let said = folder.path().join("systemd.log");
        let Some(cgroup) = Cgroup::make() else {
            println!("SKIPPED: systemd cannot be started here: no cgroup of its own to be had");
            return None;
        };
        let mut command = Command::new("sh");
        command.args(["-c", ENTER, "sh"]).arg(&cgroup.0).args(["sh", "-c", BOOT, "sh"]);
        command.arg(folder.path()).arg(paths::binary("fyrhus").unwrap());
        let init = match Program::spawn("systemd", command, &said) {
            Ok(init) => init,
            Err(error) => {
                println!("SKIPPED: systemd cannot be started here: {error:#}");
                return None;
            }
        };
        let mut machine = Self { folder, init, _cgroup: cgroup };
        let begun = Instant::now();
        let up = loop {
            let ended = machine.init.ended().unwrap().is_some();
            if ended || machine.show("ActiveState").is_some() {
                break !ended;
            }
            assert!(begun.elapsed() < WITHIN, "systemd neither ends nor answers");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        if !up {
            let said = std::fs::read_to_string(said).unwrap_or_default();
            println!("SKIPPED: systemd cannot be started here: {}", said.trim());
        }
        up.then_some(machine)
    }

    /// The process that is process 1 in there.
    fn first(&self) -> Option<String> {
        let id = self.init.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        children.split_whitespace().next().map(str::to_owned)
    }

    /// What a command prints in there.
    fn run(&self, arguments: &[&str]) -> Option<String> {
        let output = Command::new("nsenter")
            .args(["--target", &self.first()?, "--mount", "--pid", "--uts", "--ipc", "--cgroup"])
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        output.status.success().then(|| text.trim().to_owned())
    }

    /// A property of the unit.
    fn show(&self, property: &str) -> Option<String> {
        self.run(&["systemctl", "show", "fyrhus", "--value", "--property", property])
    }

    async fn until(&self, property: &str, holds: impl Fn(&str) -> bool) {
        let found = async || Ok(self.show(property).is_some_and(|value| holds(&value)));
        let what = format!("{property}, now {:?}", self.show(property));
        let came = wait_for(&what, WITHIN, found).await;
        assert!(came.is_ok(), "{came:?}\n{}", self.log());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(log_file(self.folder.path())).unwrap_or_default()
    }
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("fyrhus.log")
}

#[tokio::test]
async fn systemd_starts_watches_restarts_and_stops_the_gateway() {
    let Some(machine) = Machine::boot().await else { return };

    // Type=notify: it is up when it has said so, and that is after its database and its pages.
    machine.until("ActiveState", |state| state == "active").await;
    let log = machine.log();
    assert!(log.contains("store opened") && log.contains("pages at https://127.0.0.1:"), "{log}");
    let main = machine.show("MainPID").unwrap();
    let status = machine.run(&["cat", &format!("/proc/{main}/status")]).unwrap();
    // Of all capabilities it has the one for ports below 1024, number 10.
    for confined in ["Uid:\t990\t990", "CapEff:\t0000000000000400", "NoNewPrivs:\t1", "Seccomp:\t2"]
    {
        assert!(status.contains(confined), "{confined}\n{status}");
    }

    // USB sticks are seen in there and can be written, those that were there and those that come.
    let mount = "mkdir -p /media/fyrhus/late && mount -t tmpfs -o uid=990 tmpfs /media/fyrhus/late";
    machine.run(&["sh", "-c", mount]).unwrap();
    let touch = |file: &str| machine.run(&["nsenter", "--target", &main, "--mount", "touch", file]);
    for stick in ["early", "late"] {
        touch(&format!("/media/fyrhus/{stick}/a.backup")).expect(stick);
    }
    assert_eq!(touch("/media/a.backup"), None, "and nothing but sticks");

    // It is heard in time, again and again; a process that hangs is not, and is started anew.
    for _ in 0..3 {
        let heard = machine.show("WatchdogTimestampMonotonic").unwrap();
        machine.until("WatchdogTimestampMonotonic", |now| now != heard).await;
    }
    assert_eq!(machine.show("NRestarts").as_deref(), Some("0"), "{}", machine.log());
    machine.run(&["systemctl", "reload", "fyrhus"]).expect("SIGHUP is heard");
    machine.run(&["systemctl", "kill", "--signal=STOP", "fyrhus"]).unwrap();
    machine.until("NRestarts", |restarts| restarts == "1").await;
    machine.until("ActiveState", |state| state == "active").await;

    machine.run(&["systemctl", "stop", "fyrhus"]).unwrap();
    assert_eq!(machine.show("ActiveState").as_deref(), Some("inactive"));
    assert_eq!(machine.show("Result").as_deref(), Some("success"));
    assert!(machine.log().contains("stopped; everything is stored"), "{}", machine.log());
}

/// For a debug build on a busy machine.
const WITHIN: Duration = Duration::from_mins(1);
