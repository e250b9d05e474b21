//! `Send` where there are threads, nothing where there are none.
//!
//! A JavaScript host is single-threaded and its futures are not `Send`; demanding it there would
//! shut WebAssembly out, leaving it out elsewhere would shut tokio out.

use std::future::Future;
use std::pin::Pin;

#[cfg(not(feature = "wasm"))]
mod bounds {
    /// `Send`, except in a build for WebAssembly.
    pub trait MaybeSend: Send {}
    impl<T: Send + ?Sized> MaybeSend for T {}
    /// `Sync`, except in a build for WebAssembly.
    pub trait MaybeSync: Sync {}
    impl<T: Sync + ?Sized> MaybeSync for T {}
}

#[cfg(feature = "wasm")]
mod bounds {
    /// `Send`, except in a build for WebAssembly.
    pub trait MaybeSend {}
    impl<T: ?Sized> MaybeSend for T {}
    /// `Sync`, except in a build for WebAssembly.
    pub trait MaybeSync {}
    impl<T: ?Sized> MaybeSync for T {}
}

pub use bounds::{MaybeSend, MaybeSync};

/// A boxed future, as the object-safe [`Store`](crate::store::Store) returns it.
#[cfg(not(feature = "wasm"))]
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// A boxed future, as the object-safe [`Store`](crate::store::Store) returns it.
#[cfg(feature = "wasm")]
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;
