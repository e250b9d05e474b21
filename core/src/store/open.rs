//! From a URL to a store.

use std::sync::Arc;

use super::Store;
use super::memory::{self, MemoryStore, Shared};
use crate::Result;
use crate::sys::Sys;
use crate::url::StoreUrl;

/// Opens the store of `url`. The embedded stores don't touch a disk before their first request.
///
/// # Errors
/// As the store refuses.
#[allow(clippy::arc_with_non_send_sync, reason = "a WebAssembly host is single-threaded")]
pub(crate) fn open(url: &StoreUrl, sys: &Sys) -> Result<Arc<dyn Store>> {
    Ok(match url {
        StoreUrl::Memory { name } => {
            let shared = name.as_deref().map_or_else(Arc::<Shared>::default, memory::named);
            Arc::new(MemoryStore::new(shared, sys.clock()))
        }
        #[cfg(feature = "sqlite")]
        StoreUrl::Sqlite { path } => {
            Arc::new(super::sqlite::SqliteStore::open(path.as_ref(), sys)?)
        }
        #[cfg(feature = "redis")]
        StoreUrl::Redis(url) => {
            let dial = Arc::new(super::redis::TcpDial::new(url.clone()));
            if !url.lua {
                return Ok(Arc::new(super::redis::NoLuaStore::new(dial, sys, url.settings())));
            }
            Arc::new(super::redis::RedisStore::new(dial, sys, url.settings()))
        }
        #[cfg(not(feature = "redis"))]
        StoreUrl::Redis(_) => {
            return Err(crate::Error::new(
                crate::ErrorKind::Unsupported,
                "this build has no connection to Redis: build with the feature `redis`",
            ));
        }
        #[cfg(not(feature = "sqlite"))]
        StoreUrl::Sqlite { .. } => {
            return Err(crate::Error::new(
                crate::ErrorKind::Unsupported,
                "this build has no sqlite store: build with the feature `sqlite`",
            ));
        }
    })
}
