//! A portfolio that is older than its gateway, and does not know all of its words.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Arc, Mutex};

use metering::SeriesId;
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use store::testing::{COLD, HEAT, known_day};
use sync_wire::{Ack, Envelope, GapReason, Latest, Refusal, SeriesTable, SyncReading, path};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::recall::harm;
use crate::support::{Cloud, Gateway, everything, gateway_id};
use crate::sync::round;

/// What it has taken, and what it cannot read.
#[derive(Debug, Default)]
struct Older {
    /// It reads a table of the site alone, and no row of any.
    reads_no_row: bool,
    /// It cannot read a series of which this says so.
    unread: BTreeSet<SeriesId>,
    known: BTreeSet<SeriesId>,
    acked: u64,
    readings: Vec<SyncReading>,
    /// How many were announced as put aside.
    aside: u64,
    meters: BTreeSet<String>,
    /// How often it was asked for what it has never heard of.
    unheard: usize,
}

impl Older {
    fn answer(&mut self, place: &str, body: &[u8]) -> Result<Ack, Refusal> {
        let malformed = || Refusal::Malformed { sentence: "what is that?".to_owned() };
        match place {
            path::SERIES => {
                let SeriesTable { meters, series, .. } = SeriesTable::read(body)?;
                let unread = series.iter().any(|row| self.unread.contains(&row.series));
                // A medium of the gateway's that came later.
                let meter = meters.iter().any(|meter| meter.id == COLD);
                let is_bare = meters.is_empty() && series.is_empty();
                if (self.reads_no_row && !is_bare) || unread || meter {
                    return Err(malformed());
                }
                self.known.extend(series.iter().map(|row| row.series));
                self.meters.extend(meters.into_iter().map(|meter| meter.name));
            }
            path::BATCH => {
                let envelope = Envelope::read(body)?;
                let batch = envelope.open()?;
                assert_eq!(envelope.header.from, self.acked + 1);
                let readings = batch.readings();
                let all: BTreeSet<_> = readings.iter().map(|it| it.series).collect();
                let series: Vec<_> = all.difference(&self.known).copied().collect();
                if !series.is_empty() {
                    return Err(Refusal::UnknownSeries { series });
                }
                self.readings.extend(readings);
                for gap in batch.gaps() {
                    assert_eq!(gap.reason, GapReason::Parked);
                    self.aside += gap.to - gap.from + 1;
                }
                self.acked = batch.to();
            }
            path::LATEST => drop(Latest::read(body)?),
            other => panic!("nobody asks for {other}"),
        }
        Ok(Ack { acked: self.acked })
    }
}

/// Has `older` answer in the place of the service of `cloud`, under its name and authority.
async fn takes_the_place(cloud: &mut Cloud, older: Arc<Mutex<Older>>) {
    let pem = fs::read_to_string(cloud.dir.path().join("authority.pem")).unwrap();
    cloud.down().await;
    let authority = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let issuer = Issuer::from_ca_cert_der(&authority, KeyPair::from_pem(&pem).unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config =
        ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone(), authority], key)
            .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    cloud.line.leads_to(listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, older) = (acceptor.clone(), Arc::clone(&older));
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await.unwrap();
                let mut stream = BufReader::new(stream);
                while let Some((place, body)) = request(&mut stream).await {
                    let (status, body) = if place == path::RECALL {
                        older.lock().unwrap().unheard += 1;
                        (404, Vec::new())
                    } else {
                        match older.lock().unwrap().answer(&place, &body) {
                            Ok(ack) => (200, ack.write()),
                            Err(refusal) => (refusal.status(), refusal.write()),
                        }
                    };
                    let length = body.len();
                    let head = format!("HTTP/1.1 {status} -\r\ncontent-length: {length}\r\n\r\n");
                    stream.write_all(head.as_bytes()).await.unwrap();
                    stream.write_all(&body).await.unwrap();
                    stream.flush().await.unwrap();
                }
            });
        }
    });
}

