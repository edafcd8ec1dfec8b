//! What holds of a store, seen from outside: one program, so that what waits for a disk waits together.
//!
//! Apart stand those for which the whole process has a disk of its own: `disk_away`, `power_cut` and
//! `untimed_cuts`.

mod account_closes;
mod any_bytes;
mod clock_jumps;
mod corrections;
mod damage;
mod disk_full;
mod drawn;
mod import_and_outbox;
mod inspect;
mod known_day;
mod missing;
mod moved;
mod pace;
mod packing;
mod recalled;
mod recovery;
mod remembered;
mod seals;
mod series;
mod small_things;
mod sums_go;
mod telegrams;
mod untimed;
mod wanted;
mod years;
