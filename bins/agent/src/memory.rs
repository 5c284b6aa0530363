//! How the C library keeps memory that is free.

/// Lets what large lists needed for a moment go back to the system, now and whenever it is free later.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the C library's allocator has no other interface")]
pub(crate) fn keep_little() {
    /// Larger blocks are the system's again as soon as they are free, in bytes; the library would raise it as it goes.
    const LARGE: i32 = 256 << 10;
    // SAFETY: the functions take numbers, and may be called at any time.
    unsafe {
        // Threads are short-lived here: none of them needs memory of its own.
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::malloc_trim(0);
    }
}

/// Other C libraries keep little anyway.
#[cfg(not(target_env = "gnu"))]
pub(crate) const fn keep_little() {}
