//! Which registers are asked for together: the requests that cost the least time on the wire.
//!
//! ```text
//! points     ▓▓ ▓▓▓▓    ▓▓                    ▓▓▓▓
//! requests  └───────────────┘                └────┘
//!             a hole read along costs less     a hole that costs more than a request of its own
//! ```
//!
//! The points stand in the order of their addresses, and a request takes neighbours. Over these
//! the plan is the cheapest there is (dynamic programming), under the device's limits. The fewest
//! requests are not always the least time: at 9600 baud a hole of 125 registers costs more than
//! a second request.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::slice;
use std::time::Duration;

use crate::modbus::frame::{Function, Request};

/// What a device allows in one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// At most so many registers.
    pub max_registers: u16,
    /// The longest hole that may be read along; 0 joins only neighbours that touch.
    pub max_gap: u16,
    /// Address and length are multiples of this: 1, or 2 for devices that refuse odd ones.
    pub align: u16,
    /// What must be asked alone.
    pub solo: Vec<RangeInclusive<u16>>,
    /// No request holds both a barrier and the register before it.
    pub barriers: BTreeSet<u16>,
}

impl Default for Limits {
    /// What every device must be able to do: registers that touch, as many as fit.
    fn default() -> Self {
        Self {
            max_registers: Request::MAX_COUNT,
            max_gap: 0,
            align: 1,
            solo: Vec::new(),
            barriers: BTreeSet::new(),
        }
    }
}

/// What a request costs, in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Of each request, however long.
    pub per_request: Duration,
    /// Of each register in it.
    pub per_register: Duration,
}

impl Cost {
    /// On a serial line: 13 characters of request and answer, two silences of 3.5 characters and
    /// the device's latency; then two characters for each register. A character has 11 bits.
    pub fn serial(baud: u32, latency: Duration) -> Self {
        let character = Duration::from_secs(11) / baud.max(1);
        Self { per_request: character * 20 + latency, per_register: character * 2 }
    }

    /// On a network a register costs next to nothing.
    pub const NETWORK: Self =
        Self { per_request: Duration::from_millis(5), per_register: Duration::from_micros(1) };
}

/// What was learned about one device, and kept over restarts: the profile did not say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// Points before which a request has to end, because the hole before them is refused.
    pub seams: BTreeSet<(Function, u16)>,
    /// Points that were refused the last time, and would spoil what is asked with them.
    pub lone: BTreeSet<(Function, u16)>,
}

/// A request, and which of the points it fetches, by their place in the list that was planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What goes over the wire.
    pub request: Request,
    /// The points in it, in the order of their addresses.
    pub points: Vec<usize>,
}

/// The cheapest requests that fetch all `points`, in an order in which neighbours differ in
/// length where that can be had: a device that is one answer behind is then found out.
///
/// A point that exceeds the limits by itself is asked for all the same, alone; the loader of
/// profiles does not let one through.
pub fn plan(points: &[Request], limits: &Limits, learned: &Learned, cost: Cost) -> Vec<Planned> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by_key(|index| points.get(*index).map(|it| (it.function, it.address, it.count)));
    // What no request may hold beside another point is asked alone, and its neighbours without it.
    let (alone, sorted): (Vec<(usize, Request)>, Vec<_>) =
        order.iter().filter_map(|index| Some((*index, *points.get(*index)?))).partition(|point| {
            hull(slice::from_ref(point), limits).is_none_or(|hull| is_cut(hull, limits, learned))
        });

    // best[i]: the least cost of the first i points, and where their last request begins.
    let mut best: Vec<(Duration, usize)> = vec![(Duration::ZERO, 0)];
    for end in 1..=sorted.len() {
        let mut least: Option<(Duration, usize)> = None;
        for start in (0..end).rev() {
            let Some(group) = sorted.get(start..end) else { break };
            let Some(request) = join(group, limits, learned) else {
                // A point before it may reach into its hole; nothing makes its request shorter.
                if is_hopeless(group, limits) {
                    break;
                }
                continue;
            };
            let before = best.get(start).map_or(Duration::ZERO, |(cost, _)| *cost);
            let total = before + cost.per_request + cost.per_register * request.count.into();
            if least.is_none_or(|(least, _)| total < least) {
                least = Some((total, start));
            }
        }
        best.push(least.unwrap_or((Duration::MAX, end - 1)));
    }

    let mut plan: Vec<Planned> =
        alone.iter().filter_map(|point| planned(slice::from_ref(point), limits)).collect();
    let mut end = sorted.len();
    while end > 0 {
        let start = best.get(end).map_or(end - 1, |(_, start)| *start);
        plan.extend(sorted.get(start..end).and_then(|group| planned(group, limits)));
        end = start;
    }
    plan.sort_by_key(|it| (it.request.function, it.request.address));
    alternate(plan)
}

