//! `fyrhus check-config`.

use std::path::PathBuf;

use anyhow::bail;
use drivers::Profiles;
use serde::Serialize;

use super::{Out, read_config};
use crate::config::{Kind, Machine, Mistake, Site};

#[derive(Debug, clap::Args)]
pub(super) struct CheckConfig {
    /// fyrhus.toml or site.toml: known by its sections, or by its name if it has none
    file: PathBuf,
    /// The state directory, for device profiles that were added there
    #[arg(long, value_name = "DIR", default_value = "/var/lib/fyrhus")]
    state: PathBuf,
}

#[derive(Debug, Serialize)]
struct Checked<'a> {
    file: String,
    kind: &'a str,
    ok: bool,
    mistakes: Vec<MistakeLine<'a>>,
    /// What is not as the file says, although it is good.
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct MistakeLine<'a> {
    line: usize,
    advice: &'a str,
}

impl CheckConfig {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let text = read_config(&self.file)?;
        let Some(kind) = Kind::of(&text, self.file.file_name()) else {
            bail!(
                "{} has no line that says anything: it is neither a site.toml, which has at least \
                 [site], nor called fyrhus.toml, which may be empty",
                self.file.display()
            );
        };
        let mut notes = Vec::new();
        let (summary, mistakes) = match kind {
            Kind::Machine => match Machine::load(&text) {
                Ok(machine) => (format!("pages at https://{}", machine.listen), Vec::new()),
                Err(mistakes) => (String::new(), mistakes),
            },
            Kind::Site => self.site(&text, &mut notes),
        };
        let (file, name) = (self.file.display().to_string(), kind.file_name());
        if out.json {
            let mistakes: Vec<_> = mistakes
                .iter()
                .map(|it| MistakeLine { line: it.line, advice: &it.advice })
                .collect();
            out.object(&Checked {
                file,
                kind: name,
                ok: mistakes.is_empty(),
                mistakes,
                notes: notes.clone(),
            })?;
        } else if mistakes.is_empty() {
            out.line(&format!("{file} is a good {name}: {summary}"))?;
        } else {
            for mistake in &mistakes {
                out.line(&format!("{file}:{}: {}", mistake.line, mistake.advice))?;
            }
            let count = mistakes.len();
            out.line(&match count {
                1 => format!("1 mistake: this {name} would not be taken over"),
                _ => format!("{count} mistakes: this {name} would not be taken over"),
            })?;
        }
        if !out.json {
            for note in &notes {
                out.line(&format!("note: {note}"))?;
            }
        }
        Ok(mistakes.is_empty())
    }

    fn site(&self, text: &str, notes: &mut Vec<String>) -> (String, Vec<Mistake>) {
        let (profiles, wrong) = Profiles::load_over(&self.state.join("profiles"));
        // As the daemon: a profile that cannot be used spoils itself alone.
        notes.extend(wrong.iter().map(|it| format!("{it}; this profile is not used")));
        let ids: Vec<&str> = profiles.ids().into_iter().collect();
        match Site::load(text, &ids) {
            Ok(mut site) => {
                notes.extend(site.heed(&profiles).iter().map(ToString::to_string));
                let meters: usize = site.buses.iter().map(|bus| bus.meters.len()).sum();
                let buses = site.buses.len();
                (format!("{}, {buses} buses, {meters} meters", site.name), Vec::new())
            }
            Err(mistakes) => (String::new(), mistakes),
        }
    }
}
