//! The built program with its history on a disk that is full, read-only, failing or corrupt.

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
    needs::not_here("the disks of this test need Linux")
}