/// The two halves of `planned`, cut at its largest hole, or in the middle if it has none. `None`
/// if it fetches one point alone.
pub(crate) fn halves(
    planned: &Planned,
    points: &[Request],
    limits: &Limits,
) -> Option<(Planned, Planned)> {
    let group = group(planned, points);
    let hole = |at: usize| {
        let (left, right) = group.split_at_checked(at)?;
        let end = left.iter().map(|(_, point)| end_of(*point)).max()?;
        Some(u32::from(right.first()?.1.address).saturating_sub(end))
    };
    let middle = group.len() / 2;
    let cut = (1..group.len()).max_by_key(|at| (hole(*at), Reverse(at.abs_diff(middle))))?;
    let (left, right) = group.split_at_checked(cut)?;
    Some((self::planned(left, limits)?, self::planned(right, limits)?))
}

/// Two requests in place of `planned` that fetch the same points and whose lengths differ from
/// each other and are `free`. `None` if there is no such pair.
pub(crate) fn of_other_lengths(
    planned: &Planned,
    points: &[Request],
    limits: &Limits,
    free: impl Fn(Request) -> bool,
) -> Option<(Planned, Planned)> {
    let group = group(planned, points);
    (1..group.len()).find_map(|at| {
        let (left, right) = group.split_at_checked(at)?;
        let pair = (self::planned(left, limits)?, self::planned(right, limits)?);
        let differ = pair.0.request.count != pair.1.request.count;
        (differ && free(pair.0.request) && free(pair.1.request)).then_some(pair)
    })
}

/// `planned` with some registers more behind it, so that its length is `free`. `None` where the
/// device allows no holes: there what stands behind its registers is not known to be readable.
pub(crate) fn longer(
    planned: &Planned,
    limits: &Limits,
    free: impl Fn(Request) -> bool,
) -> Option<Planned> {
    let request = planned.request;
    (1..=limits.max_gap.min(MOST_LONGER)).find_map(|more| {
        let count = request.count.checked_add(more * limits.align.max(1))?;
        let longer = Request { count, ..request };
        let fits = count <= limits.max_registers
            && end_of(longer) <= 0x1_0000
            && !is_solo(longer, limits)
            && !limits.barriers.iter().any(|it| is_inside(*it, longer));
        (fits && free(longer)).then(|| Planned { request: longer, ..planned.clone() })
    })
}

fn group(planned: &Planned, points: &[Request]) -> Vec<(usize, Request)> {
    planned.points.iter().filter_map(|index| Some((*index, *points.get(*index)?))).collect()
}

