//! Names of many hosts in one: `db-[01-40]`.

/// The most hosts that one range may stand for.
const MOST: u32 = 10_000;
/// The placeholder of a range's number.
pub(crate) const NUMBER: &str = "{n}";

/// One host of a range: its name and its number as it is written in the name, with leading zeros.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// Nothing when the name is no range.
    pub(crate) number: Option<String>,
}

/// Expands `db-[01-40]`; a name without brackets is itself.
///
/// # Errors
/// What is wrong with the range.
pub(crate) fn expand(name: &str) -> Result<Vec<Member>, String> {
    let Some((head, rest)) = name.split_once('[') else {
        return Ok(vec![Member {
            name: name.to_owned(),
            number: None,
        }]);
    };
    let (range, tail) = rest
        .split_once(']')
        .ok_or_else(|| format!("range `{name}` lacks its `]`"))?;
    if tail.contains(['[', ']']) {
        return Err(format!("`{name}` has more than one range"));
    }
    let (first, last) = range
        .split_once('-')
        .filter(|(first, last)| is_number(first) && is_number(last))
        .ok_or_else(|| format!("range `[{range}]` is not two numbers such as `[01-40]`"))?;
    let (from, to) = (parse(first)?, parse(last)?);
    if from > to {
        return Err(format!("range `[{range}]` runs backwards"));
    }
    let zeros =
        (first.len() > 1 && first.starts_with('0')) || (last.len() > 1 && last.starts_with('0'));
    if zeros && first.len() != last.len() {
        let width = first.len().max(last.len());
        return Err(format!(
            "range `[{range}]` mixes widths; write `[{from:0width$}-{to:0width$}]`"
        ));
    }
    if to - from >= MOST {
        return Err(format!("range `[{range}]` has more than {MOST} hosts"));
    }
    let width = if zeros { first.len() } else { 0 };
    let member = |number| {
        let number = format!("{number:0width$}");
        Member {
            name: format!("{head}{number}{tail}"),
            number: Some(number),
        }
    };
    Ok((from..=to).map(member).collect())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn parse(digits: &str) -> Result<u32, String> {
    digits
        .parse()
        .ok()
        .filter(|_| digits.len() <= 9)
        .ok_or_else(|| format!("`{digits}` is too large for a range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_keep_their_zeros() {
        for (name, expected) in [
            ("web", "web"),
            ("db-[01-03]", "db-01 db-02 db-03"),
            ("db-[8-11]", "db-8 db-9 db-10 db-11"),
            ("db-[0-1]", "db-0 db-1"),
            ("n[098-101]x", "n098x n099x n100x n101x"),
            ("[7-7]", "7"),
        ] {
            let names: Vec<_> = expand(name).unwrap().into_iter().map(|m| m.name).collect();
            assert_eq!(names.join(" "), expected, "{name}");
        }
        let member = expand("db-[09-10]").unwrap().remove(0);
        assert_eq!(member.number.as_deref(), Some("09"));
    }

    #[test]
    fn ranges_that_are_none() {
        for name in [
            "db-[01-40",
            "db-[]",
            "db-[1]",
            "db-[a-c]",
            "db-[1-]",
            "db-[-3]",
            "db-[40-01]",
            "db-[08-112]",
            "db-[1-2]-[3-4]",
            "db-[1-2]]",
            "db-[0-10000]",
            "db-[1-99999999999]",
            "db-[1-2-3]",
            "db-[+1-2]",
        ] {
            assert!(expand(name).is_err(), "{name}");
        }
        assert_eq!(expand("d[0-9999]").unwrap().len(), 10_000);
    }
}
