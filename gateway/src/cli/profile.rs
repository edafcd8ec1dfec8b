//! `fyrhus profile`: the types of meters that are known, and files that make others known.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use drivers::{Parity, Profile, Profiles};
use metering::Medium;
use serde::Serialize;

use super::out::Out;
use super::read::Types;

/// `fyrhus profile …`
#[derive(Debug, Subcommand)]
pub(super) enum ProfileCommand {
    /// Check profile files and run their tests: every mistake with its line; no gateway is needed
    Check(CheckProfiles),
    /// List the types of meters whose registers are known
    List(ListProfiles),
    /// Print a profile as its author wrote it: copy that of a similar meter and change it
    Show(ShowProfile),
}

impl ProfileCommand {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        match self {
            Self::Check(command) => command.run(out),
            Self::List(command) => command.run(out),
            Self::Show(command) => command.run(out),
        }
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct CheckProfiles {
    /// A profile in TOML; telegrams of its tests lie beside it
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Checked {
    file: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    mistakes: Vec<MistakeLine>,
    /// What is not as its author may think, although it is good.
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct MistakeLine {
    line: usize,
    advice: String,
}

impl CheckProfiles {
    fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let mut good = true;
        for file in &self.files {
            let read = Profile::read(file);
            good &= read.is_ok();
            if out.json {
                out.object(&checked(file, read))?;
            } else {
                for line in told(file, &read) {
                    out.line(&line)?;
                }
            }
        }
        Ok(good)
    }
}

fn checked(file: &Path, read: Result<Profile, Vec<drivers::Mistake>>) -> Checked {
    let file = file.display().to_string();
    match read {
        Ok(profile) => Checked {
            file,
            ok: true,
            notes: notes(&profile),
            id: Some(profile.id),
            mistakes: Vec::new(),
        },
        Err(mistakes) => {
            let line = |it: drivers::Mistake| MistakeLine { line: it.line, advice: it.advice };
            let mistakes = mistakes.into_iter().map(line).collect();
            Checked { file, ok: false, id: None, mistakes, notes: Vec::new() }
        }
    }
}

fn told(file: &Path, read: &Result<Profile, Vec<drivers::Mistake>>) -> Vec<String> {
    let file = file.display();
    match read {
        Ok(profile) => {
            let (id, wires) = (&profile.id, profile.wires().join(", "));
            let registers = count(profile.registers().count(), "register");
            let vectors = count(profile.vectors(), "test");
            let good = format!("{file} is good: {id}, {registers} over {wires}, {vectors} passed");
            let notes = notes(profile).into_iter().map(|note| format!("note: {note}"));
            [good].into_iter().chain(notes).collect()
        }
        Err(mistakes) => {
            let lines = mistakes.iter().map(|it| format!("{file}:{}: {}", it.line, it.advice));
            let sum = count(mistakes.len(), "mistake");
            lines.chain([format!("{sum}: {file} would not be used")]).collect()
        }
    }
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

fn notes(profile: &Profile) -> Vec<String> {
    let embedded = Profiles::embedded();
    let replaces = embedded.get(&profile.id).is_some();
    let replaces =
        replaces.then(|| format!("it takes the place of the program's own {}", profile.id));
    let also = embedded.iter().filter(|it| it.id != profile.id && it.meets(profile));
    let also = also.map(|it| format!("it comes before {} for meters that both are for", it.id));
    replaces.into_iter().chain(also).collect()
}

#[derive(Debug, clap::Args)]
pub(super) struct ListProfiles {
    /// Only those that count this: heat, electricity, cooling, water, `hot_water`, gas, solar,
    /// climate, other
    #[arg(long)]
    medium: Option<Medium>,
    /// Only those that are read over this
    #[arg(long)]
    wire: Option<Wire>,
    /// Only those of makers with this in their name
    #[arg(long, value_name = "TEXT")]
    vendor: Option<String>,
    #[command(flatten)]
    types: Types,
}

/// A kind of wire, as one is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Wire {
    Mbus,
    Modbus,
    Mqtt,
    Pulse,
    #[value(name = "1wire", alias = "onewire")]
    Thermometer,
}

impl Wire {
    /// As [`Profile::wires`] calls it.
    const fn name(self) -> &'static str {
        match self {
            Self::Mbus => "M-Bus",
            Self::Modbus => "Modbus",
            Self::Mqtt => "MQTT",
            Self::Pulse => "pulses",
            Self::Thermometer => "1-Wire",
        }
    }
}

#[derive(Debug, Serialize)]
struct ProfileLine<'a> {
    id: &'a str,
    vendor: &'a str,
    models: &'a [String],
    medium: &'static str,
    wires: Vec<&'static str>,
    registers: Vec<String>,
    status: String,
    source: &'a str,
    note: Option<&'a str>,
    serial_default: Option<SerialLine>,
    /// The file that it was read from, if it is not of the program.
    file: Option<String>,
}

#[derive(Debug, Serialize)]
struct SerialLine {
    baud: u32,
    parity: &'static str,
    stop: u8,
}

const fn word(parity: Parity) -> &'static str {
    match parity {
        Parity::Even => "even",
        Parity::None => "none",
        Parity::Odd => "odd",
    }
}

impl ListProfiles {
    fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let profiles = self.types.load(out);
        for profile in profiles.iter().filter(|profile| self.wants(profile)) {
            let file = profiles.file(&profile.id).map(|file| file.display().to_string());
            if out.json {
                out.object(&ProfileLine {
                    id: &profile.id,
                    vendor: &profile.vendor,
                    models: &profile.models,
                    medium: profile.medium.code(),
                    wires: profile.wires(),
                    registers: profile.registers().map(|it| it.register.to_string()).collect(),
                    status: profile.status.to_string(),
                    source: &profile.source,
                    note: profile.note.as_deref(),
                    serial_default: profile.serial_default().map(|it| SerialLine {
                        baud: it.baud,
                        parity: word(it.parity),
                        stop: it.stop,
                    }),
                    file,
                })?;
            } else {
                let (id, medium, status) = (&profile.id, profile.medium, profile.status);
                let (models, wires) = (profile.models.join(", "), profile.wires().join(", "));
                let (medium, status) = (medium.code(), status.to_string());
                let mut line = format!(
                    "{id:<30} {medium:<12} {wires:<14} {status:<10} {} {models}",
                    profile.vendor
                );
                if let Some(file) = file {
                    let _ = write!(line, " ({file})");
                }
                out.line(&line)?;
            }
        }
        Ok(true)
    }

    fn wants(&self, profile: &Profile) -> bool {
        let vendor = profile.vendor.to_lowercase();
        self.medium.is_none_or(|medium| profile.medium == medium)
            && self.wire.is_none_or(|wire| profile.wires().contains(&wire.name()))
            && self.vendor.as_ref().is_none_or(|text| vendor.contains(&text.to_lowercase()))
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct ShowProfile {
    /// Such as eastron.sdm630
    id: String,
    #[command(flatten)]
    types: Types,
}

impl ShowProfile {
    fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let profiles = self.types.load(out);
        let text = profiles.get(&self.id).and_then(|_| profiles.text(&self.id));
        let id = &self.id;
        out.text(
            &text
                .with_context(|| format!("there is no profile {id}; see `fyrhus profile list`"))?,
        )?;
        Ok(true)
    }
}
