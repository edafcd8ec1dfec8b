//! The gateway's side of the sync: from the outbox to an acknowledgement.
