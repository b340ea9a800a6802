//! A web server on this machine, for artifacts that are named by URL.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};

/// Answers each request, each on a connection of its own, by the path that was asked for, without its first slash.
pub(super) fn serve(answer_to: impl Fn(&str) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let path = line.split([' ', '/', '?']).nth(2).unwrap().to_owned();
            while line.trim() != "" {
                line.clear();
                reader.read_line(&mut line).unwrap();
            }
            // Whoever has enough may be gone by then.
            let _ = reader.get_mut().write_all(&answer_to(&path));
        }
    });
    address
}

/// An answer of which so many bytes were promised.
pub(super) fn answer(status: &str, promised: usize, body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {promised}\r\nConnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}
