//! The process's shared memory stores, by name. A store lives as long as a client uses it.

#[cfg(feature = "native")]
mod native {
    use std::collections::HashMap;
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex, PoisonError, Weak};

    use crate::store::memory::store::Shared;
    use crate::sys::fork::PerProcess;

    type Stores = Mutex<HashMap<String, Weak<Shared>>>;

    static STORES: PerProcess<Stores> = PerProcess::new();

    /// The store `name` of this process. A forked child starts with none: its memory is its own.
    pub(crate) fn named(name: &str) -> Arc<Shared> {
        let Ok(stores) = STORES.get_or_try_init(|| Ok::<Stores, Infallible>(Mutex::default()));
        let mut stores = stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = stores.get(name).and_then(Weak::upgrade) {
            return store;
        }
        stores.retain(|_, store| store.strong_count() > 0);
        let store = Arc::new(Shared::default());
        stores.insert(name.to_owned(), Arc::downgrade(&store));
        store
    }
}

#[cfg(not(feature = "native"))]
mod native {
    use std::sync::Arc;

    use crate::store::memory::store::Shared;

    /// Without an operating system a name is not shared: the host keeps the client instead.
    #[allow(clippy::arc_with_non_send_sync, reason = "single-threaded host")]
    pub(crate) fn named(_name: &str) -> Arc<Shared> {
        Arc::new(Shared::default())
    }
}

pub(crate) use native::named;
