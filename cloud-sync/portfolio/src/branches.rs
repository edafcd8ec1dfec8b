//! The tree of tags by which an owner orders buildings, and who is let in to which branch of it.
//!
//! ```text
//!  Trondheim ─┬─ Skoler ── Skolegata 12        a building may have several tags
//!             └─ Boliger ── Havnegata 3
//!  viewer on Trondheim: sees both              installer on Skoler: sets up the one
//! ```
//!
//! Where several grants reach a building, the one counts that allows most.
//!
//! **Invariant:** what names a tag or a building that is not there gives nothing.
//!
//! **Never true:** that a loop of tags makes a question endless: whoever climbs stops at [`DEEPEST`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;

use access::Role;
use metering::SiteId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One tag. It stays when its name changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TagId(Uuid);

impl TagId {
    /// The id as it is in the database.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// As in the database.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for TagId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TagId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::try_parse(text).map(Self)
    }
}

/// A name for some buildings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Its id.
    pub id: TagId,
    /// The tag that it is a part of.
    pub parent: Option<TagId>,
    /// As the owner wrote it.
    pub name: String,
}

/// What is done to the tree.
#[derive(Clone, Debug)]
pub enum TagChange {
    /// Adds a tag, or gives it another name or another place.
    Put(Tag),
    /// Takes one away, and from every building that has it.
    Remove(TagId),
}

/// Why the tree stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongTag {
    /// It would be further down than [`DEEPEST`].
    Deep,
    /// It would be a part of itself.
    Loop,
    /// There are [`MOST`].
    Many,
    /// It, or the one that it is to be a part of, is not there.
    NotThere,
    /// Its neighbours have one of that name.
    Taken,
    /// Other tags are a part of it, or somebody is let in to it.
    Used,
}

/// Levels of the tree: country, town, kind, street, house, part.
pub const DEEPEST: usize = 6;

/// Tags of one tree: more are no order.
pub const MOST: usize = 500;

/// Tags of one building.
pub const MOST_OF_SITE: usize = 20;

/// Grants of one person or link.
pub const MOST_GRANTS: usize = 20;

/// All tags.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree(BTreeMap<TagId, Tag>);

impl Tree {
    pub(crate) fn new(tags: Vec<Tag>) -> Self {
        Self(tags.into_iter().map(|tag| (tag.id, tag)).collect())
    }

    pub(crate) fn tags(&self) -> impl Iterator<Item = &Tag> {
        self.0.values()
    }

    pub(crate) fn has(&self, id: TagId) -> bool {
        self.0.contains_key(&id)
    }

    /// The tag and those that it is a part of, from below. Nothing if it is not there.
    pub(crate) fn up(&self, id: TagId) -> impl Iterator<Item = &Tag> {
        let parent = |tag: &&Tag| self.0.get(&tag.parent?);
        std::iter::successors(self.0.get(&id), parent).take(DEEPEST)
    }

    /// Whether `id` is `branch` or a part of it.
    pub(crate) fn is_within(&self, id: TagId, branch: TagId) -> bool {
        self.up(id).any(|tag| tag.id == branch)
    }

    /// What has to be true before `change` is done.
    pub(crate) fn check(&self, change: &TagChange) -> Result<(), WrongTag> {
        match change {
            TagChange::Put(tag) => self.check_put(tag),
            TagChange::Remove(id) if !self.has(*id) => Err(WrongTag::NotThere),
            TagChange::Remove(id) if self.parts(*id).next().is_some() => Err(WrongTag::Used),
            TagChange::Remove(_) => Ok(()),
        }
    }

    fn check_put(&self, tag: &Tag) -> Result<(), WrongTag> {
        let above = match tag.parent {
            None => 0,
            Some(parent) if !self.has(parent) => return Err(WrongTag::NotThere),
            Some(parent) if self.is_within(parent, tag.id) => return Err(WrongTag::Loop),
            Some(parent) => self.up(parent).count(),
        };
        if !self.has(tag.id) && self.0.len() >= MOST {
            return Err(WrongTag::Many);
        }
        if above + self.height(tag.id, DEEPEST) > DEEPEST {
            return Err(WrongTag::Deep);
        }
        let folded = tag.name.to_lowercase();
        let is_taken = |it: &Tag| {
            it.id != tag.id && it.parent == tag.parent && it.name.to_lowercase() == folded
        };
        if self.tags().any(is_taken) {
            return Err(WrongTag::Taken);
        }
        Ok(())
    }

    fn parts(&self, of: TagId) -> impl Iterator<Item = &Tag> {
        self.tags().filter(move |tag| tag.parent == Some(of))
    }

