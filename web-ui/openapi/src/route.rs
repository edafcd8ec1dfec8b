//! One line of a table.

use std::fmt;

use access::{Act, Role};
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use serde_json::json;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ContentBuilder, Deprecated, Ref, RefOr, Required, Schema, Type};
use utoipa::{IntoParams, ToSchema};

use crate::Ageing;
use crate::describe::failure;

/// What a visitor needs for a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Not even a login.
    Nobody,
    /// To be logged in, as anything.
    Login,
    /// To be a person, and no link or token: this is about how they get in.
    Person,
    /// To be allowed this.
    May(Act),
}

impl Need {
    /// Whether somebody with `role` has it.
    pub fn admits(self, role: Role) -> bool {
        match self {
            Self::Nobody | Self::Login | Self::Person => true,
            Self::May(act) => role.may(act),
        }
    }
}

/// What is done with a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// It is looked at.
    Get,
    /// It is put in the place of what was there.
    Put,
    /// Something is made or begun.
    Post,
    /// It is taken away.
    Delete,
}

impl Verb {
    /// As on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }

    const fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Put => MethodFilter::PUT,
            Self::Post => MethodFilter::POST,
            Self::Delete => MethodFilter::DELETE,
        }
    }

    pub(crate) const fn described(self) -> HttpMethod {
        match self {
            Self::Get => HttpMethod::Get,
            Self::Put => HttpMethod::Put,
            Self::Post => HttpMethod::Post,
            Self::Delete => HttpMethod::Delete,
        }
    }
}

/// One line of a table: what is served at a path by a verb, to whom, and its entry in the description.
pub struct Route<S> {
    /// What is done.
    pub verb: Verb,
    /// With what: `/sites/{site}`, below the version.
    pub path: &'static str,
    /// By whom.
    pub need: Need,
    /// How.
    pub serve: MethodRouter<S>,
    pub(crate) operation: OperationBuilder,
    /// What only answers hold: every key of it is always there.
    pub(crate) answered: Vec<(String, RefOr<Schema>)>,
    pub(crate) taken: Vec<(String, RefOr<Schema>)>,
}

impl<S> fmt::Debug for Route<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, path, need, .. } = self;
        write!(f, "{} {path} ({need:?})", verb.as_str())
    }
}

