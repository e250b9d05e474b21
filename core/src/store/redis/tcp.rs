//! The real network: a TCP socket of this process, with TLS where the URL says so.
//!
//! A forked child closes its copies at birth: a copy would keep the server's side open after the
//! parent's death, and a waiter that is gone would look as if it still listened.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::RedisUrl;
use super::link::{Dial, Link, Purpose};
use crate::sys::fork::ClosedInChild;
use crate::sys::{BoxFuture, Readiness};
use crate::{Error, ErrorKind, Result};

/// What one read takes from the socket.
const CHUNK: usize = 16 * 1024;
/// What may wait to be written before the server counts as stuck.
const MAX_BACKLOG: usize = 64 << 20;

/// Opens sockets to the server of one URL.
pub struct TcpDial {
    url: RedisUrl,
    tls: Mutex<Option<Arc<ClientConfig>>>,
}

impl TcpDial {
    /// Sockets to the server of `url`.
    #[must_use]
    pub fn new(url: RedisUrl) -> Self {
        Self { url, tls: Mutex::default() }
    }

    async fn connect(&self) -> Result<Arc<dyn Link>> {
        let unreachable = |cause: io::Error| {
            Error::new(ErrorKind::StoreUnavailable, format!("{} can't be reached", self.url))
                .caused_by(cause)
        };
        let tls = if self.url.tls { Some(self.session()?) } else { None };
        let address = (self.url.host.as_str(), self.url.port);
        let socket = tokio::net::TcpStream::connect(address).await.map_err(unreachable)?;
        // Non-blocking, and out of the runtime: who watches it changes.
        let socket = socket.into_std().map_err(unreachable)?;
        socket.set_nodelay(true).map_err(unreachable)?;
        let out = Mutex::new(Out { tls, backlog: Vec::new() });
        let (mark, watch) = (ClosedInChild::new(socket.as_fd()), Mutex::default());
        Ok(Arc::new(TcpLink { _mark: mark, socket, out, watch }))
    }

    fn session(&self) -> Result<ClientConnection> {
        let name = ServerName::try_from(self.url.host.clone()).map_err(|cause| {
            Error::invalid(format!("the host of {} is no name for TLS", self.url)).caused_by(cause)
        })?;
        let config = {
            let mut known = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
            match &*known {
                Some(config) => Arc::clone(config),
                None => Arc::clone(known.insert(self.config()?)),
            }
        };
        let mut session = ClientConnection::new(config, name).map_err(|cause| {
            Error::new(ErrorKind::StoreFailed, "TLS can't be set up").caused_by(cause)
        })?;
        // A link takes what it is given. The default, 64 KiB, would refuse a request of many locks.
        session.set_buffer_limit(None);
        Ok(session)
    }

    fn config(&self) -> Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        match &self.url.ca {
            Some(path) => {
                let unusable = |cause: rustls::pki_types::pem::Error| {
                    Error::invalid(format!("the file of authorities {path:?} can't be used"))
                        .caused_by(cause)
                };
                for authority in CertificateDer::pem_file_iter(path).map_err(unusable)? {
                    roots.add(authority.map_err(unusable)?).map_err(|cause| {
                        Error::invalid(format!("an authority in {path:?} can't be used"))
                            .caused_by(cause)
                    })?;
                }
            }
            None => {
                // Some of a system's authorities may be unreadable; an empty set fails below.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        if roots.is_empty() {
            return Err(Error::invalid(
                "there are no authorities to trust for TLS: name a file with ?ca= in the URL",
            ));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|cause| {
                Error::new(ErrorKind::StoreFailed, "TLS can't be set up").caused_by(cause)
            })?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}

impl Dial for TcpDial {
    fn dial(&self, _: Purpose) -> BoxFuture<'_, Result<Arc<dyn Link>>> {
        Box::pin(self.connect())
    }
}

/// Reads and writes through a shared reference.
struct Now<'a>(&'a TcpStream);

impl Read for Now<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(self.0, into)?)
    }
}

