//! Whether a batch is the next: the one decision on which nothing may be lost and nothing doubled.
//!
//! ```text
//!   1 ────────────── acked   acked+1 ──────────────────▶ head
//!   [from … to]                                             repeated: acknowledged again
//!          [from …│… to]                                    its tail is stored
//!                 │[from … to]                              stored
//!                 │        [from … to]                      refused: go back to `acked`
//! ```
//!
//! The same range as the last one with the same hash is a lost answer. Its hash may be another one: a
//! gateway that was started again in between tells a later head, or puts readings aside that it sent
//! before. Numbers that were stored have to come with the same readings again: where they do not, two
//! gateways send under one identity, because one disk was copied to another.

use sync_wire::{Gap, Header, Refusal};

/// What a gateway hears whose certificate was revoked, at the door and in the transaction alike.
pub(crate) fn off_the_list() -> Refusal {
    let sentence = "its certificate was taken off the list; enrol it again".to_owned();
    Refusal::NotAllowed { sentence }
}

/// What is known of the gateway, read in the transaction that will store the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// The epoch in which it is counted.
    pub(crate) epoch: u64,
    /// The highest number up to which nothing is missing.
    pub(crate) acked: u64,
    /// The last batch that was stored: from, to, hash.
    pub(crate) last: (u64, u64, [u8; 32]),
}

/// What to do with a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Store what is above [`Known::acked`]. `compare`: there is something below it, which must be
    /// what was stored before.
    Store {
        /// Whether a part of it was stored before.
        compare: bool,
    },
    /// Acknowledge it again and store nothing. `compare` as above.
    Repeated {
        /// Whether it might be another batch than the one that was stored.
        compare: bool,
    },
    /// Take note of the epoch, which is new, and refuse.
    NewEpoch,
    /// Refuse.
    Refuse(Refusal),
}

/// What an alarm is about, by the numbers of readings, as databases count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Concerned {
    /// The first of them.
    pub(crate) from: i64,
    /// The last.
    pub(crate) to: i64,
    /// How many.
    pub(crate) count: i64,
}

impl Concerned {
    /// All of a gap.
    pub(crate) fn of(gap: &Gap) -> Self {
        let number = |number| i64::try_from(number).unwrap_or(i64::MAX);
        let (from, to) = (number(gap.from), number(gap.to));
        Self { from, to, count: to.saturating_sub(from).saturating_add(1) }
    }
}

/// Judges a batch by its header.
///
/// `epoch_was_left`: the header's epoch is one that the gateway had before the present one. A
/// database that was made anew does not come back, so there are two.
pub(crate) fn judge(known: Known, header: &Header, epoch_was_left: bool) -> Verdict {
    if header.epoch != known.epoch {
        return if epoch_was_left { Verdict::Refuse(Refusal::Clone) } else { Verdict::NewEpoch };
    }
    let (last_from, last_to, last_sha256) = known.last;
    if (header.from, header.to) == (last_from, last_to) && header.to <= known.acked {
        return Verdict::Repeated { compare: header.sha256 != last_sha256 };
    }
    if header.to <= known.acked {
        return Verdict::Repeated { compare: true };
    }
    if header.from > known.acked.saturating_add(1) {
        return Verdict::Refuse(Refusal::Behind { acked: known.acked });
    }
    Verdict::Store { compare: header.from <= known.acked }
}

#[cfg(test)]
mod tests {
    use metering::GatewayId;
    use uuid::Uuid;

    use super::*;

    #[track_caller]
    fn check(epoch: u64, from: u64, to: u64, sha256: u8, expected: &Verdict) {
        let known = Known { epoch: 2, acked: 100, last: (51, 100, [7; 32]) };
        let gateway = GatewayId::from_uuid(Uuid::nil());
        let header = Header { gateway, epoch, from, to, head: to, sha256: [sha256; 32] };
        assert_eq!(&judge(known, &header, epoch == 1), expected);
    }

    #[test]
    fn the_next_is_stored() {
        check(2, 101, 200, 8, &Verdict::Store { compare: false });
        check(2, 101, 101, 8, &Verdict::Store { compare: false });
    }

    #[test]
    fn a_lost_answer_is_given_again() {
        check(2, 51, 100, 7, &Verdict::Repeated { compare: false });
        check(2, 1, 50, 9, &Verdict::Repeated { compare: true });
        check(2, 60, 100, 9, &Verdict::Repeated { compare: true });
    }

    #[test]
    fn of_a_batch_that_overlaps_the_tail_is_stored() {
        check(2, 51, 101, 9, &Verdict::Store { compare: true });
        check(2, 100, 150, 9, &Verdict::Store { compare: true });
    }

    #[test]
    fn a_hole_sends_the_gateway_back() {
        check(2, 102, 200, 8, &Verdict::Refuse(Refusal::Behind { acked: 100 }));
        check(2, u64::MAX, u64::MAX, 8, &Verdict::Refuse(Refusal::Behind { acked: 100 }));
    }

    #[test]
    fn the_same_range_with_another_hash_is_looked_at() {
        check(2, 51, 100, 8, &Verdict::Repeated { compare: true });
    }

    #[test]
    fn a_new_epoch_is_noted_and_an_old_one_is_a_clone() {
        check(3, 1, 10, 8, &Verdict::NewEpoch);
        check(1, 101, 200, 8, &Verdict::Refuse(Refusal::Clone));
    }
}
