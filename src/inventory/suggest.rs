//! "Did you mean".

/// The known word that is closest to `word`, if one is close enough to be meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let wanted = plain(word);
    known
        .into_iter()
        .filter_map(|candidate| {
            let candidate_plain = plain(candidate);
            let length = wanted.chars().count().max(candidate_plain.chars().count());
            let distance = strsim::damerau_levenshtein(&wanted, &candidate_plain);
            // One slip in three characters is still a slip; more is another word.
            (distance <= length / 3 || (distance == 1 && length > 1))
                .then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `` `a`, `b` or `c` ``, at most eight of them.
pub(crate) fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 8;
    let mut words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    if words.len() > SHOWN {
        let more = words.len() - SHOWN;
        words.truncate(SHOWN);
        return format!("{} and {more} more", words.join(", "));
    }
    match words.pop() {
        None => String::new(),
        Some(last) if words.is_empty() => last,
        Some(last) => format!("{} or {last}", words.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognized_and_other_words_are_not() {
        let known = ["max_unavailable", "max_surge", "port", "ports", "link"];
        for (word, expected) in [
            ("max_unavailble", Some("max_unavailable")),
            ("max-surge", Some("max_surge")),
            ("Port", Some("port")),
            ("prot", Some("port")),
            ("lnik", Some("link")),
            ("artifact", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }

    #[test]
    fn lists_read_as_a_sentence() {
        assert_eq!(list([]), "");
        assert_eq!(list(["a"]), "`a`");
        assert_eq!(list(["a", "b", "c"]), "`a`, `b` or `c`");
        assert!(list(["a"; 10]).ends_with("and 2 more"));
    }
}
