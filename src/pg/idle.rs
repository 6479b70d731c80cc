//! Memory that a session keeps for its next use, and gives back to the operating system when it has nothing to do for a
//! while: hundreds of sessions that wait for clients would hold the buffers of a large decision each, and to allocate
//! them anew for every decision takes longer than many a decision.
//!
//! A timer of the server ends the wait. Its signal handler tells the operating system which pages nobody needs: those of
//! spare capacity, which have no content. They stay allocated, and come back empty at their next use.

use std::cell::Cell;
use std::ffi::{c_int, c_long, c_void};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering, compiler_fence};

use super::timeout::registered;

unsafe extern "C-unwind" {
    fn enable_timeout_after(id: c_int, milliseconds: c_int);
}

unsafe extern "C" {
    fn madvise(first: *mut c_void, length: usize, advice: c_int) -> c_int;
    fn sysconf(name: c_int) -> c_long;
}

/// On Linux: the content of pages is not needed. Elsewhere nothing is given back.
const DONT_NEED: c_int = 4;
const PAGE_SIZE: c_int = 30;

/// After how long without use, in milliseconds.
const DELAY_MS: c_int = 3_000;

/// From how many bytes on spare capacity is given back.
const LARGE: usize = 32 << 10;

/// How many parts of memory are given back at most.
const MOST: usize = 16;

/// What the signal handler gives back: addresses and lengths in pairs; none while they are in use.
static PARTS: [(AtomicUsize, AtomicUsize); MOST] =
    [const { (AtomicUsize::new(0), AtomicUsize::new(0)) }; MOST];
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Our timer, once it was asked for.
static TIMER: AtomicI32 = AtomicI32::new(-1);

/// The spare capacity of a vector.
pub struct Spare<'a> {
    address: usize,
    length: usize,
    of: PhantomData<&'a mut ()>,
}

impl<'a> Spare<'a> {
    pub fn of<T>(vector: &'a mut Vec<T>) -> Spare<'a> {
        let spare = vector.spare_capacity_mut();
        Spare {
            address: spare.as_ptr().addr(),
            length: size_of_val(spare),
            of: PhantomData,
        }
    }
}

/// What has large buffers.
pub trait Buffered {
    /// Hands on what is spare in them; first empties those whose content nobody needs.
    fn spare<'a>(&'a mut self, each: &mut dyn FnMut(Spare<'a>));
}

/// A value that is kept for its next use. Lives in a `thread_local!`, one in a process.
pub struct Kept<T>(Cell<Option<Box<T>>>);

impl<T: Buffered> Kept<T> {
    pub const fn new() -> Kept<T> {
        Kept(Cell::new(None))
    }

    /// Takes it out, to be used.
    pub fn take(&self) -> Option<Box<T>> {
        COUNT.store(0, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        self.0.take()
    }

    /// Puts it back; what is spare is given back after a while.
    pub fn put(&self, mut value: Box<T>) {
        let mut count = 0;
        value.spare(&mut |spare| {
            if spare.length >= LARGE && count < MOST {
                let (address, length) = &PARTS[count];
                address.store(spare.address, Ordering::Relaxed);
                length.store(spare.length, Ordering::Relaxed);
                count += 1;
            }
        });
        self.0.set(Some(value));
        compiler_fence(Ordering::SeqCst);
        COUNT.store(count, Ordering::Relaxed);
        if count > 0 && cfg!(target_os = "linux") {
            // SAFETY: the handler does what a signal handler may; the call sets the process's own alarm.
            unsafe { enable_timeout_after(registered(&TIMER, give_back), DELAY_MS) }
        }
    }
}

/// What the alarm calls, as a signal handler. The value is not in use, or no part is noted: it is taken out first.
unsafe extern "C-unwind" fn give_back() {
    // SAFETY: asks for a constant of the system.
    let page = usize::try_from(unsafe { sysconf(PAGE_SIZE) }).unwrap_or(0);
    if !page.is_power_of_two() {
        return;
    }
    for (address, length) in &PARTS[..COUNT.swap(0, Ordering::Relaxed)] {
        let (address, length) = (
            address.load(Ordering::Relaxed),
            length.load(Ordering::Relaxed),
        );
        let first = address.next_multiple_of(page);
        let end = (address + length) & !(page - 1);
        if first < end {
            // SAFETY: whole pages of spare capacity of vectors that are allocated, and that nobody uses: nothing is
            // lost with their content. The number of an error is put back by the server's handler.
            unsafe { madvise(first as *mut c_void, end - first, DONT_NEED) };
        }
    }
}
