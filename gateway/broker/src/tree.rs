//! Who wants which topics.
//!
//! ```text
//!  a ─┬─ b ─── +      one node for each level of a filter, so that a message finds
//!     └─ #            its subscribers in steps of its own levels, however many there are
//! ```

use std::collections::HashMap;
use std::iter::Peekable;
use std::str::Split;

use rumqttc::QoS;

use crate::hub::SessionId;
use crate::topic::Filter;

/// All subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    next: HashMap<Box<str>, Self>,
    here: Vec<(SessionId, QoS)>,
}

impl Tree {
    /// `session` wants what `filter` names, with `qos` at most; a filter that it had is replaced.
    pub(crate) fn insert(&mut self, filter: &Filter, session: SessionId, qos: QoS) {
        let mut node = &mut self.root;
        for level in filter.as_str().split('/') {
            node = node.next.entry(level.into()).or_default();
        }
        node.here.retain(|(id, _)| *id != session);
        node.here.push((session, qos));
    }

    /// `session` does not want what `filter` names any more.
    pub(crate) fn remove(&mut self, filter: &Filter, session: SessionId) {
        self.root.remove(&mut filter.as_str().split('/'), session);
    }

    /// Who wants `topic`, each session once, with the highest quality that it asked for.
    pub(crate) fn wanting(&self, topic: &str) -> Vec<(SessionId, QoS)> {
        let mut found = Vec::new();
        self.root.collect(&mut topic.split('/').peekable(), topic.starts_with('$'), &mut found);
        found.sort_by_key(|(id, qos)| (*id, std::cmp::Reverse(*qos as u8)));
        found.dedup_by_key(|(id, _)| *id);
        found
    }
}

impl Node {
    /// Whether there is nothing left of it.
    fn remove(&mut self, levels: &mut Split<'_, char>, session: SessionId) -> bool {
        match levels.next() {
            None => self.here.retain(|(id, _)| *id != session),
            Some(level) => {
                if self.next.get_mut(level).is_some_and(|node| node.remove(levels, session)) {
                    self.next.remove(level);
                }
            }
        }
        self.here.is_empty() && self.next.is_empty()
    }

    /// As deep as a topic has levels, of which there are few.
    fn collect(
        &self,
        levels: &mut Peekable<Split<'_, char>>,
        hidden: bool,
        found: &mut Vec<(SessionId, QoS)>,
    ) {
        if !hidden && let Some(all) = self.next.get("#") {
            found.extend(&all.here);
        }
        let Some(level) = levels.next() else {
            return found.extend(&self.here);
        };
        if let Some(node) = self.next.get(level) {
            node.collect(&mut levels.clone(), false, found);
        }
        if !hidden && let Some(node) = self.next.get("+") {
            node.collect(levels, false, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::topic::matches;

    proptest! {
        #[test]
        fn the_tree_finds_whom_one_by_one_would_find(
            filters in prop::collection::vec("[ab+/]{1,5}(/#)?|#", 1..30),
            gone in prop::collection::vec(any::<bool>(), 30),
            topic in "[ab$/]{1,6}",
        ) {
            let mut tree = Tree::default();
            let filters: Vec<Filter> = filters.iter().filter_map(|it| it.parse().ok()).collect();
            for (id, filter) in (0..).zip(&filters) {
                tree.insert(filter, SessionId(id), QoS::AtLeastOnce);
            }
            let mut expected = Vec::new();
            for ((id, filter), gone) in (0..).zip(&filters).zip(gone) {
                if gone {
                    tree.remove(filter, SessionId(id));
                } else if matches(filter.as_str(), &topic) {
                    expected.push(SessionId(id));
                }
            }
            let found: Vec<_> = tree.wanting(&topic).into_iter().map(|(id, _)| id).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn one_session_is_found_once_and_nothing_stays_of_it() {
        let mut tree = Tree::default();
        let filters: Vec<Filter> = ["#", "a/+", "a/b"].map(|it| it.parse().unwrap()).into();
        let (low, high) = (QoS::AtMostOnce, QoS::AtLeastOnce);
        tree.insert(&filters[0], SessionId(1), low);
        tree.insert(&filters[1], SessionId(1), high);
        tree.insert(&filters[2], SessionId(1), low);
        assert_eq!(tree.wanting("a/b"), [(SessionId(1), high)]);
        for filter in &filters {
            tree.remove(filter, SessionId(1));
        }
        assert!(tree.root.next.is_empty());
    }
}
