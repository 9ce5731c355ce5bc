//! The `restway` binary: everything is in the library, so that tests can read the arguments too.

/// Buffers go from thread to thread: the system's allocator would keep what each has freed.
#[cfg(unix)]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    restway::main()
}
