use super::*;

const BERLIN: &str = "Europe/Berlin";

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn minutes(clock: &str) -> u16 {
    let (hour, minute) = clock.split_once(':').unwrap();
    hour.parse::<u16>().unwrap() * 60 + minute.parse::<u16>().unwrap()
}

/// Days as digits, Monday is 1.
fn allow(days: &str, from: &str, to: &str, name: &str) -> Allow {
    Allow {
        days: std::array::from_fn(|day| days.contains(&(day + 1).to_string())),
        from: minutes(from),
        to: minutes(to),
        zone: zone(name),
    }
}

fn freeze(first: &str, last: &str, name: &str) -> Freeze {
    Freeze {
        first: first.parse().unwrap(),
        last: last.parse().unwrap(),
        zone: zone(name),
    }
}

fn at(text: &str) -> Timestamp {
    stamp(text.parse().unwrap())
}

fn open(closes: &str) -> Opening {
    let closes_at = Some(closes).filter(|text| !text.is_empty()).map(at);
    Opening::Open { closes_at }
}

fn shut(opens: &str) -> Opening {
    let opens_at = Some(opens).filter(|text| !text.is_empty()).map(at);
    Opening::Shut {
        opens_at,
        is_frozen: false,
    }
}

fn frozen(opens: &str) -> Opening {
    let Opening::Shut { opens_at, .. } = shut(opens) else {
        panic!("it is shut")
    };
    Opening::Shut {
        opens_at,
        is_frozen: true,
    }
}

#[track_caller]
fn table(window: &Window, rows: &[(&str, Opening, &str)]) {
    for (moment, expected, why) in rows {
        assert_eq!(window.at(at(moment)), *expected, "{moment}: {why}");
    }
}

#[test]
fn working_hours() {
    let window = Window {
        allow: vec![allow("1234", "9:00", "16:00", BERLIN)],
        freeze: vec![],
    };
    table(
        &window,
        &[
            (
                "2026-11-26T07:59:59.999Z",
                shut("2026-11-26T08:00:00Z"),
                "a Thursday, a moment too early",
            ),
            (
                "2026-11-26T08:00:00Z",
                open("2026-11-26T15:00:00Z"),
                "its first moment",
            ),
            (
                "2026-11-26T14:59:59Z",
                open("2026-11-26T15:00:00Z"),
                "its last",
            ),
            (
                "2026-11-26T15:00:00Z",
                shut("2026-11-30T08:00:00Z"),
                "until Monday",
            ),
            (
                "2026-11-28T12:00:00Z",
                shut("2026-11-30T08:00:00Z"),
                "a Saturday",
            ),
            (
                "2026-07-02T07:30:00Z",
                open("2026-07-02T14:00:00Z"),
                "in summer two hours before UTC",
            ),
            // The clocks go forward on 2026-03-29 and back on 2026-10-25, both Sundays.
            (
                "2026-03-26T16:00:00Z",
                shut("2026-03-30T07:00:00Z"),
                "over the change in spring",
            ),
            (
                "2026-10-22T16:00:00Z",
                shut("2026-10-26T08:00:00Z"),
                "over the change in autumn",
            ),
        ],
    );
    assert_eq!(
        window.reading(at("2026-11-30T08:00:00Z")),
        "Mon 2026-11-30 09:00 CET"
    );
    assert_eq!(
        window.reading(at("2026-07-02T07:30:00Z")),
        "Thu 2026-07-02 09:30 CEST"
    );
}

#[test]
fn the_night_in_which_clocks_go_forward_has_no_time_from_two_to_three() {
    let skipped = Window {
        allow: vec![allow("7", "2:15", "2:45", BERLIN)],
        freeze: vec![],
    };
    table(
        &skipped,
        &[
            (
                "2026-03-28T12:00:00Z",
                shut("2026-04-05T00:15:00Z"),
                "there is none on the 29th",
            ),
            (
                "2026-03-22T01:20:00Z",
                open("2026-03-22T01:45:00Z"),
                "the Sunday before",
            ),
        ],
    );
    let begun_in_the_gap = Window {
        allow: vec![allow("7", "2:30", "4:00", BERLIN)],
        freeze: vec![],
    };
    table(
        &begun_in_the_gap,
        &[
            (
                "2026-03-29T00:59:59Z",
                shut("2026-03-29T01:00:00Z"),
                "opens when the clock jumps to 3:00",
            ),
            (
                "2026-03-29T01:00:00Z",
                open("2026-03-29T02:00:00Z"),
                "and closes at 4:00",
            ),
        ],
    );
    let ends_in_the_gap = Window {
        allow: vec![allow("7", "1:00", "2:30", BERLIN)],
        freeze: vec![],
    };
    table(
        &ends_in_the_gap,
        &[(
            "2026-03-29T00:10:00Z",
            open("2026-03-29T01:00:00Z"),
            "it ends when the clock jumps",
        )],
    );
}

