//! What the end-to-end tests, the demo and the benches share: where the project and its
//! binaries are, and how the real programs are started and stopped.
//!
//! **Invariant:** nothing here stands in for a part of the product. What is started is the real
//! binary, on real sockets, with a state directory of its own.

pub mod building;
pub mod corpus;
pub mod gateway;
pub mod neighbours;
mod owner;
pub mod paths;
pub mod process;
pub mod site;
