//! A table as an OpenAPI document.

use std::collections::BTreeMap;

use utoipa::ToSchema;
use utoipa::openapi::path::Operation;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::ComponentsBuilder;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Paths, Ref, RefOr, Schema, Server,
};

use crate::{Route, Version};

/// What a document says of itself.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Whose API it is.
    pub title: &'static str,
    /// What holds of all of it.
    pub text: &'static str,
    /// The name of the cookie of a session.
    pub cookie: &'static str,
    /// Of the API.
    pub version: Version,
}

/// The description of the API that `table` makes; a request that fails is answered with a `P`, whose name is
/// `Problem`.
pub fn describe<S, P: ToSchema>(about: &About, table: Vec<Route<S>>) -> OpenApi {
    let mut paths = Paths::new();
    let mut schemas: BTreeMap<String, RefOr<Schema>> = BTreeMap::new();
    let mut answered = vec![(P::name().into_owned(), P::schema())];
    P::schemas(&mut answered);
    for route in table {
        let operation: Operation = route.operation.build();
        paths.add_path_operation(route.path, vec![route.verb.described()], operation);
        schemas.extend(route.taken);
        answered.extend(route.answered);
    }
    schemas.extend(answered.into_iter().map(|(name, schema)| (name, always_there(schema))));

    let cookie = ApiKey::Cookie(ApiKeyValue::new(about.cookie));
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme("session", SecurityScheme::ApiKey(cookie))
        .security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    let info = InfoBuilder::new()
        .title(about.title)
        .version(about.version.number())
        .description(Some(about.text));
    OpenApiBuilder::new()
        .info(info.build())
        .servers(Some([Server::new(about.version.root())]))
        .paths(paths)
        .components(Some(components.build()))
        .build()
}

pub(crate) fn failure() -> utoipa::openapi::Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response = ResponseBuilder::new().description("Why there is no answer");
    response.content("application/problem+json", content).build()
}

/// An answer always has every key; what is not known is `null`.
fn always_there(schema: RefOr<Schema>) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::Object(mut object)) => {
            object.required = object.properties.keys().cloned().collect();
            RefOr::T(Schema::Object(object))
        }
        RefOr::T(Schema::AllOf(mut all)) => {
            all.items = all.items.into_iter().map(always_there).collect();
            RefOr::T(Schema::AllOf(all))
        }
        other => other,
    }
}
