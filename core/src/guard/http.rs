//! A fence in an HTTP request: one header, read by a server that keeps a guard. The fence alone is not
//! enough: it is compared with others of the same lock, so the lock's name goes with it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::{Error, Lease, Name, Result};

/// The header's name.
pub const HEADER: &str = "Leasehold-Fence";

/// The status to answer a request with whose fence is out of date: Precondition Failed.
pub const STALE_STATUS: u16 = 412;

/// What stands as it is in a name; all else is percent-encoded UTF-8.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':').remove(b'/');

/// The header's value for what is done under `lease`: `1795487746175228; lock=invoice:42`.
#[must_use]
pub fn value(lease: &Lease) -> String {
    write(lease.name(), lease.fence())
}

/// The same of a name and a fence.
#[must_use]
pub fn write(name: &Name, fence: u64) -> String {
    format!("{fence}; lock={}", utf8_percent_encode(name.as_str(), ENCODED))
}

/// The lock and the fence of a header's value, for a [`Gate`](super::Gate) or a table of fences. That the
/// lock is the one that this resource is guarded by is the server's to check.
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) for what is no such value.
///
/// ```
/// use leasehold::guard::http;
/// let (lock, fence) = http::read("1795487746175228; lock=invoice:42").unwrap();
/// assert_eq!((lock.as_str(), fence), ("invoice:42", 1_795_487_746_175_228));
/// assert_eq!(http::write(&lock, fence), "1795487746175228; lock=invoice:42");
/// ```
pub fn read(value: &str) -> Result<(Name, u64)> {
    let wrong = || {
        let shown: String = value.chars().take(80).collect();
        Error::invalid(format!("{HEADER} is {shown:?}: `fence; lock=name` is needed"))
    };
    let (fence, lock) = value.split_once(';').ok_or_else(wrong)?;
    let (fence, lock) = (fence.trim(), lock.trim().strip_prefix("lock=").ok_or_else(wrong)?);
    if fence.is_empty() || !fence.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let fence: u64 = fence.parse().map_err(|_| wrong())?;
    let lock = percent_decode_str(lock).decode_utf8().map_err(|_| wrong())?;
    if fence > crate::lock::MAX_FENCE {
        return Err(wrong());
    }
    Ok((Name::new(lock)?, fence))
}
