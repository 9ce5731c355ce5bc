//! The `restway` binary: everything is in the library, so that tests can read the arguments too.

fn main() -> std::process::ExitCode {
    restway::main()
}
