//! The one table of the API: method, path, what a visitor must be allowed, and the entry in its description.

use access::Act;
use axum::Json;
use openapi::{About, Need, Stage, Version, VersionBody, describe};
use utoipa::openapi::OpenApi;

use crate::people::People;
use crate::problem::ProblemBody;
use crate::repository::Repository;
use crate::{
    accounts, comparison, downloads, dwellings, errands, handover, histories, limits, links,
    position, promises, qr, session, sites, tags, tokens, users, ways,
};

#[rustfmt::skip]
#[expect(clippy::too_many_lines, reason = "the one table of routes, a line or two each")]
pub(crate) fn table<R: Repository>() -> Vec<Route<R>> {
    use Act::{Administer, Ask, Configure, See};
    use Need::{May, Nobody, Person};

    vec![
        Route::get("/health", Nobody, "Whether the pages are served", session::health)
            .answers::<session::Health>(200),
        Route::get("/versions", Nobody, "The versions of the API, and until when each is there", versions)
            .answers_list::<VersionBody>(),
        Route::get("/openapi.json", Nobody, "This description", description::<R>)
            .answers_text("application/json"),

        Route::get("/session", Nobody, "Who is logged in, and whether the service is claimed", session::show::<R>)
            .answers::<session::SessionBody>(200),
        Route::post("/claim", Nobody, "Become the first owner, with the one-time code", session::claim::<R>)
            .takes::<session::Claim>().answers::<session::SessionBody>(201),
        Route::post("/session", Nobody, "Log in", session::login::<R>)
            .takes::<session::Login>().answers::<session::SessionBody>(200),
        Route::delete("/session", Nobody, "Log out here", session::logout::<R>)
            .answers_nothing(),

        Route::post("/session/link", Nobody, "Come in by a link", links::open::<R>)
            .takes::<links::OpenLink>().answers::<session::SessionBody>(200),

        // What everybody changes of themselves: it needs no right, and a login that is fresh.
        Route::get("/login", Person, "How you get in beside your password", ways::show::<R>)
            .answers::<ways::WaysBody>(200),
        Route::post("/login/app", Person, "Begin to set up an app that shows codes", ways::begin_app::<R>)
            .answers::<ways::AppSecret>(200),
        Route::put("/login/app", Person, "Have the app's codes asked for, from the first that it shows", ways::finish_app::<R>)
            .takes::<ways::AppCode>().answers::<ways::RecoveryCodes>(200),
        Route::delete("/login/app", Person, "Be asked for no codes any more", ways::remove_app::<R>)
            .answers_nothing(),
        Route::post("/login/recovery", Person, "Fresh recovery codes; those before are void", ways::new_recovery::<R>)
            .answers::<ways::RecoveryCodes>(200),
        Route::put("/password", Person, "Change your own password", ways::change_password::<R>)
            .takes::<ways::NewPassword>().answers_nothing(),
        Route::get("/tokens", Person, "Your tokens, for programs; never their secrets", tokens::list::<R>)
            .answers_list::<tokens::TokenBody>(),
        Route::post("/tokens", Person, "Make a token", tokens::make::<R>)
            .takes::<tokens::NewToken>().answers::<tokens::MadeToken>(201),
        Route::delete("/tokens/{token}", Person, "Take a token away", tokens::remove::<R>)
            .answers_nothing(),

        Route::get("/users", May(Administer), "Who may log in", users::list::<R>)
            .answers_list::<users::UserBody>(),
        Route::post("/users", May(Administer), "Let somebody in", users::add::<R>)
            .takes::<users::NewUser>().answers::<users::UserBody>(201),
        Route::put("/users/{user}", May(Administer), "Change what somebody is, or help them in again", users::change::<R>)
            .takes::<users::ChangedUser>().answers::<users::UserBody>(200),
        Route::delete("/users/{user}", May(Administer), "Take somebody's access away", users::remove::<R>)
            .answers_nothing(),
        Route::delete("/users/{user}/sessions", May(Administer), "Log somebody out everywhere, and take their tokens away", users::log_out::<R>)
            .answers_nothing(),

        Route::get("/links", May(Administer), "Links, by which one comes without a password; never their secrets", links::list::<R>)
            .answers_list::<links::LinkBody>(),
        Route::post("/links", May(Administer), "Make a link to all buildings, to a tag or to one", links::make::<R>)
            .takes::<links::NewLink>().answers::<links::MadeLink>(201),
        Route::post("/links/{link}/renew", May(Administer), "Make a link anew; the one before opens nothing", links::renew::<R>)
            .answers::<links::MadeLink>(200),
        Route::delete("/links/{link}", May(Administer), "Take a link away", links::remove::<R>)
            .answers_nothing(),
        Route::get("/links/{link}/uses", May(Administer), "Who came by a link", links::uses::<R>)
            .answers_list::<links::UseBody>(),

        Route::get("/tags", May(See), "The tree of tags, and what the buildings of each come to", tags::list::<R>)
            .answers_list::<tags::TagBody>(),
        Route::post("/tags", May(Configure), "Add a tag", tags::add::<R>)
            .takes::<tags::NewTag>().answers::<tags::MadeTag>(201),
        Route::put("/tags/{tag}", May(Configure), "Give a tag another name, or another place in the tree", tags::put::<R>)
            .takes::<tags::NewTag>().answers_nothing(),
        Route::delete("/tags/{tag}", May(Configure), "Take a tag away", tags::remove::<R>)
            .answers_nothing(),
        Route::put("/sites/{site}/tags", May(Configure), "Give a building these tags instead of those that it had", tags::of_site::<R>)
            .takes::<tags::SiteTags>().answers_nothing(),
        Route::put("/sites/{site}/position", May(Configure), "Say where a building is; `null` for nowhere", position::put::<R>)
            .takes::<position::PositionBody>().answers_nothing(),

        Route::get("/sites", May(See), "The buildings, and how their gateways are doing", sites::list::<R>)
            .asks::<sites::Question>().answers_list::<sites::SiteBody>(),
        Route::get("/sites/{site}", May(See), "A building with its meters", sites::show::<R>)
            .answers::<sites::WholeSiteBody>(200),
        Route::get("/sites/{site}/account", May(See), "What was expected, what came, and why the rest did not", accounts::account::<R>)
            .asks::<accounts::Question>().answers::<accounts::AccountBody>(200),
        Route::get("/sites/{site}/readings.csv", May(See), "All readings of all its meters in a span, as a text file", downloads::site_csv::<R>)
            .asks::<downloads::SiteQuestion>().answers_text("text/csv"),
        Route::get("/sites/{site}/readings.json", May(See), "The same for programs", downloads::site_json::<R>)
            .asks::<downloads::SiteQuestion>().answers::<downloads::FileBody<'static>>(200),
        Route::delete("/sites/{site}/gateway", May(Administer), "Take a gateway's certificates off the list", sites::revoke::<R>)
            .answers_nothing(),
        Route::delete("/sites/{site}/alarms/{alarm}", May(Ask), "Say that somebody has looked at an alarm", sites::clear_alarm::<R>)
            .answers_nothing(),
        Route::get("/sites/{site}/meters/{meter}", May(See), "A meter with its registers", sites::meter::<R>)
            .answers::<sites::WholeMeterBody>(200),
        Route::get("/sites/{site}/meters/{meter}/history", May(See), "What a register did, period by period", histories::history::<R>)
            .asks::<histories::HistoryQuestion>().answers::<histories::HistoryBody>(200),
        Route::get("/sites/{site}/meters/{meter}/readings", May(See), "What a register showed, reading by reading", histories::readings::<R>)
            .asks::<histories::ReadingsQuestion>().answers::<histories::ReadingsBody>(200),
        Route::get("/sites/{site}/meters/{meter}/readings.csv", May(See), "All readings of a span as a text file", downloads::csv::<R>)
            .asks::<downloads::Question>().answers_text("text/csv"),
        Route::get("/sites/{site}/meters/{meter}/readings.json", May(See), "The same for programs", downloads::json::<R>)
            .asks::<downloads::Question>().answers::<downloads::FileBody<'static>>(200),
        Route::get("/sites/{site}/dwellings", May(Administer), "Which meters are a dwelling's, whose, and who sees them within a day", dwellings::list::<R>)
            .answers_list::<dwellings::DwellingBody>(),
        Route::put("/sites/{site}/dwellings/{meter}", May(Administer), "Say that a meter is a dwelling's, or something else of it", dwellings::put::<R>)
            .takes::<dwellings::NewDwelling>().answers_nothing(),
        Route::delete("/sites/{site}/dwellings/{meter}", May(Administer), "Say that a meter is no dwelling's", dwellings::remove::<R>)
            .answers_nothing(),
        Route::post("/sites/{site}/purpose", May(See), "Say what you look at a dwelling's readings for: they are shown for an hour", dwellings::state::<R>)
            .takes::<dwellings::Purpose>().answers_nothing(),
        Route::get("/sites/{site}/looks", May(Administer), "Who looked at dwellings, and what for", dwellings::looks::<R>)
            .asks::<dwellings::Question>().answers_list::<dwellings::LookBody>(),
        Route::post("/sites/{site}/handover", May(Administer), "Give a building's gateway to another owner: what let it, or anybody, in before is void", handover::give::<R>)
            .takes::<handover::HandoverBody>().answers::<handover::GivenBody>(201),
        Route::post("/sites/{site}/enrol-code", May(Configure), "Make a one-time code for the gateway of a building", handover::code::<R>)
            .answers::<sites::CodeBody>(201),
        Route::get("/sites/{site}/errands", May(Administer), "What is asked of a building's gateway, how it stands, and who did what", errands::api::list::<R>)
            .answers::<errands::api::ErrandsBody>(200),
        Route::post("/sites/{site}/errands", May(Administer), "Ask something of a building's gateway: a diagnosis, or a change of its configuration", errands::api::ask::<R>)
            .takes::<errands::api::Wanted>().answers::<errands::api::Asked>(201),
        Route::delete("/sites/{site}/errands/{errand}", May(Administer), "Take back what was asked", errands::api::withdraw::<R>)
            .answers_nothing(),
        Route::get("/sites/{site}/errands/{errand}/diagnosis.json", May(Administer), "The diagnosis that a gateway has sent", errands::api::bundle::<R>)
            .answers_text("application/json"),
        Route::put("/sites/{site}/facts", May(Configure), "What a building is compared by: its area, the meters that count for all of it", comparison::change_facts::<R>)
            .takes::<comparison::FactsBody>().answers_nothing(),
        Route::post("/enrol-codes", May(Configure), "Make a one-time code for a gateway, and its site if there is none", sites::enrol_code::<R>)
            .takes::<sites::NewCodeBody>().answers::<sites::CodeBody>(201),

        Route::get("/comparison", May(See), "A year of the buildings, beside the year before", comparison::compare::<R>)
            .asks::<comparison::Question>().answers::<comparison::ComparisonBody>(200),

        Route::get("/promises", May(See), "What was promised to every building, and how this month is", promises::list::<R>)
            .asks::<promises::OfTag>().answers_list::<promises::PromiseBody>(),
        Route::get("/sites/{site}/promise", May(See), "The promise to one of them, a month of it, and the two books", promises::show::<R>)
            .asks::<promises::Question>().answers::<promises::WholeBody>(200),
        Route::post("/sites/{site}/promise/proofs", May(Administer), "Keep a document that an entry is going to name", promises::said::keep_proof::<R>)
            .takes_text("application/octet-stream", MOST_PROOF).answers::<promises::said::KeptProof>(201),
        Route::get("/sites/{site}/promise/proofs/{sha256}", May(See), "A document that stands behind an entry", promises::said::proof::<R>)
            .answers_text("application/octet-stream"),
        Route::post("/sites/{site}/promise/exclusions", May(Administer), "Invoke an exclusion", promises::said::invoke::<R>)
            .takes::<promises::said::NewExclusion>().answers::<promises::said::Written>(201),
        Route::post("/sites/{site}/promise/{month}/progress", May(Administer), "Say what becomes of a claim", promises::said::progress::<R>)
            .takes::<promises::said::NewProgress>().answers::<promises::said::Written>(201),
        Route::get("/sites/{site}/promise/{month}/statement.pdf", May(See), "The statement of a month as a sheet", promises::sheet::<R>)
            .asks::<promises::Sheet>().answers_text("application/pdf"),

        Route::get("/limits", May(See), "How much may be asked, and how much of it is left", limits::show::<R>)
            .answers::<limits::LimitsBody>(200),
        Route::post("/qr", May(See), "A text as a QR code", qr::draw)
            .takes::<qr::Text>().answers::<qr::Qr>(200),
    ]
}

