//! The texts of the pages, for the documents that the gateway sets itself: a sheet says what the page
//! says, from the same file.

use std::collections::HashMap;
use std::sync::OnceLock;

/// The texts in one language.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Texts {
    /// `nb`, `en` or `da`.
    pub(crate) code: &'static str,
    texts: &'static HashMap<String, String>,
}

impl Texts {
    /// Those of the language `code`, if there is one.
    pub(crate) fn of(code: &str) -> Option<Self> {
        static READ: OnceLock<Vec<(&str, HashMap<String, String>)>> = OnceLock::new();
        let all = READ.get_or_init(|| {
            // A test reads all three.
            let read = |(code, file)| (code, serde_json::from_str(file).unwrap_or_default());
            FILES.into_iter().map(read).collect()
        });
        let (code, texts) = all.iter().find(|(it, _)| *it == code)?;
        Some(Self { code, texts })
    }

    /// The text with this code, with its placeholders filled in. Texts with a plural are the pages' alone.
    pub(crate) fn say(&self, key: &str, params: &[(&str, &str)]) -> String {
        let Some(text) = self.texts.get(key) else { return key.to_owned() };
        let mut said = text.clone();
        for (name, value) in params {
            said = said.replace(&format!("{{{name}}}"), value);
        }
        said
    }

    /// The text with this code, or `otherwise`.
    pub(crate) fn code(&self, prefix: &str, code: &str, otherwise: &str) -> String {
        let key = format!("{prefix}.{code}");
        self.texts.get(&key).map_or_else(|| otherwise.to_owned(), Clone::clone)
    }

    /// Decimal text as the language writes it: `34718.4` is `34 718,4`.
    pub(crate) fn figure(&self, decimal: &str) -> String {
        let (point, group) = match self.code {
            "en" => ('.', ','),
            "da" => (',', '.'),
            _ => (',', '\u{a0}'),
        };
        let (sign, plain) = decimal.strip_prefix('-').map_or(("", decimal), |it| ("−", it));
        let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
        let mut said = sign.to_owned();
        for (at, digit) in whole.chars().enumerate() {
            if at > 0 && (whole.len() - at).is_multiple_of(3) {
                said.push(group);
            }
            said.push(digit);
        }
        if !fraction.is_empty() {
            said.push(point);
            said.push_str(fraction);
        }
        said
    }
}

const FILES: [(&str, &str); 3] = [
    ("nb", include_str!("../texts/nb.json")),
    ("en", include_str!("../texts/en.json")),
    ("da", include_str!("../texts/da.json")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_are_those_of_the_pages() {
        for code in ["nb", "en", "da"] {
            assert!(!Texts::of(code).unwrap().say("nav.overview", &[]).contains('.'), "{code}");
        }
        assert!(Texts::of("sv").is_none());
        let nb = Texts::of("nb").unwrap();
        assert_eq!(nb.say("no.such", &[]), "no.such");
        assert_eq!(nb.say("age.seconds", &[("n", "7")]), "for 7 s siden");
    }

    #[test]
    fn a_figure_is_written_as_the_language_does() {
        let figure = |code: &str, text: &str| Texts::of(code).unwrap().figure(text);
        assert_eq!(figure("nb", "34718.4"), "34\u{a0}718,4");
        assert_eq!(figure("en", "-1234567"), "−1,234,567");
        assert_eq!(figure("da", "999.05"), "999,05");
    }
}
