//! Names of topics, and filters over them: MQTT 3.1.1, section 4.7.
//!
//! `rumqttc` has a function of this kind too. It cuts the first byte off the topic, and panics
//! where that is half a letter, as in `øst/temperatur`.

use std::fmt;
use std::str::FromStr;

/// Longer ones are nothing that a sensor sends: the standard would allow 65,535 bytes.
const LONGEST: usize = 1_024;

/// More levels are nothing that people name things with.
const DEEPEST: usize = 32;

/// Whether a message may be published to `topic`: one to 1,024 bytes in at most 32 levels, without
/// wildcards and control characters, and not one of the `$` topics, which are a broker's own.
pub fn valid_topic(topic: &str) -> Result<(), InvalidTopic> {
    let shaped = is_shaped(topic) && !topic.contains(['+', '#']) && !topic.starts_with('$');
    if shaped { Ok(()) } else { Err(InvalidTopic(shortened(topic))) }
}

/// Whether `topic` is one of those that `filter` names; both are taken to be well formed.
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

fn is_shaped(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text.split('/').count() <= DEEPEST
        && !text.chars().any(char::is_control)
}

fn shortened(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(80).collect()
}

/// A name of topics, with `+` for one level and `#` for all that follow.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Filter(Box<str>);

impl Filter {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether every topic that `other` names is named by this one, too.
    pub fn covers(&self, other: &Self) -> bool {
        let mut levels = other.0.split('/');
        for ours in self.0.split('/') {
            match (ours, levels.next()) {
                ("#", _) => return true,
                ("+", Some(theirs)) if theirs != "#" => {}
                (ours, Some(theirs)) if ours == theirs => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }

    /// What every topic that it names begins with.
    pub(crate) fn beginning(&self) -> &str {
        let wild = self.0.split('/').take_while(|level| !matches!(*level, "+" | "#"));
        let end: usize = wild.map(|level| level.len() + 1).sum();
        self.0.get(..end.saturating_sub(1)).unwrap_or(&self.0)
    }
}

impl FromStr for Filter {
    type Err = InvalidFilter;

    fn from_str(text: &str) -> Result<Self, InvalidFilter> {
        let invalid = || InvalidFilter(shortened(text));
        // `$share/…` belongs to MQTT 5, `$SYS/…` to brokers that have something to say there.
        if !is_shaped(text) || text.starts_with('$') {
            return Err(invalid());
        }
        let mut levels = text.split('/').peekable();
        while let Some(level) = levels.next() {
            let last = levels.peek().is_none();
            match level {
                "#" if last => {}
                "+" => {}
                _ if level.contains(['+', '#']) => return Err(invalid()),
                _ => {}
            }
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text to which nothing can be published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a topic: it has 1 to {LONGEST} bytes in at most {DEEPEST} levels, no `+`, `#` or \
     control character, and no `$` in front"
)]
pub struct InvalidTopic(String);

/// A text that names no topics.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a filter of topics: `+` stands for one level and `#` for all that follow, each \
     alone in its level, as in sensors/+/temperature or sensors/#"
)]
pub struct InvalidFilter(String);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(filter: &str, names: &[&str], not: &[&str]) {
        let filter: Filter = filter.parse().unwrap();
        for topic in names {
            assert!(matches(filter.as_str(), topic), "{filter} names {topic}");
            assert!(topic.starts_with(filter.beginning()), "{filter}: {topic}");
        }
        for topic in not {
            assert!(!matches(filter.as_str(), topic), "{filter} does not name {topic}");
        }
    }

    #[test]
    fn a_filter_names_topics_as_the_standard_says() {
        check("a/b", &["a/b"], &["a", "a/b/c", "a/b/", "/a/b", "A/b"]);
        check("a/#", &["a", "a/", "a/b", "a/b/c"], &["ab", "b/a"]);
        check("#", &["a", "/", "a/b"], &["$SYS/uptime"]);
        check("+", &["a", "ø"], &["a/b", "/a", "$SYS"]);
        check("a/+/c", &["a/b/c", "a//c"], &["a/c", "a/b/d"]);
        check("+/+", &["/a", "a/"], &["a"]);
        check("øst/+", &["øst/temperatur"], &["ost/temperatur"]);
    }

    #[test]
    fn what_is_no_filter_or_topic_is_refused() {
        for wrong in ["", "a#", "a/#/b", "a+", "+a/b", "$SYS/#", "a\0", "a/b\n", &"a".repeat(1_025)]
        {
            assert!(wrong.parse::<Filter>().is_err(), "{wrong}");
        }
        assert!("/".repeat(32).parse::<Filter>().is_err());
        for wrong in ["", "a/+", "#", "$SYS/a", "a\u{7f}", &"a/".repeat(40)] {
            assert!(valid_topic(wrong).is_err(), "{wrong}");
        }
        assert_eq!(valid_topic("zigbee2mqtt/2. etasje/stue"), Ok(()));
    }

    #[track_caller]
    fn covers(rule: &str, covered: &[&str], not: &[&str]) {
        let rule: Filter = rule.parse().unwrap();
        for filter in covered {
            assert!(rule.covers(&filter.parse().unwrap()), "{rule} covers {filter}");
        }
        for filter in not {
            assert!(!rule.covers(&filter.parse().unwrap()), "{rule} does not cover {filter}");
        }
    }

    #[test]
    fn a_rule_covers_a_filter_only_if_it_names_all_of_its_topics() {
        covers("#", &["#", "a", "+/a", "a/#"], &[]);
        covers("a/#", &["a", "a/b", "a/+", "a/#", "a/+/#"], &["#", "+", "+/b", "b/#"]);
        covers("a/+", &["a/b", "a/+"], &["a/#", "a/b/c", "a", "+/b"]);
        covers("a/b", &["a/b"], &["a/+", "a/#", "a"]);
    }

    fn text(letters: &'static str) -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(letters.chars().collect::<Vec<_>>()), 1..7)
            .prop_map(|letters| letters.into_iter().collect())
    }

    proptest! {
        #[test]
        fn who_may_subscribe_to_a_filter_may_see_what_it_names(
            rule in text("ab/+#"), filter in text("ab/+#"), topic in text("ab/"),
        ) {
            let (Ok(rule), Ok(filter)) = (rule.parse::<Filter>(), filter.parse::<Filter>()) else {
                return Ok(());
            };
            if rule.covers(&filter) && matches(filter.as_str(), &topic) {
                prop_assert!(matches(rule.as_str(), &topic), "{rule} {filter} {topic}");
            }
            if matches(filter.as_str(), &topic) {
                prop_assert!(topic.starts_with(filter.beginning()));
            }
        }
    }
}
