//! The memory of the process.

/// Gives memory that was freed back to the system (`malloc_trim` of glibc). Takes some milliseconds, for parts of which other
/// threads wait when they allocate.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn return_freed_memory() {
    // SAFETY: it has no precondition and touches only memory that is free.
    unsafe { libc::malloc_trim(0) };
}

/// Nothing: other allocators return what is freed by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn return_freed_memory() {}
