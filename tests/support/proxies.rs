//! Small proxies on threads: HTTP's CONNECT and SOCKS5.

use std::collections::BTreeMap;
use std::io::{Read, Write, copy};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// The hosts behind it, by the names that only it knows.
type Hosts = Arc<Mutex<BTreeMap<String, String>>>;
type Credentials = Option<(&'static str, &'static str)>;

pub(crate) trait Behind {
    fn knows(&self, name: &str, address: &str);
}

pub(crate) struct HttpProxy {
    pub(crate) address: SocketAddr,
    hosts: Hosts,
}

pub(crate) struct SocksProxy {
    pub(crate) address: SocketAddr,
    hosts: Hosts,
}

impl Behind for HttpProxy {
    fn knows(&self, name: &str, address: &str) {
        self.hosts.lock().unwrap().insert(name.to_owned(), address.to_owned());
    }
}

impl Behind for SocksProxy {
    fn knows(&self, name: &str, address: &str) {
        self.hosts.lock().unwrap().insert(name.to_owned(), address.to_owned());
    }
}

impl HttpProxy {
    pub(crate) fn start(credentials: Credentials) -> Self {
        let (address, hosts) = listen(move |socket, hosts| http(socket, hosts, credentials));
        Self { address, hosts }
    }
}

impl SocksProxy {
    pub(crate) fn start(credentials: Credentials) -> Self {
        let (address, hosts) = listen(move |socket, hosts| socks(socket, hosts, credentials));
        Self { address, hosts }
    }
}

/// Its thread lives as long as the process: it only waits.
fn listen(
    serve: impl Fn(TcpStream, &Hosts) -> Option<()> + Copy + Send + 'static,
) -> (SocketAddr, Hosts) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, hosts) = (listener.local_addr().unwrap(), Hosts::default());
    let known = hosts.clone();
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let known = known.clone();
            thread::spawn(move || serve(socket, &known));
        }
    });
    (address, hosts)
}

fn http(mut socket: TcpStream, hosts: &Hosts, credentials: Credentials) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).ok()?;
        head.extend(byte);
    }
    let head = String::from_utf8(head).ok()?;
    // "ali:sesame", as Basic says it.
    let wanted = credentials.map(|_| "Proxy-Authorization: Basic YWxpOnNlc2FtZQ==\r\n");
    if wanted.is_some_and(|wanted| !head.contains(wanted)) {
        return socket.write_all(b"HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n").ok();
    }
    let place = head.strip_prefix("CONNECT ")?.split(' ').next()?;
    let name = place.rsplit_once(':')?.0;
    let Some(address) = hosts.lock().unwrap().get(name).cloned() else {
        return socket.write_all(b"HTTP/1.1 502 Unknown\r\nContent-Length: 0\r\n\r\n").ok();
    };
    let behind = TcpStream::connect(address).ok()?;
    socket.write_all(b"HTTP/1.1 200 OK\r\nX-Proxy: a test\r\n\r\n").ok()?;
    join(socket, behind)
}

fn socks(mut socket: TcpStream, hosts: &Hosts, credentials: Credentials) -> Option<()> {
    if words(&mut socket, 1)? != [5] {
        return None;
    }
    let count = words(&mut socket, 1)?[0];
    let offered = words(&mut socket, count.into())?;
    let method = if credentials.is_some() { 2 } else { 0 };
    if !offered.contains(&method) {
        return socket.write_all(&[5, 0xff]).ok();
    }
    socket.write_all(&[5, method]).ok()?;
    if let Some((user, password)) = credentials {
        words(&mut socket, 1)?;
        let mut said = Vec::new();
        for _ in 0..2 {
            let length = words(&mut socket, 1)?[0];
            said.push(words(&mut socket, length.into())?);
        }
        let right = said == [user.as_bytes(), password.as_bytes()];
        socket.write_all(&[1, u8::from(!right)]).ok()?;
        if !right {
            return None;
        }
    }
    if words(&mut socket, 4)? != [5, 1, 0, 3] {
        return None;
    }
    let length = words(&mut socket, 1)?[0];
    let name = String::from_utf8(words(&mut socket, length.into())?).ok()?;
    words(&mut socket, 2)?;
    let Some(address) = hosts.lock().unwrap().get(&name).cloned() else {
        return socket.write_all(&[5, 4, 0, 1, 0, 0, 0, 0, 0, 0]).ok();
    };
    let behind = TcpStream::connect(address).ok()?;
    // It says where from by a name: the longest form.
    socket.write_all(&[5, 0, 0, 3, 4, b'h', b'e', b'r', b'e', 0, 80]).ok()?;
    join(socket, behind)
}

fn words(socket: &mut TcpStream, count: usize) -> Option<Vec<u8>> {
    let mut words = vec![0; count];
    socket.read_exact(&mut words).ok()?;
    Some(words)
}

fn join(one: TcpStream, other: TcpStream) -> Option<()> {
    let (mut up, mut down) = (one.try_clone().ok()?, other.try_clone().ok()?);
    let (mut one, mut other) = (one, other);
    let back = thread::spawn(move || {
        let _ = copy(&mut down, &mut up);
        let _ = up.shutdown(Shutdown::Write);
    });
    let _ = copy(&mut one, &mut other);
    let _ = other.shutdown(Shutdown::Write);
    back.join().ok()
}
