//! Kernel calls that fail, injected by strace.

#[macro_use]
mod needs;

#[cfg(target_os = "linux")]
#[path = "threads/linux.rs"]
mod linux;
#[cfg(target_os = "linux")]
mod program;

fn main() -> std::process::ExitCode {
    #[cfg(target_os = "linux")]
    return linux::main();
    #[cfg(not(target_os = "linux"))]
    needs::not_here("strace is for Linux")
}