/// The next request of a connection: for what, and its body.
async fn request<S: AsyncBufReadExt + Unpin>(stream: &mut S) -> Option<(String, Vec<u8>)> {
    let mut first = String::new();
    stream.read_line(&mut first).await.ok().filter(|read| *read > 0)?;
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((first.split(' ').nth(1).unwrap().to_owned(), body))
}

#[tokio::test]
async fn a_series_that_the_portfolio_cannot_read_is_put_aside_and_the_rest_goes_on() {
    let (mut cloud, day) = (Cloud::start().await, known_day().await.unwrap());
    let mut gateway = Gateway::new(Some(cloud.identity(gateway_id()).await));
    let outbox = day.store.outbox();
    let stored = everything(&outbox).await;
    let unread = stored.last().unwrap().series;
    let older = Older { unread: BTreeSet::from([unread]), ..Older::default() };
    let older = Arc::new(Mutex::new(older));
    takes_the_place(&mut cloud, Arc::clone(&older)).await;

    gateway.run(&day.store);
    gateway.caught_up(&outbox).await;
    {
        let older = older.lock().unwrap();
        let good: Vec<_> =
            stored.iter().filter(|it| it.series != unread).map(|it| it.seq).collect();
        let came: Vec<_> = older.readings.iter().map(|it| it.seq).collect();
        assert!(!good.is_empty() && came == good, "{} of {}", came.len(), good.len());
        assert_eq!(older.aside, (stored.len() - good.len()) as u64);
        assert_eq!(gateway.status.borrow().parked, older.aside);
        assert_eq!(older.meters, BTreeSet::from(["Fjernvarme, hovedmåler".to_owned()]));
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_portfolio_that_reads_no_row_at_all_is_waited_for_and_nothing_is_put_aside() {
    let (mut cloud, day) = (Cloud::start().await, known_day().await.unwrap());
    let mut gateway = Gateway::new(Some(cloud.identity(gateway_id()).await));
    let older = Arc::new(Mutex::new(Older { reads_no_row: true, ..Older::default() }));
    takes_the_place(&mut cloud, Arc::clone(&older)).await;
    gateway.run(&day.store);
    let status = gateway.until(|status| status.last_error.is_some()).await;
    let told = status.last_error.unwrap();
    assert!(told.contains("cannot read the message: what is that?"), "{told}");
    assert_eq!((older.lock().unwrap().acked, status.parked), (0, 0));

    // It was updated.
    older.lock().unwrap().reads_no_row = false;
    let (outbox, all) = (day.store.outbox(), everything(&day.store.outbox()).await);
    gateway.caught_up(&outbox).await;
    let came = older.lock().unwrap().readings.len();
    assert_eq!((came, gateway.status.borrow().parked), (all.len(), 0));
    gateway.stop().await;
}

#[tokio::test]
async fn a_portfolio_that_cannot_be_asked_for_readings_is_asked_once_and_gets_what_is_new() {
    let (mut cloud, day) = (Cloud::start().await, known_day().await.unwrap());
    let mut gateway = Gateway::new(Some(cloud.identity(gateway_id()).await));
    let older = Arc::new(Mutex::new(Older::default()));
    takes_the_place(&mut cloud, Arc::clone(&older)).await;
    let outbox = day.store.outbox();
    gateway.run(&day.store);
    gateway.caught_up(&outbox).await;
    harm(&day.store, day.dir.path(), HEAT).await;
    for minute in 0..4 {
        round(&day.store, minute).await;
        gateway.caught_up(&outbox).await;
    }
    // Between two deliveries it has time to ask, and does not.
    let asked = gateway.until(|_| older.lock().unwrap().unheard > 0).await;
    assert_eq!(asked.last_error, None);
    for minute in 4..8 {
        round(&day.store, minute).await;
        gateway.caught_up(&outbox).await;
    }
    gateway.stop().await;
    assert_eq!(older.lock().unwrap().unheard, 1);
    assert!(outbox.recall().await.unwrap().is_some(), "it is wanted still");
}
