//! The statement of a month as a sheet of paper, for whoever has to book it.
//!
//! It names every figure that the credit follows from, each with what it is a share of, so that it
//! can be computed again with a pencil.

use documents::{Block, Column, Grid, Paper};
use ledger::Interval;
use ledger::book::{Stage, Statement};
use ledger::chain::Head;
use ledger::entry::{PartialMonth, Step};

use crate::words::{Language, duration};

/// Where in which ledger a statement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Of the ledger.
    pub ledger: [u8; 16],
    /// Its last entry that the statement follows from, and the hash of everything up to it.
    pub head: Head,
}

/// The statement's sheet.
pub fn sheet(statement: &Statement, place: Place, language: Language) -> Paper {
    let sheet = Sheet { statement, language };
    let month = statement.case.period.month();
    let title =
        format!("{} {}", language.of("Oppetidsoppgjør", "Uptime statement"), language.month(month));
    let mut blocks = vec![Block::Title(title.clone()), sheet.standing()];
    blocks.push(Block::Facts(sheet.parties()));
    blocks.extend(sheet.time_table());
    blocks.extend(sheet.money_table());
    blocks.extend(sheet.tiers());
    blocks.extend(sheet.outages());
    blocks.extend(sheet.exclusions());
    blocks.extend(sheet.unknown());
    blocks.extend(sheet.notice());
    blocks.extend(sheet.corrections());
    blocks.push(sheet.head("Hvor tallene kommer fra", "Where the figures come from"));
    blocks.push(Block::Code(checkpoint(place), sheet.origin(place)));
    let foot = format!(
        "{title} · {} · {} {} · {}",
        statement.contract.line,
        language.of("post", "entry"),
        place.head.seq,
        data_encoding::HEXLOWER.encode(&place.head.hash)
    );
    Paper { title, language: language.as_str(), foot, blocks }
}

/// How far the ledger is, as its checkpoints have it: for a camera, so that nobody has to read a hash
/// letter by letter.
fn checkpoint(place: Place) -> String {
    let (ledger, Head { seq, hash }) = (data_encoding::HEXLOWER.encode(&place.ledger), place.head);
    format!("sla-ledger/1\n{ledger}\n{seq}\n{}\n", data_encoding::BASE64.encode(&hash))
}

struct Sheet<'s> {
    statement: &'s Statement,
    language: Language,
}

