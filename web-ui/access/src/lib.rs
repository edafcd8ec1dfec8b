//! Who may what: users, passwords, sessions, one-time codes, roles.
//!
//! The gateway and the portfolio let people in by the same rules. This crate has the rules alone:
//! the caller keeps the rows, brings the time, and decides how many passwords are hashed at once.
//!
//! ```text
//! OneTimeCode ──▶ first user        once, within an hour
//! name, password ──Slowing──▶ verify ──▶ Session ──▶ Standing ──▶ Act
//!                  per account           kept as a   what it may
//!                  and per source        hash        do now
//! ```
//!
//! **Invariant:** a secret is kept as a hash and never shown. Session ids and codes are random, so
//! SHA-256 is enough for them ([`SecretHash`]); passwords are not, so they get argon2id.
//!
//! **Invariant:** nobody is locked out for good. Wrong tries make the next one wait, at most for
//! minutes.
//!
//! **Invariant:** the crate does no I/O and never asks what time it is.

mod code;
mod password;
mod role;
mod secret;
mod session;
mod slowing;
mod stamp;
mod user;

pub use code::{CodeProblem, Issued, OneTimeCode};
pub use password::{HashFailed, Password, WeakPassword, verify};
pub use role::{Act, Role, UnknownRole};
pub use secret::{InvalidHash, SecretHash};
pub use session::{Session, SessionId, Standing};
pub use slowing::{Pace, Slowing};
pub use stamp::{InvalidStamp, Stamp};
pub use user::{InvalidUserName, User, UserName};
