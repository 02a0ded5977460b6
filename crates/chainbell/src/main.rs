//! The binary. Everything is in the library beside it.

use std::process::ExitCode;

// Pieces of the past are large and short-lived, and are freed on other threads than they were made on: glibc's heaps keep
// them. See docs/decisions/0013.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    chainbell::main()
}
