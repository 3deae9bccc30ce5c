//! The built program and its history on a disk that is full, read-only, fails, or has damaged what it
//! was given.

#[macro_use]
mod needs;

#[cfg(target_os = "linux")]
#[path = "disk/linux.rs"]
mod linux;
#[cfg(target_os = "linux")]
mod program;

fn main() -> std::process::ExitCode {
    #[cfg(target_os = "linux")]
    return linux::main();
    #[cfg(not(target_os = "linux"))]
    needs::not_here("the test of disks is for Linux")
}
