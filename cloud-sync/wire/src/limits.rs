//! How large a message may be. Whoever writes stays below, whoever reads refuses what is above.

/// Readings in a batch, and rows of a [`Latest`](crate::Latest).
///
/// Two hours of a building with 180 series: large enough to compress well, small enough that a
/// lost answer costs a 4G SIM 15 kB.
pub const READINGS: usize = 10_000;

/// Bytes of a packed message before it is packed. What says that it is larger is not unpacked.
pub const RAW_BYTES: usize = 256 * 1024;

/// Bytes of a message as it is posted. Deflate makes nothing longer than by a few bytes in each
/// 16 kB block, so what may be packed also fits.
pub const POSTED_BYTES: usize = RAW_BYTES + 1024;

/// Gaps in a batch. A gap covers any number of readings.
pub const GAPS: usize = 1_000;

/// Series, and meters, of one [`SeriesTable`](crate::SeriesTable); a larger gateway sends several.
pub const TABLE_ROWS: usize = 500;

/// Series that a [`Refusal`](crate::Refusal) names: as many as one table can teach.
pub const UNKNOWN_SERIES: usize = TABLE_ROWS;

/// Days of an [`Accounts`](crate::Accounts): each with every cause there is, they fit into one message.
pub const ACCOUNTS: usize = 250;

/// Causes of one of them. There are sixteen today.
pub const CAUSES: usize = 32;

/// Bytes of the word for a cause.
pub const CAUSE_BYTES: usize = 32;

/// Bytes of a name that a person gave.
pub const NAME_BYTES: usize = 256;

/// Bytes of a sentence in an answer.
pub const SENTENCE_BYTES: usize = 500;

/// Bytes of a certificate, or of the request for one. With P-256 keys they have about 500.
pub const CERTIFICATE_BYTES: usize = 4_096;

/// Stretches of a day of one series that is folded: one a second, in ten epochs.
pub const STRETCHES: usize = 100;

/// Authorities that are believed beside the one that signs now: the next, and a few to spare.
pub const AUTHORITIES: usize = 4;

/// Bytes of all the entries of one [`Books`](crate::Books).
pub const BOOK_BYTES: usize = 192 * 1024;

/// The same of an answer, of which a gateway reads less.
pub const BOOK_ANSWER_BYTES: usize = 48 * 1024;

/// Entries of one [`Books`](crate::Books).
pub const BOOK_ENTRIES: usize = 500;

/// Bytes of a document that stands behind an entry.
pub const DOCUMENT_BYTES: u64 = 1024 * 1024;

/// Bytes of one part of it: what fits into an answer that a gateway reads.
pub const DOCUMENT_PART: usize = BOOK_ANSWER_BYTES;

/// Errands of one gateway that are open at once: together they fit into an answer that a gateway reads.
pub const ERRANDS: usize = 4;

/// Keys that one change of a configuration changes: all of them, as long as they may be, go with an errand.
pub const CHANGES: usize = 24;

/// Bytes of the name of a section or of a key of a configuration, and of the id of a section.
pub const KEY_BYTES: usize = 64;

/// Bytes of what goes with an errand, and of what is said of it.
pub const ERRAND_BYTES: usize = 12 * 1024;

/// Ranges of numbers of one [`RecallAsked`](crate::RecallAsked): who lost more names them as one.
pub const RECALL_RANGES: usize = 100;

/// Bytes of a [`Recalled`](crate::Recalled): what a gateway reads of an answer.
pub const RECALL_BYTES: usize = BOOK_ANSWER_BYTES;

/// Bytes of a signed checkpoint: two signatures have 400.
pub const CHECKPOINT_BYTES: usize = 4_096;

/// The times that a reading may have, in milliseconds since 1970: from then to the year 2200.
///
/// Outside it a clock was wrong. There is no limit on age: a gateway may have been away for months.
pub const TIMES_MS: std::ops::Range<i64> = 0..7_258_118_400_000;
