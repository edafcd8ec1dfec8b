//! One table of routes, from which an API is served, described and typed.
//!
//! ```text
//!                    ┌▶ the router, with what each route takes to use it
//!  table: [Route] ───┼▶ the OpenAPI document, with roles and scopes of each
//!                    └▶ the types of the pages (TypeScript), of the document
//! ```
//!
//! The gateway and the portfolio each have a table of their own; what makes an API of it is here once.
//!
//! **Never true:** that a route is served and not described, or described and not served. Both are made from
//! the same line.

mod describe;
mod route;
pub mod typescript;
mod version;

pub use describe::{About, describe};
pub use route::{Need, Route, Verb};
pub use version::{Ageing, Stage, Version, VersionBody};
