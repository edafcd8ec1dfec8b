//! Who may what: users, passwords, sessions, roles.