#[test]
fn the_night_in_which_clocks_go_back_has_the_time_from_two_to_three_twice() {
    let inside = Window {
        allow: vec![allow("7", "2:15", "2:45", BERLIN)],
        freeze: vec![],
    };
    table(
        &inside,
        &[
            (
                "2026-10-25T00:00:00Z",
                shut("2026-10-25T00:15:00Z"),
                "2:00 of summer time",
            ),
            (
                "2026-10-25T00:20:00Z",
                open("2026-10-25T00:45:00Z"),
                "the first time",
            ),
            (
                "2026-10-25T00:50:00Z",
                shut("2026-10-25T01:15:00Z"),
                "in between",
            ),
            (
                "2026-10-25T01:20:00Z",
                open("2026-10-25T01:45:00Z"),
                "the second time",
            ),
            (
                "2026-10-25T01:45:00Z",
                shut("2026-11-01T01:15:00Z"),
                "until next week",
            ),
        ],
    );
    let around = Window {
        allow: vec![allow("6", "22:00", "4:00", BERLIN)],
        freeze: vec![],
    };
    table(
        &around,
        &[
            (
                "2026-10-24T20:00:00Z",
                open("2026-10-25T03:00:00Z"),
                "seven hours on that night",
            ),
            (
                "2026-10-17T20:00:00Z",
                open("2026-10-18T02:00:00Z"),
                "six on others",
            ),
        ],
    );
}

#[test]
fn nights_midnight_and_several_places() {
    let night = Window {
        allow: vec![allow("5", "22:00", "6:00", "UTC")],
        freeze: vec![],
    };
    table(
        &night,
        &[
            (
                "2026-11-27T21:59:00Z",
                shut("2026-11-27T22:00:00Z"),
                "a Friday",
            ),
            (
                "2026-11-28T05:59:00Z",
                open("2026-11-28T06:00:00Z"),
                "it began on Friday",
            ),
            (
                "2026-11-28T22:00:00Z",
                shut("2026-12-04T22:00:00Z"),
                "none begins on Saturday",
            ),
        ],
    );
    let to_midnight = Window {
        allow: vec![
            allow("1234567", "0:00", "12:00", "UTC"),
            allow("1234567", "12:00", "24:00", "UTC"),
        ],
        freeze: vec![],
    };
    table(
        &to_midnight,
        &[("2026-11-27T11:00:00Z", open(""), "never shut")],
    );
    let follows_the_sun = Window {
        allow: vec![
            allow("12345", "9:00", "17:00", "Asia/Tokyo"),
            allow("12345", "9:00", "17:00", "America/New_York"),
        ],
        freeze: vec![],
    };
    table(
        &follows_the_sun,
        &[
            (
                "2026-11-26T07:00:00Z",
                open("2026-11-26T08:00:00Z"),
                "16:00 in Tokyo",
            ),
            (
                "2026-11-26T08:00:00Z",
                shut("2026-11-26T14:00:00Z"),
                "until New York begins",
            ),
        ],
    );
}

#[test]
fn a_freeze_wins_over_a_window() {
    let window = Window {
        allow: vec![allow("12345", "9:00", "16:00", BERLIN)],
        freeze: vec![freeze("2026-12-20", "2027-01-02", BERLIN)],
    };
    table(
        &window,
        &[
            (
                "2026-12-18T14:00:00Z",
                open("2026-12-18T15:00:00Z"),
                "the Friday before",
            ),
            (
                "2026-12-18T16:00:00Z",
                shut("2027-01-04T08:00:00Z"),
                "the next day is over the freeze",
            ),
            (
                "2026-12-22T12:00:00Z",
                frozen("2027-01-04T08:00:00Z"),
                "the 3rd is a Sunday",
            ),
        ],
    );
    let only = Window {
        allow: vec![],
        freeze: vec![freeze("2026-12-24", "2026-12-24", BERLIN)],
    };
    table(
        &only,
        &[
            (
                "2026-12-01T00:00:00Z",
                open("2026-12-23T23:00:00Z"),
                "midnight in Berlin",
            ),
            (
                "2026-12-24T12:00:00Z",
                frozen("2026-12-24T23:00:00Z"),
                "the whole day",
            ),
            ("2026-12-24T23:00:00Z", open(""), "and never again"),
        ],
    );
    let for_good = Window {
        allow: vec![],
        freeze: vec![freeze("2020-01-01", "2099-12-31", "UTC")],
    };
    table(
        &for_good,
        &[("2026-12-24T12:00:00Z", frozen(""), "nobody knows when")],
    );
}

#[test]
fn a_day_may_begin_at_one_o_clock() {
    // In Beirut the clocks go forward at midnight: on 2026-03-29 there is no 00:00.
    let window = Window {
        allow: vec![],
        freeze: vec![freeze("2026-03-29", "2026-03-29", "Asia/Beirut")],
    };
    table(
        &window,
        &[
            (
                "2026-03-28T20:00:00Z",
                open("2026-03-28T22:00:00Z"),
                "the jump is where the day begins",
            ),
            (
                "2026-03-28T22:00:00Z",
                frozen("2026-03-29T21:00:00Z"),
                "23 hours",
            ),
        ],
    );
}
