//! The lab's emulated network against the kernel's netem.

#[macro_use]
mod needs;

#[cfg(target_os = "linux")]
#[path = "netem/linux.rs"]
mod linux;

fn main() -> std::process::ExitCode {
    #[cfg(target_os = "linux")]
    return linux::main();
    #[cfg(not(target_os = "linux"))]
    needs::not_here("netem needs Linux")
}
