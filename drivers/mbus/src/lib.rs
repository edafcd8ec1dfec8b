//! Wired and wireless M-Bus telegrams, and the master's session, without I/O.
