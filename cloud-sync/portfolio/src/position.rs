//! `PUT /api/v1/sites/{site}/position`: where a building is, as its owner says.

use access::User;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use metering::SiteId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::people::People;
use crate::problem::Problem;
use crate::repository::{Position, Repository};
use crate::sites;

/// `PUT /sites/{site}/position`, with `null` for one that nobody knows.
pub(crate) async fn put<R: Repository>(
    State(people): State<People<R>>,
    Extension(by): Extension<User>,
    site: Result<Path<SiteId>, PathRejection>,
    asked: Result<Json<Option<PositionBody>>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let (Path(site), Json(asked)) = (site?, asked?);
    let position = asked.map(PositionBody::checked).transpose()?;
    if !people.repository.place_site(site, position).await? {
        return Err(sites::no_such_site());
    }
    tracing::info!(by = %by.name, %site, "position of a site changed");
    Ok(StatusCode::NO_CONTENT)
}

/// `{"latitude_udeg":63430515,"longitude_udeg":10395053}`: millionths of a degree, WGS 84.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Position)]
pub(crate) struct PositionBody {
    latitude_udeg: i32,
    longitude_udeg: i32,
}

impl PositionBody {
    pub(crate) const fn of(position: Position) -> Self {
        let Position { latitude_udeg, longitude_udeg } = position;
        Self { latitude_udeg, longitude_udeg }
    }

    fn checked(self) -> Result<Position, Problem> {
        let Self { latitude_udeg, longitude_udeg } = self;
        let fits = |degrees: i32, most: i32| (-most * MILLION..=most * MILLION).contains(&degrees);
        if !fits(latitude_udeg, 90) || !fits(longitude_udeg, 180) {
            return Err(Problem::malformed(
                "`latitude_udeg` is from -90000000 to 90000000 and `longitude_udeg` from \
                 -180000000 to 180000000, in millionths of a degree",
            ));
        }
        Ok(Position { latitude_udeg, longitude_udeg })
    }
}

const MILLION: i32 = 1_000_000;
