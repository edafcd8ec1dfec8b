//! What the service asks, each in a transaction of its own.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use access::SecretHash;
use metering::{GatewayId, MeterId, Register, SeriesId, SiteId, UserId};
use sync_wire::{
    AccountDay, Accounts, Ack, Batch, Header, Latest, RecallAsked, Recalled, Refusal, SeriesTable,
};

use super::link::Access;
use super::{
    Postgres, Trouble, accounts, books, buildings, days, enrolment, folding, gateways, people,
    recall,
};
use crate::repository::{
    Change, Changed, Completeness, Kept, LastTold, Listed, MeterState, NewCertificate, NewCode,
    Person, Place, Reported, Repository, RepositoryError, Sample, Seen, Series, SeriesHistory,
    SeriesUse, Side, Site, SpendCode, StoredReading,
};

impl Repository for Postgres {
    async fn store_batch(
        &self,
        shown: [u8; 32],
        header: Header,
        batch: Batch,
        now_ms: i64,
    ) -> Result<Result<Ack, Refusal>, RepositoryError> {
        self.make_days(&batch).await?;
        match self.store_in_days(&shown, &header, &batch, now_ms).await {
            // A day's place was taken away since it was seen, because all of it was folded.
            Err(_) if self.days().is_empty() && !days::of(&batch).is_empty() => {
                self.make_days(&batch).await?;
                self.store_in_days(&shown, &header, &batch, now_ms).await
            }
            stored => stored,
        }
    }

    async fn store_table(
        &self,
        table: SeriesTable,
        now_ms: i64,
    ) -> Result<Result<Ack, Refusal>, RepositoryError> {
        let (write, table) = (Access::Write, &table);
        transaction!(
            self,
            write,
            "store a series table",
            db,
            gateways::store_table(&mut db, table, now_ms)
        )
    }

    async fn store_latest(
        &self,
        latest: Latest,
        now_ms: i64,
    ) -> Result<Result<Ack, Refusal>, RepositoryError> {
        let (write, latest) = (Access::Write, &latest);
        transaction!(
            self,
            write,
            "store the latest values",
            db,
            gateways::store_latest(&mut db, latest, now_ms)
        )
    }

    async fn store_accounts(
        &self,
        accounts: Accounts,
        now_ms: i64,
    ) -> Result<Result<Ack, Refusal>, RepositoryError> {
        let (write, accounts) = (Access::Write, &accounts);
        transaction!(
            self,
            write,
            "store accounts",
            db,
            gateways::store_accounts(&mut db, accounts, now_ms)
        )
    }

    async fn accounts(
        &self,
        site: SiteId,
        span: Range<i64>,
    ) -> Result<Vec<AccountDay>, RepositoryError> {
        transaction!(
            self,
            Access::Read,
            "read accounts",
            db,
            accounts::of_site(&mut db, site, &span)
        )
    }

    async fn completeness(
        &self,
        site: Option<SiteId>,
        span: Range<i64>,
    ) -> Result<HashMap<SiteId, Completeness>, RepositoryError> {
        let read = Access::Read;
        transaction!(self, read, "read accounts", db, accounts::completeness(&mut db, site, &span))
    }

    async fn report(
        &self,
        gateway: GatewayId,
        series: SeriesId,
        at_ms: Option<i64>,
    ) -> Result<Option<Reported>, RepositoryError> {
        transaction!(
            self,
            Access::Read,
            "report a reading",
            db,
            gateways::report(&mut db, gateway, series, at_ms)
        )
    }

    async fn recall(&self, asked: RecallAsked) -> Result<Recalled, RepositoryError> {
        transaction!(self, Access::Read, "recall readings", db, recall::recall(&mut db, asked))
    }

    async fn add_code(&self, code: NewCode, now_ms: i64) -> Result<SiteId, RepositoryError> {
        transaction!(
            self,
            Access::Write,
            "keep a one-time code",
            db,
            enrolment::add_code(&mut db, &code, now_ms)
        )
    }

    async fn spend_code(
        &self,
        spend: SpendCode,
        now_ms: i64,
    ) -> Result<Result<Vec<u8>, Refusal>, RepositoryError> {
        transaction!(
            self,
            Access::Write,
            "enrol a gateway",
            db,
            enrolment::spend_code(&mut db, &spend, now_ms)
        )
    }

    async fn certificate(&self, sha256: [u8; 32]) -> Result<Option<Listed>, RepositoryError> {
        transaction!(
            self,
            Access::Read,
            "look up a certificate",
            db,
            enrolment::certificate(&mut db, &sha256)
        )
    }

    async fn renew_certificate(
        &self,
        shown: [u8; 32],
        certificate: NewCertificate,
    ) -> Result<bool, RepositoryError> {
        let (write, new) = (Access::Write, &certificate);
        transaction!(
            self,
            write,
            "renew a certificate",
            db,
            enrolment::renew_certificate(&mut db, &shown, new)
        )
    }