/// One request for `group`, if the device allows it.
fn join(group: &[(usize, Request)], limits: &Limits, learned: &Learned) -> Option<Request> {
    let hull = hull(group, limits)?;
    if let [_] = group {
        return Some(hull);
    }
    let (_, first) = group.first()?;
    let mut end = end_of(*first);
    for (_, point) in group {
        let start = u32::from(point.address);
        let hole_too_long = start.saturating_sub(end) > u32::from(limits.max_gap);
        if point.function != first.function || hole_too_long {
            return None;
        }
        if is_solo(*point, limits) || learned.lone.contains(&(point.function, point.address)) {
            // The same register twice, as two flags have it, is one register.
            return group.iter().all(|(_, other)| other == point).then_some(hull);
        }
        end = end.max(end_of(*point));
    }
    (!is_cut(hull, limits, learned) && !is_solo(hull, limits)).then_some(hull)
}

/// Whether a request is too long, or goes over a place where one has to end.
fn is_cut(hull: Request, limits: &Limits, learned: &Learned) -> bool {
    hull.count > limits.max_registers
        || limits.barriers.iter().any(|barrier| is_inside(*barrier, hull))
        || (learned.seams.iter())
            .any(|(function, at)| *function == hull.function && is_inside(*at, hull))
}

/// Whether no longer group that ends as this one does can be a request either.
fn is_hopeless(group: &[(usize, Request)], limits: &Limits) -> bool {
    let function = |it: Option<&(usize, Request)>| it.map(|(_, point)| point.function);
    function(group.first()) != function(group.last())
        || hull(group, limits).is_none_or(|hull| hull.count > limits.max_registers)
}

/// The request from the first register of `group` to its last, rounded to the alignment.
fn hull(group: &[(usize, Request)], limits: &Limits) -> Option<Request> {
    let (_, first) = group.first()?;
    let align = u32::from(limits.align.max(1));
    let start = u32::from(first.address) / align * align;
    let end = group.iter().map(|(_, point)| end_of(*point)).max()?.next_multiple_of(align);
    let count = u16::try_from(end.min(0x1_0000) - start).ok()?;
    Some(Request { function: first.function, address: u16::try_from(start).ok()?, count })
}

fn planned(group: &[(usize, Request)], limits: &Limits) -> Option<Planned> {
    let points = group.iter().map(|(index, _)| *index).collect();
    Some(Planned { request: hull(group, limits)?, points })
}

fn end_of(request: Request) -> u32 {
    u32::from(request.address) + u32::from(request.count)
}

/// Whether a request that may not hold both `address` and the register before it holds both.
fn is_inside(address: u16, request: Request) -> bool {
    address > request.address && u32::from(address) < end_of(request)
}

fn is_solo(point: Request, limits: &Limits) -> bool {
    limits
        .solo
        .iter()
        .any(|solo| u32::from(*solo.start()) < end_of(point) && *solo.end() >= point.address)
}

/// As text, a line for each thing that a unit taught: `7 eastron.sdm630 seam 4 20`.
pub(crate) fn lessons(learned: &BTreeMap<u8, (String, Learned)>) -> String {
    let mut text = String::new();
    for (unit, (profile, Learned { seams, lone })) in learned {
        let seams = seams.iter().map(|at| (SEAM, at));
        for (what, (function, address)) in seams.chain(lone.iter().map(|at| (LONE, at))) {
            let code = function.code();
            // Writing into a text cannot fail.
            let _ = writeln!(text, "{unit} {profile} {what} {code} {address}");
        }
    }
    text
}

/// What [`lessons`] has written, without what it cannot have written.
pub(crate) fn recalled(lessons: &str) -> BTreeMap<u8, (String, Learned)> {
    let mut learned: BTreeMap<u8, (String, Learned)> = BTreeMap::new();
    for line in lessons.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [unit, profile, what, code, address] = *words.as_slice() else { continue };
        let (Ok(unit), Ok(address)) = (unit.parse(), address.parse()) else { continue };
        let function = match code {
            "3" => Function::Holding,
            "4" => Function::Input,
            _ => continue,
        };
        let (of, lessons) =
            learned.entry(unit).or_insert_with(|| (profile.to_owned(), Learned::default()));
        match what {
            _ if of != profile => {}
            SEAM => drop(lessons.seams.insert((function, address))),
            LONE => drop(lessons.lone.insert((function, address))),
            _ => {}
        }
    }
    learned
}

