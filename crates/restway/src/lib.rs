//! The command line: arguments, printing, exit codes.
//!
//! In: what a person or a script types. Out: text for people or one JSON object for programs, and
//! an exit code: 0 done, 1 what was asked failed, 2 it was asked wrongly, 3 partly done and
//! resumable. What never happens here: the work itself; each command is a few calls of the rooms
//! below and the printing of what they answer.

mod arguments;
mod commands;
mod context;
mod log;
mod printer;
mod progress;
pub mod reference;
mod report;
mod text_table;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::Arguments;
use crate::context::Context;
use crate::printer::Printer;
use crate::report::Exit;

/// Reads the arguments, does what they ask, and says how it went.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are answers, not errors; clap knows which stream each belongs to.
            let exit = if error.use_stderr() { Exit::Asked } else { Exit::Done };
            let _ = error.print();
            return exit.into();
        }
    };
    let printer = Printer::new(&arguments.global);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            printer.note(&format!("error: no threads for the work: {error}"));
            return Exit::Failed.into();
        }
    };
    let context = Context::new(&arguments.global, printer.clone());
    let outcome = runtime.block_on(commands::run(&context, arguments.command));
    context.progress.finish();
    // Threads that still wait for a server or a disk must not hold the exit.
    runtime.shutdown_background();
    match outcome {
        Ok(exit) => exit,
        Err(failure) => failure.report(&printer),
    }
    .into()
}