    async fn unprepared(
        &self,
        authority: [u8; 32],
        now_ms: i64,
    ) -> Result<Vec<String>, RepositoryError> {
        transaction!(
            self,
            Access::Read,
            "look through the certificates",
            db,
            enrolment::unprepared(&mut db, &authority, now_ms)
        )
    }

    async fn revoke(&self, site: SiteId, now_ms: i64) -> Result<usize, RepositoryError> {
        transaction!(
            self,
            Access::Write,
            "revoke certificates",
            db,
            enrolment::revoke(&mut db, site, now_ms)
        )
    }

    async fn sites(&self) -> Result<Vec<Site>, RepositoryError> {
        transaction!(self, Access::Read, "list the sites", db, buildings::sites(&mut db))
    }

    async fn site(&self, id: SiteId) -> Result<Option<Site>, RepositoryError> {
        transaction!(self, Access::Read, "find a site", db, buildings::site(&mut db, id))
    }

    async fn newest(
        &self,
        site: Option<SiteId>,
    ) -> Result<BTreeMap<SiteId, Vec<MeterState>>, RepositoryError> {
        transaction!(
            self,
            Access::Read,
            "read the newest values",
            db,
            buildings::newest(&mut db, site)
        )
    }

    async fn history(
        &self,
        site: SiteId,
        meter: MeterId,
        register: Register,
        span: Range<i64>,
    ) -> Result<Vec<SeriesHistory>, RepositoryError> {
        let (read, of) = (Access::Read, &buildings::RegisterOf::new(site, meter, &register));
        transaction!(self, read, "read a history", db, buildings::history(&mut db, of, &span))
    }

    async fn used(
        &self,
        site: SiteId,
        meter: MeterId,
        register: Register,
        span: Range<i64>,
    ) -> Result<Vec<SeriesUse>, RepositoryError> {
        let (read, of) = (Access::Read, &buildings::RegisterOf::new(site, meter, &register));
        transaction!(self, read, "read what was used", db, buildings::used(&mut db, of, &span))
    }

    async fn change_facts(
        &self,
        site: SiteId,
        area_m2: Option<u32>,
        counted: Option<Vec<MeterId>>,
    ) -> Result<bool, RepositoryError> {
        let (write, counted) = (Access::Write, counted.as_deref());
        transaction!(
            self,
            write,
            "change a site",
            db,
            buildings::change_facts(&mut db, site, area_m2, counted)
        )
    }

    async fn readings(
        &self,
        site: SiteId,
        meter: MeterId,
        register: Register,
        span: Range<i64>,
        told: Option<LastTold>,
        limit: usize,
    ) -> Result<Vec<(Series, StoredReading)>, RepositoryError> {
        let (read, of) = (Access::Read, &buildings::RegisterOf::new(site, meter, &register));
        transaction!(
            self,
            read,
            "read readings",
            db,
            buildings::readings(&mut db, of, &span, told, limit)
        )
    }

    async fn fold(&self, before_ms: i64, from: Place) -> Result<Option<Place>, RepositoryError> {
        let next = transaction!(
            self,
            Access::Write,
            "fold readings",
            db,
            folding::fold(&mut db, before_ms, from)
        )?;
        if next.is_none() {
            transaction!(
                self,
                Access::Write,
                "take the place of a day away",
                db,
                days::drop_empty(&mut db, before_ms)
            )?;
        }
        Ok(next)
    }

    async fn clear_alarm(
        &self,
        site: SiteId,
        alarm: i64,
        now_ms: i64,
    ) -> Result<bool, RepositoryError> {
        transaction!(
            self,
            Access::Write,
            "clear an alarm",
            db,
            buildings::clear_alarm(&mut db, site, alarm, now_ms)
        )
    }

    async fn add_first_person(&self, person: Person) -> Result<bool, RepositoryError> {
        transaction!(self, Access::Write, "keep a person", db, people::add_first(&mut db, &person))
    }

    async fn claimed(&self) -> Result<bool, RepositoryError> {
        transaction!(self, Access::Read, "look for people", db, people::claimed(&mut db))
    }

    async fn person_named(&self, folded: String) -> Result<Option<Person>, RepositoryError> {
        transaction!(self, Access::Read, "find a person", db, people::named(&mut db, &folded))
    }

    async fn person(&self, id: UserId) -> Result<Option<Person>, RepositoryError> {
        transaction!(self, Access::Read, "find a person", db, people::with_id(&mut db, id))
    }

    async fn people(&self) -> Result<Vec<Seen>, RepositoryError> {
        transaction!(self, Access::Read, "list the people", db, people::all(&mut db))
    }

    async fn add_person(&self, person: Person) -> Result<bool, RepositoryError> {
        transaction!(self, Access::Write, "keep a person", db, people::add(&mut db, &person))
    }

