//! The `lab` and `replay` commands.

#[macro_use]
mod needs;

#[cfg(target_os = "linux")]
#[path = "lab/captures.rs"]
mod captures;
#[cfg(target_os = "linux")]
#[path = "lab/linux.rs"]
mod linux;

fn main() -> std::process::ExitCode {
    #[cfg(target_os = "linux")]
    return linux::main();
    #[cfg(not(target_os = "linux"))]
    needs::not_here("the lab's emulated network needs Linux")
}
