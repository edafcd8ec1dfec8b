//! The one table of routes: method, path, what a visitor must be allowed, and the entry in the
//! API's description. The router and `openapi.json` are both made from it, so neither can have a
//! route that the other has not.

use std::sync::Arc;

use access::Act;
use axum::extract::DefaultBodyLimit;
use axum::http::Uri;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use axum::{Json, Router};
use openapi::{About, Need, Stage, Version, VersionBody, describe};
use tower_http::compression::CompressionLayer;
use utoipa::openapi::OpenApi;

use crate::api::{
    account, analysis, audit, backup, bms, books, buses, certificate, cloud, commission, counter,
    diagnosis, doctor, errands, events, flow, happened, health, history, keys, links, login,
    meter_list, meters, overview, papers, plans, qr, readings, restore, said, scan, session,
    sessions, site, sla, telegram, tokens, users, versions,
};
use crate::problem::{Code, Problem, ProblemBody};
use crate::session::admit;
use crate::{Web, assets, guard, live};

#[rustfmt::skip]
#[expect(clippy::too_many_lines, reason = "the one table of routes, a line or two each")]
fn table() -> Vec<Route> {
    use Act::{Administer, Ask, Configure, Inspect, See};
    use Need::{Login, May, Nobody, Person};

    vec![
        Route::get("/health", Nobody, "Whether the pages are served", health::health)
            .answers::<health::Health>(200),
        Route::get("/versions", Nobody, "The versions of the API, and until when each is there", versions)
            .answers_list::<VersionBody>(),

        Route::get("/session", Nobody, "Who is logged in, and whether the gateway is claimed", session::session)
            .answers::<session::SessionBody>(200),
        Route::post("/claim", Nobody, "Become the first owner, with the one-time code", session::claim)
            .takes::<session::Claim>().answers::<session::SessionBody>(201),
        Route::post("/session", Nobody, "Log in", session::log_in)
            .takes::<session::Login>().answers::<session::SessionBody>(200),
        Route::post("/session/passkey/challenge", Nobody, "What a device has to sign to let its holder in", session::passkey_challenge)
            .answers::<session::PasskeyChallenge>(200),
        Route::post("/session/passkey", Nobody, "Log in with a passkey", session::log_in_by_passkey)
            .takes::<session::PasskeyLogin>().answers::<session::SessionBody>(200),
        Route::post("/session/link", Nobody, "Come in by a link", links::open)
            .takes::<links::OpenLink>().answers::<session::SessionBody>(200),
        Route::delete("/session", Login, "Log out here", session::log_out)
            .answers_nothing(),
        Route::delete("/sessions", Login, "Log out everywhere", session::log_out_everywhere)
            .answers_nothing(),
        Route::get("/sessions", Person, "The browsers that you are logged in with", sessions::sessions)
            .answers_list::<sessions::SessionRow>(),
        Route::delete("/sessions/{session}", Person, "Log one of them out", sessions::end)
            .answers_nothing(),
        Route::get("/login", Person, "How you get in beside your password", login::ways)
            .answers::<login::WaysBody>(200),
        Route::post("/login/app", Person, "Begin to set up an app that shows codes", login::begin_app)
            .answers::<login::AppSecret>(200),
        Route::put("/login/app", Person, "Have the app's codes asked for, from the first that it shows", login::finish_app)
            .takes::<login::AppCode>().answers::<login::RecoveryCodes>(200),
        Route::delete("/login/app", Person, "Be asked for no codes any more", login::remove_app)
            .answers_nothing(),
        Route::post("/login/recovery", Person, "Fresh recovery codes; those before are void", login::new_recovery)
            .answers::<login::RecoveryCodes>(200),
        Route::post("/login/passkeys/challenge", Person, "What a device has to sign to become your passkey", login::begin_passkey)
            .answers::<login::NewPasskeyChallenge>(200),
        Route::post("/login/passkeys", Person, "Keep a passkey", login::add_passkey)
            .takes::<login::NewPasskey>().answers::<login::PasskeyBody>(201),
        Route::delete("/login/passkeys/{passkey}", Person, "Forget a passkey", login::remove_passkey)
            .answers_nothing(),
        Route::get("/tokens", Person, "Your tokens, for programs; never their secrets", tokens::tokens)
            .answers_list::<tokens::TokenBody>(),
        Route::post("/tokens", Person, "Make a token", tokens::make)
            .takes::<tokens::NewToken>().answers::<tokens::MadeToken>(201),
        Route::delete("/tokens/{token}", Person, "Take a token away", tokens::remove)
            .answers_nothing(),
        Route::get("/certificate", Login, "The certificate that the pages come with, and who vouches for it", certificate::certificate)
            .answers::<certificate::CertificateBody>(200),
        Route::put("/certificate", May(Administer), "Have the pages come with a certificate of your own, at once", certificate::bring)
            .takes::<certificate::NewCertificate>().answers::<certificate::CertificateBody>(200),
        Route::delete("/certificate", May(Administer), "Take it away: the pages come with the gateway's own again", certificate::forget)
            .answers::<certificate::CertificateBody>(200),
        Route::get("/certificate/authority.crt", Nobody, "The certificate of the gateway's own authority, to be installed", certificate::authority)
            .answers_text("application/x-x509-ca-cert"),
        Route::post("/qr", Login, "A text as a QR code", qr::qr)
            .takes::<qr::QrText>().answers::<qr::QrBody>(200),
        Route::put("/password", Login, "Change your own password", session::change_password)
            .takes::<session::NewPassword>().answers_nothing(),

        Route::get("/site", May(See), "What is installed", site::site)
            .answers::<site::SiteBody>(200),
        Route::get("/overview", May(See), "The building at a glance", overview::overview)
            .answers::<overview::Overview>(200),
        Route::get("/flow", May(See), "Where a day's energy and water went, from mains to sub-meters", flow::flow)
            .asks::<flow::Question>().answers::<flow::Flow>(200),
        Route::get("/analysis", May(See), "A medium's use over a season: its hours, its days beside the temperature outdoors, the line that they follow", analysis::analysis)
            .asks::<analysis::Question>().answers::<analysis::Analysis>(200),
        Route::get("/meters", May(See), "All meters", meters::meters)
            .answers_list::<meters::MeterBody>(),
        Route::get("/meters/{meter}", May(See), "One meter with its registers", meters::meter)
            .answers::<meters::MeterDetail>(200),
        Route::post("/meters/{meter}/read", May(Ask), "Have a meter read now", meters::read)
            .answers::<meters::MeterDetail>(200),
        Route::post("/meters/{meter}/battery/seen", May(Ask), "Take notice of a battery that is running low", meters::see_battery)
            .answers::<meters::MeterDetail>(200),
        Route::post("/meters/{meter}/counter", May(Configure), "Set a counter of pulses to what its meter's display shows", counter::set)
            .takes::<counter::CounterRequest>().answers::<counter::CounterBody>(200),
        Route::get("/meters/{meter}/events", May(See), "What happened to a meter's numbers: counters that ran over, exchanges, corrections", events::events)
            .answers::<events::Events>(200),
        Route::post("/meters/{meter}/corrections", May(Configure), "Put a figure in the place of a reading, or where there was none", events::correct)
            .takes::<events::CorrectionRequest>().answers::<events::Event>(201),
        Route::post("/meters/{meter}/corrections/span", May(Configure), "Correct all readings of a span of time, or say how many those are", events::correct_span)
            .takes::<events::SpanCorrectionRequest>().answers::<events::SpanCorrectionBody>(200),
        Route::get("/meters/{meter}/history", May(See), "What a register did, period by period", history::history)
            .asks::<history::Question>().answers::<history::History>(200),
        Route::get("/meters/{meter}/history.csv", May(See), "The same as a file", history::csv)
            .asks::<history::Question>().answers_text("text/csv"),
        Route::get("/meters/{meter}/readings", May(See), "What a register showed, reading by reading", readings::readings)
            .asks::<readings::Question>().answers::<readings::Readings>(200),
        Route::get("/meters/{meter}/telegram", May(Inspect), "What a meter said, byte by byte, and what each byte means", telegram::telegram)
            .asks::<telegram::Question>().answers::<telegram::AnswerBody>(200),
        Route::get("/account", May(See), "What was expected, what came, and why the rest did not", account::account)
            .asks::<account::Question>().answers::<account::AccountBody>(200),
        Route::get("/meters/{meter}/papers", May(See), "Manuals, certificates and pictures of a meter and its place", papers::papers)
            .answers::<papers::PapersBody>(200),
        Route::post("/meters/{meter}/papers", May(Configure), "Put a PDF or a JPEG to a meter, or to all at its place", papers::add)
            .asks::<papers::NewPaper>().takes_text("application/octet-stream", papers::MOST_BYTES).answers::<papers::PaperBody>(201),
        Route::get("/meters/{meter}/papers/{paper}", May(See), "One of them", papers::paper)
            .answers_text("application/octet-stream"),
        Route::delete("/meters/{meter}/papers/{paper}", May(Configure), "Take one away", papers::remove)
            .answers_nothing(),
        Route::get("/plans", May(See), "Pictures of the building, with its meters on them", plans::plans)
            .answers_list::<plans::PlanBody>(),
        Route::post("/plans", May(Configure), "Add a picture of the building", plans::add)
            .asks::<plans::NewPlan>().takes_text("image/jpeg", store::MOST_PROOF).answers::<plans::PlanBody>(201),
        Route::get("/plans/{plan}/picture", May(See), "The picture of a plan", plans::picture)
            .answers_text("image/jpeg"),
        Route::put("/plans/{plan}", May(Configure), "Name a plan, and say where on it the meters are", plans::change)
            .takes::<plans::ChangedPlan>().answers::<plans::PlanBody>(200),
        Route::delete("/plans/{plan}", May(Configure), "Take a plan away", plans::remove)
            .answers_nothing(),
        Route::get("/live", May(See), "What changes, as server-sent events `live` and `status`", live::live)
            .answers_text("text/event-stream").mentions::<live::LiveEvent>(),

        Route::get("/buses", May(Inspect), "How the buses are doing", buses::buses)
            .answers_list::<buses::BusBody>(),
        Route::get("/buses/{bus}", May(Inspect), "How a bus is doing, and what is wrong with its wire", doctor::bus)
            .answers::<doctor::BusDetail>(200),
        Route::post("/buses/{bus}/scan", May(Configure), "Look for meters on a bus, between the readings: start, pause, resume, cancel", scan::scan)
            .takes::<scan::ScanRequest>().answers::<scan::ScanBody>(200),
        Route::get("/events", May(Inspect), "What happened: alarms with their ends, outages, changes of the configuration", happened::happened)
            .asks::<happened::Question>().answers::<happened::Happened>(200),
        Route::get("/status", May(Inspect), "How the gateway is doing", buses::status)
            .answers::<buses::StatusBody>(200),
        Route::get("/diagnosis.json", May(Inspect), "What somebody who helps from afar has to know: no names, no secrets, no readings", diagnosis::diagnosis)
            .answers_text("application/json"),
        Route::get("/errands", May(Inspect), "What the portfolio asks of this gateway, and what is left to it", errands::errands)
            .answers::<errands::ErrandsBody>(200),
        Route::put("/errands/leave", May(Administer), "Say what is left to the portfolio", errands::leave)
            .takes::<errands::LeaveBody>().answers::<errands::ErrandsBody>(200),
        Route::post("/errands/{errand}/allow", May(Configure), "Allow what the portfolio asks, this once", errands::allow)
            .answers::<errands::ErrandsBody>(200),
        Route::post("/errands/{errand}/refuse", May(Configure), "Refuse what the portfolio asks", errands::refuse)
            .answers::<errands::ErrandsBody>(200),
        Route::get("/bms", May(Inspect), "The registers for the building's management system, over Modbus TCP", bms::bms)
            .answers::<bms::BmsBody>(200),
        Route::get("/bms/registers.csv", May(Inspect), "The same as a text file", bms::csv)
            .answers_text("text/csv"),
        Route::get("/bms/registers.xlsx", May(Inspect), "The same as a workbook", bms::xlsx)
            .answers_text("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        Route::get("/cloud", May(Inspect), "The sync, and a month of the cloud's uptime", cloud::cloud)
            .asks::<cloud::Question>().answers::<cloud::Cloud>(200),

        Route::get("/sla", May(Inspect), "The promise of uptime: the contract, a year of statements, exclusions", sla::year)
            .asks::<sla::Year>().answers::<sla::SlaBody>(200),
        Route::get("/sla/{month}", May(Inspect), "The statement of a month, as it follows from the ledger now", sla::statement)
            .answers::<sla::SlaStatement>(200),
        Route::get("/sla/{month}/statement.pdf", May(Inspect), "The statement as a sheet, as it is or as an entry told it", sla::sheet)
            .asks::<sla::Sheet>().answers_text("application/pdf"),
        Route::get("/sla/{month}/statement.csv", May(Inspect), "Its outages and exclusions as a file", sla::csv)
            .answers_text("text/csv"),
        Route::get("/sla/{month}/minutes.csv", May(Inspect), "The month minute by minute as a file", sla::minutes)
            .answers_text("text/csv"),
        Route::get("/sla/{month}/statement.json", May(Inspect), "The statement for programs, as in the evidence file", sla::json)
            .answers_text("application/json"),
        Route::get("/sla/{month}/evidence.tar", May(Inspect), "The evidence file, signed now", sla::evidence)
            .answers_text("application/x-tar"),
        Route::get("/sla/{month}/claim.pdf", May(Inspect), "The claim as a letter, with the hashes of its enclosures", sla::letter)
            .asks::<sla::Sheet>().answers_text("application/pdf"),
        Route::get("/sla/proofs/{sha256}", May(Inspect), "A document that stands behind an entry", said::proof)
            .answers_text("application/octet-stream"),
        Route::post("/sla/proofs", May(Configure), "Keep a document that an entry is going to name", said::keep_proof)
            .takes_text("application/octet-stream", store::MOST_PROOF).answers::<said::KeptProof>(201),
        Route::get("/sla/{month}/books", May(Inspect), "The customer's book and the vendor's beside each other", books::books)
            .answers::<books::SlaBooks>(200),
        Route::post("/sla/contract", May(Administer), "Write down what was agreed, from the month of its start on", said::contract)
            .takes::<crate::Agreement>().answers::<said::Written>(201),
        Route::post("/sla/exclusions", May(Configure), "Invoke an exclusion", said::invoke)
            .takes::<said::NewExclusion>().answers::<said::Written>(201),
        Route::post("/sla/exclusions/{exclusion}/answer", May(Administer), "Accept, dispute or reject an exclusion", said::answer)
            .takes::<said::NewAnswer>().answers::<said::Written>(201),
        Route::post("/sla/{month}/claim", May(Administer), "Say that notice of the breach was given", said::claim)
            .takes::<said::NewClaim>().answers::<said::Written>(201),
        Route::post("/sla/{month}/progress", May(Administer), "Say what became of the claim", said::progress)
            .takes::<said::NewProgress>().answers::<said::Written>(201),
        Route::post("/sla/corrections", May(Administer), "Say that an entry is not in force", said::correct)
            .takes::<said::NewCorrection>().answers::<said::Written>(201),
        Route::post("/cloud/enrol", May(Configure), "Enrol with a cloud", cloud::enrol)
            .takes::<cloud::Enrolment>().answers_nothing(),
        Route::get("/keys", May(Configure), "Whose keys are kept, of meters that encrypt; never the keys", keys::keys)
            .answers_list::<keys::KeyBody>(),
        Route::post("/keys/import", May(Configure), "Keep the keys in a supplier's file: CSV or KEM", keys::import)
            .takes::<keys::KeyFile>().at_most(MOST_KEYS).answers::<keys::ImportedKeys>(200),
        Route::put("/keys/{meter}", May(Configure), "Keep the keys of a meter, by the number on it", keys::enter)
            .takes::<keys::KeyEntry>().answers_nothing(),
        Route::delete("/keys/{meter}", May(Configure), "Forget the keys of a meter", keys::forget)
            .answers_nothing(),
        Route::get("/site/config", May(Configure), "The newest `site.toml`; its version is the ETag", site::config)
            .answers_text("application/toml"),
        Route::put("/site/config", May(Configure), "Save a `site.toml` and take it over; If-Match names the version that was changed", site::save_config)
            .takes_text("application/toml", MOST_CONFIG).answers::<site::Saved>(200),

        Route::get("/site/versions", May(Configure), "Every configuration that was saved", versions::versions)
            .answers_list::<versions::VersionBody>(),
        Route::get("/site/versions/{version}", May(Configure), "The text of one of them", versions::version)
            .answers_text("application/toml"),
        Route::post("/site/versions/{version}/restore", May(Configure), "Save it anew and take it over", versions::restore)
            .answers::<site::Saved>(200),
        Route::get("/site/versions/{version}/signed", May(Configure), "One of them as a file that proves itself elsewhere", versions::signed)
            .answers_text("application/toml"),
        Route::get("/site/history", May(Configure), "Whether the versions and the audit log are what was written", versions::proof)
            .answers::<versions::HistoryBody>(200),
        Route::get("/site/clone", May(Configure), "The configuration for the next building: other ids, no device of this one", versions::clone)
            .answers_text("application/toml"),
        Route::get("/meters/list.csv", May(Configure), "The meters as a table", meter_list::csv)
            .answers_text("text/csv"),
        Route::get("/meters/list.xlsx", May(Configure), "The same as a workbook", meter_list::xlsx)
            .answers_text("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        Route::post("/meters/list", May(Configure), "What a list of meters would change, line by line; or has it come true", meter_list::import)
            .asks::<meter_list::Import>().takes_text("text/csv", MOST_CONFIG).answers::<meter_list::ListBody>(200),

        Route::get("/commission", May(Configure), "How far commissioning is", commission::commission)
            .answers::<commission::CommissionBody>(200),
        Route::put("/commission/step", May(Configure), "Go to a step of it", commission::step)
            .takes::<commission::Step>().answers::<commission::CommissionBody>(200),
        Route::put("/commission/site", May(Configure), "Name the building; make it if there is none", commission::place::site)
            .takes::<commission::place::Building>().answers::<commission::CommissionBody>(200),
        Route::get("/commission/ports", May(Configure), "The serial ports of this machine", commission::place::ports)
            .answers_list::<commission::place::PortBody>(),
        Route::post("/commission/try", May(Configure), "Try a port at every speed of M-Bus", commission::place::try_port)
            .takes::<commission::place::Trial>().answers::<commission::place::TriedBody>(200),
        Route::put("/commission/bus", May(Configure), "Add or change a bus", commission::place::bus)
            .takes::<commission::place::NewBus>().answers::<commission::CommissionBody>(200),
        Route::post("/commission/meters", May(Configure), "Take meters that a scan has found", commission::meter::add)
            .takes::<commission::meter::Taken>().answers::<commission::CommissionBody>(200),
        Route::put("/commission/meters/{meter}", May(Configure), "Name and place a meter", commission::meter::change)
            .takes::<commission::meter::Placing>().answers::<commission::CommissionBody>(200),
        Route::post("/commission/meters/{meter}/plate", May(Configure), "Compare what a display shows with what is read", commission::meter::plate)
            .takes::<commission::meter::OnDisplay>().answers::<commission::CommissionBody>(200),
        Route::post("/commission/meters/{meter}/draw", May(Configure), "Begin a measured draw, or end it with what was drawn", commission::meter::draw)
            .takes::<commission::meter::Drawing>().answers::<commission::CommissionBody>(200),
        Route::post("/commission/meters/{meter}/test", May(Configure), "Read a meter and keep how that went", commission::meter::test)
            .answers::<commission::CommissionBody>(200),
        Route::post("/commission/meters/{meter}/photos", May(Configure), "Keep a photo of a meter", commission::meter::keep_photo)
            .takes_text("image/jpeg", store::MOST_PROOF).answers::<commission::CommissionBody>(200),
        Route::delete("/commission/meters/{meter}/photos/{sha256}", May(Configure), "Take a photo out of the report", commission::meter::drop_photo)
            .answers::<commission::CommissionBody>(200),
        Route::get("/commission/photos/{sha256}", May(Configure), "A photo of a meter", commission::meter::photo)
            .answers_text("image/jpeg"),
        Route::put("/commission/signature", May(Configure), "Put a name under the report", commission::sign)
            .takes::<commission::Signing>().answers::<commission::CommissionBody>(200),
        Route::get("/commission/report.pdf", May(Configure), "The acceptance report as it is now", commission::report::report)
            .asks::<commission::report::Report>().answers_text("application/pdf"),

        Route::get("/users", May(Administer), "Who may log in", users::users)
            .answers_list::<users::UserBody>(),
        Route::post("/users", May(Administer), "Let somebody in", users::add)
            .takes::<users::NewUser>().answers::<users::UserBody>(201),
        Route::put("/users/{user}", May(Administer), "Change what somebody is, or help them in again", users::change)
            .takes::<users::ChangedUser>().answers::<users::UserBody>(200),
        Route::delete("/users/{user}/sessions", May(Administer), "Log somebody out everywhere, and take their tokens away", users::log_out)
            .answers_nothing(),
        Route::delete("/users/{user}", May(Administer), "Take somebody's access away", users::remove)
            .answers_nothing(),
        Route::get("/links", May(Administer), "Links and screens; never their secrets", links::links)
            .answers_list::<links::LinkBody>(),
        Route::post("/links", May(Administer), "Make a link, or let a screen in", links::make)
            .takes::<links::NewLink>().answers::<links::MadeLink>(201),
        Route::post("/links/{link}/renew", May(Administer), "Make a link anew; the one before opens nothing", links::renew)
            .answers::<links::MadeLink>(200),
        Route::delete("/links/{link}", May(Administer), "Take a link away", links::remove)
            .answers_nothing(),
        Route::get("/backup", May(Administer), "Where the newest backup stands", backup::backup)
            .answers::<backup::BackupBody>(200),
        Route::post("/backup", May(Administer), "Make a backup of all that the gateway is", backup::make)
            .takes::<backup::NewBackup>().answers::<backup::BackupBody>(200),
        Route::get("/backup/file", May(Administer), "The backup, which only its passphrase opens", backup::file)
            .answers_text("application/octet-stream"),
        Route::delete("/backup", May(Administer), "Take the backup away; after an hour it goes by itself", backup::remove)
            .answers_nothing(),
        Route::get("/backup/sticks", May(Administer), "The USB sticks at the gateway, and what is on them", backup::sticks)
            .answers::<backup::SticksBody>(200),
        Route::post("/backup/sticks", May(Administer), "Copy the backup to a stick and read it back", backup::copy)
            .takes::<backup::ToStick>().answers::<backup::SticksBody>(200),
        Route::get("/restore", May(Administer), "Where a backup that comes back stands", restore::restore)
            .answers::<restore::RestoreBody>(200),
        Route::put("/restore/file", May(Administer), "Send a backup, piece by piece", restore::take)
            .asks::<restore::Piece>().takes_text("application/octet-stream", restore::MOST_PIECE).answers::<restore::RestoreBody>(200),
        Route::post("/restore/stick", May(Administer), "Fetch a backup from a USB stick", restore::fetch)
            .takes::<restore::Fetched>().answers::<restore::RestoreBody>(200),
        Route::delete("/restore/file", May(Administer), "Forget the backup that was sent", restore::remove)
            .answers::<restore::RestoreBody>(200),
        Route::post("/restore/look", May(Administer), "Open it and tell what it holds; nothing is changed", restore::look)
            .takes::<restore::Opened>().answers::<restore::RestoreBody>(200),
        Route::post("/restore", May(Administer), "Put what it holds in the place of all that is here, and start anew", restore::go)
            .answers::<restore::RestoreBody>(200),
        Route::post("/restore/back", May(Administer), "Put back what was here before the last restore", restore::back)
            .answers::<restore::RestoreBody>(200),
        Route::delete("/restore/before", May(Administer), "Remove what was here before the last restore", restore::forget)
            .answers::<restore::RestoreBody>(200),
        Route::get("/audit", May(Administer), "Who did what, when", audit::audit)
            .asks::<audit::Question>().answers_list::<audit::AuditEntry>(),
    ]
}

type Route = openapi::Route<Arc<Web>>;

/// No body but a configuration is larger.
const MOST_BODY: usize = 64 << 10;

/// A file of the keys of some thousand meters, in base64.
const MOST_KEYS: usize = 4 << 20;

/// A building with a thousand meters has a quarter of this.
const MOST_CONFIG: usize = 1 << 20;

/// Everything that is served.
pub(crate) fn router(web: Arc<Web>) -> Router {
    let mut api = Router::new();
    for Route { path, need, serve, .. } in table() {
        let admit = from_fn_with_state((Arc::clone(&web), need), admit);
        api = api.route(path, serve.route_layer(admit));
    }
    let description = Json(description());
    let api = api
        .route("/openapi.json", get(async move || description.clone()))
        .fallback(no_such_route)
        .method_not_allowed_fallback(method);
    V1.nest(Router::new(), api)
        .fallback(assets::page)
        .layer(CompressionLayer::new())
        .layer(DefaultBodyLimit::max(MOST_BODY))
        .layer(from_fn_with_state(Arc::clone(&web), guard::guard))
        .with_state(web)
}

async fn no_such_route(uri: Uri) -> Problem {
    Problem::new(Code::NoSuchRoute, format!("The API has no route {}.", uri.path()))
}

async fn method() -> Problem {
    Problem::new(Code::Method, "The route has no such method.")
}

/// The API's description.
pub(crate) fn description() -> OpenApi {
    let about = About {
        title: "Fyrhus gateway",
        text: "The API of one gateway, as its own pages use it. Exact amounts are decimal text; columns \
               of charts are integers with unit and decimals; times are UTC. `x-roles` says who may.",
        cookie: "__Host-fyrhus",
        version: V1,
    };
    describe::<_, ProblemBody>(&about, table())
}

/// `/api/v1`, and no other yet.
const V1: Version = Version { major: 1, stage: Stage::Final };

static VERSIONS: [Version; 1] = Version::checked([V1]);

/// `GET /versions`
async fn versions() -> Json<Vec<VersionBody>> {
    Json(VERSIONS.into_iter().map(Version::body).collect())
}

/// What a test needs to try every route.
#[cfg(test)]
pub(crate) fn listed() -> Vec<(&'static str, &'static str, Need)> {
    table().into_iter().map(|route| (route.verb.as_str(), route.path, route.need)).collect()
}