    async fn change_person(
        &self,
        id: UserId,
        change: Change,
        spared: SecretHash,
    ) -> Result<Changed, RepositoryError> {
        let (write, to) = (Access::Write, &change);
        transaction!(self, write, "change a person", db, people::change(&mut db, id, to, spared))
    }

    async fn remove_person(&self, id: UserId) -> Result<Changed, RepositoryError> {
        transaction!(self, Access::Write, "remove a person", db, people::remove(&mut db, id))
    }

    async fn end_sessions(
        &self,
        id: UserId,
        spared: Option<SecretHash>,
    ) -> Result<(), RepositoryError> {
        let write = Access::Write;
        transaction!(self, write, "end sessions", db, people::end_sessions(&mut db, id, spared))
    }

    async fn change_password(
        &self,
        id: UserId,
        before: String,
        after: String,
        spared: SecretHash,
    ) -> Result<bool, RepositoryError> {
        transaction!(
            self,
            Access::Write,
            "change a password",
            db,
            people::change_password(&mut db, id, &before, &after, spared)
        )
    }

    async fn change_ways(
        &self,
        id: UserId,
        before: String,
        after: String,
    ) -> Result<bool, RepositoryError> {
        transaction!(
            self,
            Access::Write,
            "keep a way in",
            db,
            people::change_ways(&mut db, id, &before, &after)
        )
    }

    async fn begin_app(&self, id: UserId, secret: String) -> Result<(), RepositoryError> {
        let write = Access::Write;
        transaction!(self, write, "keep a way in", db, people::begin_app(&mut db, id, &secret))
    }

    async fn session(&self, hash: SecretHash) -> Result<Option<(Kept, Person)>, RepositoryError> {
        transaction!(self, Access::Read, "find a session", db, people::session(&mut db, hash))
    }

    async fn sessions_of(&self, id: UserId) -> Result<Vec<Kept>, RepositoryError> {
        transaction!(self, Access::Read, "list sessions", db, people::sessions_of(&mut db, id))
    }

    async fn keep_session(&self, kept: Kept, now_ms: i64) -> Result<(), RepositoryError> {
        let (write, kept) = (Access::Write, &kept);
        transaction!(self, write, "keep a session", db, people::keep(&mut db, kept, now_ms))
    }

    async fn touch_session(&self, kept: Kept) -> Result<(), RepositoryError> {
        let (write, kept) = (Access::Write, &kept);
        transaction!(self, write, "keep a session", db, people::touch_session(&mut db, kept))
    }

    async fn end_session(&self, hash: SecretHash) -> Result<(), RepositoryError> {
        transaction!(self, Access::Write, "end a session", db, people::end_session(&mut db, hash))
    }

    async fn book_len(&self, gateway: GatewayId, side: Side) -> Result<u64, RepositoryError> {
        let read = Access::Read;
        transaction!(self, read, "measure a book", db, books::len(&mut db, gateway, side))
    }

    async fn book(
        &self,
        gateway: GatewayId,
        side: Side,
        from: u64,
        limit: u32,
    ) -> Result<Vec<Vec<u8>>, RepositoryError> {
        transaction!(
            self,
            Access::Read,
            "read a book",
            db,
            books::entries(&mut db, gateway, side, from, limit)
        )
    }

    async fn append_book(
        &self,
        gateway: GatewayId,
        side: Side,
        from: u64,
        entries: Vec<Vec<u8>>,
    ) -> Result<u64, RepositoryError> {
        transaction!(
            self,
            Access::Write,
            "write into a book",
            db,
            books::append(&mut db, gateway, side, from, &entries)
        )
    }

    async fn book_note(&self, gateway: GatewayId) -> Result<Option<String>, RepositoryError> {
        transaction!(self, Access::Read, "read a checkpoint", db, books::note(&mut db, gateway))
    }

    async fn put_book_note(&self, gateway: GatewayId, note: String) -> Result<(), RepositoryError> {
        transaction!(
            self,
            Access::Write,
            "keep a checkpoint",
            db,
            books::put_note(&mut db, gateway, &note)
        )
    }

    async fn sample(&self, gateway: GatewayId) -> Result<Option<Sample>, RepositoryError> {
        transaction!(self, Access::Read, "find a sample", db, books::sample(&mut db, gateway))
    }

    async fn setting(&self, key: &'static str) -> Result<Option<String>, RepositoryError> {
        transaction!(self, Access::Read, "read a setting", db, people::setting(&mut db, key))
    }

    async fn add_to_setting(&self, key: &'static str, line: String) -> Result<(), RepositoryError> {
        let (write, line) = (Access::Write, line.as_str());
        transaction!(self, write, "keep a setting", db, people::add_to_setting(&mut db, key, line))
    }

    async fn put_setting(
        &self,
        key: &'static str,
        value: Option<String>,
    ) -> Result<(), RepositoryError> {
        let (write, value) = (Access::Write, value.as_deref());
        transaction!(self, write, "keep a setting", db, people::put_setting(&mut db, key, value))
    }
}
