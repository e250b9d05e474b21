//! From `--store` to a client.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use leasehold::{AuditFile, Client, ClientOptions, StoreUrl};

use crate::exit::{Failure, code};

/// A client of the store that the command line, or else the environment, names.
///
/// # Errors
/// For what is no URL of a store, and for a memory store: it would end with this process and
/// exclude nobody, which looks like a lock that works.
pub(crate) fn client(store: Option<&OsStr>) -> Result<Client, Failure> {
    audited(store, None)
}

/// The same, with a file to which its interferences are appended.
///
/// # Errors
/// As [`client`], and for a file that can't be written.
pub(crate) fn audited(store: Option<&OsStr>, audit: Option<&Path>) -> Result<Client, Failure> {
    let url = match store {
        Some(url) => url
            .to_str()
            // Not shown: it may hold a password.
            .ok_or_else(|| Failure::new(code::USAGE, "the URL given with --store is not UTF-8"))?
            .to_owned(),
        None => leasehold::default_url()?,
    };
    let audit = audit.map(AuditFile::open).transpose()?.map(|file| Arc::new(file) as _);
    let options = ClientOptions { language: Some("cli"), audit, ..ClientOptions::default() };
    let client = Client::with(&url, options)?;
    if let Some(memory @ StoreUrl::Memory { .. }) = client.url() {
        return Err(Failure::new(
            code::USAGE,
            format!(
                "the store {memory} lives and dies with this process and would exclude nobody: use \
                 sqlite:///path or redis://host"
            ),
        ));
    }
    Ok(client)
}
