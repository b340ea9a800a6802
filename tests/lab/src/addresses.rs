//! A loopback address for every host, so that each has its own port 8080.

use std::fs;
use std::net::TcpListener;

/// Taken on the last address of a lab's network as long as the lab lives: no other lab chooses the same network.
const RESERVATION_PORT: u16 = 47_001;
/// Hosts of one lab; beyond that the third byte counts on.
const HOSTS_A_NETWORK: usize = 200;

#[derive(Debug)]
pub(crate) struct Addresses {
    network: Option<(u8, u8)>,
    _reservation: Option<TcpListener>,
}

impl Addresses {
    /// Linux answers on all of 127.0.0.0/8; elsewhere all hosts share 127.0.0.1.
    pub(crate) fn reserve() -> Self {
        let mut seed = [0_u8; 2];
        let random = fs::read("/proc/sys/kernel/random/uuid").unwrap_or_default();
        for (index, byte) in random.iter().enumerate() {
            seed[index % 2] = u8::wrapping_add(seed[index % 2].wrapping_mul(31), *byte);
        }
        for attempt in 0..100_u8 {
            // 127.0, 127.1 and 127.127 are where other things on a machine like to be.
            let second = 16 + seed[0].wrapping_add(attempt) % 100;
            let third = seed[1] & 0xf0;
            if let Ok(listener) =
                TcpListener::bind((format!("127.{second}.{third}.254"), RESERVATION_PORT))
            {
                return Self {
                    network: Some((second, third)),
                    _reservation: Some(listener),
                };
            }
        }
        Self {
            network: None,
            _reservation: None,
        }
    }

    /// Numbers start at 1.
    pub(crate) fn of(&self, number: usize) -> String {
        let Some((second, third)) = self.network else {
            return "127.0.0.1".to_owned();
        };
        let index = number - 1;
        format!(
            "127.{second}.{}.{}",
            usize::from(third) + index / HOSTS_A_NETWORK,
            index % HOSTS_A_NETWORK + 1
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_labs_have_different_networks() {
        let (one, other) = (Addresses::reserve(), Addresses::reserve());
        assert_ne!(one.of(1), other.of(1));
        assert_ne!(one.of(1), one.of(201));
        assert!(one.of(200).ends_with(".200"), "{}", one.of(200));
    }
}
