//! The real programs as child processes: started, listened to, and stopped as an operator would.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::paths;

/// A program that runs. It is killed when this is dropped; [`stop`](Self::stop) asks it first.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Program {
    /// Starts `name` of this workspace. Its log goes to `log`, which is begun anew.
    pub fn start<S: AsRef<OsStr>>(
        name: &str,
        arguments: impl IntoIterator<Item = S>,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(paths::binary(name).map_err(anyhow::Error::msg)?);
        command.args(arguments);
        Self::spawn(name, command, log)
    }

    /// Starts a program of another make, which people call `name`.
    pub fn spawn(name: &str, mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let log = std::fs::File::create(log)
            .with_context(|| format!("the log of {name} at {}", log.display()))?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("{name} does not start"))?;

        // Unread lines wait in the pipe: a program that talks much is not held up by a test that
        // reads only the first one, because the thread drops what nobody takes.
        let (heard, lines) = sync_channel(1_000);
        let stdout = child.stdout.take().context("its standard output is piped")?;
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _full_or_gone = heard.try_send(line);
            }
        });
        let stdin = child.stdin.take();
        Ok(Self { name: name.to_owned(), child, stdin, lines })
    }

    /// The next line of standard output that is a JSON object.
    ///
    /// # Errors
    ///
    /// If none comes within `within`, or the program ends first.
    pub fn json_line(&mut self, within: Duration) -> anyhow::Result<Value> {
        let until = Instant::now() + within;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    if let Ok(value @ Value::Object(_)) = serde_json::from_str(&line) {
                        return Ok(value);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!("{} said nothing within {} s", self.name, within.as_secs())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait()?;
                    bail!("{} ended before it was ready ({status})", self.name)
                }
            }
        }
    }

    /// Writes one line to its standard input.
    pub fn say(&mut self, line: &str) -> anyhow::Result<()> {
        let stdin = self.stdin.as_mut().context("its standard input is open")?;
        writeln!(stdin, "{line}").with_context(|| format!("{} does not listen", self.name))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its memory in kB that is neither swapped out nor shared away (`VmRSS`).
    pub fn resident_kb(&self) -> anyhow::Result<u64> {
        self.kilobytes("VmRSS:")
    }

    /// The most that it was since the start (`VmHWM`).
    pub fn highest_kb(&self) -> anyhow::Result<u64> {
        self.kilobytes("VmHWM:")
    }

    fn kilobytes(&self, name: &str) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB"));
        let told = kilobytes.with_context(|| format!("the kernel tells {name}"))?;
        Ok(told.trim().parse()?)
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> anyhow::Result<Option<std::process::ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends it `signal`.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.id())?), signal)?)
    }

    /// Pulls the plug: SIGKILL.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop with SIGTERM, and returns how long that took.
    ///
    /// # Errors
    ///
    /// If it is still there after `within`, or ends with a failure.
    pub fn stop(&mut self, within: Duration) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        if self.ended()?.is_none() {
            self.signal(Signal::SIGTERM)?;
        }
        loop {
            if let Some(status) = self.ended()? {
                if !status.success() {
                    bail!("{} ended with {status}", self.name);
                }
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > within {
                bail!("{} does not stop within {} s", self.name, within.as_secs());
            }
            // A child's end cannot be waited for with a deadline: it is looked for.
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
