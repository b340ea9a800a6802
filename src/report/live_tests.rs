use std::fmt::Debug;
use std::io;

use indicatif::TermLike;

use super::*;
use crate::core::decision::WaitReason;
use crate::core::event::ActionKind;
use crate::core::health::Health;
use crate::core::time::Timestamp;
use crate::report::sample::{Sample, at, bad_answer, host};
use crate::report::sink::Shared;

/// A terminal of 80 by 24 that obeys what indicatif sends, and scrolls.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<(Vec<String>, usize)>>);

impl Screen {
    fn all(&self) -> String {
        let screen = self.0.lock().unwrap();
        let lines: Vec<&str> = screen.0.iter().map(|line| line.trim_end()).collect();
        lines.join("\n").trim_end().to_owned()
    }

    fn visible(&self) -> Vec<String> {
        let lines: Vec<String> = self.all().lines().map(str::to_owned).collect();
        lines[lines.len().saturating_sub(24)..].to_vec()
    }
}

impl Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Screen")
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        80
    }
    fn height(&self) -> u16 {
        24
    }
    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        let mut screen = self.0.lock().unwrap();
        screen.1 = screen.1.saturating_sub(n);
        Ok(())
    }
    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.0.lock().unwrap().1 += n;
        Ok(())
    }
    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)?;
        self.0.lock().unwrap().1 += 1;
        Ok(())
    }
    fn write_str(&self, text: &str) -> io::Result<()> {
        let mut screen = self.0.lock().unwrap();
        let (lines, row) = &mut *screen;
        for c in text.chars() {
            while lines.len() <= *row {
                lines.push(String::new());
            }
            // A full line wraps when the next character comes.
            if c == '\n' || lines[*row].chars().count() == 80 {
                *row += 1;
                if lines.len() <= *row {
                    lines.push(String::new());
                }
            }
            if c != '\n' {
                lines[*row].push(c);
            }
        }
        Ok(())
    }
    fn clear_line(&self) -> io::Result<()> {
        let mut screen = self.0.lock().unwrap();
        let (lines, row) = &mut *screen;
        if let Some(line) = lines.get_mut(*row) {
            line.clear();
        }
        Ok(())
    }
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

struct Fixed(Mutex<Timestamp>);

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

fn painter(screen: &Screen, written: &Shared) -> Painter {
    Painter::new(Canvas {
        target: ProgressDrawTarget::term_like_with_hz(Box::new(screen.clone()), 255),
        width: || Some(80),
        stdout: Box::new(written.clone()),
        stderr: Box::new(written.clone()),
        colour: false,
    })
}

/// 500 hosts: one unreachable, one done, one settling badly, one well, 30 being shipped to.
fn five_hundred() -> (Sample, Board) {
    let mut sample = Sample::new(500, 25);
    for number in 1..=499 {
        sample.sees_old(100, &format!("web-{number:02}"));
    }
    sample
        .unreachable(100, "web-500")
        .updates(200, "web-01")
        .switches(14_000, "web-02")
        .switches(14_000, "web-03")
        .health(17_000, "web-03", Health::Ready { since: at(17_000) })
        .health(17_000, "web-02", Health::NotReady { failed_polls: 2 });
    for number in 4..=33 {
        sample.begins(17_000, &format!("web-{number:02}"), ActionKind::Stage);
    }
    let mut board = Board::default();
    sample.play(|recorded, state| board.events(std::slice::from_ref(recorded), state, recorded.at));
    for (sent, moment) in [(0, 17_000), (12_345_678, 20_000)] {
        let upload = Progress::Upload {
            host: host("web-04"),
            sent,
            total: 45_600_000,
        };
        board.progress(&upload, at(moment));
    }
    let polled = Progress::Polled {
        host: host("web-02"),
        answer: bad_answer(),
    };
    board.progress(&polled, at(20_000));
    let decision = Decision {
        waiting_on: vec![
            WaitReason::Working {
                host: host("web-04"),
                action: ActionKind::Stage,
            },
            WaitReason::InFlight {
                in_flight: 25,
                limit: 25,
            },
        ],
        ..Decision::default()
    };
    board.waiting(&sample.state, &decision, at(20_000));
    (sample, board)
}

