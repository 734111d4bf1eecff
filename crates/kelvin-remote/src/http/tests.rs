//! Pauses, keys, and an answer that comes twice.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::*;

fn manner() -> Manner {
    Manner {
        retries: 0,
        pause: Duration::ZERO,
        deadline: Duration::from_secs(1),
        reply_bytes_max: 64,
        keep_alive: true,
    }
}

/// Rows that fail together do not come back together.
#[test]
fn pauses_are_of_many_lengths() {
    let http = Http::new("http://localhost:1", (KeyPlace::Bearer, None), false, manner()).unwrap();
    let parts: BTreeSet<u64> = (0..64).map(|_| http.part().to_bits()).collect();
    assert_eq!(parts.len(), 64);
    assert!(parts.iter().all(|it| (0.5..1.0).contains(&f64::from_bits(*it))));
}

#[test]
fn keys_are_shown_nowhere() {
    let key = Some(Secret::new("tml-hidden".into()));
    let http =
        Http::new("http://localhost:1", (KeyPlace::Header("x-api-key"), key), false, manner()).unwrap();
    assert!(!format!("{http:?}").contains("tml-hidden"), "{http:?}");
    assert_eq!(http.told("no such key: tml-hidden\u{1b}[2J"), "no such key: (key)[2J");
    let key = Some(Secret::new("two\nlines".into()));
    let error =
        Http::new("http://localhost:1", (KeyPlace::Header("x-api-key"), key), false, manner()).unwrap_err();
    assert!(!format!("{error:#}").contains("two"), "{error:#}");
}

/// Reads a request of no body, and says `word` so many times at once.
fn say(stream: &mut TcpStream, word: &str, times: usize) {
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        asked.extend(byte);
    }
    let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{word}", word.len());
    stream.write_all(reply.repeat(times).as_bytes()).unwrap();
}

/// What the failure table promises of connections that are shared.
#[tokio::test]
async fn a_connection_on_which_an_answer_came_twice_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (given_up, is_given_up) = mpsc::channel();
    let server = std::thread::spawn(move || {
        let (mut first, _) = listener.accept().unwrap();
        say(&mut first, "first", 2);
        first.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        given_up.send(first.read(&mut [0]).map_err(|it| it.kind())).unwrap();
        say(&mut listener.accept().unwrap().0, "second", 1);
    });
    let manner = Manner { deadline: Duration::from_secs(30), ..manner() };
    let http = Http::new(&url, (KeyPlace::Bearer, None), false, manner).unwrap();
    assert_eq!(http.get_once("a").await.unwrap().bytes, "first");
    let ended = tokio::task::spawn_blocking(move || is_given_up.recv().unwrap()).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(std::io::ErrorKind::ConnectionReset)), "{ended:?}");
    assert_eq!(http.get_once("b").await.unwrap().bytes, "second");
    server.join().unwrap();
}
