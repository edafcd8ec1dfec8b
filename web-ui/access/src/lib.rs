//! Who may what: users, passwords, second factors, passkeys, sessions, links, tokens, roles.
//!
//! The gateway and the portfolio let people in by the same rules. This crate has the rules alone:
//! the caller keeps the rows, brings the time, and decides how many passwords are hashed at once.
//!
//! ```text
//! OneTimeCode ──▶ first user        once, within an hour
//! name, password ──Slowing──▶ verify ──▶ Totp ─┐
//!                  per account                 ├──▶ Session ──▶ Standing ──▶ Act
//!                  and per source    Passkey ──┤    kept as a   what it may
//!                              Ticket of link ─┘    hash        do now
//!                              Ticket of token ──▶ Scope ─────────▶ Act
//! ```
//!
//! **Invariant:** a secret is kept as a hash and never shown. Session ids, codes and tickets are
//! random, so SHA-256 is enough for them ([`SecretHash`]); passwords are not, so they get argon2id.
//! The secret of an app alone has to be kept as it is: its codes are made of it.
//!
//! **Invariant:** nobody is locked out for good. Wrong tries make the next one wait, at most for
//! minutes.
//!
//! **Invariant:** the crate does no I/O and never asks what time it is.

mod code;
mod link;
mod passkey;
mod password;
mod role;
mod secret;
mod session;
mod slowing;
mod stamp;
mod ticket;
mod totp;
mod user;
mod ways;

pub use code::{CodeProblem, Issued, OneTimeCode};
pub use link::{Link, LinkData, LinkKind};
pub use passkey::{
    Ceremony, Challenges, ClientData, InvalidKey, Passkey, PasskeyProblem, Proven, PublicKey,
    RelyingParty, register,
};
pub use password::{HashFailed, Password, WeakPassword, verify};
pub use role::{Act, Role, UnknownRole};
pub use secret::{InvalidHash, SecretHash};
pub use session::{Session, SessionId, Standing};
pub use slowing::{Pace, Slowing};
pub use stamp::{InvalidStamp, Stamp};
pub use ticket::{Scope, Ticket, WrongScope};
pub use totp::{InvalidTotp, Totp};
pub use user::{InvalidUserName, User, UserName};
pub use ways::{App, KnownPasskey, Second, Ways, WaysData};
