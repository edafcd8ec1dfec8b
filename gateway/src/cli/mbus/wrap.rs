//! Lines that fit a terminal of 80 columns, of text that a meter may have sent.

/// A terminal as narrow as they come.
pub(super) const WIDTH: usize = 80;

/// `text` behind `head`, broken between words before column 80; further lines are indented as far
/// as `head` is wide. A word that is too long for a line is cut.
pub(super) fn wrapped(head: &str, text: &str) -> String {
    let indent = head.chars().count().min(WIDTH / 2);
    let room = WIDTH - indent;
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        if used > 0 && used + 1 + word.len() > room {
            lines.push(String::new());
            used = 0;
        }
        let blank = usize::from(used > 0);
        while word.len() + blank > room {
            let behind = word.split_off(room);
            lines.extend([word.into_iter().collect(), String::new()]);
            word = behind;
        }
        if let Some(line) = lines.last_mut() {
            line.extend([" "].into_iter().take(blank));
            line.extend(&word);
            used += blank + word.len();
        }
    }
    lines.retain(|line| !line.is_empty());
    let indent = " ".repeat(indent);
    let joined = lines.join(&format!("\n{indent}"));
    format!("{}\n", format!("{head}{joined}").trim_end())
}

/// `text` without what would move somebody's cursor or colour his screen.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { '·' } else { it }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_to_the_next_line_and_long_ones_are_cut() {
        assert_eq!(wrapped("  ", "one two"), "  one two\n");
        let words = "twelve chars ".repeat(8);
        let text = wrapped("head: ", words.trim());
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.lines().skip(1).all(|line| line.starts_with("      ")), "{text}");
        let text = wrapped("head: ", &"F".repeat(200));
        assert_eq!(text.lines().map(|line| line.trim().len()).sum::<usize>(), 206);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert_eq!(wrapped("head", ""), "head\n");
    }

    #[test]
    fn a_meter_does_not_steer_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\n"), "a·[2Jb·");
    }
}