const SEAM: &str = "seam";
const LONE: &str = "lone";

/// Registers that a question is made longer by at most: so many answers are never overdue at once.
const MOST_LONGER: u16 = 8;

/// Puts requests of equal length apart, as far as that goes.
fn alternate(plan: Vec<Planned>) -> Vec<Planned> {
    let mut waiting = plan;
    let mut ordered: Vec<Planned> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let alike = |it: &Planned, last: &Planned| {
            (it.request.function, it.request.count) == (last.request.function, last.request.count)
        };
        let next = ordered
            .last()
            .and_then(|last| waiting.iter().position(|it| !alike(it, last)))
            .unwrap_or_default();
        ordered.push(waiting.remove(next));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn points(spans: &[(u16, u16)]) -> Vec<Request> {
        let function = Function::Input;
        spans
            .iter()
            .map(|(address, count)| Request { function, address: *address, count: *count })
            .collect()
    }

    fn at_9600() -> Cost {
        Cost::serial(9_600, Duration::from_millis(30))
    }

    #[track_caller]
    fn check(spans: &[(u16, u16)], limits: &Limits, cost: Cost, expected: &[(u16, u16)]) {
        let mut asked: Vec<(u16, u16)> = plan(&points(spans), limits, &Learned::default(), cost)
            .iter()
            .map(|planned| (planned.request.address, planned.request.count))
            .collect();
        asked.sort_unstable();
        assert_eq!(asked, expected);
    }

    #[test]
    fn a_short_hole_is_read_along_and_a_long_one_is_not() {
        let limits = Limits { max_gap: 125, ..Limits::default() };
        check(&[(0, 2), (10, 2)], &limits, at_9600(), &[(0, 12)]);
        check(&[(0, 2), (40, 2)], &limits, at_9600(), &[(0, 2), (40, 2)]);
        check(&[(0, 2), (40, 2)], &limits, Cost::NETWORK, &[(0, 42)]);
    }

    #[test]
    fn the_break_even_hole_at_9600_baud_is_23_registers() {
        let limits = Limits { max_gap: 125, ..Limits::default() };
        check(&[(0, 2), (25, 2)], &limits, at_9600(), &[(0, 27)]);
        check(&[(0, 2), (26, 2)], &limits, at_9600(), &[(0, 2), (26, 2)]);
    }

    #[test]
    fn the_limits_of_a_device_are_kept() {
        let touching = [(0, 2), (2, 2), (4, 2)];
        let limits = Limits::default();
        check(&touching, &limits, Cost::NETWORK, &[(0, 6)]);
        check(
            &touching,
            &Limits { max_registers: 5, ..limits.clone() },
            Cost::NETWORK,
            &[(0, 4), (4, 2)],
        );
        check(&[(0, 2), (3, 2)], &limits, Cost::NETWORK, &[(0, 2), (3, 2)]);
        let limits = Limits { max_gap: 20, ..limits };
        check(&[(1, 2), (5, 1)], &Limits { align: 2, ..limits.clone() }, Cost::NETWORK, &[(0, 6)]);
        let solo = Limits { solo: vec![3..=3], ..limits.clone() };
        check(&[(0, 2), (3, 1), (5, 1)], &solo, Cost::NETWORK, &[(0, 2), (3, 1), (5, 1)]);
        check(&[(0, 2), (5, 1)], &solo, Cost::NETWORK, &[(0, 2), (5, 1)]);
        let barrier = Limits { barriers: [4].into(), ..limits };
        check(&[(0, 2), (4, 1), (6, 1)], &barrier, Cost::NETWORK, &[(0, 2), (4, 3)]);
    }

    #[test]
    fn the_tables_are_never_mixed() {
        let mut points = points(&[(0, 1), (1, 1)]);
        points[1].function = Function::Holding;
        let plan = plan(&points, &Limits::default(), &Learned::default(), Cost::NETWORK);
        assert_eq!(plan.len(), 2);
    }

    #[test]
    fn a_request_is_cut_at_its_largest_hole() {
        let points = points(&[(0, 2), (4, 2), (16, 2), (18, 2)]);
        let limits = Limits { max_gap: 125, ..Limits::default() };
        let plan = plan(&points, &limits, &Learned::default(), Cost::NETWORK);
        let (left, right) = halves(&plan[0], &points, &limits).unwrap();
        assert_eq!((left.request.address, left.request.count), (0, 6));
        assert_eq!((right.request.address, right.request.count), (16, 4));
        let (left, right) = halves(&right, &points, &limits).unwrap();
        assert_eq!((left.points, right.points), (vec![2], vec![3]));
    }

    #[test]
    fn a_register_that_reaches_into_a_hole_makes_it_shorter() {
        let points = points(&[(41, 3), (42, 1), (50, 1)]);
        let limits = Limits { max_gap: 6, ..Limits::default() };
        let plan = plan(&points, &limits, &Learned::default(), Cost::NETWORK);
        assert_eq!(plan.len(), 1, "{plan:?}");
    }

    #[test]
    fn a_register_over_a_barrier_keeps_no_others_apart() {
        let points = points(&[(10, 2), (20, 4), (21, 1)]);
        let limits = Limits { max_gap: 9, barriers: [22].into(), ..Limits::default() };
        let plan = plan(&points, &limits, &Learned::default(), Cost::NETWORK);
        assert_eq!(plan.len(), 2, "{plan:?}");
    }

    #[test]
    fn a_question_can_be_asked_in_two_other_lengths() {
        let points = points(&[(0, 2), (2, 2), (4, 2)]);
        let limits = Limits::default();
        let plan = plan(&points, &limits, &Learned::default(), Cost::NETWORK);
        let (left, right) =
            of_other_lengths(&plan[0], &points, &limits, |request| request.count != 6).unwrap();
        assert_eq!((left.request.count, right.request.count), (2, 4));
        assert_eq!(of_other_lengths(&left, &points, &limits, |_| true), None);
    }

    #[test]
    fn a_question_is_made_longer_where_holes_may_be_read() {
        let points = points(&[(10, 2)]);
        let limits = Limits { max_gap: 3, barriers: [15].into(), ..Limits::default() };
        let plan = plan(&points, &limits, &Learned::default(), Cost::NETWORK);
        let not = |taken: &'static [u16]| move |it: Request| !taken.contains(&it.count);
        let count = |limits: &Limits, taken| {
            longer(&plan[0], limits, not(taken)).map(|longer| longer.request.count)
        };
        assert_eq!(count(&limits, &[2]), Some(3));
        assert_eq!(count(&limits, &[2, 3, 4]), Some(5));
        assert_eq!(count(&limits, &[2, 3, 4, 5]), None, "the barrier at 15");
        assert_eq!(count(&Limits { max_gap: 0, ..limits.clone() }, &[2]), None);
        assert_eq!(count(&Limits { align: 2, ..limits }, &[2]), Some(4));
    }

    #[test]
    fn lessons_are_read_as_they_are_written() {
        let learned = Learned {
            seams: [(Function::Input, 20), (Function::Holding, 0xFFFF)].into(),
            lone: [(Function::Input, 3)].into(),
        };
        let learned = BTreeMap::from([(7, ("eastron.sdm630".to_owned(), learned))]);
        let text = lessons(&learned);
        assert_eq!(
            text,
            "7 eastron.sdm630 seam 3 65535\n7 eastron.sdm630 seam 4 20\n7 eastron.sdm630 lone 4 3\n"
        );
        assert_eq!(recalled(&text), learned);
        assert!(recalled("7 a seam 4\n7 a seam 5 20\n256 a seam 4 1\n\n").is_empty());
    }

    type Groups = Vec<Vec<(usize, Request)>>;

    /// The least cost of all ways to put `points` into requests, neighbours or not.
    fn least_of_all(points: &[Request], limits: &Limits, cost: Cost) -> Duration {
        fn put(
            rest: &[Request],
            groups: &mut Groups,
            of: &dyn Fn(&Groups) -> Option<Duration>,
        ) -> Option<Duration> {
            let Some((first, rest)) = rest.split_first() else { return of(groups) };
            let mut least = None::<Duration>;
            for at in 0..=groups.len() {
                if at == groups.len() {
                    groups.push(Vec::new());
                }
                groups[at].push((0, *first));
                let found = put(rest, groups, of);
                least = [least, found].into_iter().flatten().min();
                groups[at].pop();
                groups.retain(|group| !group.is_empty());
            }
            least
        }
        let of = |groups: &Groups| {
            groups.iter().try_fold(Duration::ZERO, |sum, group| {
                let mut group = group.clone();
                group.sort_by_key(|(_, it)| (it.function, it.address, it.count));
                let request = join(&group, limits, &Learned::default())?;
                Some(sum + cost.per_request + cost.per_register * request.count.into())
            })
        };
        put(points, &mut Vec::new(), &of).unwrap()
    }

    proptest! {
        #[test]
        fn no_other_way_to_ask_is_cheaper(
            spans in prop::collection::vec((0_u16..60, 1_u16..5), 1..7),
            max_registers in 8_u16..=40,
            max_gap in 0_u16..30,
            align in 1_u16..=2,
            barriers in prop::collection::btree_set(0_u16..60, 0..2),
            latency in 1_u64..100,
        ) {
            let points = points(&spans);
            let limits = Limits { max_registers, max_gap, align, barriers, ..Limits::default() };
            let cost = Cost::serial(9_600, Duration::from_millis(latency));
            let plan = plan(&points, &limits, &Learned::default(), cost);
            let of_plan = plan.iter().fold(Duration::ZERO, |sum, it| {
                sum + cost.per_request + cost.per_register * it.request.count.into()
            });
            prop_assert_eq!(of_plan, least_of_all(&points, &limits, cost));
        }

        #[test]
        fn every_point_is_fetched_once_within_the_limits_and_no_plan_of_greed_is_cheaper(
            spans in prop::collection::vec((0_u16..400, 1_u16..5), 1..40),
            max_registers in 8_u16..=125,
            max_gap in 0_u16..60,
            align in 1_u16..=2,
        ) {
            let points = points(&spans);
            let limits = Limits { max_registers, max_gap, align, ..Limits::default() };
            let cost = at_9600();
            let of = |plan: &[Planned]| plan.iter().fold(Duration::ZERO, |sum, it| {
                sum + cost.per_request + cost.per_register * it.request.count.into()
            });
            let best = plan(&points, &limits, &Learned::default(), cost);
            let mut fetched: Vec<usize> = best.iter().flat_map(|it| it.points.clone()).collect();
            fetched.sort_unstable();
            prop_assert_eq!(fetched, (0..points.len()).collect::<Vec<_>>());
            for planned in &best {
                prop_assert!(planned.request.count <= max_registers);
                prop_assert_eq!(planned.request.address % align, 0);
                prop_assert_eq!(planned.request.count % align, 0);
                for point in &planned.points {
                    let point = points[*point];
                    prop_assert!(point.address >= planned.request.address);
                    prop_assert!(end_of(point) <= end_of(planned.request));
                }
            }
            let adjacent = Limits { max_gap: 0, ..limits };
            let adjacent = plan(&points, &adjacent, &Learned::default(), cost);
            prop_assert!(of(&best) <= of(&adjacent));
        }
    }
}
