//! What the owner of the demo's buildings has told the portfolio about them: area, meters that count,
//! where they are and by which tags they are ordered.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::neighbours::Subject;
use crate::site::{Access, http, wait_for};

/// Tells it of each of `buildings`, as soon as its gateway has named its meters.
pub(crate) async fn fill_in(access: &Access, buildings: &[&Subject]) -> anyhow::Result<()> {
    let owner = Owner { client: http()?, url: &access.portfolio_url };
    let login = json!({ "name": access.portfolio_user, "password": access.portfolio_password });
    owner.ask(Method::POST, "/session", login).await?;
    let mut tags: HashMap<Vec<&str>, Value> = HashMap::new();
    for building in buildings {
        owner.describe(building, &mut tags).await.with_context(|| building.name)?;
    }
    // The session was for this alone.
    owner.ask(Method::DELETE, "/session", Value::Null).await?;
    Ok(())
}

struct Owner<'a> {
    client: Client,
    url: &'a str,
}

impl Owner<'_> {
    async fn describe<'t>(
        &self,
        building: &'t Subject,
        tags: &mut HashMap<Vec<&'t str>, Value>,
    ) -> anyhow::Result<()> {
        let (site, counted) = self.known(building).await?;
        let facts = json!({ "area_m2": building.area_m2, "counted": counted });
        self.ask(Method::PUT, &format!("/sites/{site}/facts"), facts).await?;
        let [latitude, longitude] = building.position_udeg;
        let position = json!({ "latitude_udeg": latitude, "longitude_udeg": longitude });
        self.ask(Method::PUT, &format!("/sites/{site}/position"), position).await?;
        let mut own = Vec::new();
        for path in building.tags {
            let mut parent = Value::Null;
            for depth in 1..=path.len() {
                let above = path.iter().take(depth).copied().collect::<Vec<_>>();
                if !tags.contains_key(&above) {
                    let tag = json!({ "name": above.last(), "parent": parent });
                    let made = self.ask(Method::POST, "/tags", tag).await?;
                    tags.insert(above.clone(), field(&made, "id").clone());
                }
                parent.clone_from(tags.get(&above).context("it was made")?);
            }
            own.push(parent);
        }
        self.ask(Method::PUT, &format!("/sites/{site}/tags"), json!({ "tags": own })).await?;
        Ok(())
    }

    /// Its id, and those of the meters that count for all of it.
    async fn known(&self, building: &Subject) -> anyhow::Result<(String, Vec<Value>)> {
        let found = tokio::sync::Mutex::new(None);
        wait_for("the gateway has named its meters", NAMED, || async {
            let sites = self.ask(Method::GET, "/sites", Value::Null).await?;
            let named = |site: &&Value| *field(site, "name") == building.name;
            let Some(id) = list(&sites).find(named).and_then(|site| field(site, "id").as_str())
            else {
                return Ok(false);
            };
            let site = self.ask(Method::GET, &format!("/sites/{id}"), Value::Null).await?;
            let meter = |name: &&str| {
                let mut meters = list(field(&site, "meters_list"));
                meters
                    .find(|meter| *field(meter, "name") == **name)
                    .map(|meter| field(meter, "id").clone())
            };
            let counted: Option<Vec<Value>> = building.counted.iter().map(meter).collect();
            *found.lock().await = counted.map(|counted| (id.to_owned(), counted));
            Ok(found.lock().await.is_some())
        })
        .await?;
        found.into_inner().context("it was found")
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> anyhow::Result<Value> {
        let request = self.client.request(method.clone(), format!("{}/api/v1{path}", self.url));
        let request = request.header("Origin", self.url);
        let request = if method == Method::GET { request } else { request.json(&body) };
        let response = request.send().await?;
        let (status, text) = (response.status(), response.text().await?);
        if !status.is_success() {
            bail!("{method} {path}: {status}: {text}");
        }
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }
}

/// What an answer has under `name`; nothing if it has none.
fn field<'v>(of: &'v Value, name: &str) -> &'v Value {
    of.get(name).unwrap_or(&Value::Null)
}

fn list(of: &Value) -> impl Iterator<Item = &Value> {
    of.as_array().into_iter().flatten()
}

/// A gateway names its meters with its first batch.
const NAMED: Duration = Duration::from_mins(3);