#[test]
fn of_very_many_hosts_only_what_goes_wrong_is_told_one_by_one() {
    for (hosts, told) in [(1000, 3), (1001, 2)] {
        let mut sample = Sample::new(hosts, 25);
        for number in 2..=hosts {
            sample.sees_old(100, &format!("web-{number:02}"));
        }
        sample.unreachable(100, "web-01").updates(200, "web-02");
        let mut board = Board::default();
        sample.play(|recorded, state| {
            board.events(std::slice::from_ref(recorded), state, recorded.at);
        });
        // That it started, who is unreachable, who is confirmed.
        let frame = board.frame(80, at(20_000));
        assert_eq!(frame.above.len(), told, "{hosts}: {:?}", frame.above);
    }
}

#[test]
fn five_hundred_hosts_fit_a_terminal_of_80_by_24() {
    let (_, board) = five_hundred();
    let (screen, written) = (Screen::default(), Shared::default());
    let mut painter = painter(&screen, &written);
    let clock = Fixed(Mutex::new(at(20_000)));
    let board = Mutex::new(board);
    painter.paint(&board, &clock);
    assert!(screen.visible().len() < 24);
    insta::assert_snapshot!(screen.all());
    *clock.0.lock().unwrap() = at(41_000);
    painter.paint(&board, &clock);
    let later = screen.all();
    assert!(later.contains("  00:41\n"), "the clock goes on: {later}");
    assert!(
        !later.contains("  00:20\n"),
        "the old picture is gone: {later}"
    );
}

#[test]
fn at_the_end_only_lines_and_the_last_words_are_left() {
    let mut sample = Sample::new(1, 1);
    sample
        .sees_old(100, "web-01")
        .updates(200, "web-01")
        .completes(48_000);
    let (screen, written) = (Screen::default(), Shared::default());
    let canvas = Canvas {
        target: ProgressDrawTarget::term_like_with_hz(Box::new(screen.clone()), 255),
        width: || Some(80),
        stdout: Box::new(written.clone()),
        stderr: Box::new(io::sink()),
        colour: false,
    };
    let reporter = LiveReporter::new(canvas, Arc::new(Fixed(Mutex::new(at(48_000)))));
    sample.play(|recorded, state| reporter.events(std::slice::from_ref(recorded), state));
    drop(reporter);
    assert_eq!(
        screen.all().lines().last(),
        Some("web-01: runs `v1.4.2`, confirmed"),
        "{}",
        screen.all()
    );
    assert_eq!(
        written.text(),
        "rollout 12 of `web` completed: 1 of 1 on `v1.4.2` in 48s\n"
    );
}

#[test]
fn what_a_line_says_of_each_stage() {
    let mut sample = Sample::new(6, 6);
    for number in 1..=6 {
        sample.sees_old(100, &format!("web-{number:02}"));
    }
    sample
        .switches(200, "web-01")
        .health(2_000, "web-01", Health::Ready { since: at(2_000) })
        .begins(12_000, "web-01", ActionKind::Confirm)
        .switches(200, "web-02")
        .push(
            9_000,
            crate::core::event::Event::InstanceMarked {
                host: host("web-02"),
                mark: crate::core::event::Mark::Failed {
                    reason: "restarted by itself".to_owned(),
                },
            },
        )
        .switches(200, "web-03")
        .push(
            9_000,
            crate::core::event::Event::InstanceMarked {
                host: host("web-03"),
                mark: crate::core::event::Mark::Failed {
                    reason: "restarted by itself".to_owned(),
                },
            },
        )
        .begins(9_000, "web-03", ActionKind::Revert)
        .ends(9_500, "web-03", ActionKind::Revert)
        .begins(200, "web-04", ActionKind::Stage)
        .ends(300, "web-04", ActionKind::Stage)
        .begins(9_000, "web-04", ActionKind::Activate)
        .begins(200, "web-05", ActionKind::Stage);
    let mut board = Board::default();
    sample.play(|recorded, state| board.events(std::slice::from_ref(recorded), state, recorded.at));
    assert_eq!(
        board.frame(80, at(12_000)).lines,
        [
            "DESIRED 6  CURRENT 6  UP-TO-DATE 3  AVAILABLE 2  00:12",
            "  web-02  revert",
            "  web-03  recover   gives up in 58s",
            "  web-01  confirm",
            "  web-04  activate  00:03",
            "  web-05  stage",
        ]
    );
}
