//! Runs the commands of `scripts/exercises.md` and compares their output with the text.

#[macro_use]
mod needs;

#[cfg(target_os = "linux")]
#[path = "exercises/linux.rs"]
mod linux;

fn main() -> std::process::ExitCode {
    #[cfg(target_os = "linux")]
    return linux::main();
    #[cfg(not(target_os = "linux"))]
    needs::not_here("the exercises need network namespaces, which are Linux's")
}