type Route<R> = openapi::Route<People<R>>;

/// Documents, which the other side takes only if they are no larger.
const MOST_PROOF: usize = 1024 * 1024;

/// `/api/v1`, and no other yet.
pub(crate) const V1: Version = Version { major: 1, stage: Stage::Final };

static VERSIONS: [Version; 1] = Version::checked([V1]);

/// `GET /versions`
async fn versions() -> Json<Vec<VersionBody>> {
    Json(VERSIONS.into_iter().map(Version::body).collect())
}

/// `GET /openapi.json`
async fn description<R: Repository>() -> Json<OpenApi> {
    Json(described::<R>())
}

/// The API's description.
fn described<R: Repository>() -> OpenApi {
    let about = About {
        title: "Fyrhus portfolio",
        text: "The API of the service for owners of many buildings, as its own pages use it. Exact \
               amounts are decimal text; columns of charts are integers with unit and decimals; times \
               are UTC. `x-roles` says who may. How much may be asked is told by `/limits`.",
        cookie: "__Host-fyrhus-portfolio",
        version: V1,
    };
    describe::<_, ProblemBody>(&about, table::<R>())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use openapi::typescript::{Union, golden, typescript};

    use super::*;
    use crate::Sqlite;
    use crate::problem::Code;

    const HOW: &str = "cargo test -p portfolio --lib";

    fn file(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
    }

    #[test]
    fn the_description_of_the_api_is_up_to_date() {
        let mut text = serde_json::to_string_pretty(&described::<Sqlite>()).unwrap();
        text.push('\n');
        golden(&file("openapi.json"), &text, HOW);
    }

    #[test]
    fn the_types_of_the_pages_are_up_to_date() {
        let description = serde_json::to_value(described::<Sqlite>()).unwrap();
        let words = Code::ALL.iter().map(|it| it.as_str()).collect();
        let codes = Union { name: "ProblemCode", what: "What a failure is", words };
        let text = typescript(&description, &[codes], HOW);
        golden(&file("../../web-ui/app/src/portfolio/api.gen.ts"), &text, HOW);
    }
}