impl Write for Now<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Not write(2): its SIGPIPE would end a process that doesn't ignore it.
        Ok(rustix::net::send(self.0, bytes, rustix::net::SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct TcpLink {
    // First, so that the mark goes before the descriptor's number can be another's.
    _mark: ClosedInChild,
    socket: TcpStream,
    out: Mutex<Out>,
    watch: Mutex<Option<Arc<Readiness>>>,
}

struct Out {
    tls: Option<ClientConnection>,
    /// What the socket did not take yet.
    backlog: Vec<u8>,
}

impl TcpLink {
    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads until there is nothing left: who watches the socket is told only of what comes anew.
    fn receive_plain(&self, into: &mut Vec<u8>) -> io::Result<usize> {
        let begin = into.len();
        loop {
            let at = into.len();
            into.resize(at + CHUNK, 0);
            let read = Now(&self.socket).read(&mut into[at..]);
            into.truncate(at + read.as_ref().copied().unwrap_or_default());
            match read {
                Ok(CHUNK) => {}
                Ok(_) => return Ok(into.len() - begin),
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if into.len() > begin => return Ok(into.len() - begin),
                Err(cause) => return Err(cause),
            }
        }
    }

    /// The registration with the runtime of whoever drives.
    fn watch(&self) -> io::Result<Arc<Readiness>> {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        match &*watch {
            Some(watch) => Ok(Arc::clone(watch)),
            None => Ok(Arc::clone(watch.insert(Arc::new(Readiness::of(self.socket.as_fd())?)))),
        }
    }

    /// Writes what it can; the rest waits for the socket.
    fn flush(&self, out: &mut Out) -> io::Result<()> {
        if let Some(tls) = &mut out.tls {
            while tls.wants_write() {
                tls.write_tls(&mut out.backlog)?;
            }
        }
        let mut done = 0;
        let written = loop {
            if done == out.backlog.len() {
                break Ok(());
            }
            match Now(&self.socket).write(&out.backlog[done..]) {
                Ok(count) => done += count,
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => break Err(cause),
            }
        };
        out.backlog.drain(..done);
        if out.backlog.len() > MAX_BACKLOG {
            return Err(io::Error::other("the server takes nothing more"));
        }
        written
    }
}

fn of_tls(cause: rustls::Error) -> io::Error {
    let kind = match cause {
        rustls::Error::InvalidCertificate(_) => io::ErrorKind::PermissionDenied,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, cause)
}

impl Link for TcpLink {
    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = self.out();
        let out = &mut *out;
        match &mut out.tls {
            Some(tls) => tls.writer().write_all(bytes)?,
            None if out.backlog.is_empty() => {
                // The common case: no copy.
                let sent = loop {
                    match Now(&self.socket).write(bytes) {
                        Ok(count) => break count,
                        Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => break 0,
                        Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                        Err(cause) => return Err(cause),
                    }
                };
                if sent == bytes.len() {
                    return Ok(());
                }
                out.backlog.extend_from_slice(&bytes[sent..]);
            }
            None => out.backlog.extend_from_slice(bytes),
        }
        self.flush(out)
    }

    fn receive(&self, into: &mut Vec<u8>) -> io::Result<usize> {
        let mut out = self.out();
        let out = &mut *out;
        let Some(tls) = &mut out.tls else {
            return self.receive_plain(into);
        };
        let begin = into.len();
        let ended = loop {
            match tls.read_tls(&mut Now(&self.socket)) {
                Ok(0) => break true,
                Ok(_) => {
                    let state = tls.process_new_packets().map_err(of_tls)?;
                    let plain = state.plaintext_bytes_to_read();
                    let at = into.len();
                    into.resize(at + plain, 0);
                    tls.reader().read_exact(&mut into[at..])?;
                }
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => break false,
                Err(cause) => return Err(cause),
            }
        };
        // A handshake or a key update may have something to say.
        self.flush(out)?;
        match into.len() - begin {
            0 if ended => Ok(0),
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }

    fn ready(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            let watch = self.watch()?;
            let writing = !self.out().backlog.is_empty();
            watch.ready(writing).await?;
            if writing {
                self.flush(&mut self.out())?;
            }
            Ok(())
        })
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.out().backlog.is_empty().then(|| self.socket.as_fd())
    }

    fn rest(&self) {
        *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn close(&self) {
        // Wakes the driver; the descriptor goes with the last reference.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }
}