impl<S: Clone + Send + Sync + 'static> Route<S> {
    /// What is looked at.
    pub fn get<T: 'static>(
        path: &'static str,
        need: Need,
        summary: &str,
        handler: impl Handler<T, S>,
    ) -> Self {
        Self::new(Verb::Get, path, need, summary, handler)
    }

    /// What is put in another's place.
    pub fn put<T: 'static>(
        path: &'static str,
        need: Need,
        summary: &str,
        handler: impl Handler<T, S>,
    ) -> Self {
        Self::new(Verb::Put, path, need, summary, handler)
    }

    /// What is made or begun.
    pub fn post<T: 'static>(
        path: &'static str,
        need: Need,
        summary: &str,
        handler: impl Handler<T, S>,
    ) -> Self {
        Self::new(Verb::Post, path, need, summary, handler)
    }

    /// What is taken away.
    pub fn delete<T: 'static>(
        path: &'static str,
        need: Need,
        summary: &str,
        handler: impl Handler<T, S>,
    ) -> Self {
        Self::new(Verb::Delete, path, need, summary, handler)
    }

    fn new<T: 'static>(
        verb: Verb,
        path: &'static str,
        need: Need,
        summary: &str,
        handler: impl Handler<T, S>,
    ) -> Self {
        let roles = Role::ALL.into_iter().filter(|role| need.admits(*role));
        let roles: Vec<&str> = roles.map(Role::as_str).collect();
        let mut operation = OperationBuilder::new()
            .summary(Some(summary))
            .extensions(Some(ExtensionsBuilder::new().add("x-roles", json!(roles)).build()))
            .response("default", failure());
        if need != Need::Nobody {
            let scopes: [&str; 0] = [];
            operation = operation.security(SecurityRequirement::new("session", scopes));
        }
        if let Need::May(act) = need
            && act != Act::Administer
        {
            let scope = [act.as_str()];
            operation = operation.security(SecurityRequirement::new("token", scope));
        }
        for segment in path.split('/') {
            let name = segment.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
            if let Some(name) = name {
                let text = ObjectBuilder::new().schema_type(Type::String).build();
                let parameter = ParameterBuilder::new()
                    .name(name)
                    .parameter_in(ParameterIn::Path)
                    .required(Required::True)
                    .schema(Some(text));
                operation = operation.parameter(parameter);
            }
        }
        let (answered, taken) = (Vec::new(), Vec::new());
        let serve = on(verb.filter(), handler);
        Self { verb, path, need, serve, operation, answered, taken }
    }

    /// With a query string.
    #[must_use]
    pub fn asks<Q: IntoParams>(mut self) -> Self {
        for parameter in Q::into_params(|| Some(ParameterIn::Query)) {
            self.operation = self.operation.parameter(parameter);
        }
        self
    }

    /// With a JSON body.
    #[must_use]
    pub fn takes<B: ToSchema>(mut self) -> Self {
        self.taken.push((B::name().into_owned(), B::schema()));
        B::schemas(&mut self.taken);
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(B::name())));
        let body = RequestBodyBuilder::new()
            .required(Some(Required::True))
            .content("application/json", content.build());
        self.operation = self.operation.request_body(Some(body.build()));
        self
    }

    /// With a text as its body, of `most` bytes.
    #[must_use]
    pub fn takes_text(mut self, media_type: &str, most: usize) -> Self {
        let body = RequestBodyBuilder::new()
            .required(Some(Required::True))
            .content(media_type, text_content());
        self.operation = self.operation.request_body(Some(body.build()));
        self.serve = self.serve.layer(DefaultBodyLimit::max(most));
        self
    }

    /// Of `most` bytes, where others have fewer.
    #[must_use]
    pub fn at_most(mut self, most: usize) -> Self {
        self.serve = self.serve.layer(DefaultBodyLimit::max(most));
        self
    }

    /// Answered with JSON.
    #[must_use]
    pub fn answers<A: ToSchema>(mut self, status: u16) -> Self {
        self = self.mentions::<A>();
        self.answer(status, Ref::from_schema_name(A::name()).into())
    }

    /// Answered with a list of JSON.
    #[must_use]
    pub fn answers_list<A: ToSchema>(mut self) -> Self {
        self = self.mentions::<A>();
        let list = ArrayBuilder::new().items(Ref::from_schema_name(A::name())).build();
        self.answer(200, RefOr::T(Schema::Array(list)))
    }

    /// Answered with a file.
    #[must_use]
    pub fn answers_text(mut self, media_type: &str) -> Self {
        let response = ResponseBuilder::new().description("OK").content(media_type, text_content());
        self.operation = self.operation.response("200", response.build());
        self
    }

    /// Answered without a word.
    #[must_use]
    pub fn answers_nothing(mut self) -> Self {
        let response = ResponseBuilder::new().description("Done").build();
        self.operation = self.operation.response("204", response);
        self
    }

    /// Its answer holds an `A`, whether or not the description can say where.
    #[must_use]
    pub fn mentions<A: ToSchema>(mut self) -> Self {
        self.answered.push((A::name().into_owned(), A::schema()));
        A::schemas(&mut self.answered);
        self
    }

    /// Something else takes its place, and it goes. Every answer says so, and the description.
    #[must_use]
    pub fn ages(mut self, ageing: Ageing) -> Self {
        self.operation = self.operation.deprecated(Some(Deprecated::True));
        self.serve = self.serve.layer(axum::middleware::map_response(ageing.tell()));
        self
    }

    fn answer(mut self, status: u16, schema: RefOr<Schema>) -> Self {
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let response = ResponseBuilder::new()
            .description(if status == 201 { "Made" } else { "OK" })
            .content("application/json", content);
        self.operation = self.operation.response(status.to_string(), response.build());
        self
    }
}

fn text_content() -> utoipa::openapi::Content {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    ContentBuilder::new().schema(Some(text)).build()
}
