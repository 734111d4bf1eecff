//! What is in hand when the server is asked to end.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use serde_json::{Value, json};

use crate::toy::{Barrier, served, settings};

/// A socket on `/ws`, spoken to by hand.
struct Socket(TcpStream);

impl Socket {
    fn open(address: std::net::SocketAddr) -> Socket {
        let mut stream = TcpStream::connect(address).unwrap();
        let head = format!(
            "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut said = Vec::new();
        while !said.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            said.push(byte[0]);
        }
        assert!(said.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&said));
        Socket(stream)
    }

    /// A short text in one frame, masked with zeros.
    fn say(&mut self, message: &Value) {
        let text = message.to_string();
        let len = u8::try_from(text.len()).unwrap();
        assert!(len < 126, "{text}");
        self.0.write_all(&[&[0x81, 0x80 | len, 0, 0, 0, 0], text.as_bytes()].concat()).unwrap();
    }

    /// The next frame: its kind and what is in it.
    fn hear(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).unwrap();
        let len = match head[1] {
            126 => {
                let mut len = [0; 2];
                self.0.read_exact(&mut len).unwrap();
                usize::from(u16::from_be_bytes(len))
            }
            len => usize::from(len),
        };
        let mut body = vec![0; len];
        self.0.read_exact(&mut body).unwrap();
        (head[0] & 0x0f, body)
    }
}

/// A step over a socket is answered within the time of grace, and the socket is closed after it.
#[test]
fn a_socket_is_answered_before_the_end() {
    const TEXT: u8 = 1;
    const CLOSE: u8 = 8;
    let (barrier, ending) = (Barrier::default(), Arc::new(AtomicBool::new(false)));
    let listening = kelvin_serve::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listening.address();
    let (served, asked) = (served(&barrier), Arc::clone(&ending));
    let server =
        thread::spawn(move || listening.serve(served, settings(), move || asked.load(Ordering::Relaxed)));
    let mut socket = Socket::open(address);
    socket.say(&json!({ "type": "reset", "data": {} }));
    assert_eq!(socket.hear().0, TEXT);
    socket.say(&json!({ "type": "step", "data": { "response": "wait" } }));
    while !barrier.is_reached() {
        thread::yield_now();
    }
    ending.store(true, Ordering::Relaxed);
    // The port is free once nothing more is accepted.
    while TcpStream::connect(address).is_ok() {
        thread::yield_now();
    }
    assert!(!server.is_finished(), "a step is in hand");
    barrier.open();
    let (kind, said) = socket.hear();
    let said: Value = serde_json::from_slice(&said).unwrap();
    assert_eq!((kind, &said["data"]["reward"]), (TEXT, &json!(1.0)), "{said}");
    assert_eq!(socket.hear().0, CLOSE);
    drop(socket);
    server.join().unwrap().unwrap();
}
