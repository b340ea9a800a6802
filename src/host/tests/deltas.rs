//! A revision that travels as the difference from the one that the host runs.

use std::os::unix::fs::PermissionsExt as _;

use super::super::hosts::ServiceHosts;
use super::bench::*;
use crate::core::revision::Revision;
use crate::ports::*;

/// Text that does not compress well, the same for the same seed.
fn noise(seed: u64, length: usize) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        char::from(b' ' + (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 58) as u8)
    };
    (0..length).map(|_| next()).collect()
}

/// A program and a file beside it; of two builds only a few bytes differ.
fn build(word: &str) -> Recipe {
    let program = format!("#!/bin/sh\n# {}\necho {word}\n", noise(1, 300_000));
    let data = format!("{}{word}{}", noise(2, 100_000), noise(3, 100_000));
    Recipe {
        program: Box::leak(program.into_boxed_str()),
        unit: Some(UNIT),
        environment: None,
        files: vec![("share/data", 0o644, Box::leak(data.into_boxed_str()))],
    }
}

struct Story {
    bench: Bench,
    hosts: ServiceHosts,
    me: Controller,
}

impl Story {
    /// A host that runs the first build.
    async fn new(shell: &'static str) -> Self {
        let bench = Bench::new(shell);
        let me = controller(1);
        let hosts = bench.hosts(service());
        hosts.claim(&host(), &me).await.unwrap();
        let one = bench.store.add("v1", 1, &build("one"));
        let first = switch_of(crate::core::event::Runs::Nothing, runs(&one), "first");
        let story = Self { bench, hosts, me };
        story.stage(&one).await;
        story
            .hosts
            .switch(&host(), &story.me, &first)
            .await
            .unwrap();
        story
    }

    fn second(&self) -> Revision {
        self.bench.store.add("v2", 2, &build("two"))
    }

    /// How many bytes travelled.
    async fn stage(&self, revision: &Revision) -> u64 {
        let staged = self
            .hosts
            .stage(&host(), &self.me, revision, &no_progress)
            .await
            .unwrap();
        staged.bytes_sent
    }

    /// It is there byte by byte, with its modes, and nothing else is.
    #[track_caller]
    fn second_is_whole(&self) {
        let path = |name: &str| self.bench.path(&format!("web/revisions/v2/{name}"));
        let (program, data) = (build("two").program, build("two").files[0].2);
        assert_eq!(std::fs::read_to_string(path("web")).unwrap(), program);
        assert_eq!(std::fs::read_to_string(path("share/data")).unwrap(), data);
        let mode = std::fs::metadata(path("web")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        let mut there: Vec<_> = std::fs::read_dir(self.bench.path("web/revisions"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        there.sort();
        assert_eq!(there, ["v1", "v2"]);
    }

    /// zstd on the host as this script has it: `$tampered` is what arrived.
    fn zstd(&self, with_a_delta: &str) {
        self.bench.program(
            "bin/zstd",
            &format!(
                "#!/bin/sh\ncase \"$*\" in *--patch-from*) {with_a_delta} ;; esac\nexec /usr/bin/zstd \"$@\"\n"
            ),
        );
    }
}

#[tokio::test]
async fn only_the_difference_travels() {
    for shell in SHELLS {
        let story = Story::new(shell).await;
        let two = story.second();
        let sent = story.stage(&two).await;
        assert!(sent < 2_000, "{shell}: {sent}");
        story.second_is_whole();
    }
}

#[tokio::test]
async fn without_what_it_was_made_against_the_whole_travels() {
    let whole = {
        let story = Story::new("dash").await;
        let two = story.second();
        story.zstd("echo \"unknown option\" >&2; exit 1");
        story.stage(&two).await
    };
    assert!(whole > 300_000, "{whole}");

    let story = Story::new("dash").await;
    let two = story.second();
    story.bench.write("web/revisions/v1/share/data", "changed");
    assert_eq!(story.stage(&two).await, whole);
    story.second_is_whole();

    let story = Story::new("dash").await;
    let two = story.second();
    std::fs::remove_file(story.bench.path("web/revisions/v1/web")).unwrap();
    assert_eq!(story.stage(&two).await, whole);
    story.second_is_whole();
}

#[tokio::test]
async fn what_is_damaged_on_its_way_is_never_taken_for_the_revision() {
    let story = Story::new("dash").await;
    let two = story.second();
    for round in 0..50 {
        // A byte turned over somewhere, or the end missing.
        let damage = match round % 2 {
            0 => "printf '\\377' | dd of=\"$f\" bs=1 seek=$at conv=notrunc status=none",
            _ => "truncate -s $at \"$f\"",
        };
        story.zstd(&format!(
            "f=$(mktemp); cat >\"$f\"; at=$(( $(stat -c %s \"$f\") * {round} / 50 )); {damage}; \
             exec /usr/bin/zstd \"$@\" <\"$f\""
        ));
        story.stage(&two).await;
        story.second_is_whole();
        std::fs::remove_dir_all(story.bench.path("web/revisions/v2")).unwrap();
    }
}
