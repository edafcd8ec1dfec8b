//! What uptime is promised, and what counts as kept.
