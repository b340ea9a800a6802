//! Builds of a service: of a given size, and alike as two builds of one program are.

use rollctl_lab::{Behaviour, demo_service};

/// What is changed at once: a build differs from the one before in many small places.
const PIECE: usize = 4096;

/// A build of `bytes` bytes that shares all but `differs` (0.0 to 1.0) of its content with every other of this series.
pub(crate) fn build(name: &str, bytes: usize, series: u64, differs: f64) -> Vec<u8> {
    let bare = demo_service(name, &Behaviour::default()).len();
    let behaviour = Behaviour {
        padding: bytes.saturating_sub(bare),
        padding_seed: series,
        ..Behaviour::default()
    };
    let mut file = demo_service(name, &behaviour);
    let trailer = 512;
    let begin = bare;
    let end = file.len().saturating_sub(trailer);
    let mut random = Random::of(name);
    for piece in file
        .get_mut(begin..end)
        .unwrap_or_default()
        .chunks_mut(PIECE)
    {
        if random.fraction() < differs {
            for bytes in piece.chunks_mut(8) {
                let fresh = random.next().to_le_bytes();
                for (byte, new) in bytes.iter_mut().zip(fresh) {
                    *byte = new;
                }
            }
        }
    }
    file
}

/// xorshift64*: the same for the same name.
struct Random(u64);

impl Random {
    fn of(name: &str) -> Self {
        let fold = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(name.bytes().fold(0xcbf2_9ce4_8422_2325, fold))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn fraction(&mut self) -> f64 {
        f64::from((self.next() >> 40) as u32) / f64::from(1_u32 << 24)
    }
}