    /// Levels from `id` down, it included; no more than `most` are looked at.
    fn height(&self, id: TagId, most: usize) -> usize {
        let Some(below) = most.checked_sub(1) else { return 0 };
        1 + self.parts(id).map(|part| self.height(part.id, below)).max().unwrap_or(0)
    }
}

/// To what somebody is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branch {
    /// The buildings with this tag, or with one that is a part of it.
    Tag(TagId),
    /// This building.
    Site(SiteId),
}

/// What somebody may in a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// As whom.
    pub role: Role,
    /// In what.
    pub on: Branch,
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.on {
            Branch::Tag(id) => write!(f, "{} tag {id}", self.role),
            Branch::Site(id) => write!(f, "{} site {id}", self.role),
        }
    }
}

/// Grants as they are kept, one in a line.
pub(crate) fn written(grants: &[Grant]) -> String {
    grants.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// What [`written`] wrote. What cannot be read gives nothing.
pub(crate) fn read(text: &str) -> Vec<Grant> {
    let grant = |line: &str| {
        let mut words = line.split(' ');
        let role = words.next()?.parse().ok()?;
        let on = match (words.next()?, words.next()?) {
            ("tag", id) => Branch::Tag(id.parse().ok()?),
            ("site", id) => Branch::Site(id.parse().ok()?),
            _ => return None,
        };
        Some(Grant { role, on })
    };
    text.lines().filter_map(grant).collect()
}

/// The role of `roles` that may do most.
pub(crate) fn strongest(roles: impl Iterator<Item = Role>) -> Option<Role> {
    roles.max_by_key(|role| role.acts().count())
}

/// What somebody has of all the buildings.
#[derive(Clone, Debug)]
pub(crate) enum Reach {
    /// All of them, as this.
    All(Role),
    /// Some.
    Some {
        /// As what.
        sites: HashMap<SiteId, Role>,
        /// The tags of their branches.
        tags: BTreeSet<TagId>,
    },
}

impl Reach {
    /// Of somebody with `grants`, where the buildings have these tags.
    pub(crate) fn of(grants: &[Grant], tree: &Tree, tagged: &[(SiteId, Vec<TagId>)]) -> Self {
        let mut sites: HashMap<SiteId, Role> = HashMap::new();
        let mut tags = BTreeSet::new();
        let mut add = |site: SiteId, role: Role| {
            let known = sites.get(&site).copied();
            sites.insert(site, strongest(known.into_iter().chain([role])).unwrap_or(role));
        };
        for Grant { role, on } in grants {
            let branch = match on {
                Branch::Site(site) => {
                    add(*site, *role);
                    continue;
                }
                Branch::Tag(tag) => *tag,
            };
            tags.extend(tree.tags().map(|tag| tag.id).filter(|id| tree.is_within(*id, branch)));
            for (site, of_site) in tagged {
                if of_site.iter().any(|tag| tree.is_within(*tag, branch)) {
                    add(*site, *role);
                }
            }
        }
        Self::Some { sites, tags }
    }

    /// As what somebody has this building; `None` if it is none of theirs.
    pub(crate) fn at(&self, site: SiteId) -> Option<Role> {
        match self {
            Self::All(role) => Some(*role),
            Self::Some { sites, .. } => sites.get(&site).copied(),
        }
    }

    /// As what somebody has all there are.
    pub(crate) const fn everywhere(&self) -> Option<Role> {
        match self {
            Self::All(role) => Some(*role),
            Self::Some { .. } => None,
        }
    }

    /// Whether they may know of this tag.
    pub(crate) fn knows(&self, tag: TagId) -> bool {
        match self {
            Self::All(_) => true,
            Self::Some { tags, .. } => tags.contains(&tag),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn id(number: u128) -> TagId {
        TagId(Uuid::from_u128(number))
    }

    fn tag(number: u128, parent: Option<u128>, name: &str) -> Tag {
        Tag { id: id(number), parent: parent.map(id), name: name.to_owned() }
    }

    /// 1 Trondheim ─ 2 Skoler, 3 Boliger ─ 4 Havna; 5 Bergen
    fn tree() -> Tree {
        Tree::new(vec![
            tag(1, None, "Trondheim"),
            tag(2, Some(1), "Skoler"),
            tag(3, Some(1), "Boliger"),
            tag(4, Some(3), "Havna"),
            tag(5, None, "Bergen"),
        ])
    }

    #[test]
    fn a_tag_has_its_place_and_its_name() {
        let put = |number, parent, name| tree().check(&TagChange::Put(tag(number, parent, name)));
        assert_eq!(put(6, Some(5), "Skoler"), Ok(()));
        assert_eq!(put(6, Some(1), "SKOLER"), Err(WrongTag::Taken));
        assert_eq!(put(2, Some(1), "skoler"), Ok(()), "its own name");
        assert_eq!(put(1, Some(4), "Trondheim"), Err(WrongTag::Loop));
        assert_eq!(put(1, Some(1), "Trondheim"), Err(WrongTag::Loop));
        assert_eq!(put(6, Some(9), "x"), Err(WrongTag::NotThere));
        let remove = |number| tree().check(&TagChange::Remove(id(number)));
        assert_eq!(
            (remove(4), remove(3), remove(9)),
            (Ok(()), Err(WrongTag::Used), Err(WrongTag::NotThere))
        );
    }

    #[test]
    fn the_tree_has_so_many_levels_and_so_many_tags() {
        let chain = |from: u128, levels: u128| {
            (0..levels).map(move |at| tag(from + at, (at > 0).then(|| from + at - 1), "x"))
        };
        let deep = Tree::new(chain(1, 6).chain(chain(11, 2)).collect());
        let put = |number, parent| deep.check(&TagChange::Put(tag(number, Some(parent), "y")));
        assert_eq!((put(20, 5), put(20, 6)), (Ok(()), Err(WrongTag::Deep)));
        assert_eq!((put(11, 4), put(11, 5)), (Ok(()), Err(WrongTag::Deep)), "two levels move");
        let many = Tree::new((1..=500).map(|at| tag(at, None, &at.to_string())).collect());
        assert_eq!(many.check(&TagChange::Put(tag(501, None, "x"))), Err(WrongTag::Many));
        assert_eq!(many.check(&TagChange::Put(tag(500, None, "x"))), Ok(()));
    }

    #[test]
    fn a_loop_of_rows_ends() {
        let mut rows = Tree::new(vec![tag(1, Some(2), "a"), tag(2, Some(1), "b")]);
        assert_eq!(rows.up(id(1)).count(), DEEPEST);
        assert!(rows.is_within(id(1), id(2)) && !rows.is_within(id(1), id(3)));
        assert_eq!(rows.height(id(1), DEEPEST), DEEPEST);
        rows.0.clear();
        assert_eq!(rows.up(id(1)).count(), 0);
    }

    #[test]
    fn what_somebody_has_follows_the_tree_and_the_most_counts() {
        let site = |number| SiteId::from_uuid(Uuid::from_u128(number));
        let tagged = [(site(1), vec![id(2)]), (site(2), vec![id(4), id(5)]), (site(3), vec![])];
        let on = |number| Branch::Tag(id(number));
        let reach = |grants: &[Grant]| Reach::of(grants, &tree(), &tagged);
        let at = |reach: &Reach| [1, 2, 3, 4].map(|number| reach.at(site(number)));

        let viewer = reach(&[Grant { role: Role::Viewer, on: on(1) }]);
        assert_eq!(at(&viewer), [Some(Role::Viewer), Some(Role::Viewer), None, None]);
        assert!(viewer.knows(id(4)) && !viewer.knows(id(5)) && viewer.everywhere().is_none());
        let grants = [
            Grant { role: Role::Viewer, on: on(1) },
            Grant { role: Role::Installer, on: on(4) },
            Grant { role: Role::Operator, on: on(5) },
        ];
        assert_eq!(at(&reach(&grants))[1], Some(Role::Installer), "the most counts");
        let one = reach(&[Grant { role: Role::Owner, on: Branch::Site(site(3)) }]);
        assert_eq!(at(&one), [None, None, Some(Role::Owner), None]);
        assert!(!one.knows(id(1)));
        assert_eq!(at(&reach(&[Grant { role: Role::Owner, on: on(9) }])), [None; 4]);
        assert_eq!(at(&reach(&[])), [None; 4]);
        assert_eq!(at(&Reach::All(Role::Viewer)), [Some(Role::Viewer); 4]);
    }

    #[test]
    fn grants_are_read_as_they_are_kept_and_what_cannot_be_read_gives_nothing() {
        let grants = [
            Grant { role: Role::Owner, on: Branch::Tag(id(1)) },
            Grant { role: Role::Viewer, on: Branch::Site(SiteId::from_uuid(Uuid::from_u128(2))) },
        ];
        assert_eq!(read(&written(&grants)), grants);
        let text = format!("king tag {0}\nowner all {0}\nowner tag\nowner tag x", id(1));
        assert_eq!(read(&text), []);
        assert_eq!(read(""), []);
    }
}