impl Sheet<'_> {
    fn say(&self, bokmal: &str, english: &str) -> String {
        self.language.of(bokmal, english).to_owned()
    }

    fn at(&self, second: i64) -> String {
        self.language.time(second, self.statement.contract.zone)
    }

    fn seconds(&self, seconds: i64) -> String {
        format!("{}\u{a0}s", self.language.number(seconds))
    }

    fn money(&self, ore: i64) -> String {
        self.language.money(ore, &self.statement.contract)
    }

    fn head(&self, bokmal: &str, english: &str) -> Block {
        Block::Head(self.say(bokmal, english))
    }

    /// Whether the figures can still change.
    fn standing(&self) -> Block {
        let until = self.at(self.statement.until);
        let text = match (self.statement.is_provisional(), self.language) {
            (true, Language::Bokmal) => format!("Foreløpig: regnskapet går til {until}."),
            (true, Language::English) => format!("Provisional: the ledger goes to {until}."),
            (false, Language::Bokmal) => "Endelig: hele måneden er i regnskapet.".to_owned(),
            (false, Language::English) => "Final: all of the month is in the ledger.".to_owned(),
        };
        Block::Strong(text)
    }

    fn parties(&self) -> Vec<(String, String)> {
        let (contract, period) = (&self.statement.contract, self.statement.case.period);
        let (days, of) = (period.days(), period.month().days());
        let time = period.time();
        let days = match self.language {
            Language::Bokmal => format!("{days} av {of} dager"),
            Language::English => format!("{days} of {of} days"),
        };
        let mut facts = vec![
            (self.say("Avtale", "Contract"), contract.line.clone()),
            (self.say("Kunde", "Customer"), contract.customer.clone()),
            (self.say("Leverandør", "Vendor"), contract.vendor.clone()),
            (
                self.say("Periode", "Period"),
                format!(
                    "{} – {}, {days} ({})",
                    self.at(time.from()),
                    self.at(time.until()),
                    contract.zone.name()
                ),
            ),
        ];
        if !contract.terms.sites.is_empty() {
            let sites = self.say("Steder på denne prisen", "Sites on this fee");
            facts.push((sites, contract.terms.sites.join(", ")));
        }
        facts
    }

    /// The seconds, from downtime to uptime.
    fn time_table(&self) -> Vec<Block> {
        let settled = &self.statement.settled;
        let (totals, period) = (settled.totals, self.statement.case.period);
        let (up, of) = (settled.up(), settled.denominator);
        let row =
            |what: String, seconds: i64, rest: String| vec![what, self.seconds(seconds), rest];
        let days = match self.language {
            Language::Bokmal => format!("{} døgn à 1 440 min", period.days()),
            Language::English => format!("{} days of 1,440 min", period.days()),
        };
        let mut rows = vec![
            row(self.say("Lengde etter avtalen", "Length by the contract"), of, days),
            row(self.say("Påvist nedetid", "Proven downtime"), totals.down, duration(totals.down)),
            row(
                self.say("− av to minutter eller mindre", "− of two minutes or less"),
                totals.short,
                duration(totals.short),
            ),
            row(self.say("− unntatt", "− excluded"), totals.excluded, duration(totals.excluded)),
            row(
                self.say("= tellende nedetid", "= counted downtime"),
                totals.counted,
                duration(totals.counted),
            ),
            row(
                self.say("Ukjent tid (teller som oppe)", "Unknown time (counts as up)"),
                totals.unknown,
                duration(totals.unknown),
            ),
        ];
        if !self.statement.refused.is_empty() {
            let what = if self.statement.counts_refused() {
                self.say("Nye data avvist (er nedetid)", "New data refused (is downtime)")
            } else {
                self.say("Nye data avvist (teller ikke)", "New data refused (does not count)")
            };
            let refused = self.statement.refused_s();
            rows.push(row(what, refused, duration(refused)));
        }
        let uptime = Some(vec![
            self.say("Oppetid", "Uptime"),
            format!("{} / {}", self.language.number(up), self.seconds(of)),
            self.language.percent(&settled.percent()),
        ]);
        let time = Grid {
            columns: self.columns(&[("", "", 5, false), ("", "", 4, true), ("", "", 3, true)]),
            rows,
            sum: uptime,
        };

        vec![self.head("Oppetid", "Uptime"), Block::Table(time)]
    }

    /// The sums, from the fee to what is due.
    fn money_table(&self) -> Vec<Block> {
        let (settled, contract) = (&self.statement.settled, &self.statement.contract);
        let period = self.statement.case.period;
        let tier = i64::from(settled.tier.percent());
        let vat = i64::from(contract.vat_permille);
        let credit = settled.claimable;
        // VAT is that of the credit note; the øre of it is rounded there, to the nearest.
        let of_credit = (2 * credit * vat + 1_000) / 2_000;
        let vat = format!("{}.{}", vat / 10, vat % 10);
        let vat = self.language.percent(vat.trim_end_matches(".0"));
        let mut rows = vec![
            vec![
                self.say("Årspris uten mva.", "Annual fee, net of VAT"),
                self.money(contract.annual.ore()),
            ],
            vec![
                match self.language {
                    Language::Bokmal => {
                        format!(
                            "Periodens pris: årspris × {} / (12 × {})",
                            period.days(),
                            period.month().days()
                        )
                    }
                    Language::English => {
                        format!(
                            "Fee of the period: annual × {} / (12 × {})",
                            period.days(),
                            period.month().days()
                        )
                    }
                },
                self.language.fraction(settled.fee, contract),
            ],
            vec![self.say("Sats", "Rate"), format!("{tier}\u{a0}%")],
            vec![self.say("Kreditt uten mva.", "Credit, net of VAT"), self.money(credit)],
            vec![format!("{} {vat}", self.say("Mva.", "VAT")), self.money(of_credit)],
        ];
        if let Some(cap) = self.statement.case.cap {
            let limit = match self.language {
                Language::Bokmal => format!(
                    "Ansvarsgrense {}, brukt {}",
                    self.money(cap.paid.ore()),
                    self.money(cap.incurred.ore())
                ),
                Language::English => format!(
                    "Limit of liability {}, used {}",
                    self.money(cap.paid.ore()),
                    self.money(cap.incurred.ore())
                ),
            };
            let bites = if settled.capped {
                self.say("begrenser kreditten", "limits the credit")
            } else {
                self.say("begrenser ikke", "does not limit it")
            };
            rows.push(vec![limit, bites]);
        }
        let due = Some(vec![
            self.say("Forfalt til kreditering nå, uten mva.", "Due to be credited now, net of VAT"),
            self.money(settled.due),
        ]);
        let money = Grid {
            columns: self.columns(&[("", "", 7, false), ("", "", 5, true)]),
            rows,
            sum: due,
        };
        vec![self.head("Kreditt", "Credit"), Block::Table(money)]
    }

    fn columns(&self, columns: &[(&str, &str, u8, bool)]) -> Vec<Column> {
        let column = |(bokmal, english, share, figures): &(&str, &str, u8, bool)| Column {
            head: self.say(bokmal, english),
            share: *share,
            figures: *figures,
        };
        columns.iter().map(column).collect()
    }

    /// What the contract credits from where on, and where the month is.
    fn tiers(&self) -> Vec<Block> {
        let settled = &self.statement.settled;
        let limits = self.statement.case.terms.tiers.limits();
        let here = |percent: u8| {
            let is = settled.tier.percent() == percent;
            if is { self.say("← denne måneden", "← this month") } else { String::new() }
        };
        let first = limits.first().map_or(10_000, |limit| limit.below);
        let mut rows = vec![vec![
            match self.language {
                Language::Bokmal => format!("{} eller mer", self.language.limit(first)),
                Language::English => format!("{} or more", self.language.limit(first)),
            },
            "0\u{a0}%".to_owned(),
            here(0),
        ]];
        for (place, limit) in limits.iter().enumerate() {
            let below = self.language.limit(limit.below);
            let from = limits.get(place + 1).map(|next| self.language.limit(next.below));
            let span = match (from, self.language) {
                (Some(from), Language::Bokmal) => format!("fra {from} til under {below}"),
                (Some(from), Language::English) => format!("{from} to under {below}"),
                (None, _) => format!("under {below}"),
            };
            rows.push(vec![span, format!("{}\u{a0}%", limit.credit), here(limit.credit)]);
        }
        let columns = self.columns(&[
            ("Oppetid i måneden", "Uptime of the month", 5, false),
            ("Kreditt av prisen", "Credit on the fee", 3, true),
            ("", "", 4, false),
        ]);
        vec![
            self.head("Avtalte trinn", "Agreed tiers"),
            Block::Table(Grid { columns, rows, sum: None }),
        ]
    }

    fn outages(&self) -> Vec<Block> {
        let settled = &self.statement.settled;
        if settled.outages.is_empty() {
            let none = self.say("Ingen påviste brudd.", "No proven outages.");
            return vec![self.head("Brudd", "Outages"), Block::Text(none)];
        }
        let number = |number| self.language.number(number);
        let rows = settled.outages.iter().zip(&self.statement.causes).map(|(outage, causes)| {
            vec![
                self.at(outage.time.from()),
                self.at(outage.time.until()),
                number(outage.time.seconds()),
                number(outage.short),
                number(outage.excluded),
                number(outage.counted),
                self.cause(outage.time, causes),
            ]
        });
        let totals = settled.totals;
        let sum = Some(vec![
            self.say("I perioden", "In the period"),
            String::new(),
            number(totals.down),
            number(totals.short),
            number(totals.excluded),
            number(totals.counted),
            String::new(),
        ]);
        let columns = self.columns(&[
            ("Fra", "From", 9, false),
            ("Til", "Until", 9, false),
            ("Varte (s)", "Lasted (s)", 5, true),
            ("Kort (s)", "Short (s)", 5, true),
            ("Unntatt (s)", "Excluded (s)", 5, true),
            ("Teller (s)", "Counted (s)", 5, true),
            ("Årsak, forsøk", "Cause, attempts", 12, false),
        ]);
        let table = Block::Table(Grid { columns, rows: rows.collect(), sum });
        vec![self.head("Brudd", "Outages"), table]
    }

    /// Whose fault an outage was, and how the attempts failed.
    fn cause(&self, time: Interval, causes: &[(ledger::Failure, u32)]) -> String {
        let mut codes: Vec<&str> = Vec::new();
        for span in &self.statement.spans {
            let word = self.language.code(span.code);
            let meets = span.from < time.until() && time.from() < span.until;
            if span.code.is_down() && meets && !codes.contains(&word) {
                codes.push(word);
            }
        }
        let refused = self.statement.refused.iter();
        let mut refused = refused.filter(|_| self.statement.counts_refused());
        if refused.any(|it| it.from() < time.until() && time.from() < it.until()) {
            codes.push(self.language.of("nye data ble avvist", "new data was refused"));
        }
        let failures: Vec<String> = causes
            .iter()
            .map(|(failure, times)| format!("{times} × {}", self.language.failure(*failure)))
            .collect();
        if failures.is_empty() {
            return codes.join("; ");
        }
        format!("{}: {}", codes.join("; "), failures.join(", "))
    }

    fn exclusions(&self) -> Vec<Block> {
        let settled = &self.statement.settled;
        let head = self.head("Unntak", "Exclusions");
        if settled.exclusions.is_empty() {
            let none = self.say("Ingen er påberopt.", "None were invoked.");
            return vec![head, Block::Text(none)];
        }
        let rows = settled.exclusions.iter().map(|excluded| {
            let window = self.statement.case.exclusions.iter().find(|it| it.id == excluded.id);
            let time = window.map(|window| window.time);
            vec![
                excluded.id.clone(),
                self.language.ground(excluded.kind).to_owned(),
                time.map(|time| self.at(time.from())).unwrap_or_default(),
                time.map(|time| self.at(time.until())).unwrap_or_default(),
                self.language.reason(excluded.reason).to_owned(),
                self.language.number(excluded.effective),
            ]
        });
        let columns = self.columns(&[
            ("Navn", "Name", 5, false),
            ("Grunn", "Ground", 9, false),
            ("Fra", "From", 9, false),
            ("Til", "Until", 9, false),
            ("Virker", "Acts", 8, false),
            ("Unntatt (s)", "Excluded (s)", 6, true),
        ]);
        let table = Grid { columns, rows: rows.collect(), sum: None };
        let disputed = settled.disputed_accepted;
        let if_accepted = match self.language {
            Language::Bokmal => format!(
                "Om alle unntak som ikke er godtatt, men er gyldige i formen, ble godtatt: {} tellende, \
                 sats {} %.",
                self.seconds(disputed.seconds),
                disputed.tier.percent()
            ),
            Language::English => format!(
                "If every exclusion that is valid in form and not accepted were accepted: {} counted, \
                 rate {} %.",
                self.seconds(disputed.seconds),
                disputed.tier.percent()
            ),
        };
        vec![head, Block::Table(table), Block::Text(if_accepted)]
    }

    fn unknown(&self) -> Vec<Block> {
        let settled = &self.statement.settled;
        let mut blocks = vec![self.head("Ukjent tid", "Unknown time")];
        if self.statement.unknown.is_empty() {
            blocks.push(Block::Text(self.say("Ingen.", "None.")));
        } else {
            let rows = self.statement.unknown.iter().map(|unknown| {
                let name =
                    format!("{} ({})", self.language.code(unknown.code), unknown.code.letter());
                let seconds = self.seconds(unknown.seconds);
                vec![name, seconds, duration(unknown.seconds)]
            });
            let columns = self.columns(&[
                ("Grunn", "Reason", 6, false),
                ("", "", 3, true),
                ("t:mm:ss", "h:mm:ss", 3, true),
            ]);
            blocks.push(Block::Table(Grid { columns, rows: rows.collect(), sum: None }));
        }
        let down = settled.unknown_as_down;
        blocks.push(Block::Text(match self.language {
            Language::Bokmal => format!(
                "Om alt ukjent hadde vært nede: {} tellende, sats {} %.",
                self.seconds(down.seconds),
                down.tier.percent()
            ),
            Language::English => format!(
                "If everything unknown had been down: {} counted, rate {} %.",
                self.seconds(down.seconds),
                down.tier.percent()
            ),
        }));
        if self.statement.is_incomplete() {
            blocks.push(Block::Strong(self.say(
                "Målingen er ufullstendig: mer enn 5 % av måneden er ukjent.",
                "Measurement incomplete: more than 5 % of the month is unknown.",
            )));
        }
        blocks
    }

    /// The claim, and until when it can be made.
    fn notice(&self) -> Vec<Block> {
        let settled = &self.statement.settled;
        let Some(deadlines) = &settled.deadlines else { return Vec::new() };
        let day = |day| self.language.day(day);
        let (last, safe) =
            (deadlines.by(self.statement.case.policy.breach_moment), deadlines.safe());
        let days = self.statement.case.terms.claim_days;
        let mut facts = vec![
            (self.say("Varsel", "Notice"), self.language.claim(settled.claim).to_owned()),
            (
                self.say("Frist", "Deadline"),
                match self.language {
                    Language::Bokmal => format!(
                        "Skriftlig varsel med bevis må være framme innen utløpet av {} ({days} dager). \
                         Innen {} er trygt i enhver lesning.",
                        day(last),
                        day(safe)
                    ),
                    Language::English => format!(
                        "Notice in writing, with evidence, has to arrive by the end of {} ({days} days). \
                         By {} it is safe under every reading.",
                        day(last),
                        day(safe)
                    ),
                },
            ),
        ];
        if let Some(crossed_at) = settled.crossed_at {
            facts.push((self.say("Tapt", "Lost at"), self.at(crossed_at)));
        }
        if let Some(stage) = &self.statement.stage {
            let stage = match stage {
                Stage::Claimed => self.say("krevd", "claimed"),
                Stage::Answered(step, note) => {
                    let step = match step {
                        Step::Acknowledged => self.say("mottatt", "acknowledged"),
                        Step::Disputed => self.say("bestridt", "disputed"),
                        Step::Credited => self.say("kreditert", "credited"),
                    };
                    format!("{step}: {note}")
                }
            };
            facts.push((self.say("Kravet", "The claim"), stage));
        }
        let settles = self.say(
            "Kreditten er eneste sanksjon: å ta imot den gjør opp måneden.",
            "The credit is the sole remedy: accepting it settles the month.",
        );
        vec![
            self.head("Varsel og frist", "Notice and deadline"),
            Block::Facts(facts),
            Block::Note(settles),
        ]
    }

    fn corrections(&self) -> Vec<Block> {
        if self.statement.corrections.is_empty() {
            return Vec::new();
        }
        let rows = self.statement.corrections.iter().map(|(seq, correction)| {
            vec![
                seq.to_string(),
                correction.of.to_string(),
                correction.why.clone(),
                correction.who.clone(),
            ]
        });
        let columns = self.columns(&[
            ("Post", "Entry", 2, true),
            ("Retter", "Corrects", 2, true),
            ("Hvorfor", "Why", 7, false),
            ("Hvem", "Who", 4, false),
        ]);
        let table = Block::Table(Grid { columns, rows: rows.collect(), sum: None });
        vec![self.head("Rettelser", "Corrections"), table]
    }

    fn origin(&self, place: Place) -> String {
        let ledger = data_encoding::HEXLOWER.encode(&place.ledger);
        let hash = data_encoding::HEXLOWER.encode(&place.head.hash);
        let seq = place.head.seq;
        let partial = self.statement.contract.before.partial_month == PartialMonth::FullMonth;
        let partial = match (partial, self.language) {
            (false, _) => "",
            (true, Language::Bokmal) => " En delvis dekket måned regnes hel, etter avtalen.",
            (true, Language::English) => " A month covered in part is taken whole, as agreed.",
        };
        match self.language {
            Language::Bokmal => format!(
                "Alle tall følger av regnskap {ledger} til og med post {seq}, hash {hash}, og av intet \
                 annet. Bevisfilen for måneden kan prøves av hvem som helst med `fyrhus sla verify`. \
                 Prosenten er kuttet, ikke avrundet; kreditten er avrundet én gang, til nærmeste øre.{partial}"
            ),
            Language::English => format!(
                "All figures follow from ledger {ledger} up to entry {seq}, hash {hash}, and from nothing \
                 else. Anybody can check the month's evidence file with `fyrhus sla verify`. The \
                 percentage is cut, not rounded; the credit is rounded once, to the nearest hundredth.{partial}"
            ),
        }
    }
}
