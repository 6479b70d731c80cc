//! Ctrl-C: servers and folders made for a moment go away, however the command ends.

use std::collections::BTreeMap;
use std::sync::Mutex;

type Action = Box<dyn FnOnce() + Send>;

static PENDING: Mutex<BTreeMap<u64, Action>> = Mutex::new(BTreeMap::new());

/// Something to be undone: when this is dropped, or when the command is interrupted.
pub struct Cleanup(u64);

impl Cleanup {
    /// Registers what is to be done in the end; it is done once.
    pub fn new(action: impl FnOnce() + Send + 'static) -> Self {
        let mut pending = lock();
        let id = pending.last_key_value().map_or(0, |(last, _)| last + 1);
        pending.insert(id, Box::new(action));
        Self(id)
    }
}

impl Cleanup {
    /// Forgets what was to be done, because it no longer needs to be.
    pub fn disarm(self) {
        lock().remove(&self.0);
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        let action = lock().remove(&self.0);
        if let Some(action) = action {
            action();
        }
    }
}

/// From now on, Ctrl-C and a request to terminate clean up before the command ends.
pub fn listen() {
    let _ = ctrlc::set_handler(|| {
        eprintln!("\ninterrupted, cleaning up");
        // Whoever registers or drops a cleanup meanwhile waits here for the end of the command.
        let mut pending = lock();
        while let Some((_, action)) = pending.pop_last() {
            action();
        }
        std::process::exit(130);
    });
}

/// The register, even if a thread died while it held it.
fn lock() -> std::sync::MutexGuard<'static, BTreeMap<u64, Action>> {
    PENDING
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
